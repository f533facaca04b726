"""Lines that come into a file: read it, find the place, make the smallest edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, assert_never

from tiny_backspace.conversation import ToolResult
from tiny_backspace.providers.intents import Append, Docstring, Header, Ignore, Insert, InsertNear
from tiny_backspace.providers.placing import (
    Unplaceable,
    anchor_line,
    apart,
    docstring,
    docstring_place,
    ended,
    header,
    header_place,
    splice,
)
from tiny_backspace.providers.quoting import shown
from tiny_backspace.providers.steps import (
    Outcome,
    Script,
    count,
    edit,
    failed,
    is_missing,
    one,
    outcome,
    whole_file,
    write,
)

_PAST = {"append": "appended", "insert": "inserted", "add": "added"}

# Where lines go into a file, and which. Raises Unplaceable.
Change: TypeAlias = Callable[[list[str]], tuple[int, str]]


def insertion(intent: Append | Insert | InsertNear | Ignore | Header | Docstring) -> Script:
    match intent:
        case Append(path, text):
            return (yield from _placed(path, f"append {shown(text)} to {path}", _at_end(text)))
        case Insert(path, text, at):
            goal = f"insert {shown(text)} at line {at} of {path}"
            return (yield from _placed(path, goal, _at_line(text, at)))
        case InsertNear(path, text, anchor, after):
            side = "after" if after else "before"
            goal = f"insert {shown(text)} {side} the line with {shown(anchor)} in {path}"
            return (yield from _placed(path, goal, _near(text, anchor, after=after)))
        case Ignore(entry):
            goal = f"add {shown(entry)} to .gitignore"
            return (yield from _placed(".gitignore", goal, _unless_there(entry), create=entry))
        case Header(paths, text):
            goal = f"add the header comment {shown(text)} to "
            return (yield from _all_placed(paths, goal, lambda path: _headed(path, text)))
        case Docstring(paths, text):
            goal = f"add the docstring {shown(text)} to "
            return (yield from _all_placed(paths, goal, lambda path: _documented(path, text)))
        case _:
            assert_never(intent)


def _all_placed(paths: Sequence[str], goal: str, change: Callable[[str], Change]) -> Script:
    outcomes: tuple[Outcome, ...] = ()
    for path in paths:
        outcomes += yield from _placed(path, goal + path, change(path))
    return outcomes


def _at_end(text: str) -> Change:
    return lambda lines: (len(lines), text)


def _at_line(text: str, at: int) -> Change:
    def change(lines: list[str]) -> tuple[int, str]:
        if at > len(lines) + 1:
            raise Unplaceable(f"it has only {count(len(lines), 'line')}")
        return at - 1, text

    return change


def _near(text: str, anchor: str, *, after: bool) -> Change:
    return lambda lines: (anchor_line(lines, anchor) + after, text)


def _unless_there(entry: str) -> Change:
    def change(lines: list[str]) -> tuple[int, str]:
        if any(line.strip() == entry for line in lines):
            raise Unplaceable("it is there already")
        return len(lines), entry

    return change


def _headed(path: str, text: str) -> Change:
    def change(lines: list[str]) -> tuple[int, str]:
        comment = header(path, text)
        if comment in ended("".join(lines)):
            raise Unplaceable("it is there already")
        at = header_place(path, lines)
        return at, apart(lines, at, comment)

    return change


def _documented(path: str, text: str) -> Change:
    def change(lines: list[str]) -> tuple[int, str]:
        at = docstring_place(path, lines)
        return at, apart(lines, at, docstring(text))

    return change


def _placed(path: str, goal: str, change: Change, *, create: str = "") -> Script:
    """Read the file, find the place, make the edit; with `create`, a missing file starts as that."""
    lines = yield from whole_file(path)
    verb, _, rest = goal.partition(" ")
    says, done = f"Editing {path}: {goal}.", f"{_PAST[verb]} {rest}"
    if isinstance(lines, ToolResult):
        if create and is_missing(lines):
            return (yield from one(says, done, goal, write(path, ended(create), goal)))
        return (outcome(lines, done, goal),)
    try:
        at, added = change(lines)
    except Unplaceable as reason:
        return (failed(goal, str(reason)),)
    if not lines:
        return (yield from one(says, done, goal, write(path, ended(added), goal)))
    cut = splice(lines, at, added)
    return (yield from one(says, done, goal, edit(path, cut.old, cut.new, goal)))
