"""The vendors' own clients, asking the loopback models."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2
import openai

from tests.servers.models import KEY, Call, ModelServer, Say

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


def said_by_claude(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}
