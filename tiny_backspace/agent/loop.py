"""The agent: ask, act, tell, until there is nothing left to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from tiny_backspace.agent.asking import Asked
from tiny_backspace.agent.budget import Budget
from tiny_backspace.agent.repetition import Repetitions
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Text,
    ToolCall,
    ToolResult,
    User,
)
from tiny_backspace.errors import (
    AgentError,
    LimitReached,
    Refused,
    Unfinished,
)
from tiny_backspace.events import Emit, Warned
from tiny_backspace.providers.interface import Provider

_ODD = 3  # answers in a row that cannot be acted on
_GO_ON = {
    "max_tokens": "Your answer was cut off before it was complete, and no tool was run. Go on, in smaller steps.",
    "unknown": "Your answer ended for a reason that is not known here, and no tool was run. Go on.",
}
_EMPTY = "Your answer was empty. Go on, or say in a few words what you did and that you are done."


class Journal(Protocol):
    """Who keeps the work after each turn."""

    def completed(self, conversation: tuple[Message, ...], *, acted: bool) -> None:
        """The turn is over; `acted` if the work tree may be another one now. Does not wait for the keeping."""
        ...

    def settle(self) -> None:
        """Wait until what was begun is kept: the work tree is about to change."""
        ...


@dataclass(frozen=True, slots=True)
class Agent:
    """Who works, with what, within which limits, and who keeps the work."""

    system: str
    provider: Provider
    toolbox: Toolbox
    budget: Budget
    journal: Journal


@dataclass(frozen=True, slots=True)
class Solution:
    """`summary` is what the model said last; `acted` that it used a tool before."""

    summary: str
    acted: bool
    conversation: tuple[Message, ...]


def solve(conversation: tuple[Message, ...], agent: Agent, emit: Emit) -> Solution:
    """Let the model work until it stops asking for tools.

    Raises:
        LimitReached: the budget is used up, or it goes round in circles. What was done stays in the sandbox.
        AgentError: the model refuses, or gives no answer that can be acted on.
        ProviderError: no provider answers.
    """
    asked, repetitions, odd, acted = Asked(agent, emit), Repetitions(), 0, False
    while True:
        told, (conversation, reply) = conversation, asked.about(conversation)
        if conversation is not told:
            repetitions.forget_looks()
        calls, said = reply.message.tool_calls, reply.message.said
        match reply.stop:
            case "refusal":
                raise Refused(f"{reply.provider} declined the task: {said}")
            case "unfinished":
                raise Unfinished(said)
            case "tool_use" | "end_turn" if calls:
                conversation = _acted((*conversation, reply.message), agent, repetitions, emit)
                odd, acted = 0, True
            case "end_turn" if said:
                conversation = (*conversation, reply.message)
                agent.journal.completed(conversation, acted=False)
                return Solution(said, acted, conversation)
            case "pause" if odd < _ODD and not calls:
                odd += 1
                conversation = (*conversation, reply.message)
            case _ if odd < _ODD:
                odd += 1
                go_on = User((Text(_GO_ON.get(reply.stop, _EMPTY)),))
                conversation = (*conversation, *_without_calls(reply.message), go_on)
            case _:
                raise AgentError(
                    f"{reply.provider} gave {odd + 1} answers in a row that cannot be acted on "
                    f"(the last one stopped with {reply.stop!r})"
                )


def _acted(
    conversation: tuple[Message, ...], agent: Agent, repetitions: Repetitions, emit: Emit
) -> tuple[Message, ...]:
    """Do what the last message asks for; the conversation with the results, as the journal keeps it."""
    asking = conversation[-1]
    calls = asking.tool_calls if isinstance(asking, Assistant) else ()
    acting = not all(map(agent.toolbox.reads, calls))
    if acting:
        agent.journal.settle()
    results: list[ToolResult] = []
    told = None
    try:
        for result in _act(calls, agent, emit):
            results.append(result)  # noqa: PERF402 - those before a limit count
        told = repetitions.saw(calls, results)
        if told:
            emit(Warned(message=f"The agent repeats itself, and was told: {told}"))
    except LimitReached as limit:  # what was done is kept: it is gone on with from here
        left = (ToolResult(c.id, f"not run: {limit}", is_error=True) for c in calls[len(results) :])
        agent.journal.completed((*conversation, User((*results, *left))), acted=acting)
        raise
    notes = (Text(told),) if told else ()
    conversation = (*conversation, User((*results, *notes)))
    agent.journal.completed(conversation, acted=acting)
    return conversation


def _without_calls(message: Assistant) -> tuple[Assistant, ...]:
    """What was said; a call that may be cut off is not remembered, nor is the reasoning that led to it."""
    said = tuple(part for part in message.parts if isinstance(part, Text) and part.text.strip())
    return (Assistant(said),) if said else ()


def _act(calls: Sequence[ToolCall], agent: Agent, emit: Emit) -> Iterator[ToolResult]:
    """The results in the order of the calls; neighbours that only read are done at the same time."""
    for reading, group in groupby(calls, key=agent.toolbox.reads):
        if reading:
            together = tuple(group)
            for _ in together:
                agent.budget.begin_tool_call()
            yield from agent.toolbox.call_together(together, emit)
        else:
            for call in group:
                agent.budget.begin_tool_call()
                yield agent.toolbox.call(call, emit)
