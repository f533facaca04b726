"""A conversation with a model, in nobody's dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`malformed` is what came instead of arguments, if that was no JSON object; it is never run."""

    id: str
    name: str
    arguments: dict[str, Any]
    malformed: str = ""


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
class Opaque:
    """A message in the form in which its model wants it back, unchanged: signatures, encrypted reasoning.

    `owner` is `name:model`; to everybody else the items mean nothing.
    """

    owner: str
    items: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Assistant:
    parts: tuple[Text | Thinking | ToolCall, ...]
    opaque: Opaque | None = None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def said(self) -> str:
        """What it says in plain words, thinking left out."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, Text)).strip()


Message: TypeAlias = User | Assistant


_MOST = 10**12  # tokens


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input_tokens` is everything that was read: what came from a cache (`cached_tokens`) and
    what was written to one (`cache_write_tokens`, whose price is another one) included.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    def __post_init__(self) -> None:
        for (
            name
        ) in self.__slots__:  # a server may say anything; sums must stay numbers that all can hold
            object.__setattr__(self, name, max(0, min(int(getattr(self, name)), _MOST)))

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )


Stop: TypeAlias = Literal[
    "end_turn", "tool_use", "max_tokens", "pause", "refusal", "unfinished", "unknown"
]


@dataclass(frozen=True, slots=True)
class Reply:
    """One model turn. `cost_usd` is None where the price is not known.

    The tools of a turn are run on `tool_use` and `end_turn` only. `pause` wants to be asked again as
    it is; `unfinished` is the word of somebody who cannot go on with what others began; `unknown`
    is a reason to stop that this version has never heard of.
    """

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
