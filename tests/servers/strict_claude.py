"""What the Messages API refuses and a client could get wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.servers.script import Json
from tests.servers.sse import blocks, flat, signature

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
EFFORTS = {"low", "medium", "high", "xhigh", "max"}
_CLAUDE_KEYS = {
    "model", "max_tokens", "system", "messages", "tools", "tool_choice", "thinking", "stream",
    "output_config", "cache_control", "metadata", "stop_sequences", "service_tier",
}  # fmt: skip
_BLOCK_KEYS = {
    "text": {"text", "citations"},
    "thinking": {"thinking", "signature"},
    "tool_use": {"id", "name", "input", "caller"},
    "tool_result": {"tool_use_id", "content", "is_error"},
    "novel_block": {"novel"},
}


def unknown(where: str, given: Json, known: set[str]) -> Iterator[str]:
    for key in given.keys() - known:
        yield f"{where}{key}: Extra inputs are not permitted"


def common(body: Json, keys: set[str]) -> Iterator[str]:
    yield from unknown("", body, keys)
    if not isinstance(body.get("model"), str):
        yield "model: Field required"
    if body.get("stream") is not True:
        yield "stream: this server only streams"


def claude(body: Json) -> Iterator[str]:
    for sampling in body.keys() & {"temperature", "top_p", "top_k"}:
        yield f"{sampling}: sampling parameters are not supported by this model"
    yield from common(body, _CLAUDE_KEYS)
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        yield "max_tokens: Field required"
    if body.get("tool_choice", {}).get("type", "auto") not in {"auto", "none"}:
        yield "tool_choice: forced tool use is not supported by this model"
    if body.get("thinking", {"type": "adaptive"}).get("type") != "adaptive":
        yield "thinking.type: only adaptive is supported by this model"
    if body.get("output_config", {}).get("effort", "low") not in EFFORTS:
        yield "output_config.effort: Input should be low, medium, high, xhigh or max"
    tools = body.get("tools", [])
    if len({tool["name"] for tool in tools}) < len(tools):
        yield "tools: Tool names must be unique."
    for number, tool in enumerate(tools):
        yield from unknown(
            f"tools.{number}.",
            tool,
            {"name", "description", "input_schema", "cache_control", "type"},
        )
        if tool["input_schema"].get("type") != "object":
            yield f"tools.{number}.input_schema.type: Field required"
    if "system" in body and not body["system"]:
        yield "system: must not be empty"
    yield from _claude_messages(body)


def _claude_messages(body: Json) -> Iterator[str]:
    messages = body.get("messages") or []
    if not messages or messages[0]["role"] != "user":
        yield "messages: first message must use the `user` role"
    for number, message in enumerate(messages):
        place = f"messages.{number}"
        if message["role"] not in {"user", "assistant"}:
            yield f"{place}.role: Input should be user or assistant"
        if not message["content"]:
            yield f"{place}: all messages must have non-empty content"
        for at, block in enumerate(blocks(message["content"])):
            yield from _claude_block(f"{place}.content.{at}", block)
        yield from _claude_pairs(place, message, messages[number - 1] if number else None)
    yield from _claude_end(messages)
    yield from _claude_thinking(body)


def _claude_block(place: str, block: Json) -> Iterator[str]:
    kind = block["type"]
    if kind not in _BLOCK_KEYS:
        yield f"{place}.type: Input tag {kind!r} is not known"
        return
    yield from unknown(f"{place}.{kind}.", block, _BLOCK_KEYS[kind] | {"type", "cache_control"})
    if kind == "text" and not (isinstance(block["text"], str) and block["text"].strip()):
        yield f"{place}: text content blocks must contain non-whitespace text"
    if kind == "tool_use":
        if not NAME.fullmatch(block["id"]):
            yield f"{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        if not NAME.fullmatch(block["name"]):
            yield f"{place}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
        if not isinstance(block["input"], dict):
            yield f"{place}.tool_use.input: Input should be a valid dictionary"
    if kind == "tool_result" and not isinstance(block.get("content", ""), str):
        for part in block["content"]:
            yield from _claude_block(f"{place}.tool_result", part)


def _claude_pairs(place: str, message: Json, before: Json | None) -> Iterator[str]:
    """Calls of the message before are answered here, all of them, first, and nothing else is."""
    content = blocks(message["content"])
    called = (
        [b["id"] for b in blocks(before["content"]) if b["type"] == "tool_use"] if before else []
    )
    answered = [b["tool_use_id"] for b in content if b["type"] == "tool_result"]
    if len(set(called)) < len(called):
        yield f"{place}: `tool_use` ids must be unique"
    if missing := [call for call in called if call not in answered]:
        yield (
            f"{place}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}"
        )
    if message["role"] == "user" and sorted(answered) != sorted(called):
        yield f"{place}: unexpected `tool_use_id` found in `tool_result` blocks: {answered}"
    first = [block["type"] == "tool_result" for block in content]
    if first != sorted(first, reverse=True):
        yield f"{place}: `tool_result` blocks must come first in the content"


def _claude_end(messages: list[Json]) -> Iterator[str]:
    last = messages[-1]
    if last["role"] != "assistant":
        return
    content = blocks(last["content"])
    if any(block["type"] == "tool_use" for block in content):
        yield "messages: `tool_use` ids were found without `tool_result` blocks immediately after"
    if not any(str(block.get("signature")).endswith("-paused") for block in content):
        yield "This model does not support assistant message prefill."


def _claude_thinking(body: Json) -> Iterator[str]:
    whole = flat(body["messages"])
    for at, (role, block) in enumerate(whole):
        if block["type"] != "thinking":
            continue
        if role != "assistant":
            yield f"block {at}: `thinking` blocks belong to the assistant"
        paused = block["signature"].endswith("-paused")
        if block["signature"] != signature(body, whole[:at], block["thinking"], paused=paused):
            yield (
                f"block {at}: Invalid `signature` in `thinking` block: it or what comes before it "
                "(model, system, tools, messages) is not what it was when it was thought"
            )
