"""Opening something slow while doing something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

_PATIENCE = 1.5  # seconds to wait at the end for something that is not open yet


class _Opening(Generic[T]):
    """A context manager that is entered in a thread of its own, and left wherever it is over."""

    def __init__(self, manager: AbstractContextManager[T], name: str) -> None:
        self._manager = manager
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._abandoned = False
        self._lock = threading.Lock()
        # a daemon: an image that is still being built must not hold up an interrupted program
        self._thread = threading.Thread(target=self._open, name=name, daemon=True)
        self._thread.start()

    def _open(self) -> None:
        try:
            value = self._manager.__enter__()
        except BaseException as error:  # noqa: BLE001 - it is raised where the value is asked for
            self._error = error
            return
        with self._lock:
            if not self._abandoned:
                self._value.append(value)
                return
        self._manager.__exit__(None, None, None)

    def get(self) -> T:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value[0]

    def close(self) -> None:
        self._thread.join(_PATIENCE)
        with self._lock:
            self._abandoned = not self._value
        if self._value:
            self._manager.__exit__(None, None, None)


@contextmanager
def opened_early(
    manager: AbstractContextManager[T], name: str
) -> Generator[Callable[[], T], None, None]:
    """Begin to open `manager` now; the block gets a function that waits for it and returns its value."""
    opening = _Opening(manager, name)
    try:
        yield opening.get
    finally:
        opening.close()
