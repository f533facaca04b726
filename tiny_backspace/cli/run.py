"""`run`: the main job."""

from __future__ import annotations

from typing import Annotated

import typer

from tiny_backspace.cli import options
from tiny_backspace.cli.launch import Launch, launch, read_prompt
from tiny_backspace.cli.options import Output


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(run)


def run(
    repo: Annotated[
        str,
        typer.Argument(
            help="A local folder, owner/name, an https or git@ URL, or an issue's address.",
            metavar="REPO",
        ),
    ],
    prompt: options.Prompt = "",
    base: options.Base = None,
    publish: options.Publish = None,
    dry_run: options.DryRun = None,
    approve: options.Approve = None,
    branch: options.Branch = None,
    once: options.Once = None,
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
    run_id: options.RunId = None,
) -> None:
    """Change a repository as the prompt says: a pull request, a branch, or a patch.

    \b
    Examples:
      tiny-backspace run . "replace 'helo' with 'hello' in README.md"
      tiny-backspace run . @task.md --verify "make test" --max-cost 2
      tiny-backspace run . "fix it" --agents claude:claude-opus-5-5,openai
      tiny-backspace run . "add type hints" --agents ollama:qwen3-coder:30b
      branch=$(tiny-backspace run . "add *.log to .gitignore" --quiet)
      tiny-backspace run owner/name - -o jsonl < task.md | jq .type
      url=$(tiny-backspace run owner/name @task.md --label chore --quiet)
      tiny-backspace run owner/name "fix the typo" --dry-run
      tiny-backspace run https://github.com/owner/name/issues/12

    \b
    Exit codes: 0 done · 2 usage · 3 repository · 4 sandbox · 5 provider
      6 agent or limit · 7 pull request · 8 change refused
      9 verification failed
      70 a bug · 130 interrupted · 143 terminated
    A run that ended early goes on with: tiny-backspace resume last
    """  # noqa: D301 - \b keeps the lines of an example apart
    flags = {k: v for k, v in locals().items() if k in options.SETTINGS}
    launch(
        Launch(
            repo,
            read_prompt(prompt),
            base,
            flags,
            env_file,
            Output(output),
            quiet=quiet,
            verbose=verbose,
            run_id=run_id,
        )
    )
