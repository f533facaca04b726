"""Ends an answer, a model's or a forge's, that has gone silent or takes too long.

Neither closing a response from another thread nor its read timeout is enough: the first does not wake
the reader, the second is satisfied by a byte now and then. So the socket beneath is shut down.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import httpx2

KEPT_ALIVE = (
    3  # times as long may a model only be kept alive, by pings say, as it may be dead silent
)
_AGAIN = 0.5  # seconds; a connection that comes just after the end is hung up too
_MOST = 8  # a call has up to three: to the proxy, through it, and with TLS


class Watch:
    """What is known of a watched call. `ended` is why it was hung up: silence, or its time being over."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.heard = clock()
        self.ended: Literal["idle", "over"] | None = None

    def alive(self) -> None:
        """Something was heard just now."""
        self.heard = self._clock()


@contextmanager
def watched(
    hang_up: Callable[[], None],
    *,
    idle: float,
    until: float,
    clock: Callable[[], float] = monotonic,
) -> Generator[Watch]:
    """Hang up once nothing was heard for `idle` seconds, or at `until` (as `clock` has it).

    What the reader raises then is up to its library, and it may be nothing at all: ask `ended`.
    `hang_up` is called in another thread, possibly more than once.
    """
    watch, done = Watch(clock), Event()

    def guard() -> None:
        while not done.wait(max(0.0, min(watch.heard + idle, until) - clock())):
            now = clock()
            if now >= until:
                watch.ended = "over"
            elif now >= watch.heard + idle:
                watch.ended = "idle"
            else:
                continue
            hang_up()
            break
        while not done.wait(_AGAIN):
            hang_up()

    thread = Thread(target=guard, name="watchdog", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()


class Connections:
    """The sockets of one client, each from when it is connected on: a call can be hung up before its
    answer has begun, however slowly that comes.
    """

    def __init__(self) -> None:
        self._streams: deque[Any] = deque(maxlen=_MOST)

    def trace(self, request: httpx2.Request) -> None:
        """A hook for each request of the client."""
        request.extensions["trace"] = self._traced

    def _traced(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._streams.append(info["return_value"])

    def hang_up(self) -> None:
        """Wake whoever reads, at once and from any thread. Where there is no socket, or none any more, nothing."""
        for stream in tuple(self._streams):
            under = stream.get_extra_info("socket")
            if isinstance(under, socket.socket):
                with suppress(OSError):
                    # a TLS socket's own shutdown would let the reader go on with the encrypted bytes
                    socket.socket.shutdown(under, socket.SHUT_RDWR)
