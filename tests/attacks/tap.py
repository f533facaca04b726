"""Between the product and the engine: a unix socket that writes down all that the engine is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer
from typing import Any, TypeAlias

from typing_extensions import override

_ENGINE = "/var/run/docker.sock"
_CHUNK = 1 << 16
_KEPT = 64 << 20  # bytes of everything that is said, for a test that says too much

# The body of a request, to be changed on its way to another one of the same length.
Change: TypeAlias = Callable[[str, bytes], bytes]


@dataclass(frozen=True)
class Request:
    """`path` is without the API's version and the query."""

    method: str
    path: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @override
    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Tap:
    """`requests` in order; `told` is every byte of them, and of what was streamed to commands."""

    host: str
    change: Change = lambda _, body: body
    requests: list[Request] = field(default_factory=list)
    told: bytearray = field(default_factory=bytearray)

    def hear(self, data: bytes) -> None:
        if len(self.told) < _KEPT:
            self.told += data

    def of(self, end_of_path: str) -> list[Request]:
        return [each for each in self.requests if each.path.endswith(end_of_path)]


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.tap = Tap(f"unix://{path}")


class _Handler(StreamRequestHandler):
    """One request a connection, which the engine is asked for; what follows it is a stream."""

    server: _Server

    @override
    def handle(self) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as engine:
            engine.connect(_ENGINE)
            if not self._request(engine):
                return
            passing = threading.Thread(target=self._pass_in, args=(engine,))
            passing.start()
            self._pass_out(engine)
            passing.join()

    def _request(self, engine: socket.socket) -> bool:
        lines = [self.rfile.readline()]
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line)
        if not lines[0]:
            return False
        names = {n.lower(): v.strip() for n, _, v in (line.partition(b":") for line in lines)}
        if b"upgrade" not in names:
            lines = [line for line in lines if not line.lower().startswith(b"connection:")]
            lines.append(b"Connection: close\r\n")
        method, target, _ = lines[0].decode().split(" ", 2)
        path = target.partition("?")[0]
        path = "/" + path.split("/", 2)[2] if path.startswith("/v1.") else path
        body = self.rfile.read(int(names.get(b"content-length", b"0")))
        self.server.tap.requests.append(Request(method, path, body))
        self.server.tap.hear(b"".join(lines) + body)
        engine.sendall(b"".join((*lines, b"\r\n")) + self.server.tap.change(path, body))
        return True

    def _pass_in(self, engine: socket.socket) -> None:
        with suppress(OSError):
            while data := self.rfile.read1(_CHUNK):
                self.server.tap.hear(data)
                engine.sendall(data)
            engine.shutdown(socket.SHUT_WR)

    def _pass_out(self, engine: socket.socket) -> None:
        try:
            while data := engine.recv(_CHUNK):
                self.wfile.write(data)
        finally:
            for side in (self.connection, engine):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)


@contextmanager
def tapped(path: Path) -> Generator[Tap]:
    """A tap at that path (at most 107 bytes, unix(7)), until the block ends."""
    server = _Server(path)
    accepting = threading.Thread(target=server.serve_forever, args=(0.02,), name="engine-tap")
    accepting.start()
    try:
        yield server.tap
    finally:
        server.shutdown()
        accepting.join()
        server.server_close()
