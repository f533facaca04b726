"""Conversations as the Messages API writes them, and its answers as we do. Pure.

What a model has said goes back to it as it came, block by block: it refuses its own thinking if
anything before it is another one. So a request begins with everything that the one before it had.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

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
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ContextOverflow, ProviderBusy
from tiny_backspace.providers.bounded import sound
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.providers.prices import cost
from tiny_backspace.redact import clean_line, each_text

if TYPE_CHECKING:
    from anthropic.types import Message as ClaudeMessage

_ANSWER = 5  # the part of the window that is left for an answer: a fifth; the loop folds at four
_NOT_CLAUDES = (None, "none", "minimal")  # efforts
_LONGEST = 64  # characters of an id or a name
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_STOPS: dict[str, Stop] = {
    "end_turn": "end_turn",
    "stop_sequence": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "pause_turn": "pause",
    "refusal": "refusal",
}
_KEPT = frozenset(("end_turn", "tool_use", "pause"))  # stops whose message can go back as it is


def to_wire(entry: Entry, request: ModelRequest) -> dict[str, Any]:
    """The arguments of `messages.stream`."""
    tools = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
        for tool in request.tools
    ]
    optional = {
        "system": request.system,
        "tools": tools,
        "output_config": None if entry.effort in _NOT_CLAUDES else {"effort": entry.effort},
    }
    wire: dict[str, Any] = {
        "model": entry.model_name,
        "max_tokens": min(entry.max_output_tokens, entry.window // _ANSWER),
        "messages": _messages(_owner(entry), request.conversation),
        "cache_control": {"type": "ephemeral"},
        "thinking": {"type": "adaptive", "display": "summarized"},
    } | {name: value for name, value in optional.items() if value}
    encodable: dict[str, Any] = each_text(wire, lambda t: t.encode("utf-8", "replace").decode())
    return encodable


def _owner(entry: Entry) -> str:
    return f"{entry.name}:{entry.model_name}"


def _messages(owner: str, conversation: Sequence[Message]) -> list[dict[str, Any]]:
    """Without messages that would be empty; users' that meet are one."""
    ids, wire = _Ids(), list[dict[str, Any]]()
    for message in conversation:
        role = "user" if isinstance(message, User) else "assistant"
        content = _content(message, owner, ids)
        if role == "user" and wire and wire[-1]["role"] == "user":
            wire[-1]["content"] += content
        elif content:
            wire.append({"role": role, "content": content})
    return wire


def _content(message: Message, owner: str, ids: _Ids) -> list[dict[str, Any]]:
    match message:
        case User(parts):
            return _from_user(parts, ids)
        case Assistant(_, Opaque(whose, items)) if whose == owner:
            ids.keep(items)
            return list(items)
        case Assistant(parts):
            return _rebuilt(parts, ids)


def _from_user(parts: Sequence[Text | ToolResult], ids: _Ids) -> list[dict[str, Any]]:
    """Results first: the API wants it so."""
    results = [
        {
            "type": "tool_result",
            "tool_use_id": ids.answered(part.call_id),
            "content": part.content if part.content.strip() else "(no output)",
        }
        | ({"is_error": True} if part.is_error else {})
        for part in parts
        if isinstance(part, ToolResult)
    ]
    return results + [_text(part) for part in parts if isinstance(part, Text) and part.text.strip()]


def _rebuilt(parts: Sequence[Text | Thinking | ToolCall], ids: _Ids) -> list[dict[str, Any]]:
    content = []
    for part in parts:
        match part:
            case Text(text) if text.strip():
                content.append(_text(part))
            case ToolCall(call_id, name, arguments):
                named = _ODD.sub("_", name)[:_LONGEST] or "_"
                content.append(
                    {
                        "type": "tool_use",
                        "id": ids.asked(call_id),
                        "name": named,
                        "input": arguments,
                    }
                )
            case _:
                pass
    return content


def _text(part: Text) -> dict[str, Any]:
    return {"type": "text", "text": part.text}


