"""`doctor`: whether a run could work here."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tiny_backspace.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiny_backspace.finding import Finding

_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}
_NAME, _WIDE = 13, 52


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(doctor)


def doctor(
    repo: Annotated[
        str | None,
        typer.Option(
            help="Look whether the GitHub token may push there.",
            metavar="OWNER/NAME",
            show_default=False,
        ),
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Try every control of the sandbox, from inside.")
    ] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the providers whether they take the keys.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    agents: options.Agents = None,
    image: options.Image = None,
    runtime: options.Runtime = None,
    env_file: options.EnvFile = None,
) -> None:
    """Look whether a run could work here, and say what to do where it could not.

    \b
    Examples:
      tiny-backspace doctor
      tiny-backspace doctor --sandbox
      tiny-backspace doctor --online --repo owner/name
      tiny-backspace doctor --json | jq -r 'select(.status != "ok") | .fix'

    Exit codes: 0 a run can work, with warnings perhaps · 1 it cannot
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace import settings
    from tiny_backspace.doctor import examined

    environment = dict(os.environ)
    flags = {"agents": agents, "image": image, "runtime": runtime}
    effective = settings.load(flags, environment, settings.config_file(environment), env_file)
    found = examined(effective, environment, repo, online=online, sandbox=sandbox)
    failed = _as_json(found) if as_json else _as_text(found, _WIDE if sandbox else _NAME)
    if failed:
        raise typer.Exit(1)


def _as_json(findings: Iterator[Finding]) -> bool:
    failed = False
    for finding in findings:
        typer.echo(json.dumps(asdict(finding), ensure_ascii=False))
        failed |= finding.status == "failed"
    return failed


def _as_text(findings: Iterator[Finding], width: int) -> bool:
    """A line each as soon as it is known, and what to do below it."""
    from tiny_backspace.redact import clean_line

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    counts = dict.fromkeys(_SIGNS, 0)
    for finding in findings:
        counts[finding.status] += 1
        sign, style = _SIGNS[finding.status]
        shown = typer.style(sign, fg=style) if colour else sign
        name = clean_line(finding.name)
        typer.echo(f"{shown} {name:<{width}}  {clean_line(finding.found)}")
        if finding.fix:
            typer.echo(f"  {'':<{width}}  → {clean_line(finding.fix)}")
    if counts["failed"]:
        typer.echo(f"A run cannot work here: {counts['failed']} to repair.")
    elif counts["warning"]:
        typer.echo(f"A run can work here; {counts['warning']} to know.")
    else:
        typer.echo("All is well.")
    return counts["failed"] > 0
