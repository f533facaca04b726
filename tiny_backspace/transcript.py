"""A conversation as JSON text and back: for what is kept of it on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, get_args

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

_OURS: tuple[type[Any], ...] = (Text, ToolResult)
_THEIRS: tuple[type[Any], ...] = (Text, Thinking, ToolCall)
# The fields of parts that are no text.
_TYPES: dict[str, type] = {"arguments": dict, "is_error": bool}


def dump(messages: Iterable[Message]) -> str:
    """One line of JSON; text that is no UTF-8 comes back as it was."""
    return json.dumps([_message(message) for message in messages], separators=(",", ":"))


def load(text: str) -> tuple[Message, ...]:
    """What `dump` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        match json.loads(text):
            case list(messages):
                return tuple(map(_loaded, messages))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"this is no conversation: {error!r}") from error
    raise ValueError("this is no conversation: it is no list")


def dump_reply(reply: Reply) -> str:
    """One line of JSON, as `dump`."""
    fields = _fields(reply) | {"message": _message(reply.message), "usage": _fields(reply.usage)}
    return json.dumps(fields, separators=(",", ":"))


def load_reply(text: str) -> Reply:
    """What `dump_reply` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        match json.loads(text):
            case {
                "message": dict(message),
                "stop": stop,
                "provider": str(provider),
                "model": str(model),
                "usage": dict(usage),
                "cost_usd": None | int() | float() as cost,
                **rest,
            } if stop in get_args(Stop) and not rest:
                said = _assistant(message)
                return Reply(said, stop, provider, model, _usage(usage), cost)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"this is no reply: {error!r}") from error
    raise ValueError("this is no reply: its fields are others")


def _fields(data: Any) -> dict[str, Any]:  # noqa: ANN401 - any of our dataclasses
    """Not `asdict`, which copies what a model made up, however deep, all the way down."""
    return {field.name: getattr(data, field.name) for field in fields(data)}


def _message(message: Message) -> dict[str, Any]:
    parts = [{"is": type(part).__name__, **_fields(part)} for part in message.parts]
    if isinstance(message, User):
        return {"user": parts}
    opaque = _fields(message.opaque) if message.opaque else None
    return {"assistant": parts, "opaque": opaque}


def _loaded(item: dict[str, Any]) -> Message:
    match item:
        case {"user": list(parts), **rest} if not rest:
            return User(tuple(_part(part, _OURS) for part in parts))
    return _assistant(item)


def _assistant(item: dict[str, Any]) -> Assistant:
    match item:
        case {"assistant": list(parts), "opaque": opaque, **rest} if not rest:
            return Assistant(tuple(_part(part, _THEIRS) for part in parts), _opaque(opaque))
    raise TypeError("a message is the user's or the assistant's")


def _usage(counts: dict[str, Any]) -> Usage:
    if not all(type(count) is int for count in counts.values()):
        raise TypeError("tokens are counted")
    return Usage(**counts)


def _opaque(item: object) -> Opaque | None:
    match item:
        case None:
            return None
        case {"owner": str(owner), "items": list(items), **rest} if not rest:
            if all(isinstance(item, dict) for item in items):
                return Opaque(owner, tuple(items))
    raise TypeError("what is opaque has an owner and items")


def _part(item: dict[str, Any], kinds: tuple[type[Any], ...]) -> Any:  # noqa: ANN401 - one of the kinds
    named = {kind.__name__: kind for kind in kinds}
    kind = named[item["is"]]
    given = {name: value for name, value in item.items() if name != "is"}
    for name, value in given.items():
        if not isinstance(value, _TYPES.get(name, str)):
            raise TypeError(f"{name} is of another kind")
    return kind(**given)
