"""Claude as a provider: what it says becomes a reply, and whatever goes wrong becomes an error of ours."""

from __future__ import annotations

import threading
from time import monotonic

import httpx2
import pytest

from tests.providers.claude_stream import (
    KEY,
    Json,
    block,
    call,
    claude,
    entry,
    start,
    stop,
    stream,
    text,
    thinking,
)
from tiny_backspace.conversation import Text, Thinking, ToolCall, Usage, User
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError
from tiny_backspace.events import Event, ThoughtDelta
from tiny_backspace.providers.claude import Claude
from tiny_backspace.providers.interface import ModelRequest, Provider

ASKED = ModelRequest("Be brief.", (User((Text("do it"),)),))
HELLO = stream(start(), *text(0, "Hello"), *stop("end_turn"))
TWO_CALLS = (
    *thinking(0, "Let me ", "see."),
    *text(1, "I read ", "two files."),
    *call(2, "toolu_1", "read", '{"pa', 'th": "a.py"}'),
    *call(3, "toolu_2", "read", "", '{"path": "b.py"}'),
)
Said = list[Event | ThoughtDelta]


def silent(_: Event | ThoughtDelta) -> None:
    pass


def test_an_answer_is_told_as_it_comes_and_then_whole() -> None:
    said: Said = []
    provider, _ = claude(stream(start(), *TWO_CALLS, *stop("tool_use")))

    reply = provider.reply(ASKED, said.append)

    heard = [event.text for event in said if isinstance(event, ThoughtDelta)]
    assert heard == [
        "Let me ",
        "see.",
        "I read ",
        "two files.",
        "",
    ]  # the last: the first call begins
    assert reply.message.parts == (
        Thinking("Let me see."),
        Text("I read two files."),
        ToolCall("toolu_1", "read", {"path": "a.py"}),
        ToolCall("toolu_2", "read", {"path": "b.py"}),
    )
    assert (reply.stop, reply.provider, reply.model) == ("tool_use", "claude", "claude-sonnet-5-5")
    assert reply.usage == Usage(3210, 25, 3000, 200)
    assert reply.cost_usd == pytest.approx((10 * 2 + 200 * 2.5 + 3000 * 0.1 + 25 * 10) / 1e6)


def test_it_is_kept_as_the_model_wants_it_back() -> None:
    provider, _ = claude(stream(start(), *TWO_CALLS, *stop("tool_use")))

    opaque = provider.reply(ASKED, silent).message.opaque

    assert opaque is not None
    assert opaque.owner == "claude:claude-sonnet-5-5"
    assert opaque.items == (
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "text", "text": "I read two files."},
        {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a.py"}},
        {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {"path": "b.py"}},
    )


@pytest.mark.parametrize(
    ("reason", "meant", "kept"),
    [
        ("end_turn", "end_turn", True),
        ("stop_sequence", "end_turn", True),
        ("pause_turn", "pause", True),
        ("max_tokens", "max_tokens", False),
        ("refusal", "refusal", False),
        ("compaction", "unknown", False),
        ("something_of_tomorrow", "unknown", False),
    ],
)
def test_every_reason_to_stop_has_its_meaning(reason: str, meant: str, *, kept: bool) -> None:
    provider, _ = claude(stream(start(), *text(0, "Well."), *stop(reason)))

    reply = provider.reply(ASKED, silent)

    assert (reply.stop, reply.message.said) == (meant, "Well.")
    assert (reply.message.opaque is not None) is kept


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"type": "refusal", "category": "cyber", "explanation": "Not this."}, "Not this."),
        ({"type": "refusal", "category": "cyber", "explanation": None}, "cyber"),
        (None, "no reason given"),
    ],
)
def test_a_refusal_without_words_is_told_in_the_vendors(details: Json | None, said: str) -> None:
    provider, _ = claude(stream(start(), *stop("refusal", stop_details=details)))
    reply = provider.reply(ASKED, silent)
    assert (reply.stop, reply.message.said) == ("refusal", said)


def test_a_full_window_is_a_conversation_that_is_too_long() -> None:
    answer = stream(start(), *text(0, "I"), *stop("model_context_window_exceeded"))
    with pytest.raises(ContextOverflow):
        claude(answer)[0].reply(ASKED, silent)


def test_a_call_that_the_limit_cut_off_is_not_kept() -> None:
    cut = call(0, "toolu_1", "write", '{"path": "a.py", "content": "half of')
    reply = claude(stream(start(), *cut, *stop("max_tokens")))[0].reply(ASKED, silent)
    assert (reply.stop, reply.message.opaque) == ("max_tokens", None)


