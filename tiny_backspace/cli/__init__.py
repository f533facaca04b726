"""The command line: parse, wire, exit code. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import signal
import sys

import typer

from tiny_backspace import __version__
from tiny_backspace.cli import (
    batch,
    clean,
    config,
    demo,
    doctor,
    health,
    history,
    image,
    logs,
    monitor,
    prune,
    resume,
    revise,
    run,
    serve,
)
from tiny_backspace.errors import Stopped, TinyBackspaceError

app = typer.Typer(
    name="tiny-backspace",
    help="A repository and a sentence in, a pull request out: agents at work in a locked-down container.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", "-V", help="Print the version and exit."),
) -> None:
    if version:
        typer.echo(f"tiny-backspace {__version__}")
        raise typer.Exit


run.register(app)
revise.register(app)
resume.register(app)
batch.register(app)
history.register(app)
logs.register(app)
monitor.register(app)
health.register(app)
serve.register(app)
image.register(app)
config.register(app)
clean.register(app)
prune.register(app)
demo.register(app)
doctor.register(app)


def main() -> None:
    """The program. A failure before or beside a run is a sentence and a hint, on standard error."""
    try:
        app()
    except Stopped as stopped:  # before the run began, or after it had ended
        sys.exit(stopped.exit_code)
    except TinyBackspaceError as error:
        from tiny_backspace.redact import clean as cleaned

        sys.stderr.write(f"Error: {cleaned(str(error)).rstrip('.')}.\n")
        if error.hint:
            sys.stderr.write(f"{cleaned(error.hint)}\n")
        sys.exit(error.exit_code)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said: nothing is left to interrupt
