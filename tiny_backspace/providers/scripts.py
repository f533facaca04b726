"""How each intent is carried out: scripts that ask for tool calls and look at what came of them."""

from __future__ import annotations

import re
import shlex
from typing import assert_never

from tiny_backspace.providers.insertions import insertion
from tiny_backspace.providers.intents import (
    Append,
    CreateFile,
    Delete,
    Docstring,
    Header,
    Ignore,
    Insert,
    InsertNear,
    Intent,
    Rename,
    Replace,
)
from tiny_backspace.providers.quoting import shown
from tiny_backspace.providers.steps import (
    Batch,
    Call,
    Outcome,
    Script,
    Steps,
    bash,
    count,
    edit,
    failed,
    is_missing,
    one,
    outcome,
    read,
    write,
)
from tiny_backspace.redact import clean_line

_MOST_FILES = 10_000
_INCOMPLETE = re.compile(r"(?m)^\[(?:[0-9]+ more lines\]$|not everything could be searched)")
_LONGEST_PATTERN = 1000  # characters; grep takes no pattern of any length


def script(intent: Intent) -> Script:
    match intent:
        case CreateFile(path, content):
            return _create(path, content)
        case Replace(path=path):
            return _replace_all(intent) if path is None else _replace_in(intent, path)
        case Rename():
            return _rename(intent)
        case Delete(path, folder):
            return _delete(path, folder=folder)
        case Append() | Insert() | InsertNear() | Ignore() | Header() | Docstring():
            return insertion(intent)
        case _:
            assert_never(intent)


def _create(path: str, content: str) -> Script:
    goal = f"create {path}"
    (found,) = yield Batch(f"Looking whether {path} exists.", (read(path, limit=1),))
    if not is_missing(found):
        return (failed(goal, "it exists already and is left as it is"),)
    return (
        yield from one(f"Creating {path}.", f"created {path}", goal, write(path, content, goal))
    )


def _rename(intent: Rename) -> Script:
    old, new = intent.old, intent.target
    source, target = shlex.quote(old), shlex.quote(new)
    parent = shlex.quote(new.rpartition("/")[0] or ".")
    command = (
        f"{_must_exist(old)}; "
        f"if test -e {target} || test -L {target}; then echo {shlex.quote(f'{new} exists already')}; exit 1; fi; "
        f"mkdir -p -- {parent} || exit; "
        # what git does not know yet, git cannot move
        f"if git --literal-pathspecs ls-files --error-unmatch -- {source} >/dev/null 2>&1; "
        f"then git mv -- {source} {target}; else mv -T -n -- {source} {target}; fi"
    )
    goal = f"move {old} to {new}"
    return (
        yield from one(
            f"Moving {old} to {new}.", f"moved {old} to {new}", goal, bash(command, goal)
        )
    )


def _delete(path: str, *, folder: bool) -> Script:
    goal = f"delete {path}"
    command = f"{_must_exist(path)}; rm {'-r ' if folder else ''}-- {shlex.quote(path)}"
    return (yield from one(f"Deleting {path}.", f"deleted {path}", goal, bash(command, goal)))


def _must_exist(path: str) -> str:
    name = shlex.quote(path)
    says = shlex.quote(f"{path} does not exist")
    return f"test -e {name} || test -L {name} || {{ echo {says}; exit 1; }}"


def _replace_in(intent: Replace, path: str) -> Script:
    if intent.word and (inside := (yield from _inside_words(intent, path))):
        return (inside,)
    swap = f"{shown(intent.old)} with {shown(intent.new)} in {path}"
    call = edit(path, intent.old, intent.new, f"replace {swap}", replace_all=True)
    return (yield from one(f"Replacing {swap}.", f"replaced {swap}", f"replace {swap}", call))


def _replace_all(intent: Replace) -> Script:
    swap = f"{shown(intent.old)} with {shown(intent.new)}"
    goal = f"replace {swap} in all files"
    if intent.word and (inside := (yield from _inside_words(intent, "."))):
        return (inside,)
    # grep looks at lines: a longer text is looked for by its longest line, and the edit then tells
    needle = max(intent.old.splitlines(), key=len, default="")[:_LONGEST_PATTERN]
    if not needle:
        return (failed(goal, "a text of empty lines cannot be searched for"),)
    search = Call(
        "grep",
        {"pattern": needle, "literal": True, "output": "files", "limit": _MOST_FILES},
    )
    (found,) = yield Batch(f"Looking for the files with {shown(intent.old)}.", (search,))
    paths = [] if found.content == "no matches" else found.content.splitlines()
    if found.is_error or _INCOMPLETE.search(found.content):
        return (failed(goal, "the search did not list all the files"),)
    if not paths:
        return (failed(goal, "no file has that text"),)
    calls = tuple(
        edit(path, intent.old, intent.new, f"replace {swap}", replace_all=True) for path in paths
    )
    results = yield Batch(f"Replacing {swap} in {count(len(paths), 'file')}.", calls)
    whole = needle == intent.old
    outcomes = [
        outcome(result, f"replaced {swap} in {path}", f"replace {swap} in {path}")
        for path, result in zip(paths, results, strict=True)
        if whole or not result.is_error
    ]
    return tuple(outcomes) or (failed(goal, "no file has that text"),)


def _inside_words(intent: Replace, path: str) -> Steps[Outcome | None]:
    """A word that came without quotes is refused where longer words have it in them."""
    word = re.escape(intent.old)
    before, after = (
        r"\w" if re.match(r"\w", end) else "" for end in (intent.old[0], intent.old[-1])
    )
    longer = "|".join(
        piece for piece in (before + word if before else "", word + after if after else "") if piece
    )
    if not longer:
        return None
    search = Call("grep", {"pattern": longer, "path": path, "limit": 1})
    (found,) = yield Batch(f"Looking whether longer words have “{intent.old}” in them.", (search,))
    if found.is_error or found.content == "no matches":
        return None  # no such file, say: the edit will tell
    where = clean_line(found.content.partition("\n")[0])[:120]
    reason = (
        f"it is part of a longer word too ({where}); put it in quotes to change it there as well"
    )
    return failed(f"replace {shown(intent.old)}", reason)
