"""`batch`: many tasks, each a run of its own, here or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiny_backspace.cli import options
from tiny_backspace.cli.batching import Summary, Wanted, carry_out
from tiny_backspace.cli.options import Output
from tiny_backspace.cli.words import kinds

_BATCH = "Batch"
NAMES = frozenset(options.SETTINGS - {"approve", "once"})
"""The settings that a task may have of its own."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(batch)


def batch(
    tasks: Annotated[
        str,
        typer.Argument(
            help="A file of JSON lines, - for standard input; with --repos the prompt, or @FILE.",
            metavar="TASKS|PROMPT",
        ),
    ],
    repos: Annotated[
        Path | None,
        typer.Option(
            help="A file with a repository a line, for all of which the prompt is asked.",
            rich_help_panel=_BATCH,
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            max=256,
            rich_help_panel=_BATCH,
            metavar="N",
            show_default=False,
            help="Runs at a time (by cores and memory; on a cluster, all of its threads).",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Carry them out on this Dask cluster.",
            rich_help_panel=_BATCH,
            metavar="tcp://HOST:PORT",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Only the i-th of n parts, for n jobs of a CI matrix.",
            rich_help_panel=_BATCH,
            metavar="I/N",
            show_default=False,
        ),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            help="US dollars that all of them may spend together.",
            rich_help_panel=_BATCH,
            metavar="USD",
            show_default=False,
        ),
    ] = None,
    max_cost_each: Annotated[
        float | None,
        typer.Option(
            help="And each of them (5.00).",
            rich_help_panel=_BATCH,
            metavar="USD",
            show_default=False,
        ),
    ] = None,
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast", help="End all when one has failed.", rich_help_panel=_BATCH),
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Do what is done already too.", rich_help_panel=_BATCH),
    ] = False,
    summary: Annotated[
        Summary,
        typer.Option(help="How the end is told, on standard output.", rich_help_panel=_BATCH),
    ] = Summary.TABLE,
    summary_file: Annotated[
        Path | None,
        typer.Option(
            help="Write it to this file instead.",
            rich_help_panel=_BATCH,
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    publish: options.Publish = None,
    dry_run: options.DryRun = None,
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
    env_file: options.EnvFile = None,
) -> None:
    """Carry out many tasks, each as a run of its own.

    What is done is written down and not done again; what failed is tried again
    when the same batch is started once more.

    \b
    Examples:
      tiny-backspace batch tasks.jsonl --jobs 4
      tiny-backspace batch --repos repos.txt "add *.log to .gitignore"
      tiny-backspace batch --repos repos.txt @task.md --verify "make test"
      tiny-backspace batch tasks.jsonl --shard 2/5 --max-cost 20
      tiny-backspace batch tasks.jsonl --scheduler tcp://10.0.0.7:8786
      tiny-backspace batch tasks.jsonl -o jsonl --summary-file end.json

    \b
    A task is a line: {"repo": "owner/name", "prompt": "fix the typo"}
      and options as in the settings file: "verify": "make test", "label": ["x"]

    \b
    Exit codes: 0 all done · that of the worst task, the worst first:
      70 4 2 5 7 3 8 6 9 · 6 too, where the money ended
      130 interrupted · 143 terminated
    """  # noqa: D301 - \b keeps the lines of an example apart
    given = {k: v for k, v in locals().items() if k in NAMES and v not in (None, [], ())}
    given.pop("max_cost", None)  # here it is the batch's
    if max_cost_each is not None:
        given["max_cost"] = max_cost_each
    carry_out(
        Wanted(
            tasks=tasks,
            repos=repos,
            given=given,
            kinds=kinds(NAMES),
            jobs=jobs,
            scheduler=scheduler,
            shard=shard,
            max_cost=max_cost,
            fail_fast=fail_fast,
            again=again,
            output=Output(output),
            summary=Summary(summary),
            summary_file=summary_file,
            env_file=env_file,
        )
    )
