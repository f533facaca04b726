"""The shapes of what is answered."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from tiny_backspace.server.queue import Job
from tiny_backspace.telemetry.requests import Wanted
from tiny_backspace.telemetry.store import RunRow


class Run(BaseModel):
    """A run as `runs --json` tells it; `queued` before it begins. `problem` says why it never did."""

    run_id: str
    started_at: datetime
    ended_at: datetime | None = None
    status: Literal["queued", "running", "succeeded", "failed", "crashed"]
    exit_code: int | None = None
    repo: str | None = None
    prompt: str | None = None
    branch: str | None = None
    patch: str | None = None
    pr_url: str | None = None
    provider: str | None = None
    model: str | None = None
    cost_usd: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    duration_ms: float | None = None
    files_changed: int = 0
    last_step: str | None = None
    last_message: str | None = None
    version: str | None = None
    fallbacks: int = 0
    resumes: str | None = None
    problem: str | None = None


class Runs(BaseModel):
    """The newest first."""

    runs: list[Run]


class Cancelled(BaseModel):
    """It is told to end; its closing record says when it has."""

    run_id: str


class Problems(BaseModel):
    """RFC 9457. `errors` tell which fields of a request are wrong."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    hint: str | None = None
    errors: list[dict[str, str]] | None = None


def of_row(row: RunRow) -> Run:
    """A run that the history has."""
    return Run.model_validate(asdict(row))


def of_job(job: Job) -> Run:
    """A run of ours that has no record yet."""
    return Run(
        run_id=job.run_id,
        started_at=job.at,
        status="running" if job.begun else "queued",
        repo=job.repo,
        prompt=job.prompt,
    )


def of_request(wanted: Wanted) -> Run:
    """One that never came to a record."""
    return Run(run_id=wanted.run_id, started_at=wanted.at, status="failed", problem=wanted.problem)
