"""The agent: ask, act, tell, until there is nothing left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import Assistant, Message, Reply, Text, Thinking, ToolCall, User
from tiny_backspace.errors import AgentError, LimitReached
from tiny_backspace.events import AgentThought, Emit, ModelTurn, ThoughtStep
from tiny_backspace.providers.interface import Provider

_EDITING = frozenset(("edit", "write", "bash"))
_CUT_OFF = "Your answer was cut off before it was complete. Go on, in smaller steps."


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one run. `seconds` is wall-clock time."""

    turns: int = 60
    tool_calls: int = 200
    seconds: float = 1800


class Budget:
    """What the run has left, over all its conversations. Asked before money or time is spent."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._until = clock() + limits.seconds
        self._turns = 0
        self._tool_calls = 0

    @property
    def turn(self) -> int:
        return self._turns

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._until - self._clock())

    def begin_turn(self) -> None:
        """Raises LimitReached if there is no other turn, or no time."""
        if not self.seconds_left:
            raise LimitReached(
                f"the run took longer than {self._limits.seconds:g} s", hint="Raise --timeout."
            )
        if self._turns >= self._limits.turns:
            raise LimitReached(
                f"the task was not done in {self._limits.turns} turns", hint="Raise --max-turns."
            )
        self._turns += 1

    def begin_tool_call(self) -> None:
        if self._tool_calls >= self._limits.tool_calls:
            raise LimitReached(
                f"the task was not done in {self._limits.tool_calls} tool calls",
                hint="Raise --max-tool-calls.",
            )
        self._tool_calls += 1


@dataclass(frozen=True, slots=True)
class Solution:
    """`summary` is what the model said last."""

    summary: str
    conversation: tuple[Message, ...]


def solve(
    conversation: Sequence[Message],
    system: str,
    provider: Provider,
    toolbox: Toolbox,
    budget: Budget,
    emit: Emit,
) -> Solution:
    """Let the model work until it stops asking for tools.

    Raises:
        LimitReached: the budget is used up. What was done stays in the sandbox.
        AgentError: the model refuses.
        ProviderError: no provider answers.
    """
    messages = list(conversation)
    while True:
        budget.begin_turn()
        reply = _ask(messages, system, provider, toolbox, budget, emit)
        calls = reply.message.tool_calls
        match reply.stop:
            case "refusal":
                raise AgentError(f"{reply.provider} declined the task: {reply.message.said}")
            case "max_tokens":
                said = tuple(p for p in reply.message.parts if not isinstance(p, ToolCall))
                messages += [Assistant(said), User((Text(_CUT_OFF),))]
            case "end_turn" if not calls:
                messages.append(reply.message)
                return Solution(reply.message.said, tuple(messages))
            case "end_turn" | "tool_use":
                messages.append(reply.message)
                results = []
                for call in calls:
                    budget.begin_tool_call()
                    results.append(toolbox.call(call, emit))
                messages.append(User(tuple(results)))


def _ask(
    messages: Sequence[Message],
    system: str,
    provider: Provider,
    toolbox: Toolbox,
    budget: Budget,
    emit: Emit,
) -> Reply:
    start = monotonic()
    reply = provider.reply(system, messages, toolbox.specs, emit)
    emit(
        ModelTurn(
            provider=reply.provider,
            model=reply.model,
            turn=budget.turn,
            stop=reply.stop,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            cached_tokens=reply.usage.cached_tokens,
            cost_usd=reply.cost_usd,
            duration_ms=round((monotonic() - start) * 1000, 3),
        )
    )
    for part in reply.message.parts:
        if isinstance(part, Text | Thinking) and part.text.strip():
            emit(AgentThought(step=_about(reply.message, budget.turn), message=part.text.strip()))
    return reply


def _about(message: Assistant, turn: int) -> ThoughtStep:
    """Which of the contract's words fits a thought: by what the model does with it."""
    if turn == 1:
        return "prompt_interpretation"
    if not message.tool_calls:
        return "validation"
    editing = any(call.name in _EDITING for call in message.tool_calls)
    return "code_generation" if editing else "file_analysis"
