"""What a model says, as the three dialects stream it: one `bytes` for each server-sent event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.servers.script import Dialect, Json, Say, pieces, seal


def events(dialect: Dialect, body: Json, say: Say) -> list[bytes]:
    """The whole answer to a request."""
    match dialect:
        case "claude":
            return [_named(event["type"], event) for event in _claude(body, say)]
        case "openai":
            numbered = enumerate(_openai(body, say))
            return [_named(e["type"], e | {"sequence_number": n}) for n, e in numbered]
        case "chat":
            return [*(_data(chunk) for chunk in _chat(body, say)), b"data: [DONE]\n\n"]


def failure(dialect: Dialect, code: str, message: str) -> bytes:
    """An error that is told after the 200."""
    match dialect:
        case "claude":
            error = {"type": code or "overloaded_error", "message": message}
            return _named("error", {"type": "error", "error": error})
        case "openai":
            told = {"code": code or "server_error", "message": message, "param": None}
            return _named("error", {"type": "error", "sequence_number": 9, **told})
        case "chat":
            kind = "BadRequestError" if code.startswith("4") else "server_error"
            number = int(code) if code.isdecimal() else code or 500
            return _data({"error": {"message": message, "type": kind, "code": number}})


def _named(name: str, data: Json) -> bytes:
    return f"event: {name}\n".encode() + _data(data)


def _data(data: Json) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


# Anthropic Messages


def flat(messages: list[Json]) -> list[list[Any]]:
    """Role and block one after the other, as the API joins messages; cache marks mean nothing to it."""
    return [
        [message["role"], {k: v for k, v in block.items() if k != "cache_control"}]
        for message in messages
        for block in blocks(message["content"])
    ]


def blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def signature(body: Json, before: list[list[Any]], thinking: str, *, paused: bool) -> str:
    """Binds a thinking block to everything before it; tells also whether its message was paused."""
    sealed = seal(body["model"], body.get("system"), body.get("tools"), before, thinking)
    return f"{sealed}-paused" if paused else sealed


def _claude(body: Json, say: Say) -> Iterator[Json]:
    read, written = say.tokens
    quarter = read // 4
    usage = {
        "input_tokens": read - 2 * quarter,
        "cache_creation_input_tokens": quarter,
        "cache_read_input_tokens": quarter,
        "output_tokens": 1,
    }
    message = {"id": f"msg_{seal(body)[:8]}", "type": "message", "role": "assistant"}
    unsaid: Json = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield {"type": "message_start", "message": message | {"model": body["model"]} | unsaid}
    yield {"type": "ping"}
    if say.novelty:
        yield {"type": "novel_event", "novel": True}
    for index, (block, deltas) in enumerate(_claude_blocks(body, say)):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = say.stopped("claude") or ("tool_use" if say.calls else "end_turn")
    delta = {"stop_reason": stop, "stop_sequence": None}
    if stop == "refusal":
        why = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
        delta |= {"stop_details": why}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": written}}
    yield {"type": "message_stop"}


def _claude_blocks(body: Json, say: Say) -> Iterator[tuple[Json, list[Json]]]:
    if say.thinking:
        shown = body.get("thinking", {}).get("display") == "summarized"
        text = say.thinking if shown else ""
        signed = signature(body, flat(body["messages"]), text, paused=say.stop == "pause_turn")
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(text)]
        deltas.append({"type": "signature_delta", "signature": signed})
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if say.novelty:
        yield {"type": "novel_block", "novel": {"a": 1}}, [{"type": "novel_delta", "novel": 1}]
    if say.text:
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(say.text)]
        yield {"type": "text", "text": ""}, deltas
    for call in say.calls:
        deltas = [
            {"type": "input_json_delta", "partial_json": piece} for piece in ("", *call.pieces)
        ]
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, deltas


# OpenAI Responses


def encrypted(body: Json, before: list[Json]) -> str:
    """Binds a reasoning item to everything before it."""
    return seal(body["model"], body.get("instructions"), body.get("tools"), before)


def items(body: Json) -> list[Json]:
    given = body["input"]
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _openai(body: Json, say: Say) -> Iterator[Json]:
    name = seal(body)[:8]
    stop = say.stopped("openai")
    response: Json = {
        "id": f"resp_{name}", "object": "response", "created_at": 1, "model": body["model"],
        "status": "in_progress", "output": [], "parallel_tool_calls": True, "tool_choice": "auto",
        "tools": body.get("tools", []), "error": None, "incomplete_details": None, "usage": None,
    }  # fmt: skip
    yield {"type": "response.created", "response": response}
    yield {"type": "response.in_progress", "response": response}
    if say.novelty:
        yield {"type": "response.novel.delta", "novel": True}
    output = []
    for index, (item, begun, deltas) in enumerate(_openai_items(body, say, name)):
        place = {"output_index": index, "item_id": item["id"]}
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        for delta in deltas:
            yield place | delta
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
        output.append(item)
    read, written = say.tokens
    cached = {"cached_tokens": read // 4, "cache_write_tokens": read // 4}
    usage = {
        "input_tokens": read, "input_tokens_details": cached, "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": read + written,
    }  # fmt: skip
    done = response | {"output": output, "usage": usage}
    if stop is None or stop == "refusal":
        yield {"type": "response.completed", "response": done | {"status": "completed"}}
    elif stop.startswith("failed:"):
        error = {"code": stop.removeprefix("failed:"), "message": "It failed."}
        failed = {"status": "failed", "error": error, "output": []}
        yield {"type": "response.failed", "response": done | failed}
    else:
        cut = {"status": "incomplete", "incomplete_details": {"reason": stop}}
        yield {"type": "response.incomplete", "response": done | cut}


def _openai_items(body: Json, say: Say, name: str) -> Iterator[tuple[Json, Json, list[Json]]]:
    """Each item whole, as it begins, and the deltas between."""
    cut = "incomplete" if say.stop == "max_tokens" else "completed"
    if say.thinking:
        shown = "summary" in body.get("reasoning", {})
        summary = [{"type": "summary_text", "text": say.thinking}] if shown else []
        item: Json = {"id": f"rs_{name}", "type": "reasoning", "summary": summary}
        if "reasoning.encrypted_content" in body.get("include", ()):
            item["encrypted_content"] = encrypted(body, items(body))
        kind = "response.reasoning_summary_text.delta"
        deltas = [{"type": kind, "summary_index": 0, "delta": p} for p in pieces(say.thinking)]
        yield item, item | {"summary": [], "encrypted_content": "half"}, (deltas if shown else [])
    if say.novelty:
        novel = {"id": f"nv_{name}", "type": "novel_item", "novel": {"a": 1}}
        yield novel, novel, []
    if say.text or say.stop == "refusal":
        refused = say.stop == "refusal"
        kind = "response.refusal.delta" if refused else "response.output_text.delta"
        part = {"type": "refusal", "refusal": say.text} if refused else {
            "type": "output_text", "text": say.text, "annotations": [], "logprobs": [],
        }  # fmt: skip
        item = {"id": f"msg_{name}", "type": "message", "role": "assistant", "status": "completed"}
        more: dict[str, list[Any]] = {} if refused else {"logprobs": []}
        deltas = [{"type": kind, "content_index": 0, "delta": p} | more for p in pieces(say.text)]
        yield item | {"content": [part]}, item | {"content": [], "status": "in_progress"}, deltas
    for number, call in enumerate(say.calls):
        item = {
            "id": f"fc_{name}_{number}", "type": "function_call", "call_id": call.id,
            "name": call.name, "arguments": "".join(call.pieces), "status": cut,
        }  # fmt: skip
        kind = "response.function_call_arguments.delta"
        deltas = [{"type": kind, "delta": piece} for piece in call.pieces]
        yield item, item | {"arguments": "", "status": "in_progress"}, deltas


# Chat Completions


def _chat(body: Json, say: Say) -> Iterator[Json]:
    chunk = {"id": f"chatcmpl-{seal(body)[:8]}", "object": "chat.completion.chunk", "created": 1}
    chunk |= {"model": body["model"]}

    def told(delta: Json, reason: str | None = None) -> Json:
        return chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield told({"role": "assistant", "content": ""})
    if say.novelty:
        yield chunk | {"object": "chat.novel", "choices": [], "novel": True}
        yield told({"novel": {"a": 1}})
    for piece in pieces(say.thinking):
        yield told({"reasoning": piece})
    for piece in pieces(say.text):
        yield told({"content": piece})
    for index, call in enumerate(say.calls):
        function = {"name": call.name, "arguments": ""}
        begun = {"index": index, "id": call.id, "type": "function", "function": function}
        yield told({"tool_calls": [begun]})
        for piece in call.pieces:
            yield told({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield told({}, say.stopped("chat") or ("tool_calls" if say.calls else "stop"))
    if body.get("stream_options", {}).get("include_usage"):
        read, written = say.tokens
        usage = {"prompt_tokens": read, "completion_tokens": written}
        usage |= {"total_tokens": read + written}
        cached = {"prompt_tokens_details": {"cached_tokens": read // 4}}
        yield chunk | {"choices": [], "usage": usage | cached}
