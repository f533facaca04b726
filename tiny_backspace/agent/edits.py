"""Edits of a file's bytes, and what they changed as a small diff. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_BINARY_WITHIN = 8192  # bytes; git and rg look about as far for a NUL
_CONTEXT = 3
_COMPARED = 1000  # lines; difflib is quadratic, a larger change is shown as one block
_LONG = 100  # characters of a line that are compared for the closest one
_SHOWN = 200


class Absent(ValueError):
    """The text is not there."""


class Ambiguous(ValueError):
    """The text is there `count` times, and one was wanted."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} times")
        self.count = count


@dataclass(frozen=True, slots=True)
class Replaced:
    content: bytes
    count: int


def is_binary(data: bytes) -> bool:
    return b"\0" in data[:_BINARY_WITHIN]


def replace(content: bytes, old: str, new: str, *, every: bool) -> Replaced:
    r"""Replace the one place where `old` (not empty) stands, or every place.

    A `\n` in `old` matches `\r\n` too, and a `\n` in `new` becomes what the line that is replaced
    ends with; an `old` that has a `\r` itself is taken to the byte. Nothing else changes.

    Raises:
        Absent: `old` is not there.
        Ambiguous: it is there more than once, and not `every` was asked for.
    """
    literal = "\r" in old
    ending = re.escape(b"\n") if literal else rb"(?:\r\n|(?<!\r)\n)"
    pattern = re.compile(ending.join(re.escape(part) for part in old.encode().split(b"\n")))
    found = list(pattern.finditer(content))
    if not found:
        raise Absent
    # A second look from one byte further on also sees matches that overlap the first.
    if not every and pattern.search(content, found[0].start() + 1):
        raise Ambiguous(max(2, len(found)))
    pieces, end = [], 0
    for match in found:
        crlf = not literal and _ends_with_crlf(content, match.start())
        pieces += [content[end : match.start()], _with_endings(new, crlf=crlf)]
        end = match.end()
    return Replaced(b"".join((*pieces, content[end:])), len(found))


def _ends_with_crlf(content: bytes, position: int) -> bool:
    """Whether the line at this position ends so; for a last line without an end, the one before it."""
    newline = content.find(b"\n", position)
    if newline < 0:
        newline = content.rfind(b"\n", 0, position)
    return newline > 0 and content[newline - 1 : newline] == b"\r"


def _with_endings(text: str, *, crlf: bool) -> bytes:
    data = text.encode()
    return re.sub(rb"\r?\n", b"\r\n", data) if crlf else data


def closest_line(content: bytes, old: str) -> tuple[int, str] | None:
    """The number and text of the line most like the first line of a text that is not there.

    White space around it does not count. Beyond the first thousand lines only such equality is seen.
    """
    wanted = next((line.strip() for line in old.split("\n") if line.strip()), "")[:_LONG]
    lines = content.decode(errors="replace").split("\n")
    stripped = [line.strip()[:_LONG] for line in lines]
    if wanted not in stripped:
        near = difflib.get_close_matches(wanted, filter(None, stripped[:_COMPARED]), n=1)
        if not near:
            return None
        wanted = near[0]
    number = stripped.index(wanted)
    return number + 1, lines[number][:_SHOWN].rstrip()


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
    return difflib.SequenceMatcher(None, a, b).get_grouped_opcodes(_CONTEXT)


def _shared(a: Iterable[bytes], b: Iterable[bytes]) -> int:
    """How many lines both begin with."""
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
