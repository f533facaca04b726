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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

SPACES = " \t\r"
MOST_LINES = 1000  # of a text that is looked for
_MOST_PLACES = 100  # that look alike; among more of them none is chosen
PLAIN = {
    '"': "\u201c\u201d\u201e\u201f",
    "'": "\u2018\u2019\u201a\u201b",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    " ": "\u00a0\u2007\u202f",
}
_QUOTE = re.compile(r"[\"'`]")
_RUN = re.compile(r"[ \t]+")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r" *([0-9]+)(?:\t|$)")


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


def places(lines: Sequence[str], readings: Iterable[Reading]) -> tuple[Place, ...]:
    """What the first rung of the first reading finds that finds anything: one place, or several.

    Of more than a hundred that look alike the first are returned, however they are indented.
    """
    text = "\n".join(lines)

    @cache
    def framed(rung: int) -> str:
        return _framed(keys_of(text, rung))

    for reading in readings:
        if not _possible(text, reading):
            continue
        for rung in range(len(RUNGS)):
            old, new = (
                keys_of("\n".join(side), rung)
                for side in (reading.old, reading.new[: len(reading.new) - (not reading.new[-1])])
            )
            indents = [indent_of(line) for line in reading.old]
            if old == new and indents == [indent_of(line) for line in reading.new[: len(old)]]:
                break
            starts = _starts(framed(rung), _framed(old))
            if found := _fitting(starts, lines, reading, shifting=old != new):
                return found
    return ()


def _possible(text: str, reading: Reading) -> bool:
    """No rung forgives a word: where one of the longest is missing nothing is found. That is quick to see."""
    words = sorted(set(_WORD.findall("\n".join(reading.old))), key=len)
    return (
        len(reading.old) <= MOST_LINES
        and any(line.strip(SPACES) for line in reading.old)
        and all(word in text for word in words[-5:])
    )


def unnumbered(lines: Sequence[str]) -> tuple[str, ...] | None:
    """The lines without the numbers of `read`; None unless each has one, always the next."""
    found = [match for line in lines if (match := _NUMBER.match(line))]
    first = int(found[0][1]) if found else 0
    if not found or [int(match[1]) for match in found] != [*range(first, first + len(lines))]:
        return None
    return tuple(match.string[match.end() :] for match in found)


def is_numbered(line: str) -> bool:
    return _NUMBER.match(line) is not None


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


RUNGS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (str, str),
    (folded, str),
    (folded, collapsed),
)  # what is done with the text, and then with each line


def keys_of(text: str, rung: int) -> list[str]:
    """The lines as a rung (0 to 2) compares them, without the indentation."""
    of_text, of_line = RUNGS[rung]
    return [of_line(line.strip(SPACES)) for line in of_text(text).split("\n")]


def _framed(keys: Sequence[str]) -> str:
    return "\n" + "\n".join(keys) + "\n"


def _starts(text: str, wanted: str) -> list[int]:
    """The indices of the lines where it begins: one more than are looked at, if there are so many."""
    found: list[int] = []
    index = seen = 0
    at = text.find(wanted)
    while at >= 0 and len(found) <= _MOST_PLACES:
        index, seen = index + text.count("\n", seen, at), at
        found.append(index)
        at = text.find(wanted, at + 1)
    return found


def _fitting(
    starts: Sequence[int], lines: Sequence[str], reading: Reading, *, shifting: bool
) -> tuple[Place, ...]:
    """Those with the same indentation, or else those where it differs in one way throughout."""
    found = []
    for start in starts:
        there = tuple(lines[start : start + len(reading.old)])
        both = [
            (indent_of(folded(old)), indent_of(folded(line)))
            for old, line in zip(reading.old, there, strict=True)
            if folded(old).strip(SPACES)
        ]
        shift = Shift() if len(starts) > _MOST_PLACES else _shift(both)
        if shift is not None:
            found.append(Place(start, there, reading, shift))
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
