"""The model servers of the tests say what they are told to, as the vendors' own clients read it."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import openai
import pytest

from tests.servers.clients import (
    CALLS,
    QUESTION,
    SAY,
    chat,
    claude,
    gpt,
    messages,
    responses,
    said_by_claude,
)
from tests.servers.models import KEY, Asked, Fault, Say, serving


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
