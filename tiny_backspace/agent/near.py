r"""Where a text stands that is not there to the letter: whole lines, and never a choice between two. Pure.

A ladder of rungs, from the strictest to the loosest. Each forgives what the ones before it forgave and one thing
more, and the first that finds anything decides:

1. white space at the ends of lines, `\r` included, and whether the file ends with a newline;
2. indentation: a constant piece more or less in front of every line, or tabs for spaces at a constant rate;
3. typographic quotes and dashes and no-break spaces for plain ones, again first without 2;
4. how long a run of spaces and tabs within a line is, up to its first quote character: from there on white space may
   belong to a string, and counts. Again first without 2.

A rung is passed over where it would not see what the edit is to change: an edit of nothing but indentation is not
looked for elsewhere in the indentation, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice

_LOOSEST = 2  # of the rungs that compare text: 0, 1, 2
SPACES = " \t\r"
MOST_LINES = 1000  # of a text that is looked for
_MOST_PLACES = 100  # that look alike; among more of them none is chosen
PLAIN = {
    '"': "\u201c\u201d\u201e\u201f",
    "'": "\u2018\u2019\u201a\u201b",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    " ": "\u00a0\u2007\u202f",
}
_LONGEST_LINE = 10_000  # characters; a longer one is data, and compared to the letter only
_QUOTE = re.compile(r"[\"'`]")
_RUN = re.compile(r"[ \t]+")
_LONG_RUN = re.compile(r"[ \t]{2,}|\t")
_PIECE = re.compile("[^\\s\"'\\-" + "".join(PLAIN.values()) + "]+")
_PIECES = 5


class Unfit(ValueError):
    """There is one place, but `new` cannot be written as the file writes there. It says why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What `old` and `new` may mean, as lines without their ends, and how that is not what they say.

    `new` has an empty text after its last line, unless that is no whole line.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    differs: tuple[str, ...] = ()

    @property
    def changed(self) -> str:
        return "\n".join(self.new).removesuffix("\n")


@dataclass(frozen=True, slots=True)
class Shift:
    """How the file indents what is indented otherwise in `old`: `more` before it, or `less`.

    Where one has tabs and the other spaces, some line has `tabs` of these and `spaces` of those, and
    `rate` is how many spaces are a tab; 0 if that cannot be known.
    """

    more: str = ""
    less: str = ""
    to_tabs: bool | None = None
    tabs: int = 0
    spaces: int = 0
    rate: int = 0

    @property
    def told(self) -> str:
        if self.to_tabs is not None:
            has, asked = ("tabs", "spaces") if self.to_tabs else ("spaces", "tabs")
            return f"the text there is indented with {has}, old with {asked}"
        by = self.more or self.less
        unit = {" ": "space", "\t": "tab"}.get(by[0], "character") + ("s" if len(by) > 1 else "")
        return f"the text there is indented {len(by)} {unit} {'more' if self.more else 'less'}"

    def of(self, indent: str, step: int) -> str:
        """The file's indentation for one of `new`, where a step is `step` spaces.

        Raises:
            Unfit: it does not follow from that of `old`.
        """
        if self.to_tabs is None:
            if not indent.startswith(self.less):
                raise Unfit(f"{self.told}, and new has a line with less than that to take away")
            return self.more + indent.removeprefix(self.less)
        asked, written = (" ", "\t") if self.to_tabs else ("\t", " ")
        known, becomes = (self.spaces, self.tabs) if self.to_tabs else (self.tabs, self.spaces)
        rate = self.rate or (step if self.to_tabs and self.spaces == self.tabs * step else 0)
        further = len(indent) - known
        if indent.strip(asked) or (further and not rate):
            raise Unfit(f"{self.told}, which does not tell how all lines of new are to be indented")
        if further:
            by, rest = divmod(further, rate) if self.to_tabs else (further * rate, 0)
            becomes += by
            if rest or becomes < 0:
                raise Unfit(f"{self.told}, and new has a line between two steps")
        return written * becomes


@dataclass(frozen=True, slots=True)
class Place:
    """The file's lines from the one at index `start` on, which may be what is meant."""

    start: int
    lines: tuple[str, ...]
    reading: Reading
    shift: Shift


def places(text: str, readings: Iterable[Reading]) -> tuple[Place, ...]:
    """What the first rung of the first reading finds that finds anything: one place, or several.

    Among more than a hundred that look alike none is told from the others: the first ones are returned,
    or nothing.
    """
    framed = cache(partial(_framed, text))
    lines: list[str] = []
    for reading in readings:
        wanted = "\n".join(reading.old)
        likely = _likely(text, reading.old)
        lines = lines or text.split("\n") if likely != [] else lines
        for rung in range(_LOOSEST + 1) if likely != [] else ():
            old, new = keys_of(wanted, rung), keys_of(reading.changed, rung)
            shifting = old != new
            if not shifting and all(map(_indented_alike, reading.old, reading.new)):
                break
            starts = likely
            if starts is None:
                found = _lines_with(framed(rung), _framed(wanted, rung))
                starts = list(islice(found, _MOST_PLACES + 1))
            alike = [start for start in starts if _is(lines, start, old, rung)]
            if len(starts) > _MOST_PLACES:
                some = (_place(lines, start, reading, Shift()) for start in alike)
                return tuple(some) if len(alike) > 1 else ()
            if fitting := _fitting(alike, lines, reading, shifting=shifting):
                return fitting
    return ()


