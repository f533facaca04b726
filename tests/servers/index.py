"""A package index on this machine (PEP 503), in plain HTTP or over TLS, and a place that must never be reached."""

from __future__ import annotations

import io
import socket
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override


@dataclass
class Index:
    """`asked` are the paths that were asked for. `/gate` answers from when `open` is set, and sets `reached`."""

    url: str
    port: int
    asked: list[str] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)


@contextmanager
def package_index(
    projects: Mapping[str, bytes], certificate: Path | None = None
) -> Generator[Index]:
    """Serves each project's only release, the content of `<name>-1.0.tar.gz`, as `localhost` until the block ends."""
    server = _Server(projects)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    server.index = Index(f"{scheme}://localhost:{server.server_port}/simple", server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.index
    finally:
        server.index.open.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    index: Index

    def __init__(self, projects: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.projects = projects

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever breaks off is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.index.asked.append(self.path)
        name = self.path.removeprefix("/simple/").partition("/")[0]
        content = self.server.projects.get(name)
        if self.path == "/gate":
            self.server.index.reached.set()
            self.server.index.open.wait()
            self._say(b"open")
        elif content is None:
            self.send_error(404)
        elif self.path.endswith(".tar.gz"):
            self._say(content)
        else:
            self._say(f'<a href="/simple/{name}/{name}-1.0.tar.gz">x</a>'.encode())

    do_POST = do_GET  # noqa: N815 - the base class calls it so

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Not on the tests' standard error."""


def release(name: str, files: Mapping[str, str]) -> bytes:
    """A source distribution of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def certificate(folder: Path) -> Path:
    """A key and a certificate of its own for `localhost`, in one PEM file."""
    path = folder / "localhost.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(path), "-out", str(folder / "certificate.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    with path.open("ab") as file:
        file.write((folder / "certificate.pem").read_bytes())
    return path


@dataclass
class Canary:
    """A port of this machine that nobody may come to: `visitors` counts those who did."""

    port: int
    visitors: int = 0


@contextmanager
def canary() -> Generator[Canary]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Canary(listener.getsockname()[1])

        def watch() -> None:
            with suppress(OSError):
                while True:
                    listener.accept()[0].close()
                    found.visitors += 1

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
