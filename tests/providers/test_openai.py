from __future__ import annotations

import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import httpx2
import pytest

from tests.providers.streaming import (
    ASKED,
    CANARY,
    Broken,
    Server,
    entry,
    nobody,
    request,
    sse,
    streamed,
    thoughts,
)
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Opaque,
    Reply,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    User,
)
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError
from tiny_backspace.providers.openai import OpenAI, from_wire, to_wire

REASONING = {
    "type": "reasoning", "id": "rs_1", "encrypted_content": "SEALED", "status": None,
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
}  # fmt: skip
NOVEL = {"type": "hologram", "id": "h_1", "depth": [1, 2.0]}
USAGE = {
    "input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
    "output_tokens_details": {"reasoning_tokens": 5},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_proxy_to_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def message(text: str, kind: str = "output_text") -> dict[str, Any]:
    content = [{"type": kind, "refusal" if kind == "refusal" else "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content, "phase": "commentary"}  # fmt: skip


def call(id_: str, arguments: object = '{"path":"a.py"}') -> dict[str, Any]:
    return {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": "read", "arguments": arguments}  # fmt: skip


def last(*output: object, kind: str = "completed", **fields: object) -> dict[str, Any]:
    response = {"id": "resp_1", "status": kind, "output": list(output), "usage": USAGE, **fields}
    return {"type": f"response.{kind}", "response": response}


def delta(text: str, kind: str = "output_text") -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "delta": text}


def reply(*answers: httpx2.Response | Exception, **fields: Any) -> Reply:
    return OpenAI(entry(**fields), transport=Server(*answers)).reply(request(), nobody)


def test_an_answer_is_thought_aloud_and_told_in_its_parts() -> None:
    heard, emit = thoughts()
    server = Server(
        streamed(
            {"type": "response.created", "response": {}},
            delta("First.", "reasoning_summary_text"),
            {"type": "response.of_a_kind_to_come", "delta": "unheard"},
            [1], None,
            delta("Look"), delta("ing."),
            last(REASONING, NOVEL, message("Looking."), call("call_a"), call("call_b")),
        )
    )  # fmt: skip
    answer = OpenAI(entry(), transport=server).reply(request(), emit)
    assert heard == ["First.", "Look", "ing."]
    assert answer.message.parts == (
        Thinking("First.\n\nThen."),
        Text("Looking."),
        ToolCall("call_a", "read", {"path": "a.py"}),
        ToolCall("call_b", "read", {"path": "a.py"}),
    )
    assert (answer.stop, answer.provider, answer.model) == ("tool_use", "openai", "gpt-6.2-sol")
    assert answer.usage == Usage(100, 20, 60, 30)
    assert answer.cost_usd == pytest.approx((10 * 2 + 60 * 0.10 + 30 * 2.5 + 20 * 10) / 1e6)


def test_the_request_is_stateless_and_asks_for_what_it_needs() -> None:
    server = Server(streamed(last(message("Done."))))
    OpenAI(entry(effort="high", max_output_tokens=500), transport=server).reply(request(), nobody)
    (body,) = server.bodies
    assert len(body.pop("prompt_cache_key")) == 32
    assert body == {
        "model": "gpt-6.2-sol",
        "instructions": "Be good.",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Fix it."},
                    {"type": "input_text", "text": "Facts."},
                ],
            }
        ],
        "tools": [
            {
                "type": "function",
                "name": "read",
                "description": "Reads a file.",
                "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
                "strict": False,
            }
        ],
        "max_output_tokens": 500,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "high", "summary": "auto"},
        "store": False,
        "stream": True,
    }
    assert "reasoning" not in to_wire(entry(), request())


def test_what_the_model_said_goes_back_as_it_came_and_each_turn_only_adds_to_the_one_before() -> (
    None
):
    turns = [
        [REASONING, NOVEL, message(f"Turn {n}."), call(f"a{n}"), call(f"b{n}")] for n in range(6)
    ]
    server = Server(*(streamed(last(*turn)) for turn in turns))
    provider, conversation = OpenAI(entry(), transport=server), ASKED
    for turn in range(6):
        answer = provider.reply(request(*conversation, turn=turn + 1), nobody)
        results = [ToolResult(c.id, f"file {turn}") for c in answer.message.tool_calls]
        conversation = (*conversation, answer.message, User((*results, Text("Go on."))))
    inputs = [body.pop("input") for body in server.bodies]
    for n, turn_items in enumerate(turns[:-1]):
        assert inputs[n + 1][: len(inputs[n])] == inputs[n]
        assert inputs[n + 1][len(inputs[n]) :] == [
            *turn_items,
            {"type": "function_call_output", "call_id": f"a{n}", "output": f"file {n}"},
            {"type": "function_call_output", "call_id": f"b{n}", "output": f"file {n}"},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Go on."}],
            },
        ]
    assert len({body["prompt_cache_key"] for body in server.bodies}) == 1


