"""A real git server on this machine: the bare repositories of a folder over smart HTTP.

`git http-backend` answers, as behind any web server; fetching, pushing and protocol v2 work.
What can go wrong on the way there and back: git_faults.py.
"""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from typing_extensions import override

from tests.servers.git_faults import Cut, Decide, Held, Moved, Words, no_fault

_PIECE = 1 << 16
_IDLE = 30  # seconds until a client that says nothing is left


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `path` holds the query; `authorization` says whether there was such a header."""

    method: str
    path: str
    authorization: bool


@dataclass(frozen=True, slots=True)
class GitServer:
    """`url` has no slash at its end; `<url>/owner/name.git` is `<folder>/owner/name.git`."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def git_server(
    folder: Path,
    *,
    token: str | None = None,
    reader: str | None = None,
    fault: Decide = no_fault,
) -> Generator[GitServer]:
    """Serve until the block ends. With a token everything needs it as Basic auth's password.

    The token `reader` may fetch, but not push.
    """
    http = _Server(folder, token, reader, fault)
    serving = threading.Thread(target=http.serve_forever, args=(0.02,), name="git-http")
    serving.start()
    try:
        yield http.seen
    finally:
        http.shutdown()
        serving.join()
        http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = (
        False  # closing waits for the requests under way, so that no git is left behind
    )

    def __init__(self, folder: Path, token: str | None, reader: str | None, fault: Decide) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.token = token
        self.reader = reader
        self.fault = fault
        self.seen = GitServer(f"http://127.0.0.1:{self.server_port}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # for `Expect: 100-continue`, which git sends before large packs
    timeout = _IDLE
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what was asked is in `GitServer.asked`."""

    def _answer(self) -> None:
        self.close_connection = True
        authorization = self.headers.get("Authorization")
        self.server.seen.asked.append(Asked(self.command, self.path, authorization is not None))
        try:
            match self.server.fault(self.command, self.path):
                case Cut(done=True):
                    body, self.wfile = self._body(), BytesIO()
                    self._serve(authorization, body)
                case Cut(read=size):
                    self.rfile.read(size)
                case Held() as held:
                    body = self._body()
                    held.reached.set()
                    held.go_on.wait(_IDLE)
                    if not self._left():
                        self._serve(authorization, body)
                case Moved(url):
                    self._body()
                    self._refuse(HTTPStatus.FOUND, {"Location": url + self.path})
                case Words(status, text):
                    self._body()
                    self._refuse(HTTPStatus(status), {"Content-Type": "text/plain"}, text)
                case None:
                    self._serve(authorization, self._body())
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass  # the client has gone; some tests make it go

    def _left(self) -> bool:
        """Whether the client, all of whose request has been read, is gone: nothing more comes from it."""
        self.connection.setblocking(False)
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        finally:
            self.connection.settimeout(_IDLE)

    def _serve(self, authorization: str | None, body: bytes) -> None:
        known = self._password(authorization)
        free = self.server.token is None and self.server.reader is None
        if not free and (known is None or known not in {self.server.token, self.server.reader}):
            self._refuse(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="git"'})
        elif not free and known == self.server.reader and "git-receive-pack" in self.path:
            denied = "Write access to repository not granted.\n"
            self._refuse(HTTPStatus.FORBIDDEN, {"Content-Type": "text/plain"}, denied)
        else:
            self._run_backend(body)

    def _password(self, authorization: str | None) -> str | None:
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2].decode()
        except ValueError:
            return None

    def _refuse(self, status: HTTPStatus, headers: dict[str, str], text: str = "") -> None:
        self.send_response(status)
        length = str(len(text.encode()))
        for name, value in {**headers, "Content-Length": length, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def _body(self) -> bytes:
        """The request's, also of a client that does not know its length: a large push comes in chunks."""
        if "Transfer-Encoding" not in self.headers:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _run_backend(self, body: bytes) -> None:
        """The request in by the CGI variables and stdin, the answer out from stdout."""
        with subprocess.Popen(
            ["git", "http-backend"],
            env=self._variables(len(body)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as backend:
            assert backend.stdin is not None
            assert backend.stdout is not None
            feeding = threading.Thread(target=_feed, args=(backend.stdin, body))
            feeding.start()
            try:
                self._pass_on(backend.stdout)
            except OSError:  # the client has gone
                backend.kill()
                raise
            finally:
                feeding.join()

    def _variables(self, length: int) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.receivepack",
            "GIT_CONFIG_VALUE_0": "true",
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length) if self.command == "POST" else "",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }

    def _pass_on(self, answer: IO[bytes]) -> None:
        headers: list[tuple[str, str]] = []
        status = HTTPStatus.OK
        while line := answer.readline().decode("latin-1").strip():
            name, _, value = line.partition(": ")
            if name == "Status":
                status = HTTPStatus(int(value.split()[0]))
            else:
                headers.append((name, value))
        self.send_response(status)
        for name, value in (*headers, ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()
        while piece := answer.read(_PIECE):
            self.wfile.write(piece)


def _feed(stdin: IO[bytes], body: bytes) -> None:
    """Beside the reading: a backend that answers while it is still being fed blocks nobody."""
    try:
        with stdin:
            stdin.write(body)
    except BrokenPipeError:
        pass  # it has read enough
