"""The routes: thin over `Service`; the guards stand before them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from tiny_backspace import __version__
from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.health import facts, rules
from tiny_backspace.health.told import told
from tiny_backspace.server import metrics, page
from tiny_backspace.server.answers import Cancelled, Problems, Run, Runs
from tiny_backspace.server.asked import Code
from tiny_backspace.server.auth import Caller, Rate
from tiny_backspace.server.events import follow
from tiny_backspace.server.guards import (
    Authenticated,
    KnownHosts,
    Patience,
    SameOrigin,
    SecurityHeaders,
)
from tiny_backspace.server.problems import PROBLEM_JSON, Problem, problem_of
from tiny_backspace.server.queue import Job
from tiny_backspace.server.readiness import Readiness
from tiny_backspace.server.service import Service

_PATIENCE = 30.0  # seconds for the next piece of a request, or of an answer


class _Over(Exception):
    """Nothing comes any more: EventSource asks no more once it is told so (HTML, 9.2.3: 204)."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A stream: the run, where to begin, and the job if it is one of ours."""

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
RunId = Annotated[str, Path(pattern=r"^[0-9a-f]{8,32}$", description="The run's whole id.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request is the same run.",
    ),
]  # fmt: skip
_Number = Annotated[int | None, Query(ge=0, le=2**53)]


async def _taken(
    code: Code, request: Request, response: Response, served: Served, by: By, key: Key = None
) -> AsyncIterator[Followed]:
    """A new run, or the one of this key, followed from its first record for as long as the answer goes on."""
    _is_json(request)
    run_id = await served.take(code, by, key)
    response.headers["Location"] = f"/runs/{run_id}"
    async with served.followed(run_id) as job:
        yield Followed(run_id, 0, job)


async def _found(
    run_id: RunId,
    served: Served,
    by: By,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None,
    after: _Number = None,
) -> AsyncIterator[Followed]:
    """A run that this caller may see, from the record after `Last-Event-ID`, or else `after`."""
    found = await served.find(run_id, by)
    begin = last_event_id if last_event_id is not None else after or 0
    over = found.status not in ("queued", "running")
    if begin and over and not await asyncio.to_thread(served.history.page, run_id, begin, 1):
        raise _Over
    async with served.followed(run_id) as job:
        yield Followed(run_id, begin, job)


