"""A git server that says what it likes: one commit, and whatever pack it has for it (gitprotocol-pack(5), -http(5))."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override

_CAPABILITIES = "side-band-64k shallow allow-tip-sha1-in-want allow-reachable-sha1-in-want"
_FLUSH = b"0000"
_BAND = 60_000  # bytes of the pack in a line


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    advertised = shallow = packed = b""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._say("upload-pack-advertisement", self.server.advertised)

    def do_POST(self) -> None:
        wanted = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        done = self.server.packed if _line(b"done\n") in wanted else b""
        self._say("upload-pack-result", self.server.shallow + done)

    def _say(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-{kind}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def _line(data: bytes) -> bytes:
    return b"%04x%s" % (len(data) + 4, data)


@contextmanager
def raw_pack(sha: str, pack: bytes) -> Generator[str]:
    """The address of a repository whose branch `main` is this commit, and whose pack is this, looked at by nobody."""
    server = _Server(("127.0.0.1", 0), _Handler)
    refs = f"{sha} HEAD\0{_CAPABILITIES}\n".encode(), f"{sha} refs/heads/main\n".encode()
    server.advertised = b"".join(
        (_line(b"# service=git-upload-pack\n"), _FLUSH, *map(_line, refs), _FLUSH)
    )
    bands = (_line(b"\1" + pack[at : at + _BAND]) for at in range(0, len(pack), _BAND))
    server.shallow = _line(f"shallow {sha}\n".encode()) + _FLUSH
    server.packed = b"".join((_line(b"NAK\n"), *bands, _FLUSH))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/o/n.git"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