def test_a_refusal_within_a_call_is_a_refusal() -> None:
    cut = call(0, "toolu_1", "write", '{"path": "a.py", "content": "half of')
    assert claude(stream(start(), *cut, *stop("refusal")))[0].reply(ASKED, silent).stop == "refusal"


def test_what_is_not_known_yet_is_kept_for_the_model_and_otherwise_ignored() -> None:
    novel: Json = {"type": "novel_block", "novel": {"a": [1]}}
    search: Json = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
    answer = stream(
        start(),
        {"type": "novel_event", "novel": True},
        *block(0, novel, {"type": "novel_delta", "novel": 1}),
        *block(1, search),
        *text(2, "Done."),
        *stop("end_turn"),
    )

    reply = claude(answer)[0].reply(ASKED, silent)

    assert (reply.message.parts, reply.stop) == ((Text("Done."),), "end_turn")
    assert reply.message.opaque is not None
    assert reply.message.opaque.items == (novel, search, {"type": "text", "text": "Done."})


def test_a_blank_text_is_not_kept_because_the_api_takes_none_back() -> None:
    answer = stream(start(), *text(0, " \n"), *call(1, "t1", "read", "{}"), *stop("tool_use"))
    message = claude(answer)[0].reply(ASKED, silent).message
    assert message.opaque is not None
    assert [item["type"] for item in message.opaque.items] == ["tool_use"]
    assert message.parts == (ToolCall("t1", "read", {}),)


def test_an_empty_answer_is_one() -> None:
    reply = claude(stream(start(), *stop("end_turn")))[0].reply(ASKED, silent)
    assert (reply.stop, reply.message.parts, reply.message.opaque) == ("end_turn", (), None)


def test_a_connection_that_fails_after_the_end_is_no_matter() -> None:
    reply = claude([HELLO, httpx2.ReadError("reset")])[0].reply(ASKED, silent)
    assert reply.message.said == "Hello"


def failing(kind: str, message: str = "It went wrong.") -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}}


BROKEN: dict[str, bytes | list[bytes | Exception] | httpx2.Response] = {
    "nothing at all": b"",
    "a page": httpx2.Response(200, html="<h1>Welcome to the hotel</h1>"),
    "a clean end too soon": stream(start(), *text(0, "Hel")),
    "a clean end within a call": stream(start(), *call(0, "t", "read", '{"pa')[:-1]),
    "an end without a reason": stream(start(), *text(0, "Hi"), *stop(None)),
    "a cut": [stream(start(), *text(0, "Hel")), httpx2.RemoteProtocolError("peer closed")],
    "a read error": [stream(start()), httpx2.ReadError("reset")],
    "a body that cannot be unpacked": [stream(start()), httpx2.DecodingError("no gzip")],
    "overloaded": stream(start(), failing("overloaded_error")),
    "a failure of their own": stream(start(), failing("api_error")),
    "an error that is no JSON": b"event: error\ndata: oops\n\n",
    "no JSON": stream(start()) + b'event: content_block_start\ndata: {"type": "oops\n\n',
    "JSON that is no object": stream(start()) + b"event: content_block_start\ndata: [1]\n\n",
    "JSON too deep": stream(start()) + b"event: ping2\ndata: " + b"[" * 100_000 + b"\n\n",
    "no UTF-8": stream(start()) + b'event: content_block_start\ndata: {"type": "\xff"}\n\n',
    "a block that was not begun": stream(start(), *text(5, "Hel")[1:]),
    "no beginning": stream(*text(0, "Hel"), *stop("end_turn")),
    "a delta that is none": stream({"type": "content_block_delta"}, start()),
    "no content": stream(start(content=None), *text(0, "Hi"), *stop("end_turn")),
    "no usage": stream(start(usage=None), *text(0, "Hi"), *stop("end_turn")),
    "malformed arguments": stream(start(), *call(0, "t", "read", '{"a": }'), *stop("tool_use")),
    "half the arguments": stream(start(), *call(0, "t", "read", '{"a": "b'), *stop("tool_use")),
    "half the number": stream(start(), *call(0, "t", "read", '{"a": 1'), *stop("tool_use")),
    "no object": stream(start(), *call(0, "t", "read", "[1]"), *stop("tool_use")),
    "no number": stream(start(), *call(0, "t", "read", '{"a": NaN}'), *stop("tool_use")),
    "half a character": stream(
        start(), *call(0, "t", "read", '{"a": "\\ud800"}'), *stop("tool_use")
    ),
    "one id twice": stream(
        start(), *call(0, "t", "read", "{}"), *call(1, "t", "read", "{}"), *stop("tool_use")
    ),
    "a call without a call": stream(start(), *text(0, "I call"), *stop("tool_use")),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_broke_is_worth_another_try(
    answer: bytes | list[bytes | Exception] | httpx2.Response,
) -> None:
    with pytest.raises(ProviderBusy, match=r"^claude: "):
        claude(answer)[0].reply(ASKED, silent)


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        (stream(start(), failing("invalid_request_error")), ProviderError),
        (stream(start(), failing("billing_error")), ProviderError),
        (stream(start(), failing("request_too_large")), ContextOverflow),
        (httpx2.Response(401, json=failing("authentication_error")), ProviderError),
        (httpx2.Response(529, json=failing("overloaded_error")), ProviderBusy),
        (httpx2.Response(502, html="<h1>Bad gateway</h1>"), ProviderBusy),
    ],
)
def test_what_the_vendor_says_decides(
    answer: bytes | httpx2.Response, meant: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError) as raised:
        claude(answer)[0].reply(ASKED, silent)
    assert raised.type is meant


