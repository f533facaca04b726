"""`monitor`: all runs of this machine on one screen."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tiny_backspace.errors import UsageError
from tiny_backspace.statedir import is_live, state_dir

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from tiny_backspace.monitor.dashboard import Health
    from tiny_backspace.monitor.watching import Watching

Pressed: TypeAlias = Callable[[float], list[str]]

_DAY, _HEALTH_EVERY = timedelta(days=1), 60.0  # seconds
_EVERY = 0.5  # seconds between two looks
_ROWS = 24  # of what is printed once
_KEYS = {b"\x1b[A": "up", b"k": "up", b"\x1b[B": "down", b"j": "down", b"\r": "open", b"\n": "open",
         b"q": "quit", b"\x03": "quit", b"\x1b": "back", b"\x1bOA": "up", b"\x1bOB": "down"}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(monitor)


def monitor(
    once: Annotated[bool, typer.Option("--once", help="Print the screen once, and end.")] = False,
) -> None:
    """Watch all runs of this machine, other terminals' too.

    Arrows choose a run, Enter opens it, q or Esc goes back, q quits.

    \b
    Examples:
      tiny-backspace monitor
      tiny-backspace monitor --once | head -3
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.monitor.watching import Watching

    state = state_dir(os.environ)
    watching = Watching(state / "history.db", lambda run: is_live(state, run))
    screen = Screen(watching, state)
    try:
        if once or not (sys.stdin.isatty() and sys.stdout.isatty()):
            if not once:
                raise UsageError("monitor needs a terminal", hint="--once prints the screen once.")
            screen.look()
            _print_once(screen)
        else:
            _watch(screen)
    finally:
        watching.close()


class Screen:
    """What is shown, and what a key does to it."""

    def __init__(self, watching: Watching, state: Path) -> None:
        from tiny_backspace.monitor.watching import Overview

        self._watching = watching
        self._overview = Overview(datetime.now(UTC))
        self._begun = monotonic()
        self._chosen = 0
        self._open: str | None = None  # the run whose own view is on the screen
        self._notice = ""
        self._state = state
        self._health: Health | None = None
        self._healthy_until = 0.0

    def look(self) -> None:
        from tiny_backspace.telemetry.database import HistoryError

        try:
            self._overview = self._watching.look(datetime.now(UTC))
            self._notice = ""
            if monotonic() >= self._healthy_until:
                self._health = _verdict(self._state)
                self._healthy_until = monotonic() + _HEALTH_EVERY
        except HistoryError as error:
            self._notice = f"{error}. {error.hint or ''}"
        self._chosen = max(0, min(self._chosen, len(self._overview.active) - 1))

    def press(self, key: str) -> bool:
        """Whether it goes on."""
        if self._open is not None:
            if key in ("quit", "back"):
                self._open = None
            return True
        active = self._overview.active
        if key == "quit":
            return False
        if key == "open" and active:
            self._open = active[self._chosen].run_id
        step = {"up": -1, "down": 1}.get(key, 0)
        self._chosen = max(0, min(self._chosen + step, len(active) - 1))
        return True

    def rows(self, width: int, height: int) -> list[Text]:
        from tiny_backspace.monitor.dashboard import Seen, dashboard, opened_keys
        from tiny_backspace.views.live import frame
        from tiny_backspace.views.panels import Scene

        opened = self._watching.state(self._open) if self._open else None
        if opened is not None:
            now = None if opened.outcome else self._overview.now
            return [*frame(Scene(opened, now), width, height), opened_keys(width)]
        up = timedelta(seconds=monotonic() - self._begun)
        seen = Seen(self._overview, up, _own_memory(), self._health, self._chosen, self._notice)
        return dashboard(seen, width, height)


def _verdict(state: Path) -> Health:
    """Of the last day. Raises HistoryError."""
    from tiny_backspace.health import facts, rules

    now = datetime.now(UTC)
    return rules.judge(facts.measure(state, now - _DAY, now, lambda run: is_live(state, run)))


def _own_memory() -> int | None:
    """Bytes; None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _print_once(screen: Screen) -> None:
    from rich.console import Console

    console = Console()
    for text in screen.rows(console.width, _ROWS):
        text.rstrip()
        console.print(text, no_wrap=True, overflow="crop")


def _watch(screen: Screen) -> None:
    """Looks twice a second, and at once when a key is pressed; only rows that changed are written."""
    from rich.console import Console

    console = Console()
    with _keys() as pressed, console.screen(hide_cursor=True):
        shown: list[str] = []
        size, looked = console.size, 0.0
        while True:
            if monotonic() - looked >= _EVERY:
                screen.look()
                looked = monotonic()
            if console.size != size:
                size, shown = console.size, []
                console.clear()
            shown = _draw(console, screen.rows(size.width, size.height), shown)
            for key in pressed(max(0.0, looked + _EVERY - monotonic())):
                if not screen.press(key):
                    return


def _draw(console: Console, rows: list[Text], shown: list[str]) -> list[str]:
    with console.capture() as captured:
        for text in rows:
            console.print(text, end="\n", no_wrap=True, overflow="crop", crop=True)
    lines = captured.get().split("\n")[: len(rows)]
    changed = [
        f"\x1b[{n};1H\x1b[2K{line}"
        for n, line in enumerate(lines, 1)
        if n > len(shown) or shown[n - 1] != line
    ]
    if changed or len(shown) > len(lines):
        console.file.write(
            "".join(changed)
            + (f"\x1b[{len(lines) + 1};1H\x1b[J" if len(shown) > len(lines) else "")
        )
        console.file.flush()
    return lines


@contextmanager
def _keys() -> Generator[Pressed]:
    """A function that waits so many seconds for keys, and says which were pressed."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> list[str]:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        if not ready:
            return []
        data = os.read(descriptor, 64)
        if not data:
            return ["quit", "quit"]  # the terminal has gone
        return _named(data)

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _named(data: bytes) -> list[str]:
    found = []
    while data:
        length = next((n for n in (3, 1) if data[:n] in _KEYS), 0)
        if length:
            found.append(_KEYS[data[:length]])
        data = data[length or 1 :]
    return found
