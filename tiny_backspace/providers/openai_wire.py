"""Our conversation in the words of the Responses API, and its answer in ours. Pure.

Nothing is stored at the vendor's: each request holds the whole conversation. What a model has said
goes back to it as it came, item by item, since its reasoning is sealed together with what was before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
    ToolSpec,
    Usage,
    User,
)
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ProviderBusy
from tiny_backspace.providers.bounded import sound
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.providers.openai_client import (
    ANSWER,
    acceptable,
    arguments,
    call_id,
    count,
    whole,
)
from tiny_backspace.providers.openai_errors import told
from tiny_backspace.redact import each_text

_INCOMPLETE: Mapping[str, Stop] = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}


def to_wire(entry: Entry, request: ModelRequest) -> dict[str, Any]:
    """The body of the request. From turn to turn its `input` only grows at the end."""
    wire: dict[str, Any] = {
        "model": entry.model_name,
        "instructions": request.system,
        "input": list(_items(request.conversation, _owner(entry))),
        "tools": [_tool(tool) for tool in request.tools],
        "max_output_tokens": min(entry.max_output_tokens, entry.window // ANSWER),
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": _cache_key(request),
        "store": False,
        "stream": True,
    }
    if entry.effort:
        wire["reasoning"] = {"effort": entry.effort, "summary": "auto"}
    return wire


def _owner(entry: Entry) -> str:
    return f"{entry.name}:{entry.model_name}"


def _cache_key(request: ModelRequest) -> str:
    """One for the whole run, so that its requests come to the same cache."""
    first = request.conversation[0].parts if request.conversation else ()
    texts = [part.text for part in first if isinstance(part, Text)]
    return hashlib.sha256(json.dumps([request.system, texts]).encode()).hexdigest()[:32]


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema,
        "strict": False,
    }


def _items(conversation: Sequence[Message], owner: str) -> Iterator[dict[str, Any]]:
    own: set[str] = set()  # the calls that go back as they came: so does what answers them
    for message in conversation:
        match message:
            case Assistant(opaque=Opaque(owner=of, items=items)) if of == owner:
                own |= {call.id for call in message.tool_calls}
                yield from items
            case Assistant(parts=parts):
                for part in parts:
                    yield from _rebuilt(part)
            case User(parts=parts):
                yield from _asked(parts, own)


def _rebuilt(part: Text | Thinking | ToolCall) -> Iterator[dict[str, Any]]:
    """What another model said. Its thinking is its own."""
    match part:
        case Text(text=text) if text.strip():
            yield {"type": "message", "role": "assistant", "content": text}
        case ToolCall(id=id_, name=name):
            given = json.dumps(part.arguments, ensure_ascii=False)
            yield {
                "type": "function_call", "call_id": call_id(id_), "name": acceptable(name), "arguments": given,
            }  # fmt: skip


def _asked(parts: Sequence[Text | ToolResult], own: set[str]) -> Iterator[dict[str, Any]]:
    texts = []
    for part in parts:
        if isinstance(part, ToolResult):
            yield {
                "type": "function_call_output",
                "call_id": part.call_id if part.call_id in own else call_id(part.call_id),
                "output": f"ERROR: {part.content}" if part.is_error else part.content,
            }
        elif part.text.strip():
            texts.append({"type": "input_text", "text": part.text})
    if texts:
        yield {"type": "message", "role": "user", "content": texts}


def from_wire(event: Mapping[str, Any], entry: Entry) -> Reply:
    """What the last event of a stream says: `response.completed`, `.incomplete` or `.failed`.

    Raises:
        ProviderError: the answer failed, or cannot be read.
    """
    response = event.get("response")
    if not isinstance(response, dict) or not sound(response):
        raise ProviderBusy(f"{entry.name}: its answer cannot be read")
    response = each_text(response, whole)
    if event["type"] == "response.failed":
        error = response.get("error")
        error = error if isinstance(error, dict) else {}
        codes, reference = (error.get("code"), error.get("type")), str(response.get("id") or "")
        raise told(entry, str(error.get("message") or ""), codes=codes, reference=reference)
    items = tuple(_within(response, "output"))
    parts = tuple(part for item in items for part in _parts(item))
    complete = event["type"] == "response.completed" and not any(
        told.get("status") == "incomplete" for told in (response, *items)
    )
    stop = _stop(response, items, complete=complete)
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    if stop == "tool_use" and ("" in ids or len(set(ids)) < len(ids)):
        raise ProviderBusy(f"{entry.name}: its tool calls cannot be told apart")
    if stop == "refusal" and not any(isinstance(part, Text) for part in parts):
        parts += (Text("its content filter stopped the answer"),)
    opaque = Opaque(_owner(entry), items) if stop in ("tool_use", "end_turn") else None
    usage = _usage(response)
    return Reply(
        Assistant(parts, opaque), stop, entry.name, entry.model_name, usage, _cost(entry, usage)
    )


def _within(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    inner = value.get(key)
    return [part for part in inner if isinstance(part, dict)] if isinstance(inner, list) else []


def _parts(item: Mapping[str, Any]) -> Iterator[Text | Thinking | ToolCall]:
    """What an item says to others than its model: nothing, if it is of a kind that we did not ask for."""
    match item.get("type"):
        case "reasoning":
            texts = [str(part.get("text") or "") for part in _within(item, "summary")]
            if summary := "\n\n".join(filter(None, texts)):
                yield Thinking(summary)
        case "message":
            for part in _within(item, "content"):
                if text := part.get("text") or part.get("refusal"):
                    yield Text(str(text))
        case "function_call":
            given, malformed = arguments(item.get("arguments"))
            id_, name = str(item.get("call_id") or ""), str(item.get("name") or "")
            yield ToolCall(id_, name, given, malformed)


def _stop(
    response: Mapping[str, Any], items: Sequence[Mapping[str, Any]], *, complete: bool
) -> Stop:
    if not complete:
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return _INCOMPLETE.get(str(reason), "unknown")
    if any(part.get("type") == "refusal" for item in items for part in _within(item, "content")):
        return "refusal"
    called = any(item.get("type") == "function_call" for item in items)
    return "tool_use" if called else "end_turn"


def _usage(response: Mapping[str, Any]) -> Usage:
    told_of = response.get("usage")
    return Usage(
        count(told_of, "input_tokens"),
        count(told_of, "output_tokens"),
        count(told_of, "input_tokens_details", "cached_tokens"),
        count(told_of, "input_tokens_details", "cache_write_tokens"),
    )


def _cost(entry: Entry, usage: Usage) -> float | None:
    from tiny_backspace.providers.prices import cost

    return cost(entry, entry.model_name, usage)
