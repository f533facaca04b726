"""What the agent needs from a model."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Protocol

from tiny_backspace.conversation import Message, Reply, ToolSpec
from tiny_backspace.events import Emit


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One turn's question. `until` is when the answer is no longer wanted, as `time.monotonic` has it;
    `tokens` is about how many the question has, if that is known.
    """

    system: str
    conversation: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    turn: int = 1
    until: float = inf
    tokens: int = 0


class Provider(Protocol):
    @property
    def name(self) -> str:
        """The name it has in the settings: claude, openai, dummy."""
        ...

    @property
    def model(self) -> str: ...

    @property
    def window(self) -> int | None:
        """The most tokens it takes, its answer included; None where that is no matter."""
        ...

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """Answer the conversation so far. What is thought meanwhile is emitted as `ThoughtDelta`.

        Raises:
            ContextOverflow: the conversation is longer than the window.
            ProviderError: the call failed; `ProviderBusy` if trying again may help.
        """
        ...
