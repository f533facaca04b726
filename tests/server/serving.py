"""A service as a user starts it, beside a GitHub on loopback, and a client that hears events as they come."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.program import COMMAND, Program

SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Event:
    """`data` without the line's end; `id` and `type` empty where it has none."""

    data: str
    id: str = ""
    type: str = ""

    @property
    def record(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.data)
        return told


@dataclass
class Stream:
    """An answer under way. `comments` counts the heartbeats."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    comments: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    @property
    def run_id(self) -> str:
        return (self.response.headers["Location"] or "").rpartition("/")[2]

    def leave(self, *, reset: bool = False) -> None:
        """As a client that goes away, or whose connection is thrown away."""
        if reset and self.connection.sock:
            linger = struct.pack("ii", 1, 0)
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.response.close()
        self.connection.close()

    def __iter__(self) -> Iterator[Event]:
        """As the HTML standard has it (9.2.6), of what we send."""
        fields: dict[str, list[str]] = {}
        for raw in self.response:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(":")
            if not line:
                if "data" in fields:
                    told = {k: "\n".join(v) for k, v in fields.items()}
                    yield Event(told["data"], told.get("id", ""), told.get("event", ""))
                fields = {}
            elif name:
                fields.setdefault(name, []).append(value.removeprefix(" "))
            else:
                self.comments += 1


@dataclass
class Served:
    """`token` goes along with each request, unless another one is given; `errors` is what it says."""

    url: str
    process: subprocess.Popen[str]
    program: Program
    errors: Path
    token: str | None = None

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """`body` is sent as JSON, or as it is if it is bytes. A header that is None is left out."""
        connection, response = self.begun(method, path, body, headers)
        with response:
            answer = Answer(response.status, dict(response.headers.items()), response.read())
        connection.close()
        return answer

    def stream(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Stream:
        connection, response = self.begun(method, path, body, headers)
        if response.status != 200:
            said = response.read()
            connection.close()
            raise AssertionError(f"{response.status}: {said!r}")
        return Stream(connection, response)

    def code(
        self, repo: str, prompt: str, headers: Mapping[str, str | None] | None = None, **more: Any
    ) -> Stream:
        return self.stream("POST", "/code", {"repoUrl": repo, "prompt": prompt, **more}, headers)

    @property
    def memory(self) -> int:
        """The most that its process has ever had, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(n.split()[1]) << 10 for n in status.splitlines() if n.startswith("VmHWM"))

    def open(self) -> socket.socket:
        """A connection that says nothing yet."""
        return socket.create_connection(self.address, timeout=SECONDS)

    def begun(
        self, method: str, path: str, body: object, headers: Mapping[str, str | None] | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        given: dict[str, str | None] = {}
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            given["Content-Type"] = "application/json"
        given |= headers or {}
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(*self.address, timeout=SECONDS)
        told = {k: v for k, v in given.items() if v is not None}
        connection.request(method, path, raw, told)
        return connection, connection.getresponse()


def configure(program: Program, settings: str) -> None:
    """`settings` is what stands below [server]."""
    file = program.home / "config" / "tiny-backspace" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"[server]\n{settings}\n")


def until(true: Callable[[], bool]) -> None:
    """Wait for it. What does not come is a failure."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def serving(
    program: Program, *flags: str, settings: str | None = None, token: str | None = None
) -> Generator[Served]:
    """`tiny-backspace serve` on a free port; without `settings` with those that are there."""
    if settings is not None:
        configure(program, settings)
    errors = program.home.parent / "served.txt"
    with errors.open("w") as said:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True,
            env=program.env, cwd=program.home,
        )  # fmt: skip
    try:
        yield Served(_url(process, errors), process, program, errors, token)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=SECONDS)


def _url(process: subprocess.Popen[str], errors: Path) -> str:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        text = errors.read_text()
        if "\n" in text and text.startswith("Serving at "):
            return text.removeprefix("Serving at ").split()[0]
        time.sleep(0.02)
    raise AssertionError(errors.read_text())
