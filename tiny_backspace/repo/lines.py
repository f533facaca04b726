"""The lines that a change adds and takes away, out of git's own difference of two trees. Pure.

No path is read from the patch: a section belongs to the change whose blobs its `index` line names.
A file may hold anything, headers of a patch included: rows are told apart by the counts of the hunk
that they are in, never by what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from tiny_backspace.errors import RepoError
from tiny_backspace.repo.difference import Change

# For `git diff-tree <OPTIONS> <tree> <tree>`, in a bare repository, where no attribute of the change
# can call a text binary. Never with -z: names would stand in the patch as they are, newlines included.
OPTIONS = (
    "-r", "-p", "--unified=0", "--inter-hunk-context=0", "--full-index", "--submodule=short",
    "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv",
)  # fmt: skip

_INDEX = re.compile(rb"index ([0-9a-f]{40,64})\.\.([0-9a-f]{40,64})(?: [0-7]{6})?")
_HUNK = re.compile(rb"@@ -[0-9]+(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@(?: .*)?", re.DOTALL)
_HEADERS = (
    b"old mode ", b"new mode ", b"new file mode ", b"deleted file mode ", b"--- ", b"+++ ",
    b"Binary files ",
)  # fmt: skip

_NO_END = b"\\ "  # of the line before

# How git marks what it could not merge. `=======` alone is no mark: it underlines headings.
_BEGIN, _BASE, _END = b"<<<<<<<", b"|||||||", b">>>>>>>"

_Row: TypeAlias = tuple[Literal["section", "+", "-"], int, bytes]


class Added(NamedTuple):
    """One added line without its end. `moved`: the change takes the same line away somewhere."""

    path: bytes
    number: int
    text: bytes
    moved: bool = False


class Removed(NamedTuple):
    """One line that was taken away, without its end. `moved`: the change adds the same line somewhere."""

    path: bytes
    text: bytes
    moved: bool = False


def added_lines(patch: bytes, changes: Sequence[Change]) -> Iterator[Added]:
    """In git's order; `changes` are those of the same two trees. What git takes for binary has none.

    Raises:
        RepoError: it is not such output, was cut, or is about other blobs.
    """
    gone = {text for kind, _, text in _rows(patch) if kind == "-"}
    for path, kind, number, text in _placed(patch, changes):
        if kind == "+":
            if path is None:
                raise _unreadable()
            yield Added(path, number, text.removesuffix(b"\r"), text in gone)


def removed_lines(patch: bytes, changes: Sequence[Change]) -> Iterator[Removed]:
    """As `added_lines`. Of a file that became another type of entry there are none."""
    new = {text for kind, _, text in _rows(patch) if kind == "+"}
    for path, kind, _, text in _placed(patch, changes):
        if kind == "-" and path is not None:
            yield Removed(path, text.removesuffix(b"\r"), text in new)


def unmerged(added: Iterable[Added]) -> Iterator[tuple[bytes, int, bool]]:
    """Files with new conflict marks: the first one's line, and whether a conflict begins and ends."""
    marks: dict[bytes, dict[bytes, int]] = {}
    for line in added:
        mark, rest = line.text[: len(_BEGIN)], line.text[len(_BEGIN) :]
        if mark in {_BEGIN, _BASE, _END} and rest[:1] in {b"", b" "} and not line.moved:
            marks.setdefault(line.path, {}).setdefault(mark, line.number)
    for path, found in marks.items():
        yield path, min(found.values()), found.keys() >= {_BEGIN, _END}


def _placed(
    patch: bytes, changes: Sequence[Change]
) -> Iterator[tuple[bytes | None, str, int, bytes]]:
    """Every row of a hunk, with the path of its section, if that adds something."""
    waiting: dict[bytes, list[bytes]] = {}
    for change in changes:
        waiting.setdefault(_blobs(change), []).append(change.path)
    path: bytes | None = None
    for kind, number, text in _rows(patch):
        if kind == "section":
            paths = waiting.get(text)  # the same blobs twice: either path is right
            path = paths.pop(0) if paths else None
        else:
            yield path, kind, number, text


def _blobs(change: Change) -> bytes:
    """The ids as they stand in the section that adds; another type is a deletion and an addition."""
    old = "0" * len(change.old_id) if change.status == "T" else change.old_id
    return f"{old}..{change.new_id}".encode()


def _rows(patch: bytes) -> Iterator[_Row]:
    """Where a section begins (its blobs), and every line taken away or added, with its new number."""
    rows = _split(patch)
    for row in rows:
        if (hunk := _HUNK.fullmatch(row)) is not None:
            yield from _hunk(rows, _count(hunk[1]), _count(hunk[3]), int(hunk[2]))
        elif (index := _INDEX.fullmatch(row)) is not None:
            yield "section", 0, index[1] + b".." + index[2]
        elif row.startswith(b"diff --git "):
            yield "section", 0, b""  # a mode alone has no index line
        elif not row.startswith((_NO_END, *_HEADERS)):
            raise _unreadable()


def _hunk(rows: Iterator[bytes], taken: int, added: int, number: int) -> Iterator[_Row]:
    """As many rows as its head says; nothing in them is taken for anything else."""
    while taken or added:
        row = next(rows, b"")
        if row.startswith(b"+") and added:
            yield "+", number, row[1:]
            number, added = number + 1, added - 1
        elif row.startswith(b"-") and taken:
            yield "-", 0, row[1:]
            taken -= 1
        elif not row.startswith(_NO_END):
            raise _unreadable()


def _count(digits: bytes | None) -> int:
    return 1 if digits is None else int(digits)


def _split(patch: bytes) -> Iterator[bytes]:
    """Without holding all rows at once; the last end must be there."""
    start = 0
    while start < len(patch):
        end = patch.find(b"\n", start)
        if end < 0:
            raise _unreadable()
        yield patch[start:end]
        start = end + 1


def _unreadable() -> RepoError:
    return RepoError(
        "Git's account of the added lines could not be read.", hint="The change was not taken."
    )
