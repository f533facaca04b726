"""Signals that end a run in order: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf
from time import monotonic
from types import FrameType

from tiny_backspace.errors import Stopped

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = (
    3.0  # seconds: the work is saved and the sandbox removed in less; then a signal counts again
)


class Signals:
    """Turns these signals into `Stopped`; impatient ones right after the first are passed over."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deaf_until = -inf
        self._holding = False
        self._held: int | None = None

    def stop(self, number: int, _: FrameType | None) -> None:
        """The handler. Python runs it in the main thread."""
        if (now := self._clock()) < self._deaf_until:
            return
        self._deaf_until = now + _PATIENCE
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
                self._deaf_until = inf
            self._holding = False
        if self._held is not None and not for_good:
            number, self._held = self._held, None
            raise Stopped(number)


@contextmanager
def stopping(clock: Callable[[], float] = monotonic) -> Generator[Signals]:
    """Handle the signals inside the block."""
    signals = Signals(clock)
    # one that is ignored already stays so: nohup, or a job in the background of a script
    wanted = [n for n in _NUMBERS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signals.stop) for number in wanted}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
