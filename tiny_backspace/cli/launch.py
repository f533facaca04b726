"""A run from the command line: its settings, its views, its result on standard output."""

from __future__ import annotations

import gc
import io
import os
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tiny_backspace.cli.options import Output
from tiny_backspace.cli.signals import stopping
from tiny_backspace.errors import UsageError

if TYPE_CHECKING:
    from tiny_backspace.recorder import Subscriber, Watcher
    from tiny_backspace.redact import Redact
    from tiny_backspace.run import Resumed
    from tiny_backspace.views.state import RunState


@dataclass(frozen=True, slots=True)
class Launch:
    """A run as the command line has it. `flags` are the settings given there."""

    repo: str
    prompt: str
    base: str | None
    flags: dict[str, Any]
    env_file: Path | None
    output: Output
    quiet: bool = False
    verbose: bool = False
    resumed: Resumed | None = None
    revising: bool = False
    run_id: str | None = None


def launch(wanted: Launch) -> None:
    """Do it; the result goes to standard output, everything else to standard error.

    Raises:
        typer.Exit: with the run's exit code, if it is not 0.
    """
    from tiny_backspace import settings
    from tiny_backspace.redact import redactor
    from tiny_backspace.tasks import Asked
    from tiny_backspace.views.lines import JsonLines
    from tiny_backspace.wiring import execute

    gc.freeze()  # what is imported by now stays; looking it over again and again takes a tenth of a run
    gc.enable()  # see __main__

    environment = dict(os.environ)
    effective = settings.load(
        wanted.flags, environment, settings.config_file(environment), wanted.env_file
    )
    for name in settings.unknown(environment, effective):
        typer.echo(
            f"Warning: there is no setting {name}; `tiny-backspace config` shows all.", err=True
        )
    if effective.approve:
        wanted = _asking(wanted)
    given = {k: v for k, v in wanted.flags.items() if v not in (None, ())}
    asked = Asked(
        wanted.repo, wanted.prompt, wanted.base, given, wanted.resumed, revising=wanted.revising
    )
    with stopping() as signals:
        hidden = settings.secrets(environment, effective)
        with _views(wanted, hidden) as (subscribers, watchers):
            code, state = execute(
                asked,
                effective,
                environment,
                wanted.run_id or secrets.token_hex(4),
                subscribers,
                watchers,
                signals.hold,
                _ask if effective.approve else None,
                from_the_start=wanted.run_id is not None,
            )
        for failed in (view.failed for view in subscribers if isinstance(view, JsonLines)):
            _check_written(failed, state)
        if wanted.output is not Output.JSONL:
            if effective.dry_run:
                _show_proposal(state, redactor(hidden))
            else:
                _say_result(state, code)
        if wanted.quiet and wanted.output is not Output.JSONL:
            _say_rest(state)
    if code:
        raise typer.Exit(code)


