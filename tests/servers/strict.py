"""What the vendors refuse and a client could get wrong; above all, a history that was changed.

Each dialect has a function that says what is wrong with a request, or None.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.servers.script import Dialect, Json
from tests.servers.sse import encrypted, items
from tests.servers.strict_claude import EFFORTS, NAME, claude, common, unknown

_OPENAI_KEYS = {
    "model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "store",
    "include", "reasoning", "max_output_tokens", "stream", "stream_options", "prompt_cache_key",
    "prompt_cache_options", "metadata", "text", "truncation", "service_tier", "safety_identifier",
}  # fmt: skip
_ITEM_KEYS = {
    "message": {"id", "role", "content", "status", "phase"},
    "reasoning": {"id", "summary", "content", "encrypted_content", "status"},
    "function_call": {"id", "call_id", "name", "arguments", "status", "namespace"},
    "function_call_output": {"id", "call_id", "output", "status"},
    "novel_item": {"id", "novel"},
}
_CHAT_KEYS = {
    "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options",
    "max_tokens", "max_completion_tokens", "reasoning_effort", "stop", "seed",
}  # fmt: skip


def objection(dialect: Dialect, body: Json) -> str | None:
    """The first thing that is wrong with a request."""
    check = {"claude": claude, "openai": _openai, "chat": _chat}[dialect]
    return next(check(body), None)


def turn(dialect: Dialect, body: Json) -> int:
    """How many answers the conversation has already, and one."""
    if dialect == "openai":
        ours = [_said_by_model(item) for item in items(body)]
        return 1 + sum(now and not last for last, now in zip([False, *ours], ours, strict=False))
    return 1 + [message["role"] for message in body["messages"]].count("assistant")


def _said_by_model(item: Json) -> bool:
    if item.get("type") == "function_call_output":
        return False
    return bool(item.get("role", "assistant") == "assistant")


# OpenAI Responses


def _openai(body: Json) -> Iterator[str]:
    for sampling in body.keys() & {"temperature", "top_p"}:
        yield f"Unsupported parameter: '{sampling}' is not supported with this model."
    yield from common(body, _OPENAI_KEYS)
    if body.get("store") is not False:
        yield "store: nothing may be stored"
    if body.get("max_output_tokens", 16) < 16:
        yield "Invalid 'max_output_tokens': integer below minimum value. Expected >= 16"
    if body.get("reasoning", {}).get("effort", "low") not in EFFORTS:
        yield "Unsupported value: 'reasoning.effort' is not supported with this model."
    if len(body.get("prompt_cache_key", "")) > 64:
        yield "Invalid 'prompt_cache_key': string too long. Expected a maximum length of 64"
    for number, tool in enumerate(body.get("tools", [])):
        known = {"type", "name", "description", "parameters", "strict"}
        yield from unknown(f"tools[{number}].", tool, known)
        if tool.get("type") != "function" or not NAME.fullmatch(tool.get("name", "")):
            yield f"Missing required parameter: 'tools[{number}].name'."
    if not body.get("input"):
        yield "Missing required parameter: 'input'."
        return
    given = items(body)
    for number, item in enumerate(given):
        yield from _openai_item(body, given, number, item)
    yield from _openai_pairs(given)


def _openai_item(body: Json, given: list[Json], number: int, item: Json) -> Iterator[str]:
    kind, place = item.get("type", "message"), f"input[{number}]"
    if kind not in _ITEM_KEYS:
        yield f"Invalid value: '{kind}' for '{place}.type'."
        return
    yield from unknown(f"{place}.", item, _ITEM_KEYS[kind] | {"type"})
    match kind:
        case "message":
            yield from _openai_message(place, item)
        case "function_call" | "function_call_output":
            yield from _openai_call(place, item)
        case "reasoning":
            if item.get("encrypted_content") is None:
                yield f"Item with id '{item['id']}' not found: items are not persisted when `store` is false."
            elif item["encrypted_content"] != encrypted(body, given[:number]):
                yield f"The encrypted content for item {item['id']} could not be verified: its prefix is another one."
            if number + 1 == len(given) or given[number + 1].get("role") == "user":
                yield f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."


def _openai_call(place: str, item: Json) -> Iterator[str]:
    if not 1 <= len(item["call_id"]) <= 64:
        yield f"Invalid '{place}.call_id': string too long. Expected a maximum length of 64"
    if not NAME.fullmatch(item.get("name", "x")):
        yield f"Invalid '{place}.name': string does not match pattern."
    text = item["arguments" if item["type"] == "function_call" else "output"]
    if not isinstance(text, str):
        yield f"Invalid type for '{place}': expected a string."


def _openai_message(place: str, item: Json) -> Iterator[str]:
    role = item.get("role")
    if role not in {"user", "assistant", "system", "developer"}:
        yield f"Invalid value: '{role}' for '{place}.role'."
    if not item["content"]:
        yield f"Invalid '{place}.content': it is empty."
    if isinstance(item["content"], str):
        return
    fitting = {"output_text", "refusal"} if role == "assistant" else {"input_text"}
    for part in item["content"]:
        if part["type"] not in fitting:
            yield f"Invalid value: '{part['type']}' for '{place}.content[].type'."


def _openai_pairs(given: list[Json]) -> Iterator[str]:
    """A call is answered before the user or the model goes on; nothing else is answered."""
    open_calls: list[Any] = []
    for item in given:
        match item.get("type"):
            case "function_call":
                open_calls.append(item["call_id"])
            case "function_call_output":
                if item["call_id"] not in open_calls:
                    yield f"No tool call found for function call output with call_id {item['call_id']}."
                    return
                open_calls.remove(item["call_id"])
            case _:
                if open_calls and item.get("role") == "user":
                    break
    if open_calls:
        yield f"No tool output found for function call {open_calls[0]}."


# Chat Completions


def _chat(body: Json) -> Iterator[str]:
    yield from common(body, _CHAT_KEYS)
    if not body.get("messages"):
        yield "messages: must not be empty"
    for number, tool in enumerate(body.get("tools", [])):
        if tool.get("type") != "function" or not NAME.fullmatch(tool["function"].get("name", "")):
            yield f"Missing required parameter: 'tools[{number}].function'."
    if body.get("messages") and body["messages"][-1]["role"] == "assistant":
        yield "messages: the last one must not be the assistant's"
    yield from _chat_messages(body.get("messages", []))


def _chat_messages(messages: list[Json]) -> Iterator[str]:
    asked: list[str] = []
    known = {"role", "content", "tool_calls", "tool_call_id", "name"}
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        yield from unknown(f"{place}.", message, known)
        if message["role"] == "tool":
            if message["tool_call_id"] not in asked:
                yield f"{place}: messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                return
            asked.remove(message["tool_call_id"])
            continue
        if asked:
            yield f"{place}: An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id': {asked}"
        yield from _chat_message(place, number, message)
        asked = [call["id"] for call in message.get("tool_calls", [])]
        if len(set(asked)) < len(asked):
            yield f"{place}: 'tool_calls' ids must be unique"
    if asked:
        yield f"messages: tool calls without a response: {asked}"


def _chat_message(place: str, number: int, message: Json) -> Iterator[str]:
    role = message["role"]
    if role not in {"system", "user", "assistant"} or (role == "system" and number):
        yield f"Invalid value: '{role}' for '{place}.role'."
    if "tool_calls" in message and not message["tool_calls"]:
        yield f"Invalid '{place}.tool_calls': empty array."
    if not message.get("content") and not message.get("tool_calls"):
        yield f"{place}: content is required"
    for call in message.get("tool_calls", []):
        if not _is_object(call["function"]["arguments"]):
            yield f"{place}: the arguments of {call['id']} are not a JSON object"


def _is_object(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False