def _is_json(request: Request) -> None:
    """What a form of another page's can send is no JSON, and what is compressed is not looked into."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "The body is compressed, and must not be.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "The body must be JSON.", hint="Content-Type: application/json")


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problems, "content": {PROBLEM_JSON: {}}, "description": description}
    for status, description in {
        401: "A token is needed.", 403: "Not by this host name, or not from this origin.",
        404: "There is no such run, or it is somebody else's.", 409: "It is over, or another process runs it.",
        413: "The body is too large.", 415: "The body is not JSON.", 422: "Something in it is not acceptable.",
        429: "Too many requests, or runs that wait.", 503: "The service is about to end, or has a problem.",
    }.items()
}  # fmt: skip


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _PROBLEMS[status] for status in (401, 403, *statuses, 422, 429, 503)}


def _add_runs(app: FastAPI) -> None:
    streams = {"content": {"text/event-stream": {}}, "description": "Its records, an event each."}

    @app.post(
        "/code",
        response_class=EventSourceResponse,
        responses={200: streams, **_problems(413, 415)},
        summary="Change a repository, and follow it",
    )
    async def code(
        served: Served, followed: Annotated[Followed, Depends(_taken)]
    ) -> AsyncIterator[ServerSentEvent]:
        """Each record is an event: `data` is its JSON line, `id` its number. `Location` is the run's own address."""
        async for event in _events(served, followed):
            yield event

    @app.get("/runs", responses=_problems(), summary="List runs, the newest first")
    async def runs(
        served: Served,
        by: By,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
        status: Literal["running", "succeeded", "failed", "crashed"] | None = None,
        repo: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Runs:
        return Runs(runs=await served.runs(by, limit=limit, status=status, repo=repo))

    @app.get("/runs/{run_id}", responses=_problems(404), summary="One run")
    async def run(run_id: RunId, served: Served, by: By) -> Run:
        return await served.find(run_id, by)

    @app.get(
        "/runs/{run_id}/events",
        response_class=EventSourceResponse,
        responses={200: streams, 204: {"description": "It is over."}, **_problems(404)},
        summary="Follow a run, from the start or after Last-Event-ID",
    )
    async def events(
        served: Served, followed: Annotated[Followed, Depends(_found)]
    ) -> AsyncIterator[ServerSentEvent]:
        async for event in _events(served, followed):
            yield event

    @app.post(
        "/runs/{run_id}/cancel", status_code=202, responses=_problems(404, 409), summary="End a run"
    )
    async def cancel(run_id: RunId, served: Served, by: By) -> Cancelled:
        """Its work so far is kept, and its closing record says where."""
        await served.cancel(run_id, by)
        return Cancelled(run_id=run_id)


def _events(served: Service, followed: Followed) -> AsyncIterator[ServerSentEvent]:
    return follow(served.history, followed.run_id, followed.after, followed.job, served.is_live)


def _add_health(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/livez", response_class=PlainTextResponse, summary="It answers")
    async def livez() -> str:
        return "ok\n"

    @app.get(
        "/readyz", response_class=PlainTextResponse,
        responses={503: _PROBLEMS[503]}, summary="It can take a run on",
    )  # fmt: skip
    async def readyz(served: Served) -> str:
        if served.queue.draining:
            raise Problem(503, "The service is about to end.")
        if problem := await asyncio.to_thread(readiness.problem):
            raise Problem(503, problem)
        return "ok\n"

    @app.get("/health", responses=_problems(), summary="How well runs go")
    async def health(
        served: Served, hours: Annotated[int, Query(ge=1, le=8760)] = 24
    ) -> dict[str, Any]:
        """As `tiny-backspace health --json`: of all runs of this machine, in numbers."""
        now = datetime.now(UTC)
        found = await asyncio.to_thread(
            facts.measure, served.state, now - timedelta(hours=hours), now, served.is_live
        )
        return told(found, rules.judge(found))

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses=_problems(),
        summary="For Prometheus",
    )
    async def measured(served: Served) -> Response:
        return Response(metrics.text(served, time.time()), media_type=metrics.TEXT)


def create_app(
    served: Service, readiness: Readiness, clock: Callable[[], float] = time.monotonic
) -> FastAPI:
    """The application, whole. It must be called in the event loop that it lives in."""
    settings = served.settings.server
    rate = Rate(settings.rate, clock)
    named = (settings.host, *settings.hosts)
    guards = [
        Middleware(SecurityHeaders),
        Middleware(KnownHosts, named),
        Middleware(SameOrigin, settings.cors),
        *_cors(settings.cors),
        Middleware(Authenticated, settings, rate),
        Middleware(Patience, _PATIENCE),
    ]
    app = FastAPI(
        title="Tiny Backspace",
        version=__version__,
        description="A repository and a sentence in, a pull request out.",
        middleware=guards,
        dependencies=[Depends(HTTPBearer(auto_error=False, description="Where tokens are set."))],
        docs_url=None,
        redoc_url=None,
        max_body_size=settings.body_limit,
    )
    app.state.service = served
    _add_handlers(app)
    _add_runs(app)
    _add_health(app, readiness)
    page.add(app)
    return app


def _cors(origins: Sequence[str]) -> list[Middleware]:
    if not origins:
        return []
    middleware = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
        expose_headers=["Location", "Retry-After"],
    )
    return [middleware]


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(_Over)
    async def over(_: Request, __: _Over) -> Response:
        return Response(status_code=204)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem_of(error).response()

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return Problem(error.status_code, f"{error.detail}.").response()

    @app.exception_handler(TinyBackspaceError)
    async def failed(_: Request, __: TinyBackspaceError) -> Response:
        return Problem(503, "The history cannot be read or written now.").response()

    @app.exception_handler(Exception)
    async def crashed(_: Request, __: Exception) -> Response:
        return Problem(500, "That is a bug of the service; its log has it.").response()
