"""Whether a run could begin: the engine answers. Asked at most every few seconds, whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.sandbox.engine import connect

_EVERY = 5.0  # seconds
_PATIENCE = 3  # seconds for the engine to answer


class Readiness:
    """`probe` raises TinyBackspaceError where something is missing."""

    def __init__(self, probe: Callable[[], None]) -> None:
        self._probe = probe
        self._lock = threading.Lock()
        self._until = 0.0
        self._problem: str | None = "It has not been looked yet."

    def problem(self) -> str | None:
        """Why no run could begin; None if one could. Who asks while another looks gets what was found before: an engine
        that says nothing must not hold all that ask, of whom there may be many, and nobody knows who.
        """
        if monotonic() >= self._until and self._lock.acquire(blocking=False):
            try:
                self._probe()
                self._problem = None
            except TinyBackspaceError:
                self._problem = "No container engine answers."
            finally:
                self._until = monotonic() + _EVERY
                self._lock.release()
        return self._problem


def engine(docker_host: str | None) -> Callable[[], None]:
    """A probe of the engine that runs use."""

    def probe() -> None:
        connect(docker_host, timeout=_PATIENCE).api.close()

    return probe
