"""Where a run's time went: its operations as bars under each other, from its records. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.text import Text

from tiny_backspace.events import ModelTurn, Record, SyntaxChecked, Timed, ToolFinished, Verified
from tiny_backspace.redact import clean_line
from tiny_backspace.views.drawing import ACCENT, BAD, DIM
from tiny_backspace.views.figures import took

_NAME = 26
_TOOK = 12
_NARROWEST = 20  # columns of the bars
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Span:
    """One operation. Milliseconds; `start` counts from the run's first record, `first` from its own start."""

    name: str
    start: float
    duration: float
    ok: bool
    first: float | None = None


def spans(records: Iterable[Record]) -> tuple[Span, ...]:
    """What took time, in the order of beginning. An operation is told when it ends."""
    begun: datetime | None = None
    found: list[Span] = []
    for record in records:
        begun = begun or record.at
        told = _told(record)
        if told is not None:
            name, duration, ok, first = told
            start = (record.at - begun) / timedelta(milliseconds=1) - duration
            found.append(Span(clean_line(name), max(0.0, start), duration, ok, first))
    return tuple(sorted(found, key=lambda span: (span.start, -span.duration)))


def _told(record: Record) -> tuple[str, float, bool, float | None] | None:
    match event := record.event:
        case Timed():
            return event.operation, event.duration_ms, event.ok, None
        case ModelTurn():
            return (
                f"turn {event.turn}, {event.provider}",
                event.duration_ms,
                True,
                event.first_token_ms,
            )
        case ToolFinished():
            return f"  {event.tool}", event.duration_ms, event.ok, None
        case SyntaxChecked():
            return "syntax check", event.duration_ms, event.ok, None
        case Verified():
            return f"verify the {event.on}", event.duration_ms, event.ok, None
        case _:
            return None


def waterfall(found: tuple[Span, ...], width: int) -> Iterator[Text]:
    """A line for each, as wide as `width`; before the first piece of an answer its bar is thin."""
    room = max(_NARROWEST, width - _NAME - _TOOK - 2)
    whole = max((span.start + span.duration for span in found), default=0.0) or 1.0
    for span in found:
        name = span.name if len(span.name) <= _NAME else f"{span.name[: _NAME - 1]}…"
        line = Text(f"{name:<{_NAME}} ", style="" if span.ok else BAD)
        line.append(_bar(span, whole, room), style=ACCENT if span.ok else BAD)
        line.append(f"{took(span.duration):>{_TOOK}}", style=DIM)
        line.no_wrap = True
        yield line
    end = took(whole)
    yield Text(f"{'':<{_NAME}} 0{end:>{room - 1}}", style=DIM)


def _bar(span: Span, whole: float, room: int) -> str:
    """In eighths of a column, one at least; padded to `room` and a space."""
    start, end = (int(at / whole * room * 8) for at in (span.start, span.start + span.duration))
    start = min(start, room * 8 - 1)
    end = min(max(end, start + 1), room * 8)
    first, last = start // 8, (end - 1) // 8
    wait = first if span.first is None else int((span.start + span.first) / whole * room)
    cells = [" "] * first
    for column in range(first, last + 1):
        thin = span.first is not None and column < min(wait, last)
        cells.append("─" if thin else "█" if column < last else _EIGHTHS[(end - 1) % 8 + 1])
    return "".join(cells).ljust(room) + " "
