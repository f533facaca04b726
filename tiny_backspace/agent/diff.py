"""Lines against lines: what an edit changed, what is closest to a text, what two texts share. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches
from heapq import nlargest
from itertools import islice
from operator import itemgetter

from tiny_backspace.agent.near import PLAIN, SPACES, folded, indent_of, roughly

_BINARY_WITHIN = 8192  # bytes; git and rg look about as far for a NUL
_CONTEXT = 3
_COMPARED = 1000  # lines; difflib is quadratic, a larger change is shown as one block
_SEARCHED = 200_000  # lines in which the closest are looked for
_LONG = 100  # characters of a line that are compared for the closest one
_SHOWN = 200  # characters of a line that are shown
_MOST_SHOWN = 12  # lines
_TOKENS = 400  # of a line that is aligned with another
_TOKEN = re.compile(r"\w+|[ \t\u00a0\u2007\u202f]+|.", re.DOTALL)
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r" *([0-9]+)(?:\t|$)")
_BOM = "\ufeff"
_MARK = re.compile("[\"'\\-" + "".join(PLAIN[plain] for plain in "\"'-") + "]")


def is_binary(data: bytes) -> bool:
    return b"\0" in data[:_BINARY_WITHIN]


def diff(old: bytes | None, new: bytes, path: str) -> str:
    """A unified diff; `old` is None for a file that was not there. Of a binary file, only its sizes."""
    before = old or b""
    if is_binary(before) or is_binary(new):
        return f"binary file {path}: {len(before)} -> {len(new)} bytes\n"
    if before == new:
        return ""
    source = "/dev/null" if old is None else f"a/{path}"
    return f"--- {source}\n+++ b/{path}\n" + "".join(_hunks(_lines(before), _lines(new)))


def _lines(data: bytes) -> list[bytes]:
    r"""Split at `\n` only, which each line keeps; the last may have none."""
    *whole, last = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([last] if last else [])


def _hunks(a: Sequence[bytes], b: Sequence[bytes]) -> Iterator[str]:
    start = max(0, _shared(a, b) - _CONTEXT)
    end = _shared(a[start:][::-1], b[start:][::-1])
    keep = max(0, end - _CONTEXT)
    a, b = a[start : len(a) - keep], b[start : len(b) - keep]
    for group in _groups(a, b):
        (_, a1, _, b1, _), (_, _, a2, _, b2) = group[0], group[-1]
        yield f"@@ -{_range(start + a1, a2 - a1)} +{_range(start + b1, b2 - b1)} @@\n"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from _shown(" ", a[i1:i2])
            else:
                yield from _shown("-", a[i1:i2])
                yield from _shown("+", b[j1:j2])


def _groups(
    a: Sequence[bytes], b: Sequence[bytes]
) -> Iterable[Sequence[tuple[str, int, int, int, int]]]:
    if max(len(a), len(b)) > _COMPARED:
        return [[("replace", 0, len(a), 0, len(b))]]
    return SequenceMatcher(None, a, b).get_grouped_opcodes(_CONTEXT)


def _shared(a: Iterable[object], b: Iterable[object]) -> int:
    """How many lines, or characters, both begin with."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def _range(start: int, count: int) -> str:
    return f"{start + 1 if count else start},{count}"