def test_what_others_said_is_rebuilt_from_its_parts_with_ids_that_fit() -> None:
    long, odd = "toolu_" + "x" * 80, "functions.read:0"
    said = Assistant(
        (Thinking("hm"), Text("Reading."), Text(" "), ToolCall(long, "read", {"path": "ä"}), ToolCall(odd, "read", {}, "{oops")),
        Opaque("claude:claude-sonnet-5-5", ({"type": "thinking"},)),
    )  # fmt: skip
    results = User((ToolResult(long, "text"), ToolResult(odd, "no such file", is_error=True)))
    items = to_wire(entry(), request(*ASKED, said, results))["input"][1:]
    assert items[0] == {"type": "message", "role": "assistant", "content": "Reading."}
    ids = [item["call_id"] for item in items[1:3]]
    assert items[1:3] == [
        {"type": "function_call", "call_id": ids[0], "name": "read", "arguments": '{"path": "ä"}'},
        {"type": "function_call", "call_id": ids[1], "name": "read", "arguments": "{}"},
    ]
    assert items[3:] == [
        {"type": "function_call_output", "call_id": ids[0], "output": "text"},
        {"type": "function_call_output", "call_id": ids[1], "output": "ERROR: no such file"},
    ]
    assert len(set(ids)) == 2
    assert all(len(id_) <= 64 and id_.replace("_", "").isalnum() for id_ in ids)


def test_an_id_of_its_own_is_answered_as_it_is_however_odd() -> None:
    answer = from_wire(last(call("odd id:1")), entry())
    results = User((ToolResult("odd id:1", "text"),))
    items = to_wire(entry(), request(*ASKED, answer.message, results))["input"]
    assert items[-2]["call_id"] == items[-1]["call_id"] == "odd id:1"


def test_another_model_of_the_same_provider_does_not_get_sealed_items() -> None:
    answer = from_wire(last(REASONING, message("Done.")), entry(model="gpt-6-sol"))
    items = to_wire(entry(), request(*ASKED, answer.message))["input"]
    assert items[-1] == {"type": "message", "role": "assistant", "content": "Done."}


@pytest.mark.parametrize(
    ("event", "stop", "said", "kept"),
    [
        (last(message("Done.")), "end_turn", "Done.", True),
        (last(call("a")), "tool_use", "", True),
        (last(), "end_turn", "", True),
        (last(call("a"), kind="incomplete", incomplete_details={"reason": "max_output_tokens"}), "max_tokens", "", False),
        (last(message("No.", "refusal")), "refusal", "No.", False),
        (last(kind="incomplete", incomplete_details={"reason": "content_filter"}), "refusal", "its content filter stopped the answer", False),
        (last(kind="incomplete", incomplete_details={"reason": "steered"}), "unknown", "", False),
        (last(kind="incomplete", incomplete_details={"reason": ["odd"]}), "unknown", "", False),
        (last(kind="incomplete"), "unknown", "", False),
    ],
)  # fmt: skip
def test_each_reason_to_stop_has_its_word(
    event: dict[str, Any], stop: Stop, said: str, kept: bool
) -> None:
    answer = reply(streamed(event))
    assert (answer.stop, answer.message.said) == (stop, said)
    assert (answer.message.opaque is not None) is kept


