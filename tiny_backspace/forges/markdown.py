"""Anybody's text as GitHub Markdown that shows it and does nothing else. Pure.

GitHub looks for mentions, references and closing keywords in the rendered text, so that escaping
does not stop them; only code does. A word that could be active therefore becomes code as a whole,
every other character that Markdown knows is escaped, and no HTML is ever let through. Bullets and
code spans keep their meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tiny_backspace.redact import clean

# Blank or ignored in every font, though no control characters: they can carry a hidden message.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Mentions, mail addresses, issue references, commits, links with and without scheme, slash commands.
_ACTIVE = re.compile(
    r"@|#\d|gh-\d|ghsa-|\b[0-9a-f]{7,64}\b|:/|www\.|mailto:|xmpp:|javascript:|data:|^/[a-z]",
    re.IGNORECASE,
)
_SPECIAL = re.compile(r"[\\`*_\[\]~|$]")
_BLOCK = re.compile(r"^(\d{1,9})?([#+=.)-])")
_BULLET = re.compile(r"\s*[-*+] +(?=\S)")
_CODE_SPAN = re.compile(r"`([^`]+)`")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LONGEST_LINE = 2000
SHORTENED = "… (shortened)"


def visible(text: str) -> str:
    """Without control sequences, controls and characters that do not show. Newlines and tabs stay."""
    return _BLANK.sub("", clean(text))


def one_line(text: str) -> str:
    return " ".join(visible(text).split())


def code(text: str) -> str:
    """The text, on one line, as a code span; empty text stays empty."""
    line = one_line(text)
    if not line:
        return ""
    ticks = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def code_cell(text: str) -> str:
    """A code span inside a table, where a pipe would end the cell."""
    return code(text.replace("\\", "\\x5c").replace("|", "\\x7c"))


def fenced(text: str) -> str:
    """The text as a block of code."""
    shown = visible(text).strip("\n")
    ticks = "`" * max(3, _longest_run(shown) + 1)
    return f"{ticks}text\n{shown}\n{ticks}"


def prose(text: str, budget: int) -> str:
    """The text as paragraphs and bullets of at most about `budget` characters, cut between lines."""
    return within(map(_line, visible(text).strip().split("\n")), budget)


def phrase(text: str) -> str:
    """The text on one line, for the middle of a sentence or a table's cell."""
    return _inline(one_line(text)[:_LONGEST_LINE])


def within(lines: Iterable[str], budget: int) -> str:
    """As many of the lines as fit, and a word if some do not."""
    kept: list[str] = []
    for line in lines:
        budget -= len(line) + 1
        if budget < 0:
            kept.append(SHORTENED)
            break
        kept.append(line)
    return "\n".join(kept)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _line(line: str) -> str:
    """One line, not indented: four spaces would make it code, and a bullet's text hang elsewhere."""
    cut = line[:_LONGEST_LINE] + (SHORTENED if len(line) > _LONGEST_LINE else "")
    bullet = _BULLET.match(cut)
    if bullet is not None:
        return "- " + _inline(cut[bullet.end() :])
    return _inline(cut)


def _inline(line: str) -> str:
    """Words, with code spans kept as such."""
    pieces = _CODE_SPAN.split(line)  # words, code, words, code, …, words
    shown = [code(piece) or " " if n % 2 else _words(piece) for n, piece in enumerate(pieces)]
    text = ""
    for piece in shown:  # two code spans that touch would be read as one, or as none
        touching = text.endswith("`") and piece.startswith("`")
        text += " " + piece if touching else piece
    text = text.strip()
    return _BLOCK.sub(lambda start: f"{start[1] or ''}\\{start[2]}", text)


def _words(text: str) -> str:
    return re.sub(r"\S+", lambda word: _word(word[0]), re.sub(r"\s+", " ", text))


def _word(word: str) -> str:
    if _ACTIVE.search(word):
        return code(word)
    return _SPECIAL.sub(r"\\\g<0>", word.translate(_ENTITIES))
