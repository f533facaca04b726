"""`prune`: forget old runs."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from tiny_backspace.cli.history import span
from tiny_backspace.statedir import is_live, state_dir


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(prune)


def prune(
    older_than: Annotated[
        str, typer.Option(help="Runs that began longer ago than this: 30d, 12w.", metavar="TIME")
    ] = "90d",
    all_work: Annotated[
        bool,
        typer.Option("--all", help="Also those whose change is nowhere but in their patch."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how much it would be.")
    ] = False,
) -> None:
    """Forget old runs: their records, patches and crash reports, and logs past their time.

    A run that is going on stays, and one whose change would be lost with its patch.

    \b
    Examples:
      tiny-backspace prune
      tiny-backspace prune --older-than 30d --dry-run
      tiny-backspace prune --older-than 1w --all
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.errors import UsageError
    from tiny_backspace.telemetry import pruning
    from tiny_backspace.views.figures import counted, size

    state = state_dir(os.environ)
    before = datetime.now(UTC) - span(older_than)
    try:
        done = pruning.prune(
            state,
            before,
            lambda run: is_live(state, run),
            keep_work=not all_work,
            really=not dry_run,
        )
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be removed: {error.strerror}") from error
    verb = "Would forget" if dry_run else "Forgot"
    typer.echo(f"{verb} {counted(done.runs, 'run')} and {size(done.size)} of their files.")
    if done.kept:
        left = f"{counted(done.kept, 'run')} left, where the change is nowhere but in its patch"
        typer.echo(f"{left}: --all forgets these too.", err=True)