class _Ids:
    """Tool calls' ids as the API takes them, each for one call; others' vendors may use one again."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._last: dict[str, str] = {}

    def keep(self, items: Sequence[Mapping[str, Any]]) -> None:
        for item in items:
            if item.get("type") == "tool_use":
                self._given.add(item["id"])
                self._last[item["id"]] = item["id"]

    def asked(self, call_id: str) -> str:
        new, n = _acceptable(call_id), 1
        while new in self._given:
            n += 1
            new = _acceptable(f"{call_id}_{n}")
        self._given.add(new)
        self._last[call_id] = new
        return new

    def answered(self, call_id: str) -> str:
        return self._last.get(call_id) or _acceptable(call_id)


def _acceptable(call_id: str) -> str:
    if 0 < len(call_id) <= _LONGEST and not _ODD.search(call_id):
        return call_id
    return "call_" + sha256(call_id.encode("utf-8", "replace")).hexdigest()[:32]


def from_wire(message: ClaudeMessage, entry: Entry) -> Reply:
    """What the SDK made of an answer.

    Raises:
        ContextOverflow: it ended where the window ends.
        ProviderBusy: it is none that can be acted on or sent back.
    """
    told = _plain(message, entry)
    reason = told.get("stop_reason")
    if reason == "model_context_window_exceeded":
        raise ContextOverflow(f"{entry.name}: the model's context window is full")
    stop = _STOPS.get(str(reason), "unknown")
    items = tuple(item for item in told.get("content") or () if not _is_blank(item))
    parts = tuple(part for item in items for part in _parts(item, entry))
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    if reason is None or len(set(ids)) < len(ids) or (stop == "tool_use" and not ids):
        raise ProviderBusy(f"{entry.name}: the answer is not complete")
    if stop == "refusal" and not any(isinstance(part, Text) for part in parts):
        parts += (Text(_refusal(told)),)
    usage = _usage(told.get("usage") or {})
    return Reply(
        Assistant(parts, Opaque(_owner(entry), items) if stop in _KEPT and items else None),
        stop,
        entry.name,
        entry.model_name,
        usage,
        cost(entry, entry.model_name, usage),
    )


def _plain(message: ClaudeMessage, entry: Entry) -> dict[str, Any]:
    """The fields that were sent, in the form in which they can go back."""
    told = message.to_dict(warnings=False)  # the types of what is not known yet do not fit
    try:
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ProviderBusy(f"{entry.name}: the answer is no JSON") from error
    return told


def _is_blank(item: Mapping[str, Any]) -> bool:
    """The API may send such a block, and takes none."""
    return item.get("type") == "text" and not str(item.get("text") or "").strip()


def _parts(item: Mapping[str, Any], entry: Entry) -> Iterable[Text | Thinking | ToolCall]:
    """Ours, of one block; blocks of other kinds are for the model alone."""
    match item:
        case {"type": "text", "text": str(text)}:
            yield Text(text)
        case {"type": "thinking", "thinking": str(text)} if text.strip():
            yield Thinking(text)
        case {"type": "tool_use", "id": str(id_), "name": str(name), "input": dict(arguments)} if (
            sound(arguments)
        ):
            yield ToolCall(id_, name, arguments)
        case {"type": "tool_use"}:
            raise ProviderBusy(f"{entry.name}: a tool call is none")
        case _:
            pass


def _usage(told: Mapping[str, Any]) -> Usage:
    def count(name: str) -> int:
        number = told.get(name)
        return number if isinstance(number, int) and number > 0 else 0

    cached, written = count("cache_read_input_tokens"), count("cache_creation_input_tokens")
    return Usage(count("input_tokens") + cached + written, count("output_tokens"), cached, written)


def _refusal(told: Mapping[str, Any]) -> str:
    details = told.get("stop_details") or {}
    return clean_line(
        str(details.get("explanation") or details.get("category") or "no reason given")
    )
