"""The model servers of the tests say what they are told to, as the vendors' own clients read it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import openai
import pytest

from tests.servers.models import KEY, Asked, Call, Fault, ModelServer, Say, serving

CALLS = (Call("call_1", "read", {"path": "a.py"}), Call("call_2", "glob", {"pattern": "*.py"}))
SAY = Say("Let me see the two of them.", "The user wants to see two things.", CALLS)
TOOL = {"type": "object", "properties": {}}
QUESTION = [{"role": "user", "content": "Show me."}]


@contextmanager
def claude(server: ModelServer, key: str = KEY) -> Generator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        api_key=key, base_url=server.claude_url, max_retries=0, timeout=httpx2.Timeout(5)
    ) as client:
        yield client


@contextmanager
def gpt(server: ModelServer, key: str = KEY) -> Generator[openai.OpenAI]:
    with openai.OpenAI(
        api_key=key, base_url=server.openai_url, max_retries=0, timeout=httpx2.Timeout(5)
    ) as client:
        yield client


def messages(client: anthropic.Anthropic, **more: Any) -> anthropic.types.Message:
    asked: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1000,
        "thinking": {"type": "adaptive", "display": "summarized"},
        "tools": [{"name": "read", "input_schema": TOOL}],
        "messages": QUESTION,
    }
    with client.messages.stream(**asked | more) as stream:
        return stream.get_final_message()


def responses(client: openai.OpenAI, **more: Any) -> Any:
    asked: dict[str, Any] = {
        "model": "gpt-6.2-sol",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "tools": [{"type": "function", "name": "read", "parameters": TOOL, "strict": False}],
        "input": QUESTION,
    }
    with client.responses.create(stream=True, **asked | more) as stream:
        return [event for event in stream if hasattr(event, "response")][-1].response


def chat(client: openai.OpenAI, **more: Any) -> Iterator[Any]:
    asked: dict[str, Any] = {"model": "llama", "messages": QUESTION}
    options: Any = {"include_usage": True}
    with client.chat.completions.create(stream=True, stream_options=options, **asked | more) as s:
        yield from s


def results(*ids: str) -> dict[str, Any]:
    content = [{"type": "tool_result", "tool_use_id": call, "content": "1"} for call in ids]
    return {"role": "user", "content": content}


def outputs(*ids: str) -> list[dict[str, Any]]:
    return [{"type": "function_call_output", "call_id": call, "output": "1"} for call in ids]


def test_the_messages_api_is_spoken() -> None:
    with serving(lambda _: SAY) as server, claude(server) as client:
        message = messages(client)
    thinking, text, *calls = (block.to_dict() for block in message.content)
    assert (thinking["thinking"], text["text"]) == (SAY.thinking, SAY.text)
    assert [(c["id"], c["name"], c["input"]) for c in calls] == [
        (c.id, c.name, c.arguments) for c in CALLS
    ]
    usage = message.usage
    assert message.stop_reason == "tool_use"
    assert (usage.input_tokens, usage.output_tokens) == (50, 20)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (25, 25)
    (asked,) = server.requests
    assert (asked.dialect, asked.turn, asked.model) == ("claude", 1, "claude-sonnet-5-5")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert KEY.encode() in server.raw[0]


def test_the_responses_api_is_spoken() -> None:
    with serving(lambda _: SAY) as server, gpt(server) as client:
        response = responses(client)
    reasoning, said, *calls = response.output
    assert response.status == "completed"
    assert reasoning.summary[0].text == SAY.thinking
    assert said.content[0].text == SAY.text
    assert [(c.call_id, json.loads(c.arguments)) for c in calls] == [
        (c.id, c.arguments) for c in CALLS
    ]
    assert (response.usage.input_tokens, response.usage.output_tokens) == (100, 20)
    assert (server.requests[0].dialect, server.requests[0].turn) == ("openai", 1)


def test_chat_completions_are_spoken() -> None:
    with serving(lambda _: SAY) as server, gpt(server) as client:
        chunks = list(chat(client))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    arguments = ["", ""]
    for delta in deltas:
        for call in delta.tool_calls or ():
            arguments[call.index] += call.function.arguments
    assert "".join(delta.content or "" for delta in deltas) == SAY.text
    assert "".join(getattr(delta, "reasoning", "") for delta in deltas) == SAY.thinking
    assert [json.loads(text) for text in arguments] == [call.arguments for call in CALLS]
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    assert chunks[-1].usage.prompt_tokens == 100
    assert server.requests[0].dialect == "chat"


def answered(asked: Asked) -> Say:
    return SAY if asked.turn == 1 else Say("Done.", f"turn {asked.turn}")


def test_a_conversation_with_claude_goes_on_if_nothing_before_it_changes() -> None:
    with serving(answered) as server, claude(server) as client:
        first = messages(client)
        said = {"role": "assistant", "content": [block.to_dict() for block in first.content]}
        history = [*QUESTION, said, results("call_1", "call_2")]
        second = messages(client, messages=history)
        more = {"role": "assistant", "content": [block.to_dict() for block in second.content]}
        third = messages(client, messages=[*history, more, *QUESTION])
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            messages(client, messages=[{"role": "user", "content": "Changed."}, *history[1:]])
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            messages(client, messages=history, system="Something new.")
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            messages(client, messages=history, tools=[])
    assert [asked.turn for asked in server.requests] == [1, 2, 3]
    assert isinstance(third.content[0], anthropic.types.ThinkingBlock)
    assert third.content[0].thinking == "turn 3"


def test_a_conversation_with_openai_goes_on_if_nothing_before_it_changes() -> None:
    with serving(answered) as server, gpt(server) as client:
        first = responses(client)
        said = [item.to_dict(mode="json") for item in first.output]
        history = [*QUESTION, *said, *outputs("call_1", "call_2")]
        responses(client, input=history)
        with pytest.raises(openai.BadRequestError, match="could not be verified"):
            responses(client, input=[{"role": "user", "content": "Changed."}, *history[1:]])
        with pytest.raises(openai.BadRequestError, match="could not be verified"):
            responses(client, input=history, instructions="Something new.")
    assert [asked.turn for asked in server.requests] == [1, 2]


BLOCK = {"type": "text", "text": "I look."}
USE = {"type": "tool_use", "id": "a", "name": "read", "input": {}}


def said_by_claude(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"temperature": 1}}, "sampling"),
        ({"extra_body": {"novel": 1}}, "Extra inputs"),
        ({"tool_choice": {"type": "any"}}, "forced tool use"),
        ({"thinking": {"type": "disabled"}}, "adaptive"),
        ({"messages": [*QUESTION, said_by_claude(BLOCK)]}, "prefill"),
        ({"messages": [*QUESTION, said_by_claude(), *QUESTION]}, "non-empty"),
        ({"messages": [{"role": "user", "content": " "}]}, "non-whitespace"),
        ({"messages": [said_by_claude(BLOCK), *QUESTION]}, "first message"),
        ({"messages": [*QUESTION, said_by_claude(USE), *QUESTION]}, "without `tool_result`"),
        ({"messages": [*QUESTION, said_by_claude(BLOCK), results("a")]}, "unexpected"),
        ({"messages": [*QUESTION, said_by_claude(USE, USE), results("a", "a")]}, "unique"),
        (
            {"messages": [*QUESTION, said_by_claude(USE | {"id": "a.b"}), results("a.b")]},
            "should match pattern",
        ),
        (
            {
                "messages": [
                    *QUESTION,
                    said_by_claude(USE),
                    {"role": "user", "content": [BLOCK, *results("a")["content"]]},
                ]
            },
            "must come first",
        ),
    ],
)
def test_what_claude_refuses_is_refused(given: dict[str, Any], words: str) -> None:
    with (
        serving(lambda _: SAY) as server,
        claude(server) as client,
        pytest.raises(anthropic.BadRequestError, match=words),
    ):
        messages(client, **given)
    assert len(server.refused) == 1
    assert server.requests == []


CALL = {"type": "function_call", "call_id": "a", "name": "read", "arguments": "{}"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"store": True}, "store"),
        ({"temperature": 1}, "temperature"),
        ({"reasoning": {"effort": "none"}}, "reasoning.effort"),
        ({"input": [*QUESTION, CALL]}, "No tool output found"),
        ({"input": [*QUESTION, CALL, *QUESTION, *outputs("a")]}, "No tool output found"),
        ({"input": [*QUESTION, *outputs("a")]}, "No tool call found"),
        ({"input": [*QUESTION, CALL | {"call_id": "a" * 65}]}, "maximum length of 64"),
        ({"input": [*QUESTION, REASONING, CALL, *outputs("a")]}, "not found"),
        ({"input": [*QUESTION, CALL | {"parsed_arguments": {}}, *outputs("a")]}, "Extra inputs"),
        ({"input": []}, "Missing required parameter"),
    ],
)
def test_what_openai_refuses_is_refused(given: dict[str, Any], words: str) -> None:
    with (
        serving(lambda _: SAY) as server,
        gpt(server) as client,
        pytest.raises(openai.BadRequestError, match=words),
    ):
        responses(client, **given)
    assert len(server.refused) == 1


FUNCTION = {"id": "a", "type": "function", "function": {"name": "read", "arguments": "{}"}}
ASKING = {"role": "assistant", "content": None, "tool_calls": [FUNCTION]}
TOLD = {"role": "tool", "tool_call_id": "a", "content": "1"}
HALF = FUNCTION | {"function": {"name": "read", "arguments": '{"pa'}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([*QUESTION, ASKING, *QUESTION], "must be followed by tool messages"),
        ([*QUESTION, ASKING], "must not be the assistant's"),
        ([*QUESTION, TOLD], "preceding message"),
        ([*QUESTION, ASKING | {"tool_calls": [HALF]}, TOLD], "not a JSON object"),
        ([*QUESTION, ASKING | {"tool_calls": []}, *QUESTION], "empty array"),
        ([*QUESTION, {"role": "system", "content": "Late."}], "Invalid value"),
    ],
)
def test_what_chat_servers_refuse_is_refused(given: list[Any], words: str) -> None:
    with (
        serving(lambda _: SAY) as server,
        gpt(server) as client,
        pytest.raises(openai.BadRequestError, match=words),
    ):
        list(chat(client, messages=given))
    assert len(server.refused) == 1


def test_nobody_is_answered_without_the_key() -> None:
    with serving(lambda _: SAY) as server:
        with claude(server, "wrong") as c, pytest.raises(anthropic.AuthenticationError):
            messages(c)
        with gpt(server, "wrong") as g, pytest.raises(openai.AuthenticationError):
            responses(g)
    assert server.refused == ["invalid bearer token"] * 2


STATUSES: dict[int, tuple[type[Exception], type[Exception]]] = {
    402: (anthropic.PaymentRequiredError, openai.APIStatusError),
    403: (anthropic.PermissionDeniedError, openai.PermissionDeniedError),
    404: (anthropic.NotFoundError, openai.NotFoundError),
    408: (anthropic.RequestTimeoutError, openai.APIStatusError),
    413: (anthropic.ContentTooLargeError, openai.APIStatusError),
    429: (anthropic.RateLimitError, openai.RateLimitError),
    500: (anthropic.InternalServerError, openai.InternalServerError),
    529: (anthropic.OverloadedError, openai.InternalServerError),
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_comes_with_the_vendors_words(status: int) -> None:
    fault = Fault("status", status, {"retry-after": "7"}, message="Later.")
    with serving(lambda _: fault) as server, claude(server) as c, gpt(server) as g:
        with pytest.raises(STATUSES[status][0]) as of_claude:
            messages(c)
        with pytest.raises(STATUSES[status][1]) as of_openai:
            responses(g)
    for told in (of_claude.value, of_openai.value):
        assert isinstance(told, anthropic.APIStatusError | openai.APIStatusError)
        assert told.status_code == status
        assert told.response.headers["retry-after"] == "7"
        assert told.request_id == "req_1"
        assert "Later." in str(told)


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_cut_stream_ends_in_the_transports_own_error(kind: Any) -> None:
    with serving(lambda _: Fault(kind)) as server, claude(server) as c, gpt(server) as g:
        with pytest.raises(httpx2.TransportError):
            messages(c)
        with pytest.raises(openai.APIConnectionError):
            responses(g)


def test_an_early_end_looks_like_an_end_without_a_reason() -> None:
    with serving(lambda _: Fault("early_end")) as server, claude(server) as c, gpt(server) as g:
        assert messages(c).stop_reason is None
        assert responses(g).status == "in_progress"
        assert {chunk.choices[0].finish_reason for chunk in chat(g)} == {None}


@pytest.mark.parametrize("kind", ["silence", "stall"])
def test_a_stalled_answer_ends_with_the_clients_patience(kind: Any) -> None:
    with serving(lambda _: Fault(kind)) as server:
        with claude(server) as c, pytest.raises((httpx2.ReadTimeout, anthropic.APITimeoutError)):
            messages(c, timeout=0.1)
        with gpt(server) as g, pytest.raises(openai.APITimeoutError):
            responses(g, timeout=0.1)


def test_a_drip_keeps_a_read_timeout_from_ending_it() -> None:
    asked = {"model": "llama", "stream": True, "messages": QUESTION}
    with serving(lambda _: Fault("drip")) as server, httpx2.Client(timeout=5) as client:
        url, headers = f"{server.openai_url}/chat/completions", {"Authorization": f"Bearer {KEY}"}
        with client.stream("POST", url, json=asked, headers=headers) as response:
            text = ""
            for piece in response.iter_text():
                text += piece
                if text.count(": alive") == 3:
                    break
    assert text.count("data: ") > 1


def test_an_error_after_the_200_has_the_vendors_form() -> None:
    fault = Fault("error_event", code="rate_limit_error", message="Too fast.")
    with serving(lambda _: fault) as server, claude(server) as c, gpt(server) as g:
        with pytest.raises(anthropic.APIStatusError) as told:
            messages(c)
        with pytest.raises(openai.APIError, match=r"Too fast\."):
            list(chat(g))
    assert (told.value.status_code, told.value.type) == (200, "rate_limit_error")


def test_broken_json_is_sent_as_such() -> None:
    with serving(lambda _: Fault("malformed")) as server, claude(server) as c, gpt(server) as g:
        with pytest.raises(ValueError, match="Unterminated"):
            messages(c)
        with pytest.raises(ValueError, match="Unterminated"):
            responses(g)


def test_arguments_can_be_cut_off() -> None:
    with serving(lambda _: Fault("partial_arguments", say=SAY)) as server:
        with claude(server) as c:
            message = messages(c)
        with gpt(server) as g:
            response = responses(g)
    assert message.stop_reason == "max_tokens"
    assert message.content[-1].to_dict()["input"] != CALLS[-1].arguments
    assert (response.status, response.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )


def test_what_is_new_is_passed_through_and_accepted_again() -> None:
    def novel(asked: Asked) -> Say:
        return Say("Hello.", "Hm.", novelty=asked.turn == 1)

    with serving(novel) as server, claude(server) as c, gpt(server) as g:
        first = messages(c)
        said = said_by_claude(*(block.to_dict() for block in first.content))
        assert messages(c, messages=[*QUESTION, said, *QUESTION]).stop_reason == "end_turn"
        items = [item.to_dict(mode="json") for item in responses(g).output]
        assert responses(g, input=[*QUESTION, *items, *QUESTION]).status == "completed"
        assert [chunk.object for chunk in chat(g)].count("chat.novel") == 1


def test_a_paused_answer_may_be_last() -> None:
    def paused(asked: Asked) -> Say:
        return Say("So far.", "Hm.", stop="pause_turn" if asked.turn == 1 else None)

    with serving(paused) as server, claude(server) as client:
        said = said_by_claude(*(block.to_dict() for block in messages(client).content))
        assert messages(client, messages=[*QUESTION, said]).stop_reason == "end_turn"


def test_a_page_and_an_empty_stream_are_no_answers() -> None:
    with (
        serving(lambda _: Fault("html")) as server,
        claude(server) as c,
        pytest.raises((anthropic.AnthropicError, AssertionError)),
    ):
        messages(c)
    with serving(lambda _: Fault("empty")) as server, gpt(server) as g:
        assert list(chat(g)) == []


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_connection_serves_several_requests_or_one(keep_alive: bool) -> None:
    with serving(lambda _: SAY, keep_alive=keep_alive) as server, gpt(server) as client:
        for _ in range(3):
            assert list(chat(client))
    assert [asked.headers["connection"] for asked in server.requests] == ["keep-alive"] * 3


def test_a_mistake_in_a_script_is_raised_where_it_can_be_seen() -> None:
    def answer(asked: Asked) -> Say:
        raise LookupError(f"nothing is scripted for turn {asked.turn}")

    with (
        pytest.raises(LookupError, match="turn 1"),
        serving(answer) as server,
        gpt(server) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        list(chat(client))


def test_when_the_block_ends_nobody_listens() -> None:
    with serving(lambda _: Fault("silence")) as server:
        address = urlsplit(server.url).netloc
        connection = HTTPConnection(address)
        connection.request("POST", "/v1/messages", "{}")
        assert connection.getresponse().status == 401
        connection.close()
    again = HTTPConnection(address)
    with pytest.raises(ConnectionRefusedError):
        again.connect()