@pytest.mark.parametrize(
    ("arguments", "parsed", "malformed"),
    [
        ('{"path": "a"}', {"path": "a"}, ""),
        ("", {}, ""),
        ({"path": "a"}, {"path": "a"}, ""),
        ('{"path": "a', {}, '{"path": "a'),
        ('["a"]', {}, '["a"]'),
        ('{"n": NaN}', {}, '{"n": NaN}'),
        ("[" * 100_000, {}, "[" * 100_000),
        ('{"path": "\\ud83d\\ude00 \\ud83d"}', {"path": "😀 \ufffd"}, ""),
    ],
)
def test_arguments_that_are_no_json_object_are_kept_as_they_came(
    arguments: object, parsed: dict[str, Any], malformed: str
) -> None:
    (made,) = from_wire(last(call("a", arguments)), entry()).message.tool_calls
    assert (made.arguments, made.malformed) == (parsed, malformed)


@pytest.mark.parametrize("output", [(call("a"), call("a")), (call(""),)])
def test_calls_that_cannot_be_told_apart_are_asked_for_again(output: tuple[object, ...]) -> None:
    with pytest.raises(ProviderBusy, match="cannot be told apart"):
        reply(streamed(last(*output)))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (streamed(), ProviderBusy),
        (streamed(delta("Well")), ProviderBusy),
        (streamed("{not json"), ProviderBusy),
        (streamed("[" * 100_000), ProviderBusy),
        (streamed({"type": "response.completed", "response": None}), ProviderBusy),
        (streamed(last(kind="failed", error={"code": "server_error", "message": "m"})), ProviderBusy),
        (streamed(last(kind="failed", error={"code": "rate_limit_exceeded", "message": "m"})), ProviderBusy),
        (streamed(last(kind="failed", error=None)), ProviderBusy),
        (streamed(last(kind="failed", error={"code": "data_residency_mismatch"})), ProviderError),
        (streamed(last(kind="failed", error={"code": "context_length_exceeded"})), ContextOverflow),
        (streamed({"type": "error", "code": "server_error", "message": "m"}), ProviderBusy),
        (streamed({"type": "error", "code": "insufficient_quota", "message": "m"}), ProviderError),
        (streamed({"type": "error", "code": "context_length_exceeded"}), ContextOverflow),
        (streamed({"error": {"message": "m", "type": "server_error"}}), ProviderBusy),
        (streamed({"error": "m"}), ProviderBusy),
        (httpx2.Response(200, stream=Broken(delta("Well"))), ProviderBusy),
        (httpx2.Response(200, html="<title>Log in</title>"), ProviderBusy),
        (httpx2.Response(307, headers={"location": "http://elsewhere.test/"}), ProviderError),
        (httpx2.Response(401, json={"error": {"message": "m"}}), ProviderError),
        (httpx2.Response(429, json={"error": {"message": "m"}}), ProviderBusy),
        (httpx2.ReadTimeout("m"), ProviderBusy),
        (httpx2.ConnectError("m"), ProviderBusy),
        (httpx2.RemoteProtocolError("m"), ProviderBusy),
    ],
)  # fmt: skip
def test_each_fault_is_worth_another_try_or_is_not(
    answer: httpx2.Response | Exception, outcome: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError, match="openai") as raised:
        reply(answer)
    assert type(raised.value) is outcome


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(400, json={"error": {"code": "invalid_prompt", "message": "flagged"}}),
        streamed(last(kind="failed", error={"code": "bio_policy", "message": "flagged"})),
        streamed({"type": "error", "code": "misalignment_policy_violation", "message": "flagged"}),
    ],
)
def test_the_vendors_policy_is_a_refusal_wherever_it_is_told(answer: httpx2.Response) -> None:
    refused = reply(answer)
    assert refused.stop == "refusal"
    assert "flagged" in refused.message.said
    assert refused.message.opaque is None


def test_what_breaks_after_the_answer_is_complete_does_not_take_it_back() -> None:
    broken = httpx2.Response(200, stream=Broken(last(message("Done."))))
    assert reply(broken).message.said == "Done."


def test_odd_counts_of_tokens_are_none() -> None:
    for usage in (
        None,
        "many",
        {"input_tokens": "x", "output_tokens": -3, "input_tokens_details": 1},
    ):
        assert from_wire(last(message("Done."), usage=usage), entry()).usage == Usage()


