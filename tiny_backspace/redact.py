"""Secrets out of any text; control sequences out of any text shown."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias
from urllib.parse import quote

Redact: TypeAlias = Callable[[str], str]

MASK = "[redacted]"

# Vendor key formats as the vendors document them, and the Authorization header whatever it holds.
_SHAPES = re.compile(
    r"\b(?:sk-(?:ant|proj|svcacct|admin)-[A-Za-z0-9_-]{16,}"
    r"|sk-[A-Za-z0-9]{32,}"  # no dashes: "flask-with-…" is none
    r"|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|github_pat_[A-Za-z0-9_]{30,}"
    r"|glpat-[A-Za-z0-9_-]{20,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,})"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=authorization: bearer )|(?<=authorization: basic ))[A-Za-z0-9+/=._-]{8,}"
)
_GITHUB = re.compile(r"g(?:h[pousr]|ithub_pat)_")
_HEADER = "authorization: "
_SHORTEST = 6  # a "secret" below this many characters would mask ordinary words
_TELLING = 12
_URLSAFE = str.maketrans("+/", "-_")

_ANSI = re.compile(
    # no sequence goes over a line's end: whoever began one and never ended it would hide the rest
    r"\x1b\][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC
    r"|\x1b[PX^_][^\n]*?(?:\x1b\\|\x9c|(?=\n)|\Z)"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?",  # everything else an ESC can start
)
_UNSHOWN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


def redactor(secrets: Iterable[str]) -> Redact:
    """A function that masks these values, wherever they stand, and everything shaped like a known kind of key."""
    known = {form for s in secrets if len(s) >= _SHORTEST for form in _forms(s)}
    longest_first = sorted(known, key=len, reverse=True)
    shortest = min(map(len, known), default=0)

    def redact(text: str) -> str:
        if known and len(text) >= shortest:
            for form in longest_first:
                if form in text:
                    text = text.replace(form, MASK)
        return _SHAPES.sub(MASK, text) if _is_likely(text) else text

    return redact


def _is_likely(text: str) -> bool:
    """Whether _SHAPES could be in it; most texts have none of their beginnings.

    A pattern that begins in so many ways takes a hundred times as long to search for, and looking for one sign takes a
    tenth of looking for a word. So each beginning is looked for only where a sign is that it cannot do without.
    """
    return (
        ("-" in text and ("sk-" in text or "xox" in text or "glpat-" in text))
        or ("_" in text and _GITHUB.search(text) is not None)
        or ("K" in text and "AKIA" in text)
        or ("@" in text and "://" in text)
        or (": " in text and _HEADER in text.lower())
    )


def _forms(secret: str) -> Iterator[str]:
    """A value as it is, and, where that still tells it from words, in an address, in capitals and in base64.

    In base64 a text looks in three ways, by where in a longer one it begins; what the bytes beside it have a
    part in is left out (RFC 4648, section 4).
    """
    yield secret
    if len(secret) < _TELLING:
        return
    raw = secret.encode(errors="surrogateescape")
    yield from (quote(raw, safe=""), secret.upper(), secret.lower())
    for before in range(3):
        bits = 8 * (before + len(raw))
        form = b64encode(bytes(before) + raw).decode()[-(-8 * before // 6) : bits // 6]
        yield from (form, form.translate(_URLSAFE))


def each_text(value: Any, change: Redact) -> Any:  # noqa: ANN401 - JSON-like in, the same shape out
    """The same structure with every string in it changed, keys included."""
    match value:
        case str():
            return change(value)
        case dict():
            return {each_text(k, change): each_text(v, change) for k, v in value.items()}
        case list() | tuple():
            return type(value)(each_text(item, change) for item in value)
        case _:
            return value


def clean(text: str) -> str:
    """Text that is safe on a terminal: no escape sequence, control, bidi override or hidden character.

    Newline and tab stay; a carriage return becomes a newline, as it would overwrite the line before it.
    """
    text = _ANSI.sub("", text) if "\x1b" in text or "\x9b" in text else text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or not _hidden(c))


def escaped(text: str) -> str:
    """Text of which nothing may be left out, such as a diff: what would not show is written as in Python."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if c not in "\n\t" and _hidden(c) else c for c in text
    )


def _hidden(c: str) -> bool:
    """Also what is not assigned, but would be shown by nobody (Unicode's Default_Ignorable_Code_Point)."""
    if unicodedata.category(c) in _UNSHOWN:
        return True
    return c == "\u2065" or "\ufff0" <= c <= "\ufff8" or "\U000e0080" <= c <= "\U000e0fff"


def clean_line(text: str) -> str:
    """`clean`, on one line."""
    return " ".join(clean(text).split())
