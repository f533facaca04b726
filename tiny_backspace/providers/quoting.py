"""Quoted text in a sentence: found, taken out, put in. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tiny_backspace.redact import clean

# The mark that a literal leaves in the sentence: its number between two private-use characters.
LITERAL = "\ue000[0-9]+\ue001"
_MARKS = re.compile("[\ue000\ue001]")

_CLOSERS = {
    "'": "'’",
    '"': '"”',
    "‘": "’'",
    "“": '”"',
    "”": "”",  # the Swedish way
    "„": "“”",
    "«": "»",
}
_QUOTES = "".join(_CLOSERS)
_END = (
    r"(?=$|[\s,.;:!?)\]])"  # what may follow a closing quote; the apostrophe of it's closes nothing
)
_OPENING = re.compile(
    r"(?P<fence>`{3,})[\w+#.-]*[ \t]*\r?\n"
    r"|(?P<ticks>`+)"
    rf"|(?<![^\s(\[:,;])(?P<quote>[{_QUOTES}])"
    rf"|(?P<colon>:)[ \t]*\r?\n(?!\s*[`{_QUOTES}])"
)
_SHOWN = str.maketrans({"\n": "⏎", "\r": "␍", "\t": "⇥"})
_SHOWN_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Masked:
    """A sentence with a mark for each literal. `block` says that the last one is an unquoted block."""

    text: str
    literals: tuple[str, ...]
    block: bool = False

    def is_literal(self, token: str) -> bool:
        return re.fullmatch(LITERAL, token) is not None

    def value(self, token: str) -> str:
        """What a token of `text` stands for: its literal, or itself."""
        return self.literals[int(token[1:-1])] if self.is_literal(token) else token


def mask(sentence: str) -> Masked | None:
    """Take the literals out; None if a quote is opened and never closed.

    A literal is quoted text (straight, typographic, between backticks), a fenced block without its
    last newline, or everything after a line that ends with a colon. It is meant as it stands: a
    backslash is a backslash. As in Markdown, a longer run of backticks quotes shorter ones.
    """
    pieces: list[str] = []
    literals: list[str] = []
    at, block = 0, False
    while (opening := _OPENING.search(sentence, at)) is not None:
        pieces.append(sentence[at : opening.start()])
        literal = _literal(sentence, opening)
        if literal is None:
            return None
        pieces.append(f"{': ' if opening['colon'] else ''}\ue000{len(literals)}\ue001")
        block = opening["colon"] is not None
        text, at = literal
        literals.append(text)
    pieces.append(sentence[at:])
    if any(_MARKS.search(outside) for outside in pieces[::2]):
        return None
    return Masked("".join(pieces), tuple(literals), block)


def _literal(sentence: str, opening: re.Match[str]) -> tuple[str, int] | None:
    """The text that starts after an opening, and where the sentence goes on."""
    start = opening.end()
    if opening["colon"]:
        return sentence[start:].strip("\r\n"), len(sentence)
    if fence := opening["fence"]:
        closing = re.compile(rf"(?:(?<=\n)|\n)[ \t]*{fence}`*[ \t]*(?=\r?\n|$)")
        end = closing.search(sentence, start)
    elif ticks := opening["ticks"]:
        end = re.compile(rf"(?<!`){ticks}(?!`)").search(sentence, start)
    else:
        closers = _CLOSERS[opening["quote"]]
        end = re.compile(rf"[{closers}]{_END}").search(sentence, start)
    if end is None:
        return None
    text = sentence[start : end.start()]
    if len(opening["ticks"] or "") > 1 and text[:1] == text[-1:] == " " and text.strip(" "):
        text = text[1:-1]
    return text, end.end()


def quoted(text: str) -> str:
    """The text between backticks, so that `mask` finds exactly it; a fenced block if need be."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    if not text:
        return "''"
    if longest == 0:
        return f"`{text}`"
    if longest == 1:
        padded = text[0] in " `" or text[-1] in " `"
        return f"`` {text} ``" if padded else f"``{text}``"
    return fenced(text)


def fenced(text: str) -> str:
    """A block with a fence that is longer than any in the text, as Markdown wants it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}\n"


def shown(text: str) -> str:
    """The text quoted on one line and not too long: to look at, not to read back."""
    line = clean(text).translate(_SHOWN)
    if len(line) > _SHOWN_LENGTH:
        line = f"{line[: _SHOWN_LENGTH - 1]}…"
    return f"“{line}”"
