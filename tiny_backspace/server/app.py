"""The application: guards, then routes, then what becomes of an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from tiny_backspace import __version__
from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.health import facts, rules
from tiny_backspace.health.told import told
from tiny_backspace.server import docs, metrics, page, routes
from tiny_backspace.server.auth import Rate
from tiny_backspace.server.guards import (
    HEADERS,
    Authenticated,
    Bodies,
    KnownHosts,
    SameOrigin,
    SecurityHeaders,
)
from tiny_backspace.server.problems import Problem, problem_of
from tiny_backspace.server.readiness import Readiness
from tiny_backspace.server.routes import BEARER, Served, problems
from tiny_backspace.server.service import Service


def create_app(
    served: Service, readiness: Readiness, clock: Callable[[], float] = time.monotonic
) -> FastAPI:
    """The application, whole."""
    settings = served.settings.server
    guards = [
        Middleware(SecurityHeaders),
        Middleware(KnownHosts, (settings.host, *settings.hosts)),
        Middleware(SameOrigin, settings.cors),
        *_cors(settings.cors),
        Middleware(Authenticated, settings, Rate(settings.rate, clock)),
        Middleware(Bodies, settings.body_limit),
    ]
    app = FastAPI(
        title="Tiny Backspace",
        version=__version__,
        description="A repository and a sentence in, a pull request out.",
        middleware=guards,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = served
    app.state.readiness = readiness
    _add_handlers(app)
    for each in (routes.router, _watched, _probed, docs.router, page.router):
        app.include_router(each)
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


_probed = APIRouter()
_watched = APIRouter(dependencies=[BEARER])


@_probed.get("/livez", response_class=PlainTextResponse, summary="It answers")
async def livez() -> str:
    """Nothing else is looked at."""
    return "ok\n"


@_probed.get(
    "/readyz", response_class=PlainTextResponse, responses=problems(), summary="It can take runs on"
)
async def readyz(request: Request, served: Served) -> str:
    """The engine answers, and the service is not about to end."""
    if served.queue.draining:
        raise Problem(503, "The service is about to end.")
    readiness: Readiness = request.app.state.readiness
    if problem := await asyncio.to_thread(readiness.problem):
        raise Problem(503, problem)
    return "ok\n"


@_watched.get("/health", responses=problems(), summary="How well runs go")
async def health(
    served: Served, hours: Annotated[int, Query(ge=1, le=8760)] = 24
) -> dict[str, Any]:
    """As `tiny-backspace health --json` tells it: of all runs of this machine, in numbers."""
    now = datetime.now(UTC)
    found = await asyncio.to_thread(
        facts.measure, served.state, now - timedelta(hours=hours), now, served.is_live
    )
    return told(found, rules.judge(found))


@_watched.get(
    "/metrics", response_class=PlainTextResponse, responses=problems(), summary="For Prometheus"
)
async def measured(served: Served) -> Response:
    """In its text format."""
    return Response(metrics.text(served, time.time()), media_type=metrics.TEXT)


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(routes.NothingMore)
    async def nothing_more(_: Request, __: routes.NothingMore) -> Response:
        return Response(status_code=204)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem_of(error).response()

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        said = Problem(error.status_code, f"{str(error.detail).rstrip('.')}.").response()
        said.headers.update(error.headers or {})
        return said

    @app.exception_handler(TinyBackspaceError)
    async def failed(_: Request, __: TinyBackspaceError) -> Response:
        return Problem(503, "The history cannot be read or written now.").response()

    @app.exception_handler(Exception)
    async def crashed(_: Request, __: Exception) -> Response:
        said = Problem(500, "That is a bug of the service; its log has it.").response()
        said.headers.update(HEADERS)  # this one is beyond the guards
        return said
