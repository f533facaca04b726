"""Rows of text of an exact width: what the live view is put together from.

Everything is a `Text` made from cleaned text, never markup; a row is `width` terminal cells wide,
so columns can stand beside each other and a frame keeps its shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, chop_cells
from rich.text import Text

from tiny_backspace.redact import clean, clean_line

ACCENT, GOOD, BAD, WARN, DIM = "cyan", "green", "red", "yellow", "dim"
GAP = 3
_LONGEST = 1000  # characters of one row: no terminal is wider


def line(text: str, style: str = "") -> Text:
    """Foreign text on one line."""
    return Text(clean_line(text[:_LONGEST]), style, no_wrap=True, end="")


def lines(text: str) -> list[str]:
    """Foreign text, cleaned, by lines, without tabs (their width depends on where they stand)."""
    return [part.expandtabs(4) for part in clean(text).split("\n")]


def joined(*parts: Text, by: str = "  ") -> Text:
    """The parts that are not empty, on one line."""
    between = Text.assemble((by, DIM), end="")  # a base style would colour the parts as well
    return between.join([part for part in parts if part.plain])


def row(width: int, left: Text, right: Text | None = None) -> Text:
    """Exactly `width` cells: `right` stands at the end and stays whole as long as it can."""
    if right is None or not right.plain:
        if left.cell_len == width:
            return left
        whole = left.copy()
        whole.truncate(max(width, 1), overflow="ellipsis", pad=True)
        return whole
    end = right.copy()
    end.truncate(max(width * 2 // 3, 1), overflow="ellipsis")
    start = row(width - end.cell_len - 1, left)
    return Text.assemble(start, " ", end, no_wrap=True, end="")


def rule(width: int, title: str, note: Text | None = None) -> Text:
    """A section's heading: `title ───────── note`."""
    label = Text(title, f"bold {ACCENT}", end="")
    end = note.copy() if note is not None else Text()
    end.truncate(max(width - label.cell_len - 4, 1), overflow="ellipsis")
    dashes = width - label.cell_len - end.cell_len - (2 if end.plain else 1)
    parts = (label, " ", ("─" * max(dashes, 0), DIM), " " if end.plain else "", end)
    return row(width, Text.assemble(*parts, no_wrap=True, end=""))


def box(width: int, title: Text, note: Text, rows: Sequence[Text]) -> list[Text]:
    """A frame with round corners, a title in its upper edge and a note at that edge's end."""
    inner = width - 4
    head = title.copy()
    head.truncate(max(inner - note.cell_len - 5, 1), overflow="ellipsis")
    dashes = max(inner - head.cell_len - note.cell_len - 4, 0)
    top = Text.assemble(("╭─ ", DIM), head, (f" {'─' * dashes} ", DIM), note, (" ─╮", DIM), end="")
    side = Text("│", DIM, end="")
    body = [Text.assemble(side, " ", row(inner, text), " ", side, end="") for text in rows]
    bottom = Text(f"╰{'─' * (width - 2)}╯", DIM, end="")
    return [row(width, part) for part in (top, *body, bottom)]


def bar(width: int, percent: int, style: str) -> Text:
    """`━━━━━━╸─────  70%`."""
    share = min(max(percent, 0), 100)
    room = max(width - 6, 1)
    done = room * share // 100
    tip = "╸" if 0 < done < room else ""
    full = "━" * (done - len(tip))
    parts = ((full + tip, style), ("─" * (room - done), DIM), (f"  {share:>3}%", "bold"))
    return Text.assemble(*parts, no_wrap=True, end="")


def wrapped(text: str, width: int) -> list[str]:
    """Cleaned lines broken at spaces to at most `width` cells; a longer word is cut."""
    return [piece for part in lines(text) for piece in _broken(part, width)]


def _broken(text: str, width: int) -> list[str]:
    if len(text) <= width and cell_len(text) <= width:
        return [text]
    done, current, used = [], "", 0
    for word in text.split(" "):
        need = cell_len(word)
        if current and used + 1 + need <= width:
            current, used = f"{current} {word}", used + 1 + need
            continue
        done += [current] if current else []
        if need > width:
            *whole, word = chop_cells(word, width)  # noqa: PLW2901 - what is left of the word goes on
            done += whole
        current, used = word, cell_len(word)
    return [*done, current]


def sized(rows: Sequence[Text], width: int, height: int) -> list[Text]:
    """Exactly `height` rows of `width` cells: cut at the end, or filled with empty ones."""
    kept = [row(width, text) for text in rows[:height]]
    return kept + [Text(" " * width, end="")] * (height - len(kept))


def beside(*columns: Sequence[Text]) -> list[Text]:
    """Columns of equal height next to each other."""
    gap = Text(" " * GAP, end="")
    return [gap.join(parts) for parts in zip(*columns, strict=True)]


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """`total` rows divided in proportion, exactly; what is left over goes to the first."""
    parts = [max(total, 0) * weight // sum(weights) for weight in weights]
    parts[0] += max(total, 0) - sum(parts)
    return parts
