"""A conversation with a model, in nobody's dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """`opaque` is whatever the provider wants back unchanged (a signature, say)."""

    text: str
    opaque: Any = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    call_id: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """The first one of a run is (Text(request), Text(repository facts)): the user's words alone, then ours."""

    parts: tuple[Text | ToolResult, ...]


@dataclass(frozen=True, slots=True)
class Assistant:
    parts: tuple[Text | Thinking | ToolCall, ...]

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def said(self) -> str:
        """What it says in plain words, thinking left out."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, Text)).strip()


Message: TypeAlias = User | Assistant


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input_tokens` is everything that was read, the cached part included."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )


Stop: TypeAlias = Literal["end_turn", "tool_use", "max_tokens", "refusal"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One model turn. `cost_usd` is None where the price is not known."""

    message: Assistant
    stop: Stop
    provider: str
    model: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    name: str
    description: str
    schema: dict[str, Any]
