"""Runs: begin one, follow one, look back, end one. Thin over `Service`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.security import HTTPBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent

from tiny_backspace.server.answers import Cancelled, Problems, Run, Runs
from tiny_backspace.server.asked import Code
from tiny_backspace.server.auth import Caller
from tiny_backspace.server.events import follow
from tiny_backspace.server.problems import PROBLEM_JSON
from tiny_backspace.server.queue import Job
from tiny_backspace.server.service import Service


class NothingMore(Exception):
    """EventSource asks no more once it is told so (the HTML standard, 9.2.3: by 204)."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A stream: the run, the record after which it begins, and the job if it is one of ours."""

    run_id: str
    after: int
    job: Job | None


def service(request: Request) -> Service:
    """The one of this application."""
    found: Service = request.app.state.service
    return found


def caller(request: Request) -> Caller:
    """Whom the guard found."""
    found: Caller = request.state.caller
    return found


Served = Annotated[Service, Depends(service)]
By = Annotated[Caller, Depends(caller)]
BEARER = Depends(HTTPBearer(auto_error=False, description="Needed where the settings have tokens."))
"""For the description alone: the guard before the routes has looked at it."""

_RunId = Annotated[str, Path(description="The run's whole id.")]
_Number = Annotated[int | None, Query(ge=0, le=2**53, description="As Last-Event-ID.")]
_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request is the same run.",
    ),
]  # fmt: skip
_LastEventId = Annotated[
    int | None, Header(ge=0, le=2**53, description="The id of the last event that was had.")
]
_WHY = {
    400: "The body cannot be read.", 401: "A token is needed.", 403: "Not by this host's name, or not from this origin.",
    404: "There is no such run, or it is somebody else's.", 409: "It is over, or another process runs it.",
    413: "The body is too large.", 415: "The body is not JSON.", 422: "Something in it is not acceptable.",
    429: "Too many requests, or too many runs that wait.", 503: "The service is about to end, or has a problem.",
}  # fmt: skip
_STREAM = {"content": {"text/event-stream": {}}, "description": "Its records, an event each."}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How these are described, and those that every route has."""
    schema = {"content": {PROBLEM_JSON: {"schema": Problems.model_json_schema()}}}
    every = (401, 403, *statuses, 422, 429, 503)
    return {status: {"description": _WHY[status], **schema} for status in every}


router = APIRouter(dependencies=[BEARER])


async def _taken(
    code: Code, response: Response, served: Served, by: By, key: _Key = None
) -> AsyncIterator[Followed]:
    """A new run, or the one of this key, followed from its first record for as long as the answer goes on."""
    served.check_streams()
    run_id = await served.take(code, by, key)
    response.headers["Location"] = f"/runs/{run_id}"
    async with served.followed(run_id) as job:
        yield Followed(run_id, 0, job)


async def _found(
    run_id: _RunId,
    served: Served,
    by: By,
    last_event_id: _LastEventId = None,
    after: _Number = None,
) -> AsyncIterator[Followed]:
    """A run that this caller may see, from the record after `Last-Event-ID`, or else `after`."""
    found = await served.find(run_id, by)
    begin = last_event_id if last_event_id is not None else after or 0
    over = found.status not in ("queued", "running")
    if begin and over and not await asyncio.to_thread(served.history.page, run_id, begin, 1):
        raise NothingMore
    served.check_streams()
    async with served.followed(run_id) as job:
        yield Followed(run_id, begin, job)


@router.post(
    "/code",
    response_class=EventSourceResponse,
    responses={200: _STREAM, **problems(400, 413, 415)},
    summary="Change a repository, and follow it",
)
async def code(
    served: Served, followed: Annotated[Followed, Depends(_taken)]
) -> AsyncIterator[ServerSentEvent]:
    """Each record is an event: `data` is its JSON line, `id` its number. `Location` is the run's own address."""
    async for event in _events(served, followed):
        yield event


@router.get("/runs", responses=problems(), summary="List runs, the newest first")
async def runs(
    served: Served,
    by: By,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    status: Literal["queued", "running", "succeeded", "failed", "crashed"] | None = None,
    repo: Annotated[str | None, Query(max_length=500, description="A part of its address.")] = None,
) -> Runs:
    """Those that wait are before all others."""
    return Runs(runs=await served.runs(by, limit=limit, status=status, repo=repo))


@router.get("/runs/{run_id}", responses=problems(404), summary="One run")
async def run(run_id: _RunId, served: Served, by: By) -> Run:
    """As it is now."""
    return await served.find(run_id, by)


@router.get(
    "/runs/{run_id}/events",
    response_class=EventSourceResponse,
    responses={200: _STREAM, 204: {"description": "There is nothing more."}, **problems(404)},
    summary="Follow a run, from its start or after Last-Event-ID",
)
async def events(
    served: Served, followed: Annotated[Followed, Depends(_found)]
) -> AsyncIterator[ServerSentEvent]:
    """The same records for everybody, whenever they come."""
    async for event in _events(served, followed):
        yield event


@router.post(
    "/runs/{run_id}/cancel", status_code=202, responses=problems(404, 409), summary="End a run"
)
async def cancel(run_id: _RunId, served: Served, by: By) -> Cancelled:
    """Its work so far is kept, and its closing record says where."""
    await served.cancel(run_id, by)
    return Cancelled(run_id=run_id)


def _events(served: Service, followed: Followed) -> AsyncIterator[ServerSentEvent]:
    return follow(
        served.history,
        followed.run_id,
        followed.after,
        followed.job,
        served.is_live,
        served.problem,
    )
