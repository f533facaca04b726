"""HTTP answers in pieces, and the ends of connections that no answer should have."""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

_RESET = struct.pack("ii", 1, 0)  # for SO_LINGER: closing throws the connection away
_BETWEEN = 0.01  # seconds from one byte of a drip to the next


class StreamingServer(ThreadingHTTPServer):
    """It ends at once, whatever is being said; `ending` is set from then on.

    `problems` is what went wrong in the answering threads; `left` is set once a client has gone before
    it had its whole answer.
    """

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, handler: type[Streaming], *, keep_alive: bool) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.keep_alive = keep_alive
        self.problems: list[BaseException] = []
        self.ending = threading.Event()
        self.left = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def hang_up(self) -> None:
        """End what is being said, and connections that wait for another request."""
        self.ending.set()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client has gone
                    connection.shutdown(socket.SHUT_RDWR)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            request.close()  # without a goodbye
        else:
            super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        problem = sys.exception()
        assert problem is not None
        if isinstance(problem, ConnectionError | TimeoutError):
            self.left.set()
        else:
            self.problems.append(problem)


class Streaming(BaseHTTPRequestHandler):
    """`asked` answers one request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # every event goes out as it is said
    timeout = 30
    server: StreamingServer

    def asked(self, data: bytes) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self._asked()

    def do_POST(self) -> None:
        self._asked()

    def _asked(self) -> None:
        self.close_connection = not self.server.keep_alive
        self.asked(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what was asked is in the server's own list."""

    def nothing_more(self) -> None:
        """Until the client goes or the server ends."""
        self.close_connection = True
        while not self.server.ending.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable and self._gone():
                self.server.left.set()
                return

    def _gone(self) -> bool:
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionResetError:  # it had not read everything
            return True

    def drip(self, alive: bytes) -> None:
        """A byte now and then, until the client goes or the server ends."""
        self.close_connection = True
        while not self.server.ending.wait(_BETWEEN):
            self.chunk(alive[:1])
            alive = alive[1:] + alive[:1]

    def drip_head(self) -> None:
        """A header that never ends, until the client goes or the server ends."""
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self.server.ending.wait(_BETWEEN):
            self.wfile.write(b"x")

    def break_off(self, event: bytes, *, reset: bool) -> None:
        """Half of an event, and the connection is gone."""
        self.close_connection = True
        self.wfile.write(f"{len(event):x}\r\n".encode() + event[: len(event) // 2])
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def told(self, status: int, headers: Mapping[str, str], body: str) -> None:
        data = body.encode()
        self.send_response(status)
        known = {"Content-Type": "application/json", "request-id": "req_1", "x-request-id": "req_1"}
        length = {"Content-Length": str(len(data)), "Connection": self._connection}
        for name, value in (known | dict(headers) | length).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, whole: list[bytes]) -> None:
        self.begin()
        for event in whole:
            self.chunk(event)
        self.chunk(b"")

    def begin(self) -> None:
        self.send_response(200)
        for name, value in {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Transfer-Encoding": "chunked",
            "request-id": "req_1",
            "x-request-id": "req_1",
            "Connection": self._connection,
        }.items():
            self.send_header(name, value)
        self.end_headers()

    @property
    def _connection(self) -> str:
        return "close" if self.close_connection else "keep-alive"

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
