"""The live view of a run, and a recorded run played back through any view."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Self, TypeAlias

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from tiny_backspace.events import (
    AgentThought,
    ModelTurn,
    ProviderReplaced,
    Record,
    Retry,
)
from tiny_backspace.recorder import Clock, Subscriber
from tiny_backspace.views import panels
from tiny_backspace.views.drawing import GAP, beside, shares, sized
from tiny_backspace.views.panels import Scene
from tiny_backspace.views.state import RunState, advance, elapsed
from tiny_backspace.views.summary import print_summary

FRAMES_PER_SECOND = 10
LONGEST_GAP = 2.0  # seconds a replay waits at most between two records
WIDE, WIDEST, TALL = 120, 160, 30  # columns, columns, rows
_TALLEST = 44  # rows; more would be empty space
_SIDE = 38  # columns
_BLOCK = 2048  # characters of a streamed thought

_Part: TypeAlias = Callable[[Scene, int, int], list[Text]]


def frame(scene: Scene, width: int, height: int) -> list[Text]:
    """The rows for a terminal of this size: always one less than it has, whatever there is to show."""
    rows = max(min(height - 1, _TALLEST), 1)
    arrange = _wide if width >= WIDE and height >= TALL else _compact
    return sized(arrange(scene, width, rows), width, rows)


def _compact(scene: Scene, width: int, rows: int) -> list[Text]:
    """One column. What does not fit is cut from below, so the most important stands on top."""
    top = [*panels.header(scene, width), *panels.progress(scene, width)]
    bottom = panels.surroundings(scene, width)
    thought, calls, change = shares(rows - len(top) - len(bottom), (1, 1, 1))
    middle = [
        *panels.thinking(scene, width, thought),
        *panels.tools(scene, width, calls),
        *panels.edits(scene, width, change),
    ]
    return [*top, *middle, *bottom]


def _wide(scene: Scene, width: int, rows: int) -> list[Text]:
    """A column of facts, and one or two of what happens."""
    top = panels.header(scene, width)
    room = rows - len(top)
    facts = [*panels.step_list(scene, _SIDE), Text(), *panels.sandbox(scene, _SIDE), Text()]
    notes = panels.notes(scene, _SIDE, max(room - len(facts), 0))
    side = sized([*facts, *notes], _SIDE, room)
    rest = width - _SIDE - GAP
    if width < WIDEST:
        every = (panels.thinking, panels.tools, panels.edits, panels.git)
        return [*top, *beside(side, _stacked(scene, rest, room, every, (3, 3, 4, 2)))]
    left = (rest - GAP) // 2
    doing = _stacked(scene, left, room, (panels.thinking, panels.tools), (2, 3))
    done = _stacked(scene, rest - GAP - left, room, (panels.edits, panels.git), (3, 1))
    return [*top, *beside(side, doing, done)]


def _stacked(
    scene: Scene, width: int, rows: int, parts: Sequence[_Part], weights: Sequence[int]
) -> list[Text]:
    """Panels below each other, an empty row between them."""
    heights = shares(rows - len(parts) + 1, weights)
    drawn = (part(scene, width, height) for part, height in zip(parts, heights, strict=True))
    column = [text for panel in drawn for text in (*panel, Text())]
    return sized(column, width, rows)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A frame turned into segments once, however often it is shown."""

    rows: tuple[tuple[Segment, ...], ...] = ()
    widths: tuple[int, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for row in self.rows:
            yield from row
            yield Segment.line()


class LiveView:
    """Panels that follow a run on a terminal; on leaving, its summary takes their place.

    It subscribes to records and watches the text of thoughts (`watch`). Nothing is drawn by those
    who tell it news: a thread looks ten times a second whether the picture has changed, and only
    then draws and writes it. `clock` is None for a replay: then the records tell the time.
    """

    def __init__(self, console: Console, clock: Clock | None, verbose: bool = False) -> None:
        self.state = RunState()
        self._console = console
        self._clock = clock
        self._verbose = verbose
        self.streamed = ""
        self._over = True  # what was streamed belongs to a thought that is complete
        self._news = 0
        self._shown: tuple[int, int, int, int] | None = None
        self._drawn = _Drawn()
        self._drawing = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live-view", daemon=True)
        self._live = Live(
            console=console,
            get_renderable=lambda: self._drawn,
            auto_refresh=False,
            screen=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def __call__(self, record: Record) -> None:
        match record.event:
            case AgentThought():
                self.streamed, self._over = "", True
            case ModelTurn() | Retry() | ProviderReplaced():
                self._over = True
            case _:
                pass  # a sample of the memory in use does not end a thought
        self.state = advance(self.state, record)
        self._news += 1

    def watch(self, text: str) -> None:
        """A piece of a thought. Only its end is kept, so a frame costs the same after any length."""
        streamed = text if self._over else self.streamed + text
        if len(streamed) > 2 * _BLOCK:
            # Cut by whole blocks: a beginning that moved with each piece would rewrap every frame.
            streamed = streamed[-_BLOCK:]
        self.streamed, self._over = streamed, False
        self._news += 1

    def __enter__(self) -> Self:
        self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        # The terminal may be gone (Rich then raises SystemExit): whoever watches never changes the run.
        with suppress(OSError, SystemExit):
            try:
                self.draw()
            finally:
                self._live.stop()
            if self._news:
                print_summary(self._console, self.state)

    def _follow(self) -> None:
        with suppress(OSError, SystemExit):
            while not self._done.is_set():
                self.draw()
                self._done.wait(1 / FRAMES_PER_SECOND)

    def draw(self) -> bool:
        """Draw and write the picture if it has changed; whether it had."""
        with self._drawing:
            return self._draw()

    def _draw(self) -> bool:
        news = self._news  # before what it counts: news that come from now on are drawn next time
        now = self._clock() if self._clock else None
        state, (width, height) = self.state, self._console.size
        key = (news, int(elapsed(state, now).total_seconds()), width, height)
        if key == self._shown:
            return False
        self._shown = key
        rows = frame(Scene(state, now, self.streamed, self._verbose), width, height)
        before, drawn = self._drawn, _drawn(self._console, rows)
        if drawn == before:
            return False
        self._drawn = drawn
        self._unfold(before, width)
        self._live.refresh()
        return True

    def _unfold(self, before: _Drawn, width: int) -> None:
        """A terminal made narrower has broken our rows: erase the extra ones too, which Rich cannot know of."""
        extra = sum((cells - 1) // width for cells in before.widths if cells > width)
        up = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
        if extra:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *up * extra))


def _drawn(console: Console, rows: Iterable[Text]) -> _Drawn:
    """Without the blanks at the ends: they would be written, and broken by a narrower terminal."""
    short = [Text.assemble(row) for row in rows]  # `render` leaves out the style of a plain `Text`
    for row in short:
        row.rstrip()
    return _Drawn(
        tuple(tuple(row.render(console)) for row in short), tuple(row.cell_len for row in short)
    )


def replay(
    records: Iterable[Record], view: Subscriber, speed: float, sleep: Callable[[float], None]
) -> None:
    """Tell a recorded run again, `speed` times as fast, with no gap longer than two seconds.

    Raises:
        ValueError: `speed` is not above zero.
    """
    if not speed > 0:
        raise ValueError("the speed must be above zero")
    before: datetime | None = None
    for record in records:
        if before is not None:
            gap = (record.at - before).total_seconds() / speed
            sleep(min(max(gap, 0.0), LONGEST_GAP))
        before = record.at
        view(record)
