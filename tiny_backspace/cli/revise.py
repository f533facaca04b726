"""`revise`: one more commit on a pull request of ours."""

from __future__ import annotations

from typing import Annotated

import typer

from tiny_backspace.cli import options
from tiny_backspace.cli.launch import Launch, launch, read_prompt
from tiny_backspace.cli.options import Output


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(revise)


def revise(
    pull_request: Annotated[str, typer.Argument(help="Its address.", metavar="URL")],
    prompt: options.Prompt = "",
    publish: options.Publish = None,
    dry_run: options.DryRun = None,
    approve: options.Approve = None,
    title: options.Title = None,
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
    """Do what the reviews of a pull request ask for, as one more commit on its branch.

    \b
    The agent gets the branch, what it changes so far, and the comments that
    nobody has settled yet. Nothing is forced: if somebody pushed meanwhile, the
    change stays a patch. Only branches that this tool made are touched.

    \b
    Examples:
      tiny-backspace revise https://github.com/owner/name/pull/34
      tiny-backspace revise https://github.com/owner/name/pull/34 "add a test"
    """  # noqa: D301 - \b keeps the lines of an example apart
    flags = {k: v for k, v in locals().items() if k in options.SETTINGS}
    launch(
        Launch(
            pull_request,
            read_prompt(prompt),
            None,
            flags,
            env_file,
            Output(output),
            quiet=quiet,
            verbose=verbose,
            revising=True,
        )
    )
