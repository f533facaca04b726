"""A unix socket in front of the engine's, which passes on what it is given badly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from docker import APIClient

from tiny_backspace.sandbox.engine import Engine

_CHUNK = 1 << 16
_END = b"\r\n\r\n"


class Wire:
    """`piece` bytes are passed on at a time, both ways. `half_close` is whether the engine is told of the end of
    the input. After `cut_at` bytes of what commands say, frames' heads counted, a connection is closed.
    """

    def __init__(
        self, engine: str, path: Path, *, piece: int, half_close: bool, cut_at: int | None
    ) -> None:
        self.path = path
        self._engine = engine
        self._piece, self._half_close, self._cut_at = piece, half_close, cut_at
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._start(self._accept)

    def die(self) -> None:
        """Every connection ends, and nobody answers any more."""
        self.path.unlink(missing_ok=True)
        _end(self._listener)
        for each in tuple(self._open):
            _end(each)

    def close(self) -> None:
        self.die()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._listener.close()

    def _start(self, work: object, *given: object) -> threading.Thread:
        assert callable(work)
        thread = threading.Thread(target=work, args=given)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with suppress(OSError):  # it has been ended
            while True:
                self._start(self._connection, self._listener.accept()[0])

    def _connection(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._engine)
            for each in (client, engine):  # so that pieces do not come together on the way
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            self._open |= {client, engine}
            sent = self._start(self._up, client, engine)
            with suppress(OSError):
                self._down(engine, client)
            _end(client)
            _end(engine)
            sent.join()
            self._open -= {client, engine}

    def _up(self, client: socket.socket, engine: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_CHUNK):
                self._pass_on(data, engine)
            if self._half_close:
                engine.shutdown(socket.SHUT_WR)

    def _down(self, engine: socket.socket, client: socket.socket) -> None:
        said, left = b"", None
        while data := engine.recv(_CHUNK):
            if self._cut_at is not None and left is None:
                said += data
                if said.startswith(b"HTTP/1.1 101") and _END in said:
                    left = self._cut_at - len(said[: -len(data)]) + said.index(_END) + len(_END)
            self._pass_on(data[:left], client)
            if left is not None and (left := left - len(data)) <= 0:
                return

    def _pass_on(self, data: bytes, to: socket.socket) -> None:
        for start in range(0, len(data), self._piece):
            to.sendall(data[start : start + self._piece])


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@contextmanager
def wired(
    engine: Engine, folder: Path, *, piece: int = _CHUNK, half_close: bool = True,
    cut_at: int | None = None,
) -> Generator[tuple[Engine, Wire]]:  # fmt: skip
    """The same engine behind a wire, for as long as the block lasts."""
    with (
        closing(
            Wire(
                engine.socket_path,
                folder / "wire",
                piece=piece,
                half_close=half_close,
                cut_at=cut_at,
            )
        ) as wire,
        closing(
            APIClient(f"unix://{wire.path}", version=engine.api.api_version, timeout=20)
        ) as api,
    ):
        yield Engine(api, str(wire.path)), wire