def _shown(sign: str, lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        text = sign + line.decode(errors="replace")
        yield text if text.endswith("\n") else text + "\n\\ No newline at end of file\n"


def around(content: bytes, start: int, end: int) -> str:
    """The lines from byte `start` to byte `end` and a few before and after, numbered as `read` does it.

    At most twelve: of a longer part the first and the last.
    """
    begin, stop = start, end - 1 if end > start and content[end - 1 : end] == b"\n" else end
    for _ in range(_CONTEXT + 1):
        begin = content.rfind(b"\n", 0, max(0, begin))
        stop = content.find(b"\n", stop) + 1 or len(content)
    lines = [line.decode(errors="replace") for line in _lines(content[begin + 1 : stop])]
    shown = _numbered(lines, content.count(b"\n", 0, begin + 1) + 1)
    if len(shown) > _MOST_SHOWN:
        half = _MOST_SHOWN // 2
        shown[half : 1 - half] = [f"[{len(shown) - 2 * half + 1} lines not shown]"]
    return "\n".join(shown) or "[the file is empty]"


def _numbered(lines: Iterable[str], first: int) -> list[str]:
    return [
        f"{number:>6}\t{line.removeprefix(_BOM).rstrip(chr(13) + chr(10))[:_SHOWN]}"
        for number, line in enumerate(lines, first)
    ]


def closest(content: bytes, old: str) -> str:
    """The lines most like a text that is not there, and how they differ, in words; empty if there are none.

    Only the first 200 000 lines are looked at.
    """
    lines = content.decode(errors="replace").removeprefix(_BOM).split("\n", _SEARCHED)[:_SEARCHED]
    wanted = old.removesuffix("\n").split("\n")
    wanted = list(unnumbered(wanted) or wanted)
    keys = roughly("\n".join(lines))
    start = _window(keys, roughly("\n".join(wanted)))
    if start is None:
        return ""
    pairs = [
        (n, *pair) for n, pair in enumerate(zip(wanted, lines[start:], strict=False), start + 1)
    ]
    last = len(wanted) - 1
    other = [
        (n, asked, line)
        for n, asked, line in pairs
        if asked not in {line, line.removesuffix("\r")}
        and not (n == start + 1 and line.endswith(asked) and last)
        and not (n == start + 1 + last and line.startswith(asked) and last)
    ]
    at = max(0, min(other[0][0] - start - 4 if other else 0, len(pairs) - _MOST_SHOWN))
    part = pairs[at : at + _MOST_SHOWN]
    end = start + len(pairs)
    what = f"is line {end}" if len(pairs) == 1 else f"are lines {start + 1} to {end}"
    shown = [f"the closest {what}:", *_numbered((line for _, _, line in part), part[0][0])]
    shown += [_compared(*each) for each in other[:1]]
    if len(other) > 1:
        shown.append(f"[{len(other) - 1} more of these lines differ]")
    return "\n".join(shown)


def unnumbered(lines: Sequence[str]) -> tuple[str, ...] | None:
    """The lines without the numbers of `read`; None unless each has one, always the next."""
    found = [match for line in lines if (match := _NUMBER.match(line))]
    first = int(found[0][1]) if found else 0
    if not found or [int(match[1]) for match in found] != [*range(first, first + len(lines))]:
        return None
    return tuple(match.string[match.end() :] for match in found)


def is_numbered(line: str) -> bool:
    return _NUMBER.match(line) is not None


def _window(keys: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Where most of the wanted lines are at the distance they should have; else by the longest of them."""
    index = {key: n for n, key in reversed([*enumerate(wanted)]) if key}
    if not index:
        return None
    votes: Counter[int] = Counter()
    for n, key in enumerate(keys):
        if key in index:
            votes[n - index[key]] += len(key)
    start, weight = max(votes.items(), key=itemgetter(1), default=(0, 0))
    if weight * 3 < sum(map(len, wanted)):
        probe = max(index, key=len)
        found = _similar(keys, probe[:_LONG])
        if found is None:
            return None
        start = found - index[probe]
    return max(0, start)


def _similar(keys: Sequence[str], probe: str) -> int | None:
    """The line that has this in it, or else is most like it, of those with one of its longest words and the first."""
    inside = next((n for n, key in enumerate(keys) if probe in key), None)
    if inside is not None:
        return inside
    words = nlargest(3, _WORD.findall(probe), key=len)
    likely = (n for n, key in enumerate(keys) if any(word in key for word in words))
    lines: dict[str, int] = {}
    for n in (*islice(likely, _COMPARED // 2), *range(min(len(keys), _COMPARED))):
        lines.setdefault(keys[n][:_LONG], n)
    near = get_close_matches(probe, filter(None, lines), n=1)
    return lines[near[0]] if near else None


def _compared(number: int, old: str, line: str) -> str:
    line = line.removesuffix("\r") if not old.endswith("\r") else line
    if old.strip(SPACES) == line.strip(SPACES):
        ends = indent_of(old) == indent_of(line)
        how = "only white space at the end" if ends else "only the indentation"
    elif folded(old).strip(SPACES) == folded(line).strip(SPACES):
        how = "only quotes, dashes or the kind of spaces"
    elif folded(old).split() == folded(line).split():
        how = "only white space"
    elif old.strip().casefold() == line.strip().casefold():
        how = "only capital letters"
    else:
        how = "the text"
    begin = max(0, _shared(old, line) - _LONG // 2)
    a, b = (text[begin : begin + _LONG] for text in (line, old))
    return f"line {number} differs from old in {how}: there {a!r}, in old {b!r}"


def differences(old: Iterable[str], there: Iterable[str]) -> Iterator[str]:
    """How lines that one rung of near.py takes for `old` are not its lines, indentation aside."""
    pairs = list(zip(old, there, strict=True))
    ends = [
        [line[len(line.rstrip(SPACES)) :].removesuffix("\r") for line in pair] for pair in pairs
    ]
    if any(asked != stands for asked, stands in ends):
        yield "white space at the ends of lines is not the same"
    found = [zip(_MARK.findall(a), _MARK.findall(b), strict=True) for a, b in pairs]
    marks = dict.fromkeys(f"{b} where old has {a}" for marks in found for a, b in marks if a != b)
    if marks:
        yield f"the text there has {', '.join(marks)}"
    if any(set(PLAIN[" "]) & (set(a) ^ set(b)) for a, b in pairs):
        yield "no-break spaces are not the same"
    if any(folded(a).strip(SPACES) != folded(b).strip(SPACES) for a, b in pairs):
        yield "runs of white space within lines are not as long"


def counterparts(old: Sequence[str], new: Sequence[str]) -> list[int | None]:
    """For each line of `new` the index of the line of `old` that it is, or that it takes the place of."""
    found: list[int | None] = [None] * len(new)
    if max(len(old), len(new)) <= _COMPARED:
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new).get_opcodes():
            if tag == "equal" or i2 - i1 == j2 - j1:
                found[j1:j2] = range(i1, i2)
    return found


def marked(new: str, old: str, there: str) -> str:
    """`new` with the quotes, dashes and spaces of `there` instead of those of `old` that it has kept.

    A mark counts as kept only together with a word beside it: a lone one may be another.
    """
    asked, stands = (_TOKEN.findall(_bare(line)) for line in (old, there))
    indent = indent_of(new)
    tokens = _TOKEN.findall(new[len(indent) :])
    if asked == stands or len(asked) != len(stands) or max(len(asked), len(tokens)) > _TOKENS:
        return new
    for i, j, size in SequenceMatcher(None, asked, tokens, autojunk=False).get_matching_blocks():
        if any(_WORD.match(token) for token in asked[i : i + size]):
            tokens[j : j + size] = [
                b if folded(a) == folded(b) else a
                for a, b in zip(asked[i : i + size], stands[i : i + size], strict=True)
            ]
    return indent + "".join(tokens)


def _bare(line: str) -> str:
    """Without white space at its ends, whatever its kind."""
    plain = folded(line)
    return line[len(plain) - len(plain.lstrip(SPACES)) : len(plain.rstrip(SPACES))]
