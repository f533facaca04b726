"""Answers of the Messages API as it streams them, for a transport in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
from typing_extensions import override

from tiny_backspace.entries import Entry
from tiny_backspace.providers.claude import Claude

KEY = "sk-ant-" + "canary-0123456789abcdef"
Json = dict[str, Any]
USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 3000,
    "output_tokens": 1,
}


def entry(**given: Any) -> Entry:
    base = {
        "name": "claude",
        "dialect": "claude",
        "model": "claude-sonnet-5-5",
        "key": KEY,
        "key_variable": "ANTHROPIC_API_KEY",
        "effort": "medium",
        "window": 1_000_000,
    }
    return Entry.model_validate(base | given)


def start(**given: Any) -> Json:
    message: Json = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
        "content": [], "stop_reason": None, "stop_sequence": None, "usage": USAGE,
    }  # fmt: skip
    return {"type": "message_start", "message": message | given}


def block(index: int, begun: Json, *deltas: Json) -> list[Json]:
    """A content block: its beginning, what comes bit by bit, its end."""
    return [
        {"type": "content_block_start", "index": index, "content_block": begun},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str) -> list[Json]:
    deltas = ({"type": "text_delta", "text": piece} for piece in pieces)
    return block(index, {"type": "text", "text": ""}, *deltas)


def thinking(index: int, *pieces: str, signature: str = "c2ln") -> list[Json]:
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = {"type": "signature_delta", "signature": signature}
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, signed)


def call(index: int, call_id: str, name: str, *pieces: str) -> list[Json]:
    begun = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, begun, *deltas)


def stop(reason: str | None, **given: Any) -> list[Json]:
    delta = {"stop_reason": reason, "stop_sequence": None} | given
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 25}},
        {"type": "message_stop"},
    ]


def stream(*events: Json) -> bytes:
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    )


class Answers(httpx2.MockTransport):
    """Gives one answer after the other, and remembers the requests. One may be whole, or come in
    parts the last of which is an error."""

    def __init__(self, *answers: bytes | list[bytes | Exception] | httpx2.Response) -> None:
        self.requests: list[httpx2.Request] = []
        self._answers = iter(answers)
        super().__init__(self._answer)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        match next(self._answers):
            case httpx2.Response() as response:
                return response
            case bytes() as body:
                return httpx2.Response(200, headers=STREAM, content=body)
            case list() as parts:
                return httpx2.Response(200, headers=STREAM, stream=_Parts(parts))

    @property
    def bodies(self) -> list[Json]:
        return [json.loads(request.content) for request in self.requests]


STREAM = {"content-type": "text/event-stream", "request-id": "req_7"}


class _Parts(httpx2.SyncByteStream):
    def __init__(self, parts: Iterable[bytes | Exception]) -> None:
        self._parts = parts

    @override
    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part


def claude(
    *answers: bytes | list[bytes | Exception] | httpx2.Response, **given: Any
) -> tuple[Claude, Answers]:
    transport = Answers(*answers)
    return Claude(entry(**given), transport=transport), transport
