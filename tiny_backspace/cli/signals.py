"""Signals that end a run in order: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from tiny_backspace.errors import Stopped

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ENOUGH = (
    2  # the first one stops the work, the second one also the saving of it; more change nothing
)


class Signals:
    """Turns these signals into `Stopped`, at most twice, so that tidying up is not cut short."""

    def __init__(self) -> None:
        self._seen = 0
        self._holding = False
        self._held: int | None = None

    def stop(self, number: int, _: FrameType | None) -> None:
        """The handler. Python runs it in the main thread."""
        self._seen += 1
        if self._seen > _ENOUGH:
            return
        if self._holding:
            self._held = number
        else:
            raise Stopped(number)

    @contextmanager
    def hold(self, *, for_good: bool = False) -> Generator[None]:
        """What is in the block is done whole: a signal waits for its end, or is passed over `for_good`."""
        if threading.current_thread() is not threading.main_thread() or self._holding:
            yield
            return
        self._holding = True
        try:
            yield
        finally:
            if for_good:
                self._seen = _ENOUGH
            self._holding = False
        if self._held is not None and not for_good:
            number, self._held = self._held, None
            raise Stopped(number)


@contextmanager
def stopping() -> Generator[Signals]:
    """Handle the signals inside the block."""
    signals = Signals()
    # one that is ignored already stays so: nohup, or a job in the background of a script
    wanted = [n for n in _NUMBERS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signals.stop) for number in wanted}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