def test_it_is_asked_once_and_not_again_by_itself() -> None:
    provider, sent = claude(httpx2.Response(500, headers={"x-should-retry": "true"}), HELLO)
    with pytest.raises(ProviderBusy):
        provider.reply(ASKED, silent)
    assert len(sent.requests) == 1


def test_nobody_is_asked_when_the_time_is_over() -> None:
    provider, sent = claude(HELLO)
    asked = ModelRequest("", ASKED.conversation, until=monotonic() - 1)
    with pytest.raises(ProviderError, match="time is over") as raised:
        provider.reply(asked, silent)
    assert (sent.requests, raised.type) == ([], ProviderError)


def test_who_stops_listening_leaves_nothing_behind() -> None:
    before = threading.active_count()
    provider, _ = claude(HELLO, HELLO)

    def interrupted(_: Event | ThoughtDelta) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        provider.reply(ASKED, interrupted)

    assert threading.active_count() == before
    assert provider.reply(ASKED, silent).message.said == "Hello"


def test_a_bug_of_the_listener_is_not_taken_for_the_models() -> None:
    def faulty(_: Event | ThoughtDelta) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        claude(HELLO)[0].reply(ASKED, faulty)


def test_the_key_is_in_one_header_and_nowhere_else() -> None:
    provider, sent = claude(HELLO)
    provider.reply(ASKED, silent)

    (request,) = sent.requests
    assert [k for k, v in request.headers.multi_items() if KEY in v] == ["authorization"]
    assert KEY not in str(request.url)
    assert KEY.encode() not in request.content


def test_the_environment_changes_neither_who_we_are_nor_whom_we_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = {
        "ANTHROPIC_API_KEY": "another",
        "ANTHROPIC_AUTH_TOKEN": "another",
        "ANTHROPIC_BASE_URL": "https://elsewhere.example",
        "ANTHROPIC_PROFILE": "another",
        "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer another\nX-Api-Key: another\nX-Mine: another",
    }
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    provider, sent = claude(HELLO)

    provider.reply(ASKED, silent)

    (request,) = sent.requests
    assert request.url == "https://api.anthropic.com/v1/messages"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "another" not in str(request.headers.multi_items())


def test_an_entry_without_a_key_takes_none_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another")
    provider, sent = claude(HELLO, key=None, key_variable=None, base_url="http://127.0.0.1:1/x")
    provider.reply(ASKED, silent)
    assert sent.requests[0].url == "http://127.0.0.1:1/x/v1/messages"
    assert "another" not in str(sent.requests[0].headers.multi_items())


def test_a_redirect_is_not_followed() -> None:
    there = httpx2.Response(307, headers={"location": "https://elsewhere.example/v1/messages"})
    provider, sent = claude(there, HELLO)
    with pytest.raises(ProviderError, match="307") as raised:
        provider.reply(ASKED, silent)
    assert (len(sent.requests), raised.type) == (1, ProviderError)


@pytest.mark.parametrize(
    ("name", "value"), [("ALL_PROXY", "nonsense://x"), ("SSL_CERT_FILE", "/nowhere/at/all.pem")]
)
def test_a_connection_that_cannot_be_prepared_is_no_crash(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ProviderError, match="claude cannot be asked") as raised:
        Claude(entry(base_url="http://127.0.0.1:1")).reply(ASKED, silent)
    assert name in (raised.value.hint or "") or "proxy" in (raised.value.hint or "")


def test_it_is_a_provider() -> None:
    provider: Provider = Claude(entry())
    assert (provider.name, provider.model) == ("claude", "claude-sonnet-5-5")
    assert provider.window == 1_000_000
