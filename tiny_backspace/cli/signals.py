"""Signals that end a run in order: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from tiny_backspace.errors import Stopped

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ENOUGH = (
    2  # the first one stops the work, the second one also the saving of it; more change nothing
)


@contextmanager
def stopping() -> Generator[None]:
    """Inside the block these signals raise `Stopped`, at most twice, so that tidying up is not cut short."""
    seen = 0

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen <= _ENOUGH:
            raise Stopped(number)

    # one that is ignored already stays so: nohup, or a job in the background of a script
    wanted = [n for n in _NUMBERS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
