"""Alerts by a POST: what is an address, what is sent there, and what of it is never said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typing_extensions import override

from tests.health.told import BAD, VERDICT, asked, command, failed, heard, told
from tiny_backspace.health.alerts import AlertError, passed, raise_alerts
from tiny_backspace.thresholds import AlertSettings


@dataclass
class Hook:
    """An address, what came there, and the statuses it will answer with."""

    url: str = ""
    came: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    here = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            here.came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(here.statuses.pop(0) if here.statuses else 200)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header(
                "Content-Length", "1000000"
            )  # which never comes, and is not waited for
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        here.url = f"http://127.0.0.1:{server.server_port}/a-secret"
        yield here
        server.shutdown()
        thread.join()


def test_an_address_is_told_and_no_redirect_is_followed(state: Path, hook: Hook) -> None:
    told(state, "a", failed("bug"))
    config = f'[alerts]\nhealth_below = 95\nurl = "{hook.url}"\n'
    hook.statuses.append(302)
    refused = str(asked(state, "--alert", config=config).exception)
    assert "status 302" in refused
    assert "a-secret" not in refused
    assert asked(state, "--alert", config=config).exit_code == 1
    assert [each["alerts"].keys() for each in hook.came] == [{"health_below": 0}.keys()] * 2


def test_who_was_told_is_not_told_again_because_another_could_not_be(
    state: Path, tmp_path: Path, hook: Hook
) -> None:
    alerts = AlertSettings(health_below=90, command=command(tmp_path), url=hook.url)
    found = passed(alerts, BAD, VERDICT)
    hook.statuses += [500, 500]
    for _ in range(2):
        with pytest.raises(AlertError, match="the address answered with status 500"):
            raise_alerts(alerts, found, VERDICT, state)
    assert list(raise_alerts(alerts, found, VERDICT, state)) == ["health_below"]
    assert (len(heard(tmp_path)), len(hook.came)) == (1, 3)


def test_an_address_of_this_machine_is_not_told_by_a_proxy(
    state: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    alerts = AlertSettings(health_below=90, url=hook.url)
    raise_alerts(alerts, passed(alerts, BAD, VERDICT), VERDICT, state)
    assert len(hook.came) == 1


def test_an_address_where_nobody_is_is_a_sentence(state: Path) -> None:
    alerts = AlertSettings(health_below=90, url="http://127.0.0.1:1/a-secret")
    with pytest.raises(AlertError, match="could not be reached: ConnectError") as refused:
        raise_alerts(alerts, passed(alerts, BAD, VERDICT), VERDICT, state)
    assert "a-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x", "ftp://x", "https://a b", "https://", "", "http://localhost.example.org/",
        "http://localhost:x@example.org/", "http://127.0.0.1:80@example.org/", "http://localhost\\@example.org",
        "https://x:port/", "http://[::1", "https://x/\n", "http://localhost@127.0.0.1/",
    ],
)  # fmt: skip
def test_an_address_that_others_could_read_is_none(state: Path, url: str) -> None:
    with pytest.raises(ValidationError, match="is no https address"):
        AlertSettings(url=url)
    refused = asked(state, "--alert", config=f"[alerts]\nurl = {json.dumps(url)}\n")
    assert "alerts" in str(refused.exception)


@pytest.mark.parametrize(
    "url",
    ["https://x/y", "HTTPS://x", "http://127.0.0.1:8/x", "http://localhost/", "http://[::1]:8/x"],
)
def test_an_address_is_https_or_this_machine(url: str) -> None:
    assert AlertSettings(url=url).url == url
