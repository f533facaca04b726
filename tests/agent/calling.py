"""One tool call in a test, and what it answered."""

from typing import Any

from tests.fakes import FakeSandbox
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import ToolCall, ToolResult
from tiny_backspace.events import Event, ThoughtDelta

Emitted = list[Event | ThoughtDelta]


def use(
    sandbox: FakeSandbox, tool: str, events: Emitted | None = None, **arguments: Any
) -> ToolResult:
    said: Emitted = [] if events is None else events
    return Toolbox(sandbox, command_timeout=300).call(ToolCall("c1", tool, arguments), said.append)


def refused(result: ToolResult) -> str:
    assert result.is_error
    return result.content


def answered(result: ToolResult) -> str:
    assert not result.is_error
    return result.content
