"""The stream of one exec: every byte in, every byte out, a deadline, nothing lost.

docker-py reads the raw socket underneath http.client's buffer, so on a loaded host the bytes that
come together with the response headers are gone (docker/docker-py#3332). This is an upgrade request
of our own, on the engine's unix socket, with a buffer of its own.
"""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from time import monotonic
from typing import Self, TypeAlias

from tiny_backspace.errors import SandboxLost

STDOUT, STDERR = 1, 2
_HEADER = 8  # stream kind, three zeros, length: 32 bits, big-endian
_CHUNK = 1 << 18

Consume: TypeAlias = Callable[[int, bytes], bool]


class Ended(Enum):
    """Why an exchange is over."""

    DONE = "the consumer has what it wants"
    CLOSED = "the engine closed the stream"
    DEADLINE = "the time was up"


class Demultiplexer:
    """The engine's frames put together again, however the bytes were cut on their way."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(stream, payload) for every frame, or part of one, that has arrived."""
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            size = int.from_bytes(self._buffer[4:_HEADER], "big")
            here = min(size, len(self._buffer) - _HEADER)
            if here == 0 and size:
                return
            kind, payload = self._buffer[0], bytes(self._buffer[_HEADER : _HEADER + here])
            if here == size:
                del self._buffer[: _HEADER + here]
            else:  # hand on what is here, and count it off the frame
                del self._buffer[_HEADER : _HEADER + here]
                self._buffer[4:_HEADER] = (size - here).to_bytes(4, "big")
            if payload:
                yield kind, payload

    @property
    def whole(self) -> bool:
        """Whether no frame has begun that has not ended: an engine that is well stops nowhere else."""
        return not self._buffer


class Attached:
    """An exec that was created and is now started and attached. Close it, or use it in a `with`."""

    def __init__(self, socket_path: str, api_version: str, exec_id: str, timeout: float) -> None:
        self._frames = Demultiplexer()
        self._pending: memoryview = memoryview(b"")
        try:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout)
            self._socket.connect(socket_path)
            self._early = self._start(api_version, exec_id)
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            raise SandboxLost(f"the engine did not start the command: {error}") from error
        except SandboxLost:
            self._socket.close()
            raise

    def _start(self, api_version: str, exec_id: str) -> bytes:
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        self._socket.sendall(
            f"POST /v{api_version}/exec/{exec_id}/start HTTP/1.1\r\nHost: docker\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := self._socket.recv(_CHUNK)):
                raise SandboxLost("the engine closed the connection before the command started")
            head += data
        head, early = head.split(b"\r\n\r\n", 1)
        status = head.split(maxsplit=2)[1]
        if status not in (b"101", b"200"):
            answer = early.decode(errors="replace").strip()
            raise SandboxLost(f"the engine refused to start the command: {answer}")
        return early

    def exchange(
        self, outgoing: Iterable[bytes], consume: Consume, deadline: float, *, close: bool = False
    ) -> Ended:
        """Send all of `outgoing` while handing what arrives to `consume(stream, bytes)` until it says True.

        `deadline` is on the monotonic clock. `close` half-closes after the last byte, so that the
        command sees the end of its input. `outgoing` is pulled only as fast as the other side reads.

        Raises:
            SandboxLost: the stream broke off in the middle of a frame.
        """
        source: Iterator[bytes] | None = iter(outgoing)
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            if self._early:
                early, self._early = self._early, b""
                if self._deliver(early, consume):
                    return Ended.DONE
            while (left := deadline - monotonic()) > 0:
                if source is not None and not self._pending:
                    source = self._pull(source, close=close)
                writing = selectors.EVENT_WRITE if self._pending else 0
                selector.modify(self._socket, selectors.EVENT_READ | writing)
                for _, ready in selector.select(left):
                    if ready & selectors.EVENT_WRITE and not self._send():
                        source = None
                    if ready & selectors.EVENT_READ:
                        if not (data := self._receive()):
                            return self._closed()
                        if self._deliver(data, consume):
                            return Ended.DONE
        return Ended.DEADLINE

    def _pull(self, source: Iterator[bytes], *, close: bool) -> Iterator[bytes] | None:
        for chunk in source:
            if chunk:
                self._pending = memoryview(chunk)
                return source
        if close:
            with suppress(OSError):  # gone already: the read side will tell
                self._socket.shutdown(socket.SHUT_WR)
        return None

    def _send(self) -> bool:
        """Send some of what is pending; False if the other side no longer reads."""
        try:
            self._pending = self._pending[self._socket.send(self._pending[:_CHUNK]) :]
        except BlockingIOError:
            pass
        except OSError:
            self._pending = memoryview(b"")
            return False
        return True

    def _receive(self) -> bytes | None:
        try:
            return self._socket.recv(_CHUNK)
        except ConnectionError:
            return None

    def _closed(self) -> Ended:
        if not self._frames.whole:
            raise SandboxLost("the engine's stream broke off in the middle of what a command said")
        return Ended.CLOSED

    def _deliver(self, data: bytes, consume: Consume) -> bool:
        done = False
        for kind, payload in self._frames.feed(data):
            done = consume(kind, payload) or done
        return done

    def taken_over(self) -> tuple[socket.socket, bytes]:
        """The stream as it is, frames and all, and what has come of it: for somebody who waits in another way."""
        early, self._early = self._early, b""
        return socket.socket(fileno=self._socket.detach()), early

    def alive(self) -> bool:
        """Whether the stream is still open, as far as can be told without waiting."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
