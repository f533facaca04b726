"""What may go wrong with a loopback GitHub: limits, broken answers, and answers that never come."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "answer",  # `status`, `headers` and `body` in place of the true answer
    "stall",  # the request is taken, and nothing ever comes
    "cut",  # the connection is closed without a word
    "half",  # half of the true answer, then the connection is closed
]
_PROXY = "<html><body>Please log in to this network.</body></html>"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `path` is below the API's, without the query; the names of the headers are in
    lower case; `body` is what was sent as JSON, None where nothing or something else was sent."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Fault:
    """With `done` the request has its effect before it goes wrong."""

    kind: Kind = "answer"
    status: int = 502
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    done: bool = False


Faults: TypeAlias = Callable[[Asked], Fault | None]


def no_faults(_: Asked) -> Fault | None:
    return None


def in_turn(*faults: Fault | None) -> Faults:
    """One for each request, None for a true answer; none once they are used up."""
    left = list(faults)
    return lambda _: left.pop(0) if left else None


def only(method: str, end_of_path: str, faults: Faults) -> Faults:
    """The same for the requests with that method and path, and none for others."""

    def fault(asked: Asked) -> Fault | None:
        mine = asked.method == method and asked.path.endswith(end_of_path)
        return faults(asked) if mine else None

    return fault


STALL = Fault("stall")
CUT = Fault("cut")
DONE_THEN_CUT = Fault("cut", done=True)
DONE_THEN_HALF = Fault("half", done=True)
HTML = Fault(status=200, headers={"Content-Type": "text/html"}, body=_PROXY)
NO_JSON = Fault(status=200, body='{"number": 1, "html_')


def failing(status: int = 502, *, done: bool = False) -> Fault:
    """A gateway's page, as GitHub shows it when a server behind it fails."""
    page = f"<html><body><h1>{status}</h1>Unicorn!</body></html>"
    return Fault(status=status, headers={"Content-Type": "text/html"}, body=page, done=done)


def refusing(status: int, message: str, **headers: str) -> Fault:
    """A refusal that no state of ours leads to, an address that is not allowed for one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, headers=named, body=_message(status, message))


def primary_limit(reset: int, status: int = 403) -> Fault:
    """All requests of the hour are used up; `reset` is when there are new ones, in Unix seconds."""
    return Fault(
        status=status,
        headers={
            "x-ratelimit-limit": "5000",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-used": "5000",
            "x-ratelimit-reset": str(reset),
        },
        body=_message(status, "API rate limit exceeded for user ID 1."),
    )


def secondary_limit(retry_after: int | None = None, status: int = 403) -> Fault:
    """Too much at once; `retry_after` in seconds where GitHub says it."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    words = (
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    )
    return Fault(status=status, headers=headers, body=_message(status, words))


def _message(status: int, message: str) -> str:
    where = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"
    return json.dumps({"message": message, "documentation_url": where, "status": str(status)})
