"""Signals that end a run in order: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from math import inf
from time import monotonic
from types import FrameType

from tiny_backspace.errors import Stopped

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = (
    3.0  # seconds: the work is saved and the sandbox removed in less; then a signal counts again
)

_SOON = 0.05  # seconds until a stop that was swallowed comes again


class Signals:
    """Turns these signals into `Stopped`; impatient ones right after the first are passed over."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deaf_until = -inf
        self._holding = False
        self._held: int | None = None
        self._lost: int | None = None
        self._unraisable = sys.unraisablehook

    def stop(self, number: int, _: FrameType | None) -> None:
        """The handler. Python runs it in the main thread."""
        if (now := self._clock()) < self._deaf_until:
            return
        self._deaf_until = now + _PATIENCE
        if self._holding:
            self._held = number
        else:
            raise Stopped(number)

    def swallowed(self, unraisable: sys.UnraisableHookArgs, /) -> None:
        """The hook for what was raised where nothing can be: in a finaliser, in a weak reference's callback.

        Python drops it there. A stop is raised anew when that is over, by an alarm, as the hook may be
        called between any two steps and must take no lock.
        """
        if isinstance(stopped := unraisable.exc_value, Stopped):
            self._lost = stopped.number
            self._deaf_until = -inf
            signal.setitimer(signal.ITIMER_REAL, _SOON)
        else:
            self._unraisable(unraisable)

    def again(self, _: int, frame: FrameType | None) -> None:
        """The alarm's handler."""
        if self._lost is not None:
            number, self._lost = self._lost, None
            self.stop(number, frame)

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
def noted() -> Generator[Sequence[int]]:
    """For a program that has others to end first: those of these signals that have come, in order. Nothing is raised."""
    seen: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        seen.append(number)

    wanted = [n for n in _NUMBERS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in wanted}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopping(clock: Callable[[], float] = monotonic) -> Generator[Signals]:
    """Handle the signals inside the block, in the main thread."""
    signals = Signals(clock)
    # one that is ignored already stays so: nohup, or a job in the background of a script
    wanted = [n for n in _NUMBERS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {signal.SIGALRM: signal.signal(signal.SIGALRM, signals.again)}
    before |= {number: signal.signal(number, signals.stop) for number in wanted}
    hook, sys.unraisablehook = sys.unraisablehook, signals.swallowed
    try:
        yield signals
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
