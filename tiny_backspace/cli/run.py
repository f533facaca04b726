"""`run`: the main job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tiny_backspace.cli.launch import Launch, Output, launch
from tiny_backspace.errors import UsageError

_AGENT, _CHANGE, _SANDBOX, _SHOWN = "Agent", "Change", "Sandbox", "Output"


def _option(help: str, panel: str, *names: str, metavar: str | None = None) -> Any:  # noqa: A002, ANN401 - typer's own words
    return typer.Option(
        *names, help=help, rich_help_panel=panel, metavar=metavar, show_default=False
    )


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(run)


def run(
    repo: Annotated[
        str,
        typer.Argument(help="A local folder, owner/name, or an https or git@ URL.", metavar="REPO"),
    ],
    prompt: Annotated[
        str,
        typer.Argument(
            help="What to change; @FILE reads a file, - standard input.", metavar="PROMPT"
        ),
    ],
    base: Annotated[
        str | None, _option("Start from this branch, tag or commit [HEAD].", _CHANGE)
    ] = None,
    publish: Annotated[
        str | None,
        _option(
            "branch: leave a branch (default for local repositories). patch: only a file.",
            _CHANGE,
            metavar="branch|patch",
        ),
    ] = None,
    allow_path: Annotated[
        list[str] | None,
        _option(
            "Permit protected files, such as '.github/workflows/*'. Repeatable.",
            _CHANGE,
            metavar="GLOB",
        ),
    ] = None,
    verify: Annotated[
        str | None,
        _option("Run this in the sandbox when the agent is done.", _CHANGE, metavar="CMD"),
    ] = None,
    verify_attempts: Annotated[
        int | None, _option("How often, with repairs in between [2].", _CHANGE, metavar="N")
    ] = None,
    verify_timeout: Annotated[
        str | None, _option("Time for it [10m].", _CHANGE, metavar="TIME")
    ] = None,
    agents: Annotated[
        str | None,
        _option("Who may answer, in order (claude,openai,dummy).", _AGENT, metavar="LIST"),
    ] = None,
    max_turns: Annotated[
        int | None, _option("Model turns at most [60].", _AGENT, metavar="N")
    ] = None,
    max_tool_calls: Annotated[
        int | None, _option("Tool calls at most [200].", _AGENT, metavar="N")
    ] = None,
    timeout: Annotated[
        str | None, _option("Time for the whole run [30m].", _AGENT, metavar="TIME")
    ] = None,
    command_timeout: Annotated[
        str | None, _option("Time for one command [120s].", _AGENT, metavar="TIME")
    ] = None,
    image: Annotated[
        str | None, _option("Use this local image instead of our own.", _SANDBOX, metavar="NAME")
    ] = None,
    memory: Annotated[
        str | None,
        _option("Memory, files included [4g, or half the engine's].", _SANDBOX, metavar="SIZE"),
    ] = None,
    disk: Annotated[
        str | None, _option("Room for the work tree [40% of memory].", _SANDBOX, metavar="SIZE")
    ] = None,
    cpus: Annotated[
        float | None, _option("Processors [2, or 1.5 of two].", _SANDBOX, metavar="N")
    ] = None,
    pids: Annotated[
        int | None, _option("Processes and threads at most [512].", _SANDBOX, metavar="N")
    ] = None,
    runtime: Annotated[
        str | None,
        _option("Container runtime of the engine, such as runsc.", _SANDBOX, metavar="NAME"),
    ] = None,
    output: Annotated[
        Output,
        typer.Option(
            "--output",
            "-o",
            help="live needs a terminal; jsonl is for programs.",
            rich_help_panel=_SHOWN,
        ),
    ] = Output.AUTO,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Only the result, warnings and errors.", rich_help_panel=_SHOWN
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Timings, host commands, tool results too.",
            rich_help_panel=_SHOWN,
        ),
    ] = False,
    env_file: Annotated[
        Path | None,
        _option("Read settings and keys from this file of NAME=value.", _SHOWN, metavar="FILE"),
    ] = None,
) -> None:
    """Change a repository as the prompt says, and leave the change as a branch or a patch.

    \b
    Examples:
      tiny-backspace run . "replace 'helo' with 'hello' in README.md"
      tiny-backspace run . @task.md --verify "pytest -q"
      branch=$(tiny-backspace run . "add *.log to .gitignore" --quiet)
      tiny-backspace run owner/name - -o jsonl < task.md | jq .type

    \b
    Exit codes: 0 done · 2 usage · 3 repository · 4 sandbox · 5 provider
      6 agent or limit · 8 change refused · 9 verification failed
      70 a bug · 130 interrupted · 143 terminated
    """  # noqa: D301 - \b keeps the lines of an example apart
    flags = {k: v for k, v in locals().items() if k in _SETTINGS}
    launch(
        Launch(
            repo,
            _prompt(prompt),
            base,
            flags,
            env_file,
            Output(output),
            quiet=quiet,
            verbose=verbose,
        )
    )


_SETTINGS = frozenset(
    (
        "publish", "allow_path", "verify", "verify_attempts", "verify_timeout", "agents", "max_turns", "max_tool_calls",
        "timeout", "command_timeout", "image", "memory", "disk", "cpus", "pids", "runtime",
    )
)  # fmt: skip


def _prompt(given: str) -> str:
    """The text itself, the content of @FILE, or standard input for -. Longer ones are cut above the limit."""
    from tiny_backspace.settings import PROMPT_LIMIT

    try:
        if given == "-":
            data = sys.stdin.buffer.read(PROMPT_LIMIT + 1)
        elif given.startswith("@"):
            with Path(given[1:]).open("rb") as file:
                data = file.read(PROMPT_LIMIT + 1)
        else:
            return given
        return data.decode()
    except OSError as error:
        raise UsageError(f"the prompt cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError("the prompt is not UTF-8 text") from error
