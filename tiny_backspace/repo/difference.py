"""What git says about two trees, read strictly. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from tiny_backspace.errors import RepoError

Status: TypeAlias = Literal["A", "M", "D", "T", "R"]


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a tree difference: modes in octal, full object ids, `old_path` only for a rename."""

    old_mode: str
    new_mode: str
    old_id: str
    new_id: str
    status: Status
    path: bytes
    old_path: bytes | None = None


class FileLines(NamedTuple):
    """Lines of one file; None for both where git takes it for binary."""

    path: bytes
    insertions: int | None
    deletions: int | None


class Numstat(NamedTuple):
    """Lines of all text files together, and file by file."""

    insertions: int
    deletions: int
    files: tuple[FileLines, ...]


_HEADER = re.compile(
    rb":([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) ([AMDTR])[0-9]*"
)
_LINES = re.compile(rb"([0-9]+|-)\t([0-9]+|-)\t(.*)", re.DOTALL)
_STATUS: Mapping[bytes, Status] = {b"A": "A", b"M": "M", b"D": "D", b"T": "T", b"R": "R"}


def parse_raw(output: bytes) -> list[Change]:
    """The changes in the output of `git diff-tree -r -z --raw --full-index <tree> <tree>`.

    Raises:
        RepoError: it is not such output, or was cut.
    """
    fields, changes = _fields(output), []
    for field in fields:
        header = _HEADER.fullmatch(field)
        if header is None:
            raise _unreadable()
        status = _STATUS[header[5]]
        old_path = _path(fields) if status == "R" else None
        old_mode, new_mode, old_id, new_id = (header[n].decode() for n in range(1, 5))
        changes.append(Change(old_mode, new_mode, old_id, new_id, status, _path(fields), old_path))
    return changes


def parse_numstat(output: bytes) -> Numstat:
    """The counts in the output of `git diff-tree -r -z --numstat <tree> <tree>`.

    Raises:
        RepoError: it is not such output, or was cut.
    """
    fields, files = _fields(output), []
    for field in fields:
        counts = _LINES.fullmatch(field)
        if counts is None or (counts[1] == b"-") != (counts[2] == b"-"):
            raise _unreadable()
        path = counts[3]
        if not path:  # a rename: the old and the new path follow
            _path(fields)
            path = _path(fields)
        binary = counts[1] == b"-"
        files.append(
            FileLines(path, None if binary else int(counts[1]), None if binary else int(counts[2]))
        )
    return Numstat(
        sum(file.insertions or 0 for file in files),
        sum(file.deletions or 0 for file in files),
        tuple(files),
    )


def _fields(output: bytes) -> Iterator[bytes]:
    """The NUL-terminated fields; the last NUL must be there."""
    *fields, rest = output.split(b"\0")
    if rest:
        raise _unreadable()
    return iter(fields)


def _path(fields: Iterator[bytes]) -> bytes:
    path = next(fields, b"")
    if not path:
        raise _unreadable()
    return path


def _unreadable() -> RepoError:
    return RepoError(
        "Git's description of the change could not be read.", hint="The change was not taken."
    )
