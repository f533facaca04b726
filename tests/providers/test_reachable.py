"""Whether a provider takes the key: asked over a real socket, told without the key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr
from typing_extensions import override

from tiny_backspace.entries import Dialect, Entry
from tiny_backspace.providers.reachable import problem

KEY = "sk-canary-0000"


class Models(BaseHTTPRequestHandler):
    """Lists models for whoever has the key, in either vendor's header; elsewhere answers as the path says."""

    def do_GET(self) -> None:
        header = {
            "/v1/models?limit=1": ("x-api-key", KEY),
            "/models": ("Authorization", f"Bearer {KEY}"),
        }
        if self.path.startswith("/status-"):
            self._answer(int(self.path.split("-")[1][:3]))
        elif self.path not in header:
            self._answer(404)
        else:
            name, value = header[self.path]
            self._answer(200 if self.headers.get(name) == value else 401)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Models) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def entry(dialect: Dialect, url: str, key: str = KEY) -> Entry:
    return Entry(name="x", dialect=dialect, model="m", base_url=url, key=SecretStr(key))


@pytest.mark.parametrize("dialect", ["claude", "openai", "chat"])
def test_a_right_key_is_taken_and_a_wrong_one_is_not(url: str, dialect: Dialect) -> None:
    assert problem(entry(dialect, url)) is None
    said = problem(entry(dialect, url, "sk-wrong"))
    assert said is not None
    assert "refuses the key (status 401)" in said
    assert "sk-wrong" not in said


@pytest.mark.parametrize("status", [301, 404, 429, 500])
def test_anything_else_is_told_and_no_redirect_is_followed(url: str, status: int) -> None:
    said = problem(entry("chat", f"{url}/status-{status}"))
    assert said is not None
    assert said.endswith(f"answers with status {status}")


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    said = problem(entry("chat", "http://127.0.0.1:1"))
    assert said == "http://127.0.0.1:1/models cannot be reached: ConnectError"
