"""What a loopback model server is told to say, in no dialect, and what may go wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

Dialect: TypeAlias = Literal["claude", "openai", "chat"]
Json: TypeAlias = dict[str, Any]

_PIECE = 12  # characters of one delta
# One script for all dialects: their words for the same stop. Every other word is sent as it stands.
_STOPS: dict[str, dict[Dialect, str]] = {
    "max_tokens": {"claude": "max_tokens", "openai": "max_output_tokens", "chat": "length"},
    "refusal": {"claude": "refusal", "openai": "refusal", "chat": "content_filter"},
}


@dataclass(frozen=True)
class Call:
    """`raw` is streamed instead of the arguments: what is no JSON, or only a part of it."""

    id: str
    name: str
    arguments: Json
    raw: str | None = None

    @property
    def pieces(self) -> list[str]:
        return pieces(json.dumps(self.arguments) if self.raw is None else self.raw)


@dataclass(frozen=True)
class Say:
    """One answer. `tokens` are read and written; of those read, a quarter comes from the cache and a
    quarter goes into it. With `novelty`, what no client knows yet is mixed in."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    stop: str | None = None
    tokens: tuple[int, int] = (100, 20)
    novelty: bool = False

    @property
    def cut_arguments(self) -> Say:
        """The same when the tokens run out within the last call's arguments."""
        *before, last = self.calls
        half = json.dumps(last.arguments)[: -len(json.dumps(last.arguments)) // 2]
        return replace(self, calls=(*before, replace(last, raw=half)), stop="max_tokens")

    def stopped(self, dialect: Dialect) -> str | None:
        return None if self.stop is None else _STOPS.get(self.stop, {}).get(dialect, self.stop)


def pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]


def seal(*prefix: object) -> str:
    """What only somebody who saw exactly this can have."""
    return hashlib.sha256(json.dumps(prefix, sort_keys=True).encode()).hexdigest()[:40]


Kind: TypeAlias = Literal[
    "status",  # an HTTP status with the vendor's error body, or with `headers` and `body` as given
    "html",  # 200 and a page
    "silence",  # the request is taken, and nothing ever comes
    "slow_head",  # the beginning of a header, then a byte of it every now and then
    "delay",  # `seconds` of nothing, then the answer
    "empty",  # 200 and an event stream without events
    "early_end",  # half of the events, then a clean end
    "cut",  # half of the events and half of one more, then the connection ends
    "reset",  # the same, ended by a reset
    "stall",  # half of the events, then nothing ever comes
    "drip",  # half of the events, then a byte of keep-alive every now and then
    "slow",  # the whole answer, in small pieces over `seconds`
    "malformed",  # half of the events, then one that is no JSON
    "error_event",  # half of the events, then the vendor's error `code`
    "nested_error",  # the same in the form {"error": {...}}
    "partial_arguments",  # max_tokens within the last call's arguments
]


@dataclass(frozen=True)
class Fault:
    """What goes wrong while `say` is being said. `code` and `message` are the vendor's words."""

    kind: Kind
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    code: str = ""
    message: str = "It went wrong."
    seconds: float = 0.0
    say: Say = Say("What was being said when it broke.", "Thinking about it.")


# The vendor's word for each status.
_CLAUDE = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
    403: "permission_error", 404: "not_found_error", 408: "timeout_error",
    409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip
_OPENAI = {
    401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded",
    500: "server_error", 503: "overloaded",
}  # fmt: skip


def error_body(dialect: Dialect, status: int, code: str, message: str) -> str:
    """The vendor's form of an error."""
    if dialect == "claude":
        error: Json = {"type": _CLAUDE.get(status, "api_error"), "message": message}
        details = {"details": {"error_code": code}} if code else {}
        return json.dumps({"type": "error", "error": error | details, "request_id": "req_1"})
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None}
    return json.dumps({"error": error | {"code": code or _OPENAI.get(status)}})
