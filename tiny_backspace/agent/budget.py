"""What a run may use up: turns, tool calls, time, tokens, money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from tiny_backspace.conversation import Reply, Usage
from tiny_backspace.errors import LimitReached


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one run. `seconds` is wall-clock time; `tokens` counts those read and those written."""

    turns: int = 60
    tool_calls: int = 200
    seconds: float = 1800
    cost_usd: float = 5.0
    tokens: int = 10_000_000


class Budget:
    """What the run has left, over all its conversations. Asked before money or time is spent."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self.until = clock() + limits.seconds
        self._turns = 0
        self._tool_calls = 0
        self._cost = 0.0
        self._usage = Usage()
        self._unpriced: set[str] = set()

    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.until - self._clock())

    @property
    def turn(self) -> int:
        return self._turns

    def begin_turn(self) -> None:
        """Raises LimitReached if there is no other turn, no time, or nothing left to spend."""
        self.check_time()
        limits = self._limits
        if self._turns >= limits.turns:
            raise LimitReached(
                f"the task was not done in {limits.turns} turn{'s' if limits.turns > 1 else ''}",
                hint="Raise --max-turns.",
            )
        if self._cost >= limits.cost_usd:
            raise LimitReached(
                f"the task was not done for ${limits.cost_usd:g}: ${self._cost:.4f} are spent",
                hint="Raise --max-cost.",
            )
        used = self._usage.input_tokens + self._usage.output_tokens
        if used >= limits.tokens:
            raise LimitReached(
                f"the task was not done with {limits.tokens} tokens: {used} are used",
                hint="Raise --max-tokens.",
            )
        self._turns += 1

    def begin_tool_call(self) -> None:
        """Raises LimitReached if there is no other tool call, or no time for it."""
        self.check_time()
        if self._tool_calls >= self._limits.tool_calls:
            raise LimitReached(
                f"the task was not done in {self._limits.tool_calls} tool calls",
                hint="Raise --max-tool-calls.",
            )
        self._tool_calls += 1

    def check_time(self) -> None:
        """Raises LimitReached if the time is over."""
        if self._clock() >= self.until:
            raise LimitReached(
                f"the run took longer than {self._limits.seconds:g} s",
                hint="Raise --timeout.",
            )

    def spend(self, reply: Reply, estimate: int = 0) -> bool:
        """Count what an answer used; whether it is its model's first without a known price.

        One without a known price counts by its tokens alone. A server that tells no tokens is taken
        to have read as many as we estimate.
        """
        self._cost += reply.cost_usd or 0.0
        told = reply.usage.input_tokens + reply.usage.output_tokens
        self._usage += reply.usage if told else Usage(estimate)
        if reply.cost_usd is not None or reply.model in self._unpriced:
            return False
        self._unpriced.add(reply.model)
        return True