def read_prompt(given: str) -> str:
    """The text itself, the content of @FILE, or standard input for -. Longer ones are cut above the limit."""
    from tiny_backspace.settings import PROMPT_LIMIT

    try:
        if given == "-":
            data = sys.stdin.buffer.read(PROMPT_LIMIT + 1)
        elif given.startswith("@"):
            with Path(given[1:]).open("rb") as file:
                data = file.read(PROMPT_LIMIT + 1)
        else:
            data = os.fsencode(given)
        return data.decode()
    except OSError as error:
        raise UsageError(f"the prompt cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError("the prompt is not UTF-8 text") from error


def _asking(wanted: Launch) -> Launch:
    """Panels would be in the way of a question.

    Raises:
        UsageError: there is nobody to ask.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "--approve asks in a terminal, and there is none",
            hint="--dry-run shows it without asking.",
        )
    live = wanted.output in {Output.AUTO, Output.LIVE}
    return replace(wanted, output=Output.PLAIN) if live else wanted


def _ask(words: str, patch: Path) -> bool:
    """Whether the user, who is shown all of it, wants it to go on."""
    from tiny_backspace.redact import clean, escaped

    diff = patch.read_bytes().decode(errors="replace")
    typer.echo(f"\n{clean(words)}\n{escaped(diff)}", err=True)
    try:
        return typer.confirm("Go on?", default=False, err=True)
    except typer.Abort:  # the end of the input
        return False


@contextmanager
def _views(
    wanted: Launch, hidden: tuple[str, ...]
) -> Generator[tuple[tuple[Subscriber, ...], tuple[Watcher, ...]]]:
    in_a_job = os.environ.get("GITHUB_ACTIONS") == "true"
    if in_a_job:
        from tiny_backspace.actions.report import Report

        with _lines(wanted, hidden, in_a_job=True) as (subscribers, watchers):
            yield (Report(os.environ), *subscribers), watchers
        return
    with _lines(wanted, hidden, in_a_job=False) as views:
        yield views


@contextmanager
def _lines(
    wanted: Launch, hidden: tuple[str, ...], *, in_a_job: bool
) -> Generator[tuple[tuple[Subscriber, ...], tuple[Watcher, ...]]]:
    """What a person, or a program, reads while it goes on."""
    output = wanted.output
    if output is Output.AUTO:
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        output = Output.LIVE if terminal and not os.environ.get("CI") else Output.PLAIN
    if output is Output.JSONL:
        from tiny_backspace.views.lines import JsonLines

        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # JSON is, whatever the terminal's language
        yield (JsonLines(sys.stdout),), ()
    elif wanted.quiet:
        yield (), ()
    elif in_a_job and output is Output.PLAIN:
        from tiny_backspace.actions.view import Grouped

        runner = bool(os.environ.get("RUNNER_TEMP")) and not sys.stderr.isatty()
        with Grouped(sys.stderr, wanted.verbose, hidden if runner else ()) as grouped:
            yield (grouped,), ()
    elif output is Output.LIVE:
        from datetime import UTC, datetime

        from rich.console import Console

        from tiny_backspace.views.live import LiveView

        console = Console(stderr=True)
        with LiveView(console, lambda: datetime.now(UTC), wanted.verbose) as live:
            yield (live,), (live.watch,)
    else:
        from tiny_backspace.views.lines import PlainLines

        colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        colour = colour and os.environ.get("TERM") != "dumb"
        yield (PlainLines(sys.stderr, wanted.verbose, colour),), ()


def _check_written(failed: OSError | None, state: RunState) -> None:
    """Raises UsageError: somebody who reads the lines would take half of them for all."""
    if failed is None:
        return
    sys.stdout = None  # or Python complains once more at exit
    raise UsageError(
        f"standard output could not be written to the end: {failed.strerror}",
        hint=f"All lines: tiny-backspace show {state.run_id} --json",
    )


def _say_result(state: RunState, code: int) -> None:
    """The pull request's address, or the branch, or the patch: what a script wants to go on with.

    Raises:
        UsageError: nobody can be told; the work is where it says. What ended the run counts more.
    """
    result = state.saved.pr_url or state.saved.branch or state.saved.patch
    if result is None:
        return
    if (problem := _unsaid(result)) and not code:
        raise UsageError(
            f"standard output cannot be written: {problem}", hint=f"The result is {result}"
        )


def _unsaid(result: str) -> str | None:
    """Print it, or tell why not; that nobody reads it any more is no reason to complain."""
    if sys.stdout is None:
        return "it is closed"
    try:
        typer.echo(result)
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = None  # or Python complains once more at exit
        return None if isinstance(error, BrokenPipeError) else error.strerror
    return None


def _show_proposal(state: RunState, redact: Redact) -> None:
    """The pull request as it would be, and its diff; nothing, where there would be none."""
    from tiny_backspace.redact import clean, escaped

    words, patch = state.saved.pull_request_text, state.saved.patch
    if not (words and patch):
        return
    for name, safe in ((words, clean), (patch, escaped)):
        typer.echo(safe(redact(Path(name).read_bytes().decode(errors="replace"))))


def _say_rest(state: RunState) -> None:
    """In quiet: warnings, errors, and that there was nothing to do."""
    from tiny_backspace.events import RunFailed, RunSucceeded
    from tiny_backspace.redact import clean_line

    said = [
        f"Warning: {each.next} took over from {each.failed}: {each.reason}"
        for each in state.replaced
    ]
    said += [f"Warning: {warning}" for warning in state.warnings]
    match state.outcome:
        case RunFailed(message=message, hint=hint):
            said.append(f"Error: {message.rstrip('.')}. {hint or ''}")
        case RunSucceeded(message=message) if not (state.saved.branch or state.saved.patch):
            said.append(message)
    for line in said:
        typer.echo(clean_line(line), err=True)
