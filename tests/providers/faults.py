"""What can go wrong with a model's answer, and what the run learns of it: the same for all dialects, or by dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import pytest

from tests.servers.models import Call, Fault, Say
from tests.servers.script import Dialect
from tiny_backspace.conversation import Stop
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
CALLS = (Call("call_1", "read", {"path": "a"}), Call("call_2", "write", {"path": "b"}))
# an exception's class, or the stop of a reply
Outcome: TypeAlias = type[ProviderError] | Stop
Broken: TypeAlias = Say | Fault
QUICK = 0.3  # seconds of silence, where silence is what is tested


@dataclass(frozen=True)
class Row:
    """One fault and its outcome, the same for all or by dialect."""

    what: str
    answer: Broken | Mapping[Dialect, Broken]
    outcome: Outcome | Mapping[Dialect, Outcome]
    idle: float = 20


def status(number: int, code: str = "", message: str = "It went wrong.") -> Fault:
    return Fault("status", number, code=code, message=message)


TABLE = (
    Row("400 a request that is not understood", status(400), ProviderError),
    Row(
        "400 the conversation is too long",
        {
            "claude": status(400, message="prompt is too long: 210000 tokens > 200000 maximum"),
            "openai": status(400, "context_length_exceeded", "Your input exceeds the window."),
            "chat": status(400, message="the request exceeds the available context size"),
        },
        ContextOverflow,
    ),
    Row("401 the key is refused", status(401), ProviderError),
    Row("402 nothing is left to spend", status(402), ProviderError),
    Row("403 the key may not", status(403), ProviderError),
    Row("404 no such model", status(404), ProviderError),
    Row("408 too slow", status(408), ProviderBusy),
    Row("409 a conflict", status(409), ProviderBusy),
    Row("413 too large", status(413), ContextOverflow),
    Row("422 a request that cannot be processed", status(422), ProviderError),
    Row("429 too many requests", Fault("status", 429, {"retry-after": "7"}), ProviderBusy),
    Row(
        "429 the quota is used up",
        {
            "claude": status(429, "enforced_spend_limit_reached"),
            "openai": status(429, "insufficient_quota"),
            "chat": status(429, "insufficient_quota"),
        },
        ProviderError,
    ),
    Row("500", status(500), ProviderBusy),
    Row("502 a page of the proxy", Fault("status", 502, body="<h1>Bad gateway</h1>"), ProviderBusy),
    Row("503", status(503), ProviderBusy),
    Row("529 overloaded", status(529), ProviderBusy),
    Row("200 a page to log in", Fault("html"), ProviderBusy),
    Row("a stream without an event", Fault("empty"), ProviderBusy),
    Row("a clean end halfway", Fault("early_end"), ProviderBusy),
    Row("the connection ends within an event", Fault("cut"), ProviderBusy),
    Row("the connection is reset", Fault("reset"), ProviderBusy),
    Row("silence from the start", Fault("silence"), ProviderBusy, QUICK),
    Row("silence halfway", Fault("stall"), ProviderBusy, QUICK),
    Row("keep-alive and nothing else", Fault("drip"), ProviderBusy, QUICK),
    Row("headers without an end", Fault("slow_head"), ProviderBusy, QUICK),
    Row("an event that is no JSON", Fault("malformed"), ProviderBusy),
    Row("an error event: overloaded", Fault("error_event"), ProviderBusy),
    Row(
        "an error event: the request is wrong",
        {
            "claude": Fault("error_event", code="invalid_request_error"),
            "openai": Fault("error_event", code="data_residency_mismatch"),
            "chat": Fault("error_event", code="400"),
        },
        ProviderError,
    ),
    Row("an error object without an event", Fault("nested_error"), ProviderBusy),
    Row("a late answer", Fault("delay", seconds=0.1), "end_turn"),
    Row("an answer in a trickle", Fault("slow", seconds=0.2), "end_turn"),
    Row("the tokens run out", Say("And so", stop="max_tokens"), "max_tokens"),
    Row(
        "the tokens run out within a tool call",
        Fault("partial_arguments", say=Say("I look.", calls=CALLS)),
        "max_tokens",
    ),
    Row(
        "arguments that are no JSON",
        Say(calls=(Call("call_1", "read", {}, raw='{"path": oops}'),)),
        {"claude": ProviderBusy, "openai": "tool_use", "chat": "tool_use"},
    ),
    Row(
        "two calls of one id",  # which some compatible servers do in every turn: it gets another one
        Say(calls=(CALLS[0], CALLS[0])),
        {"claude": ProviderBusy, "openai": ProviderBusy, "chat": "tool_use"},
    ),
    Row("a refusal", Say("I will not.", stop="refusal"), "refusal"),
    Row("a refusal without a word", Say(stop="refusal"), "refusal"),
    Row("nothing at all", Say(), "end_turn"),
    Row("events, blocks and fields of next year", Say("Hello.", "Hm.", novelty=True), "end_turn"),
    Row("a stop of next year", Say("Hello.", stop="tired"), "unknown"),
)
ONLY = (
    Row("claude: a pause", {"claude": Say("So far.", "Hm.", stop="pause_turn")}, "pause"),
    Row(
        "claude: the window is full",
        {"claude": Say("So f", stop="model_context_window_exceeded")},
        ContextOverflow,
    ),
    Row("openai: failed, try again", {"openai": Say(stop="failed:server_error")}, ProviderBusy),
    Row("openai: failed, a policy", {"openai": Say(stop="failed:bio_policy")}, "refusal"),
    Row("openai: a filter", {"openai": Say("So f", stop="content_filter")}, "refusal"),
)


def cases() -> list[Any]:
    return [
        pytest.param(row, dialect, id=f"{row.what}-{dialect}")
        for row in (*TABLE, *ONLY)
        for dialect in DIALECTS
        if not isinstance(row.answer, Mapping) or dialect in row.answer
    ]
