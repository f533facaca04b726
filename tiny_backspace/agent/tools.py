"""The six tools, and the toolbox that runs them for a model and says so in events."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from math import inf
from time import perf_counter
from typing import Any

from pydantic import ValidationError

from tiny_backspace.agent.clip import clip
from tiny_backspace.agent.commands import Bash, Glob, Grep, bash, glob, grep
from tiny_backspace.agent.files import Edit, Read, Write, edit, read, write
from tiny_backspace.agent.tool import ANSWER_BYTES, Output, Tool, ToolError
from tiny_backspace.agent.tracked import tracked_and_ignored
from tiny_backspace.conversation import ToolCall, ToolResult, ToolSpec
from tiny_backspace.errors import SandboxError
from tiny_backspace.events import Emit, ToolCalled, ToolFinished
from tiny_backspace.redact import Redact, each_text
from tiny_backspace.sandbox.interface import Sandbox

_ARGUMENT = 2000  # bytes of one text in the record of a call
_ARGUMENTS = 16_000  # characters of all of them, as JSON
_EXCERPT = 1000
_DIFF = 4000
_NAME = 200
_READING = frozenset(("read", "glob", "grep"))
_AT_ONCE = 4


class Toolbox:
    """The tools of one run, bound to its sandbox. Calls may come from several threads.

    `command_timeout` is the longest a `bash` command may take, in seconds, whatever the model asks for;
    `left` tells how many the run has left, which no command outlives. What is told in events goes
    through `redact` before it is cut: half of a secret is recognised by nobody.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        command_timeout: float,
        *,
        left: Callable[[], float] = lambda: inf,
        timer: Callable[[], float] = perf_counter,
        redact: Redact = str,
    ) -> None:
        hidden = cache(partial(tracked_and_ignored, sandbox))  # as the base has them
        tools: tuple[Tool[Any], ...] = (
            Tool(Bash, partial(bash, at_most=lambda: max(1.0, min(command_timeout, left())))),
            Tool(Read, read),
            Tool(Write, write),
            Tool(Edit, edit),
            Tool(Glob, partial(glob, hidden=hidden)),
            Tool(Grep, partial(grep, hidden=hidden)),
        )
        self._sandbox = sandbox
        self._timer = timer
        self._redact = redact
        self._tools = {tool.name: tool for tool in tools}

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._tools.values())

    def call(self, call: ToolCall, emit: Emit) -> ToolResult:
        """Do what the model asks for; whatever it asked wrongly is an answer it can act on.

        Raises:
            SandboxLost: there is nowhere left to do it.
        """
        name = clip(call.name, _NAME)
        call_id = call.id[:_NAME]
        emit(ToolCalled(id=call_id, tool=name, arguments=self._told(call.arguments)))
        start = self._timer()
        try:
            output, failed = self._run(call), False
        except ToolError as error:
            output, failed = Output(str(error), ok=False), True
        duration = self._timer() - start
        for event in output.events:
            shown = {
                "description": self._cut(event.description, _EXCERPT),
                "diff": self._cut(event.diff, _DIFF),
            }
            emit(event.model_copy(update=shown))
        emit(
            ToolFinished(
                id=call_id,
                tool=name,
                ok=output.ok,
                exit_code=output.exit_code,
                duration_ms=round(duration * 1000, 3),
                size=len(output.text.encode("utf-8", "replace")),
                excerpt=self._cut(output.text, _EXCERPT),
            )
        )
        said = clip(output.text, ANSWER_BYTES).replace("\0", "\ufffd")  # some servers take no NUL
        return ToolResult(call.id, said, is_error=failed)

    def _cut(self, text: str, size: int) -> str:
        """At most `size` bytes of it. What is cut through before the redaction is cut out after it."""
        return clip(self._redact(clip(text, 16 * size)), size)

    def _told(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as a record shows them."""
        told: dict[str, Any] = each_text(arguments, lambda text: self._cut(text, _ARGUMENT))
        written = json.dumps(told, ensure_ascii=False)
        return told if len(written) <= _ARGUMENTS else {"…": self._cut(written, _ARGUMENT)}

    def reads(self, call: ToolCall) -> bool:
        """Whether the call leaves the work tree as it is, so that others may go on beside it."""
        return call.name in _READING

    def call_together(self, calls: Sequence[ToolCall], emit: Emit) -> list[ToolResult]:
        """Do calls that only read, at the same time; the results come in the order of the calls."""
        if len(calls) == 1:
            return [self.call(calls[0], emit)]
        pool = ThreadPoolExecutor(_AT_ONCE, "tool")
        try:
            return list(pool.map(lambda call: self.call(call, emit), calls))
        except BaseException:
            with suppress(
                SandboxError
            ):  # its sweep ends those that hang, which hold all the sessions
                self._sandbox.exec(["true"], timeout=1)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # whoever interrupts does not wait

    def _run(self, call: ToolCall) -> Output:
        if call.malformed:
            raise ToolError(
                f"{call.name} was not run: its arguments are not a JSON object. They came as: "
                f"{clip(call.malformed, _EXCERPT)}"
            )
        tool = self._tools.get(call.name)
        if tool is None:
            raise ToolError(f"there is no tool {call.name!r}; use {', '.join(self._tools)}")
        try:
            args = tool.args.model_validate(call.arguments)
        except ValidationError as error:
            raise ToolError(_wrong(tool, error)) from error
        return tool.run(self._sandbox, args)


def _wrong(tool: Tool[Any], error: ValidationError) -> str:
    """What is wrong with the arguments, without pydantic's links and echoes."""
    faults = "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    )
    return f"{tool.name} was not run: {faults}. It takes {', '.join(tool.args.model_fields)}"