def _likely(text: str, old: Sequence[str]) -> list[int] | None:
    """Where all of it begins if it is there, by its rarest piece that no rung touches.

    None if it has no rare one; that is quick to see, and most texts that are not there have one that is
    nowhere.
    """
    pieces = {piece: n for n, line in reversed([*enumerate(old)]) for piece in _PIECE.findall(line)}
    if len(old) > MOST_LINES or not any(folded(line).strip(SPACES) for line in old):
        return []
    longest = sorted(pieces, key=len)[-_PIECES:]
    rarest = min(longest, key=text.count, default="")
    if not rarest or text.count(rarest) > _MOST_PLACES:
        return None
    return sorted({index - pieces[rarest] for index in _lines_with(text, rarest)})


def _is(lines: Sequence[str], start: int, keys: Sequence[str], rung: int) -> bool:
    """Whether these are the keys of the lines from there on."""
    return 0 <= start <= len(lines) - len(keys) and all(
        len(lines[n]) <= _LONGEST_LINE and [key] == keys_of(lines[n], rung)
        for n, key in enumerate(keys, start)
    )


def folded(text: str) -> str:
    """With plain quotes, dashes and spaces for the typographic ones, character by character."""
    if not text.isascii():
        for plain, typographic in PLAIN.items():
            for character in typographic:
                text = text.replace(character, plain)
    return text


def collapsed(line: str) -> str:
    """With one space for each run of white space before the first quote character."""
    if "  " not in line and "\t" not in line:
        return line
    quote = _QUOTE.search(line)
    end = quote.start() if quote else len(line)
    return _RUN.sub(" ", line[:end]) + line[end:]


def indent_of(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _indented_alike(a: str, b: str) -> bool:
    return indent_of(a) == indent_of(b)


def keys_of(text: str, rung: int) -> list[str]:
    """The lines as a rung (0 to 2) compares them, without the indentation."""
    lines = [line.strip(SPACES) for line in (folded(text) if rung else text).split("\n")]
    return [collapsed(line) for line in lines] if rung == _LOOSEST else lines


def roughly(text: str) -> list[str]:
    """The lines nearly as the loosest rung compares them, in little time for many: quotes do not count."""
    return [line.strip(SPACES) for line in _LONG_RUN.sub(" ", folded(text)).split("\n")]


def _framed(text: str, rung: int) -> str:
    lines = roughly(text) if rung == _LOOSEST else keys_of(text, rung)
    return "\n" + "\n".join(lines) + "\n"


def _lines_with(text: str, wanted: str) -> Iterator[int]:
    """How many lines end before each place where it stands, one on a line; places may overlap."""
    index = seen = 0
    at = text.find(wanted)
    while at >= 0:
        index, seen = index + text.count("\n", seen, at), at
        yield index
        newline = text.find("\n", at + 1)
        at = text.find(wanted, newline) if newline >= 0 else -1


def _place(lines: Sequence[str], start: int, reading: Reading, shift: Shift) -> Place:
    return Place(start, tuple(lines[start : start + len(reading.old)]), reading, shift)


def _fitting(
    starts: Iterable[int], lines: Sequence[str], reading: Reading, *, shifting: bool
) -> tuple[Place, ...]:
    """Those with the same indentation, or else those where it differs in one way throughout."""
    found = []
    for start in starts:
        both = [
            (indent_of(folded(old)), indent_of(folded(lines[n])))
            for n, old in enumerate(reading.old, start)
            if folded(old).strip(SPACES)
        ]
        shift = _shift(both)
        if shift is not None:
            found.append(_place(lines, start, reading, shift))
    same = tuple(place for place in found if place.shift == Shift())
    return same or (tuple(found) if shifting else ())


def _shift(both: Sequence[tuple[str, str]]) -> Shift | None:
    """What makes the file's indentation out of that of `old` on every line; None if nothing does."""
    old, there = both[0]
    if there.endswith(old):
        more = there[: len(there) - len(old)]
        if all(line == more + asked for asked, line in both):
            return Shift(more=more)
    elif old.endswith(there):
        less = old[: len(old) - len(there)]
        if all(less + line == asked for asked, line in both):
            return Shift(less=less)
    used = tuple("".join(sorted(set("".join(side)))) for side in zip(*both, strict=True))
    if used not in {(" ", "\t"), ("\t", " ")}:
        return None
    to_tabs = used[1] == "\t"
    counts = {
        (len(line), len(asked)) if to_tabs else (len(asked), len(line)) for asked, line in both
    }
    (tabs, spaces), *others = sorted(counts)
    if not others:
        return Shift(to_tabs=to_tabs, tabs=tabs, spaces=spaces)
    rate = (others[-1][1] - spaces) // max(1, others[-1][0] - tabs)
    if rate < 1 or any((t - tabs) * rate != s - spaces for t, s in others):
        return None
    return Shift(to_tabs=to_tabs, tabs=tabs, spaces=spaces, rate=rate)
