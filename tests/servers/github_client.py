"""The least client that can ask a loopback GitHub: what it sends is what a test says, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.servers.github import GitHubServer
from tests.servers.github_state import CLASSIC, Token


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is what came as JSON, None where it was none."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def errors(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.body.get("errors", [])
        return found


def ask(
    server: GitHubServer,
    method: str,
    path: str,
    body: Any = None,
    *,
    token: Token | None = CLASSIC,
    headers: Mapping[str, str] | None = None,
    raw: bytes | None = None,
) -> Reply:
    """One request on a connection of its own; `raw` is sent in place of the body as JSON."""
    data = raw if body is None else json.dumps(body).encode()
    sent = {"User-Agent": "tests", **({} if token is None else _bearer(token)), **(headers or {})}
    where = urlsplit(server.api_url)
    connection = HTTPConnection(where.netloc, timeout=10)
    try:
        connection.request(method, where.path + path, data, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)


def _bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.value}"}


def proposal(head: str = "tb/x", **more: Any) -> dict[str, Any]:
    return {"head": head, "base": "main", "title": "Mend it", "body": "What was done."} | more
