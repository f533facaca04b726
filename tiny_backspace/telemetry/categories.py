"""Which logs an event belongs to, and how loud it is. Pure.

The categories are those of docs/events.md; the sizes and days are the original specification's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from tiny_backspace.events import (
    AgentThought,
    CacheHit,
    ContextFolded,
    Egress,
    Event,
    HostCommand,
    ModelTurn,
    PolicyDecided,
    ProviderReplaced,
    Resources,
    Retry,
    RunFailed,
    SandboxAttested,
    SyntaxChecked,
    Timed,
    ToolCalled,
    ToolFinished,
    Verified,
    Warned,
)

Category: TypeAlias = Literal["app", "errors", "performance", "agent_thinking"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]


class Keeping(NamedTuple):
    """The size in bytes from which on a file is set aside, and how many days that is kept."""

    size: int
    days: int


KEPT: Mapping[Category, Keeping] = {
    "app": Keeping(10 << 20, 30),
    "errors": Keeping(5 << 20, 90),
    "performance": Keeping(10 << 20, 30),
    "agent_thinking": Keeping(10 << 20, 30),
}


def categories(event: Event) -> tuple[Category, ...]:
    """In which logs it stands. What failed is in `errors` besides its own."""
    match event:
        case Timed() | ModelTurn() | Resources():
            found: tuple[Category, ...] = ("performance",)
        case ToolFinished():
            found = ("performance", "agent_thinking")
        case AgentThought() | ToolCalled() | ContextFolded() | CacheHit():
            found = ("agent_thinking",)
        case ProviderReplaced() | Retry():
            found = ("app", "agent_thinking")
        case _:
            found = ("app",)
    return (*found, "errors") if level(event) in ("warning", "error") else found


def level(event: Event) -> Level:
    """An error ended the run, or a part of it for good; a warning is what somebody should know."""
    match event:
        case RunFailed():
            return "error"
        case (
            SandboxAttested(ok=False)
            | Verified(ok=False, on="change")
            | PolicyDecided(decision="refuse")
        ):
            return "error"
        case (
            Warned()
            | Retry()
            | ProviderReplaced()
            | SyntaxChecked(ok=False)
            | Egress(decision="denied" | "failed")
        ):
            return "warning"
        case PolicyDecided(decision="flag"):
            return "warning"
        case Timed() | HostCommand() | Resources():
            return "debug"
        case _:
            return "info"
