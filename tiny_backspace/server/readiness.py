"""Whether a run could begin: the engine answers. Asked at most every few seconds, whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.sandbox.engine import connect

_EVERY = 5.0  # seconds


class Readiness:
    """`probe` raises TinyBackspaceError where something is missing."""

    def __init__(self, probe: Callable[[], None]) -> None:
        self._probe = probe
        self._lock = threading.Lock()
        self._until = 0.0
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why no run could begin; None if one could."""
        with self._lock:
            if monotonic() >= self._until:
                try:
                    self._probe()
                    self._problem = None
                except TinyBackspaceError:
                    self._problem = "No container engine answers."
                self._until = monotonic() + _EVERY
            return self._problem


def engine(docker_host: str | None) -> Callable[[], None]:
    """A probe of the engine that runs use."""

    def probe() -> None:
        connect(docker_host).api.close()

    return probe
