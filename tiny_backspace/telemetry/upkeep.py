"""What a record changes in the row of its run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeAlias, assert_never

from tiny_backspace.events import (
    AgentThought,
    CacheHit,
    ContextFolded,
    Egress,
    FileEdited,
    GitOperation,
    HostCommand,
    ModelTurn,
    PolicyDecided,
    ProviderReplaced,
    PullRequestCreation,
    Record,
    RepositoryAnalysed,
    Resources,
    Retry,
    RunFailed,
    RunStarted,
    RunSucceeded,
    SandboxAttested,
    SetupFinished,
    StepStarted,
    SyntaxChecked,
    Timed,
    ToolCalled,
    ToolFinished,
    Unknown,
    Verified,
    Warned,
    WorkSaved,
)

Value: TypeAlias = str | int | float | None
Change: TypeAlias = tuple[str, tuple[Value, ...]]
"""An SQL statement and what its question marks stand for."""

NO_MODELS = frozenset(("git", "github"))
"""Who besides the models is asked again (repo/remote.py, forges/github_client.py)."""


def utc_text(at: datetime) -> str:
    """A time as text that sorts as the time does."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def first(record: Record) -> Change:
    """The row itself, unless it is there."""
    return (
        "INSERT OR IGNORE INTO runs (run_id, started_at, status) VALUES (?, ?, 'running')",
        (record.run_id, utc_text(record.at)),
    )


def change(record: Record) -> Change | None:  # noqa: PLR0911 - one for each kind that says something
    """What this record says of its run as a whole; most say nothing."""
    run = record.run_id
    match record.event:
        case RunStarted() as e:
            return (
                "UPDATE runs SET repo = ?, prompt = ?, version = ?, resumes = ? WHERE run_id = ?",
                (e.repo, e.prompt, e.version, e.resumes, run),
            )
        case StepStarted() as e:
            return (
                "UPDATE runs SET last_step = ?, last_message = ? WHERE run_id = ?",
                (e.step.value, e.message, run),
            )
        case ModelTurn() as e:  # a price that is not known makes the sum unknown: NULL stays NULL
            return (
                """
                UPDATE runs SET provider = ?, model = ?, cost_usd = cost_usd + ?,
                input_tokens = input_tokens + ?, output_tokens = output_tokens + ? WHERE run_id = ?
                """,
                (e.provider, e.model, e.cost_usd, e.input_tokens, e.output_tokens, run),
            )
        case WorkSaved() as e:
            return (
                """
                UPDATE runs SET patch = COALESCE(?, patch), branch = COALESCE(?, branch),
                files_changed = MAX(files_changed, ?) WHERE run_id = ?
                """,
                (e.patch, e.branch, e.files_changed, run),
            )
        case ProviderReplaced():
            return ("UPDATE runs SET fallbacks = fallbacks + 1 WHERE run_id = ?", (run,))
        case RunSucceeded() | RunFailed() as e:
            return _closing(record, e)
        case (
            SandboxAttested() | RepositoryAnalysed() | AgentThought() | Retry() | CacheHit()
            | ContextFolded() | Egress() | SetupFinished() | ToolCalled() | ToolFinished() | FileEdited() | Verified()
            | SyntaxChecked() | PolicyDecided() | GitOperation() | PullRequestCreation() | HostCommand() | Resources() | Timed()
            | Warned() | Unknown()
        ):  # fmt: skip
            return None
        case _:
            assert_never(record.event)


def timing(record: Record) -> Change | None:
    """What took how long, for `health`; what failed took none. Git and forges are asked again too, and are no models."""
    match record.event:
        case Timed() as e:
            told = (e.operation, e.duration_ms, e.ok)
        case ModelTurn() as e:
            told = (f"model {e.provider}", e.duration_ms, True)
        case ToolFinished() as e:  # one that fails is the agent's, and no failure of ours
            told = (f"tool {e.tool}", e.duration_ms, True)
        case Retry() as e:
            kind = "retry" if e.provider in NO_MODELS else "model"
            told = (f"{kind} {e.provider}", 0.0, False)
        case ProviderReplaced() as e:
            told = (f"fallback {e.failed}", 0.0, False)
        case _:
            return None
    operation, duration, ok = told
    return (
        "INSERT INTO timings VALUES (?, ?, ?, ?, ?)",
        (record.run_id, utc_text(record.at), operation, duration, int(ok)),
    )


def _closing(record: Record, e: RunSucceeded | RunFailed) -> Change:
    """The totals of the closing event replace what was added up; where the work is adds to what is known."""
    return (
        """
        UPDATE runs SET status = ?, ended_at = ?, exit_code = ?, pr_url = COALESCE(?, pr_url),
        branch = COALESCE(?, branch), patch = COALESCE(?, patch), provider = COALESCE(?, provider),
        cost_usd = ?, input_tokens = ?, output_tokens = ?, duration_ms = ?, files_changed = ?, error = ?
        WHERE run_id = ?
        """,
        (
            "succeeded" if isinstance(e, RunSucceeded) else "failed",
            utc_text(record.at),
            e.exit_code,
            e.pr_url,
            e.branch,
            e.patch,
            ", ".join(e.providers) or None,
            e.cost_usd,
            e.input_tokens,
            e.output_tokens,
            e.duration_ms,
            e.files_changed,
            e.error if isinstance(e, RunFailed) else None,
            record.run_id,
        ),
    )
