"""`resume`: go on with a run that ended early."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiny_backspace.cli import options
from tiny_backspace.cli.completion import run_ids
from tiny_backspace.cli.launch import Launch, launch
from tiny_backspace.cli.options import Output
from tiny_backspace.errors import UsageError
from tiny_backspace.statedir import is_live, state_dir

if TYPE_CHECKING:
    from tiny_backspace.destinations import Left
    from tiny_backspace.events import WorkSaved
    from tiny_backspace.run import Resumed
    from tiny_backspace.telemetry.store import History
    from tiny_backspace.telemetry.turns import Task
    from tiny_backspace.views.state import RunState


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(resume)


def resume(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The start of a run's id, or `last`.", autocompletion=run_ids
        ),
    ] = "last",
    publish: options.Publish = None,
    dry_run: options.DryRun = None,
    approve: options.Approve = None,
    branch: options.Branch = None,
    title: options.Title = None,
    label: options.Label = None,
    reviewer: options.Reviewer = None,
    assignee: options.Assignee = None,
    draft: options.Draft = None,
    fork: options.Fork = None,
    force: options.Force = None,
    history: options.History = None,
    allow_path: options.AllowPath = None,
    verify: options.Verify = None,
    verify_attempts: options.VerifyAttempts = None,
    verify_timeout: options.VerifyTimeout = None,
    verify_base: options.VerifyBase = None,
    setup: options.Setup = None,
    setup_file: options.SetupFile = None,
    setup_registry: options.SetupRegistry = None,
    setup_host: options.SetupHost = None,
    setup_timeout: options.SetupTimeout = None,
    setup_disk: options.SetupDisk = None,
    max_files: options.MaxFiles = None,
    max_lines: options.MaxLines = None,
    max_file_size: options.MaxFileSize = None,
    agents: options.Agents = None,
    max_turns: options.MaxTurns = None,
    max_tool_calls: options.MaxToolCalls = None,
    max_cost: options.MaxCost = None,
    max_tokens: options.MaxTokens = None,
    timeout: options.Timeout = None,
    command_timeout: options.CommandTimeout = None,
    cache: options.Cache = None,
    image: options.Image = None,
    memory: options.Memory = None,
    disk: options.Disk = None,
    cpus: options.Cpus = None,
    pids: options.Pids = None,
    runtime: options.Runtime = None,
    output: options.OutputOption = Output.AUTO,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    env_file: options.EnvFile = None,
) -> None:
    """Go on with a run that crashed, was killed, reached a limit or failed.

    \b
    It goes on from the last turn that was completed, with the conversation and
    the change as they were then, on the same base commit, in a new sandbox, as
    a new run. The options of the first run hold, unless given anew. What it
    used up (turns, money, time) is not counted again.

    \b
    Examples:
      tiny-backspace resume last
      tiny-backspace resume 3f2a --max-turns 100 --max-cost 10
      tiny-backspace resume last --agents openai
      tiny-backspace resume last --allow-path '.github/workflows/*'
    """  # noqa: D301 - \b keeps the lines of an example apart
    flags = {k: v for k, v in locals().items() if k in options.SETTINGS}
    task, resumed = _earlier(run)
    launch(
        Launch(
            task.repo,
            task.prompt,
            task.base,
            _again(task.flags, flags),
            env_file,
            Output(output),
            quiet=quiet,
            verbose=verbose,
            resumed=resumed,
        )
    )


def _again(before: Any, now: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - whatever the options were
    return {**before, **{k: v for k, v in now.items() if v not in (None, [], ())}}


def _earlier(prefix: str) -> tuple[Task, Resumed]:
    """What the run was asked for, and its work.

    Raises:
        UsageError: there is no such run, or nothing to go on with.
    """
    from tiny_backspace.repo.mirror import Base
    from tiny_backspace.run import Resumed
    from tiny_backspace.telemetry.store import History
    from tiny_backspace.telemetry.turns import resumable

    folder = state_dir(os.environ)
    path = folder / "history.db"
    with History(path) as history:
        run_id = history.find(prefix)
        row = history.run(run_id, is_live=lambda other: is_live(folder, other))
        while row and row.resumes and row.provider is None and row.status != "running":
            run_id = row.resumes  # it got no answer: what there is to go on with is what it resumed
            row = history.run(run_id, is_live=lambda other: is_live(folder, other))
        state = _state(history, run_id)
    left, pull_request = _left(state.saved)
    if row is not None and row.status == "running":
        raise UsageError(f"run {run_id} is still going on")
    if row is not None and row.status == "succeeded":
        raise UsageError(f"run {run_id} is done: there is nothing to go on with")
    found = resumable(path, run_id)
    if found is None:
        raise UsageError(
            f"nothing is kept of run {run_id} that could be gone on with",
            hint="It ended too early, or another run has gone on with it. `tiny-backspace run` starts anew.",
        )
    task, work = found
    return task, Resumed(
        run_id, Base(str(task.base), task.branch), work, left, pull_request, state.answered
    )


def _left(saved: WorkSaved) -> tuple[Left | None, str]:
    """The branch that it pushed, if it never got to a pull request; and the address of that, if it did."""
    from tiny_backspace.destinations import Left

    if saved.pr_url or not (saved.remote and saved.branch and saved.commit and saved.tree):
        return None, saved.pr_url or ""
    return Left(saved.remote, saved.branch, saved.commit, saved.tree), ""


def _state(history: History, run_id: str) -> RunState:
    from functools import reduce

    from tiny_backspace.views.state import RunState, advance

    return reduce(advance, history.records(run_id), RunState())
