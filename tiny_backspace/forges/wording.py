"""Anybody's text as plain words for titles and commit messages. Pure.

A commit message has no escapes, and forges, trackers, CI and bots act on what stands in it. So what would
act is reworded: `#12` becomes `issue 12`, `@name` becomes `name`, `[skip ci]` becomes `(skip ci)`, `/merge`
gets backticks, `Release-As: 2.0.0` a dash; and the usual trailers, which only the host may write, are left out.
"""

from __future__ import annotations

import re
import textwrap

from tiny_backspace.forges.markdown import one_line, visible

WIDTH = 72

_TRAILERS = (
    r"(?:acked|approved|co-authored|co-developed|helped|reported|requested|reviewed|signed-off"
    r"|suggested|tested)-by|skip-checks|change-id|tiny-backspace-run"
)
# Each puts a space where something was, so that taking one thing away never makes another.
_REWORDED = (
    (re.compile(r"[a-z][a-z0-9+.-]{0,30}:/{2,}", re.IGNORECASE), " "),
    (re.compile(r"(?<![A-Za-z0-9_])@(?=[A-Za-z0-9_@])"), " "),
    (re.compile(r"(?:#|\bgh-)(?=\d)", re.IGNORECASE), " issue "),
    (re.compile(r"\[([^\[\]]*(?:skip|\bno[ _-]?ci\b)[^\[\]]*)\]", re.IGNORECASE), r"(\1)"),
    (re.compile(r"\*{3,}"), " "),
    (re.compile(rf"({_TRAILERS})\s*:", re.IGNORECASE), r"\1 "),
    # any other trailer: `Release-As` and `BREAKING CHANGE` decide what the next release is
    (
        re.compile(r"((?<!\w)[a-z]+(?:-[a-z]+)+|breaking change)[ \t]*:(?=\s|\Z)", re.IGNORECASE),
        r"\1 -",
    ),
    (re.compile(r"(?<!\S)(/[a-z][\w-]*)(?=\s|\Z)", re.IGNORECASE), r"`\1`"),
)
# To Jira, what follows one of its keys may be commands: `AB-1 #close`.
_JIRA = re.compile(r"\b[A-Z][A-Z0-9]+-\d.*", re.DOTALL)
_COMMAND = re.compile(r"#(?=[A-Za-z])")
_TRAILER = re.compile(rf"[\s>*-]*(?:{_TRAILERS}|cc)\s*:", re.IGNORECASE)
_CLOSES = re.compile(
    r"[\s>*-]*(?:fix(?:e[sd])?|close[sd]?|resolve[sd]?|refs?)\s*:?\s+\S*(?:#|/|gh-)\d+[\s.]*",
    re.IGNORECASE,
)
# `git am` takes what follows one of these for the patch.
_PATCH_START = re.compile(r"^(?=---|diff -|Index: |From )", re.MULTILINE)
_BULLET = re.compile(r"[-*+] |\d{1,3}[.)] ")


def plain_line(text: str) -> str:
    """On one line, with nothing in it that a forge acts on."""
    return one_line(_reworded(one_line(text)))


def plain_text(text: str) -> str:
    """Wrapped at 72 characters, paragraphs and bullets kept, trailers left out."""
    lines = [
        line
        for line in visible(text).split("\n")
        if not _TRAILER.match(line) and not _CLOSES.fullmatch(line)
    ]
    wrapped = "\n".join(map(_wrapped, _reworded("\n".join(lines)).split("\n")))
    spaced = re.sub(r"\n{3,}", "\n\n", wrapped).strip()
    return _PATCH_START.sub(" ", spaced)


def shortened(line: str, width: int) -> str:
    """At most `width` characters, cut between words where that is possible."""
    if len(line) <= width:
        return line
    cut = line[: width - 1]
    head = cut.rpartition(" ")[0]
    return (head if len(head) > width // 2 else cut).rstrip(" ,;:.-") + "…"


def _reworded(text: str) -> str:
    for pattern, words in _REWORDED:
        text = pattern.sub(words, text)
    return _JIRA.sub(lambda key: _COMMAND.sub(" ", key[0]), text)


def _wrapped(line: str) -> str:
    words = " ".join(line.split())
    indent = "  " if _BULLET.match(words) else ""
    return textwrap.fill(
        words,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
