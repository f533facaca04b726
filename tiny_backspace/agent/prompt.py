"""What a model is told before it starts."""

from __future__ import annotations

from pathlib import Path

from tiny_backspace.agent.facts import Facts, render
from tiny_backspace.conversation import Text, User


def system() -> str:
    """The system prompt: the file `system.md` beside this one."""
    return Path(__file__).with_name("system.md").read_text("utf-8")


def opening(prompt: str, facts: Facts) -> User:
    """The first message: the user's words alone, then what we know of the repository."""
    return User((Text(prompt), Text(render(facts, prompt))))
