"""An agent at work in a test: what it is asked, what it says, and who keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fakes import FakeSandbox
from tiny_backspace.agent.budget import Budget, Limits
from tiny_backspace.agent.loop import Agent, Solution, solve
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Reply,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    User,
)
from tiny_backspace.errors import ProviderError
from tiny_backspace.events import Emit, Event, ThoughtDelta
from tiny_backspace.providers.interface import ModelRequest, Provider

TASK: tuple[Message, ...] = (User((Text("do it"), Text("facts"))),)
Said = list[Event | ThoughtDelta]
USUAL = Limits()


def write(path: str, call: str = "c") -> ToolCall:
    return ToolCall(call, "write", {"path": path, "content": path, "description": "because"})


def read(path: str, call: str = "r") -> ToolCall:
    return ToolCall(call, "read", {"path": path})


def bash(command: str, call: str = "b") -> ToolCall:
    return ToolCall(call, "bash", {"command": command})


def says(text: str, *calls: ToolCall) -> Assistant:
    return Assistant((Text(text), *calls))


DONE = says("done")
Answer = tuple[Assistant, Stop] | ProviderError


@dataclass
class Stopping:
    """Answers with these, each with its own reason to stop; `counts` are the tokens it says it read."""

    script: list[Answer]
    cost: float | None = 0.25
    window: int | None = None
    counts: Callable[[ModelRequest], int] | None = None
    name: str = "stopping"
    model: str = "m"
    asked: list[ModelRequest] = field(default_factory=list)

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        self.asked.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, ProviderError):
            raise answer
        usage = Usage(self.counts(request), 1) if self.counts else Usage(10, 2, 5)
        return Reply(*answer, self.name, self.model, usage, cost_usd=self.cost)


@dataclass
class Notes:
    """A journal that remembers in which order it was told what, beside what else happens."""

    log: list[str] = field(default_factory=list)
    kept: list[tuple[Message, ...]] = field(default_factory=list)

    def completed(self, conversation: tuple[Message, ...], *, acted: bool) -> None:
        self.log.append("acted" if acted else "looked")
        self.kept.append(conversation)

    def settle(self) -> None:
        self.log.append("settled")


def agent(
    provider: Provider,
    sandbox: FakeSandbox | None = None,
    budget: Budget | None = None,
    journal: Notes | None = None,
) -> Agent:
    return Agent(
        "system",
        provider,
        Toolbox(sandbox or FakeSandbox(), 60),
        budget or Budget(USUAL),
        journal or Notes(),
    )


def work(
    provider: Provider,
    sandbox: FakeSandbox | None = None,
    limits: Limits = USUAL,
    said: Said | None = None,
    journal: Notes | None = None,
) -> Solution:
    emit: Said = [] if said is None else said
    return solve(TASK, agent(provider, sandbox, Budget(limits), journal), emit.append)


def results(message: Message) -> list[ToolResult]:
    return [part for part in message.parts if isinstance(part, ToolResult)]


def notes(message: Message) -> list[str]:
    return [part.text for part in message.parts if isinstance(part, Text)]
