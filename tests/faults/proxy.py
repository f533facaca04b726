"""Between the product and the engine: a unix socket that passes everything on, but for what a test wants.

One request a connection (it asks the engine for that), so that each can have its own fate.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer
from typing import Literal, TypeAlias

from typing_extensions import override

_CHUNK = 1 << 16
_ANSWER = b'{"message":"something broke in the engine"}\n'
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"  # fmt: skip

Kind: TypeAlias = Literal[
    "500",  # the engine never hears of it
    "stall",  # nor does it of this, and nothing is ever answered
    "bytes",  # the answer comes byte by byte
    "half_close",  # the engine is not told that the client has no more to say
    "late",  # the answer comes only after `at` milliseconds
    "cut",  # the connection ends after `at` bytes of the answer
]


@dataclass(frozen=True)
class Fault:
    """For requests of this method whose path ends like that, and whose query like this, `times` of them; then none."""

    kind: Kind
    method: str = "POST"
    path: str = "/start"
    query: str = ""
    at: int = 0
    times: int = 1 << 30


@dataclass
class Proxy:
    """`asked` is what came, as (method, path); `faults` may be changed at any time."""

    host: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault | None = None
    over: threading.Event = field(default_factory=threading.Event)
    met: list[Fault] = field(default_factory=list)

    def fate(self, method: str, target: str) -> Fault | None:
        path, _, query = target.partition("?")
        self.asked.append((method, path))
        fault = self.fault
        if fault is None or method != fault.method:
            return None
        if not (re.search(fault.path, path) and re.search(fault.query, query)):
            return None
        if len(self.met) >= fault.times:
            return None
        self.met.append(fault)
        return fault

    @contextmanager
    def having(self, fault: Fault, *, at_once: bool = True) -> Generator[None]:
        """It is met at least once."""
        if at_once:
            self.arm(fault)
        try:
            yield
        finally:
            self.fault = None
        assert self.met, "nothing asked for that"

    def arm(self, fault: Fault) -> None:
        self.met.clear()
        self.fault = fault


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, engine: str) -> None:
        super().__init__(str(path), _Handler)
        self.engine = engine
        self.proxy = Proxy(f"unix://{path}")


class _Handler(StreamRequestHandler):
    server: _Server

    @override
    def handle(self) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as engine:
            head, method, target = self._head()
            fault = self.server.proxy.fate(method, target)
            match fault:
                case Fault(kind="500"):
                    self.wfile.write(_FAILED % (len(_ANSWER), _ANSWER))
                case Fault(kind="stall"):
                    self.server.proxy.over.wait()
                case _ if head:
                    engine.connect(self.server.engine)
                    engine.sendall(head)
                    passing = threading.Thread(target=self._pass_in, args=(engine, fault))
                    passing.start()
                    self._pass_out(engine, fault)
                    passing.join()

    def _head(self) -> tuple[bytes, str, str]:
        """The request's head, which asks for the end of the connection unless it becomes a stream."""
        lines = [self.rfile.readline()]
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line)
        if not lines[0]:
            return b"", "", ""
        if not any(line.lower().startswith(b"upgrade:") for line in lines):
            lines = [line for line in lines if not line.lower().startswith(b"connection:")]
            lines.append(b"Connection: close\r\n")
        method, target, _ = lines[0].decode().split(" ", 2)
        return b"".join((*lines, b"\r\n")), method, target

    def _pass_in(self, engine: socket.socket, fault: Fault | None) -> None:
        with suppress(OSError):
            while data := self.rfile.read1(_CHUNK):
                engine.sendall(data)
            if fault is None or fault.kind != "half_close":
                engine.shutdown(socket.SHUT_WR)

    def _pass_out(self, engine: socket.socket, fault: Fault | None) -> None:
        try:
            self._passed_out(engine, fault)
        finally:
            for side in (self.connection, engine):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def _passed_out(self, engine: socket.socket, fault: Fault | None) -> None:
        passed = 0
        if fault and fault.kind == "late":
            self.server.proxy.over.wait(fault.at / 1000)
        while data := engine.recv(1 if fault and fault.kind == "bytes" else _CHUNK):
            if fault and fault.kind == "cut":
                data = data[: fault.at - passed]
            self.wfile.write(data)
            passed += len(data)
            if fault and fault.kind == "cut" and passed >= fault.at:
                return


@contextmanager
def engine_proxy(path: Path, engine: str = "/var/run/docker.sock") -> Generator[Proxy]:
    server = _Server(path, engine)
    accepting = threading.Thread(target=server.serve_forever, args=(0.02,), name="engine-proxy")
    accepting.start()
    try:
        yield server.proxy
    finally:
        server.proxy.over.set()
        server.shutdown()
        accepting.join()
        server.server_close()
