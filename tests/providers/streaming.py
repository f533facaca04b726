"""Servers in memory that speak as OpenAI does, for the adapters' tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx2
from typing_extensions import override

from tiny_backspace.conversation import Message, Text, ToolSpec, User
from tiny_backspace.entries import Dialect, Entry
from tiny_backspace.events import Event, ThoughtDelta
from tiny_backspace.providers.interface import ModelRequest

CANARY = "sk-proj-" + "canary0123456789abcdef"
SPEC = ToolSpec(
    "read", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}}
)
ASKED: tuple[Message, ...] = (User((Text("Fix it."), Text("Facts."))),)


def entry(dialect: Dialect = "openai", **fields: Any) -> Entry:
    usual = {
        "name": "openai" if dialect == "openai" else "ollama",
        "dialect": dialect,
        "model": "gpt-6.2-sol" if dialect == "openai" else "qwen",
        "key_variable": "OPENAI_API_KEY" if dialect == "openai" else None,
        "key": CANARY if dialect == "openai" else None,
        "base_url": "http://model.test/v1",
    }
    return Entry.model_validate(usual | fields)


def request(*conversation: Message, **fields: Any) -> ModelRequest:
    return ModelRequest("Be good.", conversation or ASKED, (SPEC,), **fields)


def sse(events: Iterable[object]) -> bytes:
    """Server-sent events; what is a text goes out as it is."""
    texts = (event if isinstance(event, str) else json.dumps(event) for event in events)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def streamed(*events: object, **headers: str) -> httpx2.Response:
    return httpx2.Response(
        200, content=sse(events), headers={"content-type": "text/event-stream", **headers}
    )


class Broken(httpx2.SyncByteStream):
    """A body that raises once these events are through."""

    def __init__(self, *events: object) -> None:
        self._events = events

    @override
    def __iter__(self) -> Iterator[bytes]:
        yield sse(self._events)
        raise httpx2.RemoteProtocolError("peer closed connection")


class Server(httpx2.MockTransport):
    """Answers each request with the next response, and remembers what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        super().__init__(self._answer)
        self.requests: list[httpx2.Request] = []
        self._answers = list(answers)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]


def nobody(event: Event | ThoughtDelta) -> None:
    """An emitter for tests that do not care."""


def thoughts() -> tuple[list[str], Callable[[Event | ThoughtDelta], None]]:
    """A list, and an emitter that puts the thoughts into it."""
    heard: list[str] = []
    return (
        heard,
        lambda event: heard.append(event.text) if isinstance(event, ThoughtDelta) else None,
    )
