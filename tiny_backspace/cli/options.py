"""The options that `run` and `resume` share, each with its help."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

_AGENT, _CHANGE, _SANDBOX, _SHOWN = "Agent", "Change", "Sandbox", "Output"
_SETUP = "Setup"


class Output(StrEnum):
    AUTO = "auto"
    LIVE = "live"
    PLAIN = "plain"
    JSONL = "jsonl"


def _option(help: str, panel: str, *names: str, metavar: str | None = None) -> Any:  # noqa: A002, ANN401 - typer's own words
    return typer.Option(
        *names, help=help, rich_help_panel=panel, metavar=metavar, show_default=False
    )


def _absolute(path: str | None) -> str | None:
    """So that `resume` finds it from another folder."""
    return str(Path(path).expanduser().absolute()) if path else None


def _run_id(given: str | None) -> str | None:
    if given is not None and not re.fullmatch(r"[0-9a-f]{8,32}", given):
        raise typer.BadParameter("8 to 32 hexadecimal digits make one")
    return given


Prompt: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="What to change; @FILE reads a file, - standard input. An issue, or a review, needs none.",
        metavar="[PROMPT]",
        show_default=False,
    ),
]
Base: TypeAlias = Annotated[
    str | None, _option("Start from this branch, tag or commit [HEAD].", _CHANGE)
]
Publish: TypeAlias = Annotated[
    str | None,
    _option(
        "pr: push and open a pull request (default for GitHub). branch: leave or push a branch (default for local repositories). patch: only a file.",
        _CHANGE,
        metavar="pr|branch|patch",
    ),
]
DryRun: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--dry-run",
        help="Do all but push: show the pull request and its diff.",
        rich_help_panel=_CHANGE,
        show_default=False,
    ),
]
Approve: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--approve",
        help="Show the diff and ask before anything is pushed or made.",
        rich_help_panel=_CHANGE,
        show_default=False,
    ),
]
Branch: TypeAlias = Annotated[
    str | None, _option("The branch's name (made from the prompt).", _CHANGE, metavar="NAME")
]
Once: TypeAlias = Annotated[
    str | None,
    _option(
        "A key of yours: what a run with it has left at the branch already is not done again.",
        _CHANGE,
        metavar="KEY",
    ),
]
Title: TypeAlias = Annotated[
    str | None, _option("The title of commit and pull request.", _CHANGE, metavar="TEXT")
]
Label: TypeAlias = Annotated[
    list[str] | None, _option("Label it besides ours. Repeatable.", _CHANGE, metavar="NAME")
]
Reviewer: TypeAlias = Annotated[
    list[str] | None,
    _option("Ask this user, or org/team, for a review. Repeatable.", _CHANGE, metavar="USER"),
]
Assignee: TypeAlias = Annotated[
    list[str] | None, _option("Assign it to this user. Repeatable.", _CHANGE, metavar="USER")
]
Draft: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--draft/--ready",
        help="As a draft, or ready (a draft where work is left).",
        rich_help_panel=_CHANGE,
        show_default=False,
    ),
]
Fork: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--fork",
        help="Without the right to push: by way of a fork of yours.",
        rich_help_panel=_CHANGE,
        show_default=False,
    ),
]
Force: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--force",
        help="Also for an issue that is closed or answered, or a branch that is not ours.",
        rich_help_panel=_CHANGE,
        show_default=False,
    ),
]
History: TypeAlias = Annotated[
    str | None,
    _option("Commits that the agent can see (shallow).", _CHANGE, metavar="shallow|full"),
]
AllowPath: TypeAlias = Annotated[
    list[str] | None,
    _option(
        "Permit protected files, such as '.github/workflows/*'. Repeatable.",
        _CHANGE,
        metavar="GLOB",
    ),
]
Verify: TypeAlias = Annotated[
    str | None, _option("Run this in the sandbox when the agent is done.", _CHANGE, metavar="CMD")
]
VerifyAttempts: TypeAlias = Annotated[
    int | None, _option("How often, with repairs in between [2].", _CHANGE, metavar="N")
]
VerifyTimeout: TypeAlias = Annotated[
    str | None, _option("Time for it [10m].", _CHANGE, metavar="TIME")
]
VerifyBase: TypeAlias = Annotated[
    bool | None,
    _option(
        "Run it on the base too, meanwhile, to tell what failed before.",
        _CHANGE,
        "--verify-base/--no-verify-base",
    ),
]
Setup: TypeAlias = Annotated[
    list[str] | None,
    _option(
        "Run this once, with package registries in reach, before the agent. Repeatable.",
        _SETUP,
        metavar="CMD",
    ),
]
SetupFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Run this bash script of yours as the last of them.",
        rich_help_panel=_SETUP,
        metavar="FILE",
        show_default=False,
        callback=_absolute,
    ),
]
SetupRegistry: TypeAlias = Annotated[
    str | None,
    _option(
        "What it may reach, as you have it configured (all).", _SETUP, metavar="python,node,debian"
    ),
]
SetupHost: TypeAlias = Annotated[
    list[str] | None,
    _option("And this, over TLS: name, name:port or '*.name'. Repeatable.", _SETUP, metavar="HOST"),
]
SetupTimeout: TypeAlias = Annotated[
    str | None, _option("Time for all of it [10m].", _SETUP, metavar="TIME")
]
SetupDisk: TypeAlias = Annotated[
    str | None, _option("Room for what it installs [2g].", _SETUP, metavar="SIZE")
]
MaxFiles: TypeAlias = Annotated[
    int | None, _option("Files that a change may touch [100].", _CHANGE, metavar="N")
]
MaxLines: TypeAlias = Annotated[
    int | None, _option("Lines that it may have [10000].", _CHANGE, metavar="N")
]
MaxFileSize: TypeAlias = Annotated[
    str | None, _option("Size of a file in it [5m].", _CHANGE, metavar="SIZE")
]
Agents: TypeAlias = Annotated[
    str | None,
    _option(
        "Who may answer, in order: name or name:model (claude,openai,dummy).",
        _AGENT,
        metavar="LIST",
    ),
]
MaxTurns: TypeAlias = Annotated[
    int | None, _option("Model turns at most [60].", _AGENT, metavar="N")
]
MaxToolCalls: TypeAlias = Annotated[
    int | None, _option("Tool calls at most [200].", _AGENT, metavar="N")
]
MaxCost: TypeAlias = Annotated[
    float | None, _option("US dollars to spend at most [5.00].", _AGENT, metavar="USD")
]
MaxTokens: TypeAlias = Annotated[
    int | None, _option("Tokens read and written at most [10000000].", _AGENT, metavar="N")
]
Timeout: TypeAlias = Annotated[
    str | None, _option("Time for the agent's work [30m].", _AGENT, metavar="TIME")
]
CommandTimeout: TypeAlias = Annotated[
    str | None, _option("Time for one command [120s].", _AGENT, metavar="TIME")
]
Cache: TypeAlias = Annotated[
    bool | None,
    _option(
        "Answer what was asked before from a cache, for nothing.", _AGENT, "--cache/--no-cache"
    ),
]
Image: TypeAlias = Annotated[
    str | None, _option("Use this local image instead of our own.", _SANDBOX, metavar="NAME")
]
Memory: TypeAlias = Annotated[
    str | None,
    _option("Memory, files included [4g, or half the engine's].", _SANDBOX, metavar="SIZE"),
]
Disk: TypeAlias = Annotated[
    str | None, _option("Room for the work tree [40% of memory].", _SANDBOX, metavar="SIZE")
]
Cpus: TypeAlias = Annotated[
    float | None, _option("Processors [2, or 1.5 of two].", _SANDBOX, metavar="N")
]
Pids: TypeAlias = Annotated[
    int | None, _option("Processes and threads at most [512].", _SANDBOX, metavar="N")
]
Runtime: TypeAlias = Annotated[
    str | None,
    _option("Container runtime of the engine, such as runsc.", _SANDBOX, metavar="NAME"),
]
OutputOption: TypeAlias = Annotated[
    Output,
    typer.Option(
        "--output",
        "-o",
        help="live needs a terminal; jsonl is for programs.",
        rich_help_panel=_SHOWN,
    ),
]
Quiet: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Only the result, warnings and errors.", rich_help_panel=_SHOWN
    ),
]
Verbose: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Timings, host commands, tool results too.",
        rich_help_panel=_SHOWN,
    ),
]
EnvFile: TypeAlias = Annotated[
    Path | None,
    _option("Read settings and keys from this file of NAME=value.", _SHOWN, metavar="FILE"),
]
RunId: TypeAlias = Annotated[str | None, typer.Option("--run-id", hidden=True, callback=_run_id)]
"""Of whoever starts a run as a child, and has to know it before it speaks."""

SETTINGS = frozenset(
    (
        "publish", "dry_run", "approve", "branch", "once", "title", "label", "reviewer", "assignee", "draft", "fork", "force", "history", "allow_path", "verify", "verify_attempts", "verify_timeout", "verify_base", "setup", "setup_file", "setup_registry", "setup_host", "setup_timeout", "setup_disk", "max_files", "max_lines", "max_file_size", "agents", "max_turns", "max_tool_calls",
        "max_cost", "max_tokens", "timeout", "command_timeout", "cache", "image", "memory", "disk", "cpus", "pids",
        "runtime",
    )
)  # fmt: skip
"""The options that are settings, by their names there."""
