"""Models on this machine: one HTTP server that streams as the Messages API, the Responses API and
Chat Completions do, refuses what they would refuse, and fails in every way on demand.

The answer to a request is a function of the request, so a script is a `match` over `asked.turn`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from typing_extensions import override

from tests.servers.script import Call, Dialect, Fault, Json, Say, error_body
from tests.servers.sse import events, failure
from tests.servers.streaming import Streaming, StreamingServer
from tests.servers.strict import objection, turn

__all__ = ["KEY", "Asked", "Call", "Fault", "ModelServer", "Say", "serving"]

KEY = "sk-ant-" + "canary-0123456789abcdef"
_PATHS: dict[str, Dialect] = {
    "/v1/messages": "claude",
    "/v1/responses": "openai",
    "/v1/chat/completions": "chat",
}


@dataclass(frozen=True)
class Asked:
    """One request. `turn` counts the answers that its conversation has already, and one; the names of
    the headers are in lower case; `raw` is all of it, as it came."""

    dialect: Dialect
    path: str
    headers: Mapping[str, str]
    body: Json
    turn: int
    raw: bytes

    @property
    def model(self) -> str:
        return str(self.body["model"])


Answer: TypeAlias = Callable[[Asked], Say | Fault]


@dataclass(frozen=True)
class ModelServer:
    """`requests` are those that were not refused, in order; `refused` says what was wrong with the
    others; `raw` is every byte of all of them. `left` is set once a client has gone
    before it had its whole answer."""

    url: str
    left: threading.Event
    requests: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def claude_url(self) -> str:
        return self.url

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def base_url(self, dialect: Dialect) -> str:
        return self.claude_url if dialect == "claude" else self.openai_url


@contextmanager
def serving(answer: Answer, *, key: str = KEY, keep_alive: bool = True) -> Generator[ModelServer]:
    """Answer until the block ends; whatever is still being said then is cut off.

    Raises:
        Exception: what `answer` raised, at the end of the block.
    """
    http = _Server(answer, key, keep_alive=keep_alive)
    accepting = threading.Thread(target=http.serve_forever, args=(0.02,), name="models")
    accepting.start()
    try:
        yield http.seen
    finally:
        http.shutdown()
        accepting.join()
        http.hang_up()
        http.server_close()  # waits for the requests under way
    for problem in http.problems:
        raise problem


class _Server(StreamingServer):
    def __init__(self, answer: Answer, key: str, *, keep_alive: bool) -> None:
        super().__init__(_Handler, keep_alive=keep_alive)
        self.answer = answer
        self.key = key
        self.seen = ModelServer(f"http://127.0.0.1:{self.server_port}", self.left)


class _Handler(Streaming):
    server: _Server

    @override
    def asked(self, data: bytes) -> None:
        raw = b"\r\n".join((self.requestline.encode(), self.headers.as_bytes(), data))
        self.server.seen.raw.append(raw)
        dialect = _PATHS.get(self.path.partition("?")[0])
        if dialect is None or self.command != "POST":
            self.told(404, {}, error_body("openai", 404, "", f"nothing is at {self.path}"))
        else:
            self._answer(dialect, data, raw)

    def _answer(self, dialect: Dialect, data: bytes, raw: bytes) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.server.key}":
            self._refuse(dialect, 401, "invalid bearer token")
        elif dialect == "claude" and "anthropic-version" not in self.headers:
            self._refuse(dialect, 400, "anthropic-version: header is required")
        else:
            body = json.loads(data)
            if wrong := objection(dialect, body):
                self._refuse(dialect, 400, wrong)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(dialect, self.path, headers, body, turn(dialect, body), raw)
            self.server.seen.requests.append(asked)
            self._say(asked, self.server.answer(asked))

    def _refuse(self, dialect: Dialect, status: int, wrong: str) -> None:
        self.server.seen.refused.append(wrong)
        self.told(status, {}, error_body(dialect, status, "", wrong))

    def _say(self, asked: Asked, answer: Say | Fault) -> None:
        match answer:
            case Say():
                self.stream(events(asked.dialect, asked.body, answer))
            case Fault(kind="status"):
                form = error_body(asked.dialect, answer.status, answer.code, answer.message)
                body = form if answer.body is None else answer.body
                self.told(answer.status, answer.headers, body)
            case Fault(kind="html"):
                page = answer.body or "<html><body>Please log in to this network.</body></html>"
                self.told(200, {"Content-Type": "text/html", **answer.headers}, page)
            case Fault(kind="silence"):
                self.nothing_more()
            case Fault(kind="slow_head"):
                self.drip_head()
            case Fault(kind="delay"):
                self.server.ending.wait(answer.seconds)
                self.stream(events(asked.dialect, asked.body, answer.say))
            case _:
                self._break(asked, answer)

    def _break(self, asked: Asked, fault: Fault) -> None:
        whole = events(asked.dialect, asked.body, fault.say)
        half, following = whole[: len(whole) // 2], whole[len(whole) // 2]
        match fault.kind:
            case "partial_arguments":
                self.stream(events(asked.dialect, asked.body, fault.say.cut_arguments))
            case "slow":
                self.begin()
                for event in whole:
                    self.server.ending.wait(fault.seconds / len(whole))
                    self.chunk(event)
                self.chunk(b"")
            case "empty":
                self.stream([])
            case "early_end":
                self.stream(half)
            case "malformed":
                self.stream([*half, _garbled(following)])
            case "error_event":
                self.stream([*half, failure(asked.dialect, fault.code, fault.message)])
            case "nested_error":
                error = {"message": fault.message, "code": fault.code or None, "type": "error"}
                self.stream([*half, f"data: {json.dumps({'error': error})}\n\n".encode()])
            case _:
                self.begin()
                for event in half:
                    self.chunk(event)
                self._hang(asked.dialect, fault, following)

    def _hang(self, dialect: Dialect, fault: Fault, following: bytes) -> None:
        """The ends that are none."""
        match fault.kind:
            case "stall":
                self.nothing_more()
            case "drip":
                self.drip(b"event: ping\ndata: {}\n\n" if dialect == "claude" else b": alive\n\n")
            case _:
                self.break_off(following, reset=fault.kind == "reset")


def _garbled(event: bytes) -> bytes:
    """The same event with something that is no JSON."""
    return event.partition(b"data: ")[0] + b'data: {"type": "oops\n\n'
