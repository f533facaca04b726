"""Our conversation in the words of Chat Completions, and an answer in ours. Pure.

The servers agree on the outline and differ in everything else: what comes is read with patience.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count as counting
from typing import Any

from tiny_backspace.conversation import (
    Assistant,
    Message,
    Reply,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    User,
)
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ProviderBusy
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.providers.openai_client import ANSWER, arguments, call_id, count, whole

_STOPS: Mapping[str, Stop] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}

_MOST_CALLS = 500  # of one answer


def to_wire(entry: Entry, request: ModelRequest) -> dict[str, Any]:
    """The body of the request. From turn to turn its `messages` only grow at the end."""
    messages = [{"role": "system", "content": request.system}]
    for message in request.conversation:
        messages += _said(message) if isinstance(message, Assistant) else _asked(message)
    wire: dict[str, Any] = {
        "model": entry.model_name,
        "messages": messages,
        "max_tokens": min(entry.max_output_tokens, entry.window // ANSWER),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        wire["tools"] = [_tool(tool) for tool in request.tools]
    if entry.effort:
        wire["reasoning_effort"] = entry.effort
    return wire


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def _said(message: Assistant) -> Iterator[dict[str, Any]]:
    calls = [_called(call) for call in message.tool_calls]
    if calls:
        yield {"role": "assistant", "content": message.said, "tool_calls": calls}
    elif message.said:
        yield {"role": "assistant", "content": message.said}


def _called(call: ToolCall) -> dict[str, Any]:
    given = json.dumps(call.arguments, ensure_ascii=False)
    function = {"name": call.name, "arguments": given}
    return {"id": call_id(call.id), "type": "function", "function": function}


def _asked(message: User) -> Iterator[dict[str, Any]]:
    for part in message.parts:
        if isinstance(part, ToolResult):
            content = f"ERROR: {part.content}" if part.is_error else part.content
            yield {"role": "tool", "tool_call_id": call_id(part.call_id), "content": content}
    texts = [part.text for part in message.parts if isinstance(part, Text) and part.text.strip()]
    if texts:
        yield {"role": "user", "content": "\n\n".join(texts)}


def thought(chunk: Mapping[str, Any]) -> str:
    """What is thought or said in this chunk."""
    delta = _delta(chunk)
    return _reasoning(delta) + _string(delta, "content")


def finish(chunks: Sequence[Mapping[str, Any]]) -> str | None:
    """The reason to stop, in the server's word; None if there is none yet."""
    told = (_string(_choice(chunk), "finish_reason") for chunk in reversed(chunks))
    return next(filter(None, told), None)


def from_wire(
    chunks: Sequence[Mapping[str, Any]], entry: Entry, conversation: Sequence[Message]
) -> Reply:
    """What the chunks of a stream say together. The ids of the calls in `conversation` are not given again.

    Raises:
        ProviderBusy: the answer is not complete.
    """
    reason = finish(chunks)
    if reason is None:
        raise ProviderBusy(f"{entry.name}: the answer broke off")
    deltas = [_delta(chunk) for chunk in chunks]
    thinking = whole("".join(map(_reasoning, deltas)))
    text = whole("".join(_string(delta, "content") for delta in deltas))
    refused = whole("".join(_string(delta, "refusal") for delta in deltas))
    try:
        calls = _calls(deltas, conversation)
    except ValueError as error:
        raise ProviderBusy(f"{entry.name}: more than {_MOST_CALLS} tool calls at once") from error
    stop: Stop = "refusal" if refused else _STOPS.get(reason, "unknown")
    if stop == "end_turn" and calls:
        stop = "tool_use"
    if stop == "tool_use" and not (calls and all(call.name for call in calls)):
        raise ProviderBusy(f"{entry.name}: it wants a tool and does not say which")
    if stop == "refusal":
        text = text or refused or "its content filter stopped the answer"
    said = (*((Thinking(thinking),) if thinking else ()), *((Text(text),) if text else ()))
    usage = _usage(chunks)
    return Reply(
        Assistant((*said, *calls)), stop, entry.name, entry.model_name, usage, _cost(entry, usage)
    )


def _choice(chunk: Mapping[str, Any]) -> dict[str, Any]:
    choices = chunk.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _delta(chunk: Mapping[str, Any]) -> dict[str, Any]:
    delta = _choice(chunk).get("delta")
    return delta if isinstance(delta, dict) else {}


def _string(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""


def _reasoning(delta: Mapping[str, Any]) -> str:
    """It has two names; a server that uses both says the same twice."""
    return _string(delta, "reasoning") or _string(delta, "reasoning_content")


@dataclass(slots=True)
class _Call:
    """A call, some of whose pieces may still be missing."""

    index: object
    id: str
    name: str = ""
    pieces: list[str] = field(default_factory=list)


def _calls(
    deltas: Sequence[Mapping[str, Any]], conversation: Sequence[Message]
) -> tuple[ToolCall, ...]:
    """The calls with ids that no other call has: some servers give none, or the same ones in every turn."""
    said = (message for message in conversation if isinstance(message, Assistant))
    taken = {call.id for message in said for call in message.tool_calls}
    calls = []
    for call in _joined(deltas):
        new = (f"call_{number}" for number in counting(len(taken) + 1))
        id_ = (
            call.id if call.id and call.id not in taken else next(n for n in new if n not in taken)
        )
        taken.add(id_)
        given, malformed = arguments("".join(call.pieces))
        calls.append(ToolCall(id_, call.name, given, malformed))
    return tuple(calls)


def _joined(deltas: Sequence[Mapping[str, Any]]) -> list[_Call]:
    """Raises ValueError for more calls than anybody makes."""
    calls: list[_Call] = []
    for delta in deltas:
        pieces = delta.get("tool_calls")
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, dict):
                continue
            function = piece.get("function")
            function = function if isinstance(function, dict) else {}
            index, id_, name = piece.get("index"), _string(piece, "id"), _string(function, "name")
            call = _going_on(calls, index, id_, name)
            if call is None:
                calls.append(call := _Call(index, id_))
                if len(calls) > _MOST_CALLS:
                    raise ValueError
            call.id, call.name = call.id or id_, call.name or name
            given = function.get("arguments")
            call.pieces.append(
                given if isinstance(given, str) else json.dumps(given) if given else ""
            )
    return calls


def _going_on(calls: Sequence[_Call], index: object, id_: str, name: str) -> _Call | None:
    """The call that a piece belongs to; None where it begins another one.

    By its index, unless all calls have the same one and only id and name tell that this is the next;
    by its id where it has no index; and where it has neither, a name begins a call.
    """
    if index is not None:
        same = next((call for call in reversed(calls) if call.index == index), None)
        another = same is not None and name and id_ and same.id not in ("", id_)
        return None if another else same
    same = next((call for call in reversed(calls) if id_ and call.id == id_), None)
    return same or (calls[-1] if calls and not name else None)


def _usage(chunks: Sequence[Mapping[str, Any]]) -> Usage:
    """The last count: a server that counts in every chunk counts all that was before it."""
    told = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    return Usage(
        count(told, "prompt_tokens"),
        count(told, "completion_tokens"),
        count(told, "prompt_tokens_details", "cached_tokens"),
    )


def _cost(entry: Entry, usage: Usage) -> float | None:
    from tiny_backspace.providers.prices import cost

    return cost(entry, entry.model_name, usage)
