"""Nothing endless, packed, bottomless or infinite comes in."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from typing_extensions import override

from tests.providers.faults import DIALECTS
from tests.providers.streaming import entry, nobody, request
from tests.providers.test_over_the_wire import made
from tests.servers.models import Say, serving
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ProviderBusy, ProviderError
from tiny_backspace.providers.bounded import bounded, sound
from tiny_backspace.providers.chat import Chat, from_wire
from tiny_backspace.providers.claude import Claude
from tiny_backspace.providers.interface import Provider
from tiny_backspace.providers.openai import OpenAI
from tiny_backspace.providers.openai_client import arguments


class Endless(httpx2.SyncByteStream):
    @override
    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"a" * 1000


def test_a_body_ends_with_an_error_once_it_is_too_long() -> None:
    response = httpx2.Response(200, stream=Endless(), request=httpx2.Request("POST", "http://x"))
    bounded(response, most=1 << 20)
    seen: list[int] = []

    with pytest.raises(httpx2.DecodingError, match="longer than 1 MiB"):
        seen.extend(len(piece) for piece in response.iter_raw())

    assert sum(seen) <= 1 << 20


def test_what_is_said_of_a_failure_is_cut_off() -> None:
    response = httpx2.Response(500, stream=Endless(), request=httpx2.Request("POST", "http://x"))
    bounded(response)

    assert len(response.read()) == 1 << 16


@pytest.mark.parametrize(
    "said",
    [
        json.dumps({"error": {"message": "exceed" * 10_000, "type": "invalid_request_error"}}),
        "<" + "<title" * 10_000,
        "x" * 60_000,
    ],
)
def test_a_failure_with_many_words_is_understood_in_no_time(said: str) -> None:
    for status in (400, 500):
        answer = httpx2.Response(status, text=said)
        for provider in adapters(httpx2.MockTransport(lambda _, a=answer: a)):
            with pytest.raises(ProviderError):
                provider.reply(request(), nobody)


def test_thousands_of_calls_are_no_answer() -> None:
    calls = [{"index": n, "id": f"c{n}", "function": {"name": "f"}} for n in range(20_000)]
    choice = {"delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}

    with pytest.raises(ProviderBusy, match="more than 500 tool calls"):
        from_wire([{"choices": [choice]}], entry("chat"), ())


def test_what_is_on_this_machine_is_not_asked_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(lambda _: Say("Hello.")) as server:
        for dialect in DIALECTS:
            assert made(dialect, server.base_url(dialect)).reply(request(), nobody).stop


def test_the_sdks_log_nothing_by_themselves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("anthropic", "openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.DEBUG)  # as ANTHROPIC_LOG=debug does
    with serving(lambda _: Say("Hello.")) as server:
        for dialect in DIALECTS:
            made(dialect, server.base_url(dialect)).reply(request(), nobody)

    assert caplog.records == []


def adapters(transport: httpx2.BaseTransport) -> Iterator[Provider]:
    yield OpenAI(entry(), transport=transport)
    yield Chat(entry("chat"), transport=transport)
    claude: dict[str, Any] = {"name": "claude", "dialect": "claude", "model": "m"}
    yield Claude(Entry.model_validate(claude | {"base_url": "http://x"}), transport=transport)


def test_nobody_asks_for_a_packed_answer_and_nobody_takes_one() -> None:
    asked: list[str] = []

    def packed(question: httpx2.Request) -> httpx2.Response:
        asked.append(question.headers["accept-encoding"])
        body = gzip.compress(b"data: " + b"a" * 1_000_000)
        headers = {"content-encoding": "gzip", "content-type": "text/event-stream"}
        return httpx2.Response(200, stream=httpx2.ByteStream(body), headers=headers)

    for provider in adapters(httpx2.MockTransport(packed)):
        with pytest.raises(ProviderBusy, match="packed with gzip"):
            provider.reply(request(), nobody)

    assert asked == ["identity"] * 3


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"content": value}


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ({}, True), (nested(60), True), (nested(64), False), (nested(5000), False),
        ({"a": [1e308, -1.5]}, True), ({"a": [{"b": float("inf")}]}, False), ({"a": float("nan")}, False),
    ],
    ids=["empty", "deep", "too deep", "bottomless", "large", "infinite", "no number"],
)  # fmt: skip
def test_what_is_sound(value: Any, good: bool) -> None:
    assert sound(value) is good


@pytest.mark.parametrize(
    "text", ['{"a": 1e999}', '{"a": NaN}', json.dumps(nested(300)), "[" * 9999]
)
def test_arguments_that_are_not_sound_are_none(text: str) -> None:
    given, malformed = arguments(text)

    assert (given, malformed) == ({}, text)
