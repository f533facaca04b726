"""What the agent needs from a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tiny_backspace.conversation import Message, Reply, ToolSpec
from tiny_backspace.events import Emit


class Provider(Protocol):
    @property
    def name(self) -> str:
        """The name it has in the settings: claude, openai, dummy."""
        ...

    @property
    def model(self) -> str: ...

    def reply(
        self, system: str, conversation: Sequence[Message], tools: Sequence[ToolSpec], emit: Emit
    ) -> Reply:
        """Answer the conversation so far.

        Raises:
            ProviderError: the call failed; `ProviderBusy` if trying again may help.
        """
        ...
