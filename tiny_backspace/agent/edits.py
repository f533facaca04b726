"""Edits of a file's bytes. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import gcd

from tiny_backspace.agent.diff import (
    counterparts,
    differences,
    is_binary,
    is_numbered,
    marked,
    unnumbered,
)
from tiny_backspace.agent.near import (
    SPACES,
    Place,
    Reading,
    Shift,
    Unfit,
    folded,
    indent_of,
    places,
)

LARGEST = 16 << 20  # bytes of a file
_MOST = 10_000  # places in one
NAMED = 10  # lines that are named where a text is ambiguous
BOM = b"\xef\xbb\xbf"
_BOM = "\ufeff"


class Absent(ValueError):
    """The text is not there."""


class Unwieldy(ValueError):
    """It would be done in too many places, or make too much of them. It says which."""


class Ambiguous(ValueError):
    """The text is there `count` times, and one was wanted.

    `lines` are where the first ones begin, counted from 1; `differs` is how they are not the text itself.
    """

    def __init__(self, count: int, lines: tuple[int, ...], differs: tuple[str, ...] = ()) -> None:
        super().__init__(f"{count} times")
        self.count = count
        self.lines = lines
        self.differs = differs


@dataclass(frozen=True, slots=True)
class Replaced:
    """The new bytes. What stood from `start` to `old_end` is now what stands from `start` to `new_end`.

    With several places that is all from the first to the last. `differs` is how `old` was not what
    stood there.
    """

    content: bytes
    count: int
    start: int
    old_end: int
    new_end: int
    differs: tuple[str, ...] = ()


def in_style_of(old: bytes, new: bytes) -> tuple[bytes, str]:
    r"""`new` with the byte order mark and the `\r\n` that `old` has throughout, unless it has any itself; what was done.

    Who reads a file by its lines sees neither.
    """
    said = []
    if old.count(b"\n") and old.count(b"\r\n") == old.count(b"\n") and b"\r" not in new:
        new = new.replace(b"\n", b"\r\n")
        said.append("its CRLF line ends")
    if old.startswith(BOM) and not new.startswith(BOM):
        new = BOM + new
        said.append("its byte order mark")
    return new, f", with {' and '.join(said)}" if said else ""


def replace(content: bytes, old: str, new: str, *, every: bool) -> Replaced:
    r"""Replace the one place where `old` (not empty) stands, or every place.

    A `\n` in `old` matches `\r\n` too, and a `\n` in `new` becomes what the line that is replaced
    ends with; an `old` that has a `\r` itself is taken to the byte. Nothing else changes.

    If `old` is not there to the letter, and not `every` place was asked for, these are tried in turn:
    `\n` for `\r\n` in `old` and `new`; whole lines that differ as near.py allows; the same without the
    blank lines at the ends of `old`; and, if every line of `old` has a line number as `read` shows it,
    these two without the numbers. What comes of it is written as the file writes there.

    Raises:
        Absent: `old` is not there.
        Ambiguous: it is there more than once, and not `every` was asked for.
        Unwieldy: `every` place is too many, or too large with `new`.
        Unfit: it is there but for small differences, and how to write `new` does not follow from them.
    """
    try:
        return _exact(content, old, new, every=every)
    except Absent:
        if every or is_binary(content):
            raise
    plain = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    if plain[0] not in {old, plain[1]}:
        try:
            done = _exact(content, *plain, every=False)
        except Absent:
            pass
        else:
            return dataclasses.replace(done, differs=(r"old has \r\n, the text there has \n",))
    return _near(content, *plain)


def _exact(content: bytes, old: str, new: str, *, every: bool) -> Replaced:
    literal = "\r" in old or b"\r\n" not in content
    wanted = old.encode()
    text = content if literal or "\n" not in old else content.replace(b"\r\n", b"\n")
    if every:
        _check_amount(len(content), text.count(wanted), len(new.encode()) - len(wanted))
    found = list(_found(text, wanted, every=every))
    if not found:
        raise Absent
    if not every and len(found) > 1:
        lines = dict.fromkeys(text.count(b"\n", 0, at) + 1 for at in found[:NAMED])
        raise Ambiguous(max(2, text.count(wanted)), tuple(lines))
    ends = [position for at in found for position in (at, at + len(wanted))]
    spans = list(ends if text is content else _originals(content, ends))
    pieces, done, line_end, crlf = [], 0, -1, False
    written = {flag: _with_endings(new, crlf=flag) for flag in (False, True)}
    for start, end in zip(spans[::2], spans[1::2], strict=True):
        if not literal and start > line_end:
            line_end, crlf = _line_end(content, start)
        pieces += [content[done:start], written[crlf]]
        done = end
    result = b"".join((*pieces, content[done:]))
    return Replaced(result, len(found), spans[0], done, len(result) - len(content) + done)


def _check_amount(size: int, count: int, growth: int) -> None:
    if count > _MOST:
        raise Unwieldy(f"it is there {count} times, and at most {_MOST} places are edited at once")
    if size + count * growth > LARGEST:
        raise Unwieldy(f"the file would be larger than {LARGEST >> 20} MiB")


def _found(text: bytes, wanted: bytes, *, every: bool) -> Iterator[int]:
    """Where it stands: every place, or the first few, and then those that overlap too."""
    at, count = text.find(wanted), 0
    while at >= 0 and (every or count < NAMED):
        yield at
        count += 1
        at = text.find(wanted, at + (len(wanted) if every else 1))


def _originals(content: bytes, positions: Iterable[int]) -> Iterator[int]:
    r"""Where ascending positions in the content with `\n` for each `\r\n` are in the content itself."""
    at = pairs = 0  # so many pairs end in content[:at]
    for position in positions:
        while at < position + pairs:
            before, at = at, position + pairs
            pairs += content.count(b"\r\n", max(0, before - 1), at)
        if content[max(0, at - 1) : at + 1] == b"\r\n":
            at, pairs = at + 1, pairs + 1
        yield at


def _line_end(content: bytes, position: int) -> tuple[int, bool]:
    r"""Where the line ends, and whether with `\r\n`; a last line without an end is taken to end as the one before it."""
    newline = content.find(b"\n", position)
    last = content.rfind(b"\n", 0, position) if newline < 0 else newline
    end = len(content) if newline < 0 else newline
    return end, last > 0 and content[last - 1 : last] == b"\r"


def _with_endings(text: str, *, crlf: bool) -> bytes:
    data = text.encode()
    return re.sub(rb"\r?\n", b"\r\n", data) if crlf else data


def _near(content: bytes, old: str, new: str) -> Replaced:
    text = content.decode("utf-8", "surrogateescape")
    bom = _BOM if text.startswith(_BOM) else ""
    found = places(text.removeprefix(bom).removesuffix("\n"), _readings(old, new))
    if not found:
        raise Absent
    place = found[0]
    differs = list(place.reading.differs)
    if place.shift != Shift():
        differs.append(place.shift.told)
    differs += differences(place.reading.old, place.lines)
    if len(found) > 1:
        named = tuple(each.start + 1 for each in found[:NAMED])
        raise Ambiguous(len(found), named, tuple(differs) or ("indented otherwise",))
    last = place.start + len(place.lines)
    lines = content.split(b"\n", last)
    start = max(len(bom.encode()), sum(len(line) + 1 for line in lines[: place.start]))
    cut = len(lines) == last  # nothing ends the last of them
    end = len(content) if cut else len(content) - len(lines[last])
    crlf = _line_end(content, start)[1]
    written = _fitted(place, "\r\n" if crlf else "\n", cut=cut).encode("utf-8", "surrogateescape")
    if cut:
        written = written.removesuffix(b"\r\n" if crlf else b"\n")
        differs += ["the file ends there without a newline"] if old.endswith("\n") else []
    result = content[:start] + written + content[end:]
    return Replaced(result, 1, start, end, start + len(written), tuple(differs))


def _readings(old: str, new: str) -> Iterator[Reading]:
    if not old.endswith("\n"):  # the end of its line stays where it is
        old, new = old + "\n", new + "\n"
    given = Reading(tuple(old.split("\n")[:-1]), tuple(new.split("\n")))
    yield given
    yield from _without_blank_lines(given)
    bare = unnumbered(given.old)
    if bare is not None:
        *whole, last = given.new
        other = unnumbered(whole) if not last else None
        if other is None and any(map(is_numbered, given.new)):
            raise Unfit("old has line numbers, and new does not have one on each line, in order")
        numbers = ("old has the line numbers that read shows",)
        counted = Reading(bare, given.new if other is None else (*other, last), numbers)
        yield counted
        yield from _without_blank_lines(counted)


def _without_blank_lines(reading: Reading) -> Iterator[Reading]:
    """As many are taken from `new`, if it has them."""
    before, after = _blank(reading.old), _blank(reading.old[::-1])
    if before + after > 0 and before < len(reading.old):
        *new, last = reading.new
        new = new[min(before, _blank(new)) :]
        new = new[: len(new) - min(after, _blank(new[::-1]))]
        told = (*reading.differs, "old has blank lines at its ends that are not there")
        yield Reading(reading.old[before : len(reading.old) - after], (*new, last), told)


def _blank(lines: Sequence[str]) -> int:
    """How many blank lines these begin with."""
    return next((n for n, line in enumerate(lines) if line.strip(SPACES)), len(lines))


def _fitted(place: Place, eol: str, *, cut: bool) -> str:
    """`new` for this place: lines that it shares with `old` as they stand there, the others in their style.

    `eol` ends a line there; with `cut` the last one there has no end.

    Raises:
        Unfit: how a line is to be indented does not follow from what differs.
    """
    old, (*new, last) = place.reading.old, place.reading.new
    indents = (indent_of(line) for line in (*old, *place.reading.new) if line.strip(SPACES))
    step = gcd(*(len(indent) for indent in indents if indent.startswith(" ")))
    asked, there = "".join(old), "".join(place.lines)
    plainly = {
        ord(mark): folded(mark)
        for mark in set(asked) - set(there)
        if folded(mark) != mark and folded(mark) in there
    }

    def written(line: str, at: int | None) -> str:
        indent = indent_of(folded(line))
        if indent == line:
            return line
        text = place.shift.of(indent, step) + line[len(indent) :]
        return (text if at is None else marked(text, old[at], place.lines[at])).translate(plainly)

    pieces = []
    for line, at in zip(new, counterparts(old, new), strict=True):
        if at is not None and old[at] == line:
            unended = cut and at == len(old) - 1
            pieces.append(place.lines[at] + (eol if unended else "\n"))
        else:
            pieces.append(written(line, at) + eol)
    return "".join((*pieces, written(last, None)))
