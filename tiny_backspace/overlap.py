"""Opening something slow while doing something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from typing_extensions import override

T = TypeVar("T")

IMPORTING = threading.Lock()
"""Held by a thread while it imports something large. Two at a time take as long as one after the other,
and the sandbox's, which comes first, is the one that is waited for."""

_PATIENCE = 1.5  # seconds to wait at the end for something that is not open yet


class _Opening(AbstractContextManager[Callable[[], T]], Generic[T]):
    """A context manager that is entered in a thread of its own, and left wherever it is over."""

    def __init__(self, manager: AbstractContextManager[T], name: str) -> None:
        self._manager = manager
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._abandoned = False
        self._lock = threading.Lock()
        # not the thread's join(): one that a signal breaks off takes the thread for ended (CPython 3.11)
        self._done = threading.Event()
        # a daemon: an image that is still being built must not hold up an interrupted program
        self._thread = threading.Thread(target=self._open, name=name, daemon=True)

    @override
    def __enter__(self) -> Callable[[], T]:
        try:
            self._thread.start()
        except BaseException:  # a signal, which need not keep the thread from beginning
            self._close()
            raise
        return self._get

    @override
    def __exit__(self, *_: object) -> None:
        self._close()

    def _open(self) -> None:
        try:
            value = self._manager.__enter__()
        except BaseException as error:  # noqa: BLE001 - it is raised where the value is asked for
            self._error = error
            self._done.set()
            return
        with self._lock:
            if not self._abandoned:
                self._value.append(value)
            self._done.set()
        if not self._value:
            self._manager.__exit__(None, None, None)

    def _get(self) -> T:
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value[0]

    def _close(self) -> None:
        try:
            self._done.wait(_PATIENCE)
        except BaseException:  # a signal while we wait: what is being opened is closed all the same
            self._done.wait(_PATIENCE)
            raise
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._abandoned = not self._value
        if self._value:
            self._manager.__exit__(None, None, None)


def opened_early(
    manager: AbstractContextManager[T], name: str
) -> AbstractContextManager[Callable[[], T]]:
    """Open `manager` while the block goes on, which gets a function that waits for it and returns its value.

    It is closed at the end of the block, and also when a signal keeps the block from beginning.
    """
    return _Opening(manager, name)