def test_the_environment_neither_says_who_we_are_nor_where_we_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Evil: 1\nAuthorization: Bearer evil")
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", "evil")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://evil.test/v1")
    server = Server(streamed(last(message("Done."))), streamed(last(message("Done."))))
    OpenAI(entry(), transport=server).reply(request(), nobody)
    OpenAI(entry(base_url=None, key=None), transport=server).reply(request(), nobody)
    first, second = server.requests
    assert str(first.url) == "http://model.test/v1/responses"
    assert str(second.url) == "https://api.openai.com/v1/responses"
    assert first.headers["authorization"] == f"Bearer {CANARY}"
    assert second.headers["authorization"] == "Bearer none"
    for sent in server.requests:
        assert "evil" not in repr(dict(sent.headers)).lower()
        assert not [name for name in sent.headers if name.startswith("openai-")]


def test_the_key_is_in_the_authorization_header_and_nowhere_else() -> None:
    server = Server(
        streamed(last(message("Done."))), httpx2.Response(401, text=f"bad key {CANARY}")
    )
    provider = OpenAI(entry(), transport=server)
    provider.reply(request(), nobody)
    with pytest.raises(ProviderError) as raised:
        provider.reply(request(), nobody)
    assert CANARY not in str(raised.value)
    for sent in server.requests:
        assert CANARY not in str(sent.url)
        assert CANARY.encode() not in sent.content
        assert [name for name, value in sent.headers.items() if CANARY in value] == [
            "authorization"
        ]


@pytest.mark.parametrize("key", ["sk-\nbad", "sk-bäd"])
def test_a_key_that_fits_in_no_header_is_told_of_and_not_shown(key: str) -> None:
    with pytest.raises(
        ProviderError, match="openai cannot be asked: the key in OPENAI_API_KEY"
    ) as raised:
        reply(streamed(last(message("Done."))), key=key)
    assert type(raised.value) is ProviderError
    assert "sk-" not in str(raised.value)


def test_a_proxy_that_is_none_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://proxy.test")
    with pytest.raises(ProviderError, match=r"openai cannot be asked: .*proxy"):
        OpenAI(entry()).reply(request(), nobody)


def test_nobody_is_asked_once_the_time_is_over() -> None:
    server = Server()
    with pytest.raises(ProviderError, match="the time is over"):
        OpenAI(entry(), transport=server).reply(request(until=monotonic() - 1), nobody)
    assert server.requests == []


@contextmanager
def stalling(sent: bytes) -> Generator[str]:
    """A server that sends this after the headers and then nothing, until the client is gone."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head + sent)
                while connection.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            thread.join()


def test_a_silent_server_is_hung_up() -> None:
    heard, emit = thoughts()
    with (
        stalling(sse([delta("Well")])) as url,
        pytest.raises(ProviderBusy, match=r"openai said nothing for 0\.2 s"),
    ):
        OpenAI(entry(base_url=url, idle_timeout=0.2)).reply(request(), emit)
    assert heard == ["Well"]
    assert not [thread for thread in threading.enumerate() if thread.name == "model-watchdog"]


def test_an_answer_that_takes_too_long_is_hung_up() -> None:
    with (
        stalling(b": still there\n\n") as url,
        pytest.raises(ProviderError, match="took longer than 0") as raised,
    ):
        OpenAI(entry(base_url=url)).reply(request(until=monotonic() + 0.2), nobody)
    assert type(raised.value) is ProviderError


def test_who_interrupts_a_thought_leaves_no_thread_behind() -> None:
    def interrupt(event: object) -> None:
        raise KeyboardInterrupt

    with stalling(sse([delta("Well")])) as url:
        with pytest.raises(KeyboardInterrupt):
            OpenAI(entry(base_url=url)).reply(request(), interrupt)
        assert not [thread for thread in threading.enumerate() if thread.name == "model-watchdog"]


def test_nothing_of_the_conversation_is_lost_in_the_bytes_on_the_wire() -> None:
    asked: Message = User((Text("Grüße 😀 \x00"),))
    server = Server(streamed(last(message("Done."))))
    OpenAI(entry(), transport=server).reply(request(asked), nobody)
    (sent,) = server.requests
    assert json.loads(sent.content)["input"][0]["content"][0]["text"] == "Grüße 😀 \x00"


@pytest.mark.parametrize("where", ["response", "item"])
def test_a_call_that_is_not_complete_is_not_run_whatever_the_event_says(where: str) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "bash", "arguments": "{}"}
    response: dict[str, Any] = {"output": [call]}
    (response if where == "response" else call)["status"] = "incomplete"

    reply = from_wire({"type": "response.completed", "response": response}, entry())

    assert reply.stop == "unknown"
