"""What scripts are made of: batches of tool calls, and what their results say.

A script is a generator. It yields a `Batch` of independent calls, is sent their results in order, and
returns what became of the edit. It knows nothing but those results, so it can be replayed.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from tiny_backspace.conversation import ToolResult
from tiny_backspace.providers.placing import lines_of
from tiny_backspace.redact import clean_line

_REASON_LENGTH = 200
_EMPTY = "[the file is empty]"
_NOT_ENDED = "[no newline at end of file]"
_MORE = re.compile(r"\[lines [0-9]+ to [0-9]+ of [0-9]+; read on with offset=([0-9]+)\]")
_NUMBERED = re.compile(r" *([0-9]+)\t(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """A tool's name and arguments."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is said, and calls that do not need each other's results."""

    says: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One edit: done, or not and why. `says` is a sentence without a full stop."""

    done: bool
    says: str


T = TypeVar("T")
Steps: TypeAlias = Generator[Batch, tuple[ToolResult, ...], T]
Script: TypeAlias = Steps[tuple[Outcome, ...]]


def read(path: str, *, offset: int = 1, limit: int = 2000) -> Call:
    return Call("read", {"path": path, "offset": offset, "limit": limit})


def write(path: str, content: str, description: str) -> Call:
    return Call("write", {"path": path, "content": content, "description": description})


def edit(path: str, old: str, new: str, description: str, *, replace_all: bool = False) -> Call:
    arguments = {"path": path, "old": old, "new": new, "description": description}
    return Call("edit", {**arguments, "replace_all": replace_all})


def bash(command: str, description: str) -> Call:
    return Call("bash", {"command": command, "description": description})


def failed(goal: str, reason: str) -> Outcome:
    return Outcome(done=False, says=f"could not {goal}: {reason}")


def outcome(result: ToolResult, done: str, goal: str) -> Outcome:
    """What a call's result says of the edit; a command's first line is its exit code."""
    first, _, rest = result.content.partition("\n")
    ran = re.fullmatch(r"exit ([0-9]+)|timed out after .*", first)
    if result.is_error or (ran is not None and ran[1] != "0"):
        reason = clean_line(rest or first if ran is not None else result.content)
        return failed(goal, reason[:_REASON_LENGTH] or "no reason was given")
    return Outcome(done=True, says=done)


def one(says: str, done: str, goal: str, call: Call) -> Script:
    """The script of a single call."""
    (result,) = yield Batch(says, (call,))
    return (outcome(result, done, goal),)


def is_missing(result: ToolResult) -> bool:
    return result.is_error and result.content.rstrip().endswith("does not exist")


def whole_file(path: str) -> Steps[list[str] | ToolResult]:
    """All lines of a file, or the result that says why it cannot be read."""
    lines: list[str] = []
    offset: int | None = 1
    while offset is not None:
        (result,) = yield Batch(f"Reading {path}.", (read(path, offset=offset),))
        page = None if result.is_error else _page(result.content, len(lines))
        if page is None:
            unread = ToolResult(result.call_id, "it could not be read line by line", is_error=True)
            return result if result.is_error else unread
        lines += page[0]
        offset = page[1]
    return lines


def _page(content: str, known: int) -> tuple[list[str], int | None] | None:
    """The lines of one answer of `read` and where the next one starts; None if it is not of that form."""
    if content.rstrip("\n") == _EMPTY:
        return [], None
    shown = [line.removesuffix("\n") for line in lines_of(content)]
    more = _MORE.fullmatch(shown[-1]) if shown else None
    not_ended = bool(shown) and shown[-1] == _NOT_ENDED
    lines: list[str] = []
    for line in shown[:-1] if more is not None or not_ended else shown:
        numbered = _NUMBERED.fullmatch(line)
        if numbered is None or int(numbered[1]) != known + len(lines) + 1:
            return None
        lines.append(numbered[2] + "\n")
    if not lines:
        return None
    if not_ended:
        lines[-1] = lines[-1].removesuffix("\n")
    return lines, int(more[1]) if more is not None else None


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
