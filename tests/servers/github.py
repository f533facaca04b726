"""A GitHub on this machine: its REST API over repositories that a test sets up and looks at.

Every request is held against GitHub's own description of that API, and so is every answer; what GitHub
refuses is refused in its words, and everything can fail on demand.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from typing_extensions import override

from tests.servers import openapi
from tests.servers.github_call import Answer, Refused, World
from tests.servers.github_faults import Asked, Fault, Faults, no_faults
from tests.servers.github_routes import answered, bearer
from tests.servers.github_state import CLASSIC, Repo, Token
from tests.servers.streaming import Streaming, StreamingServer

__all__ = ["GitHubServer", "github_server"]

_HOUR = 3600  # seconds
_LIMIT, _LIMIT_WITHOUT_TOKEN = 5000, 60  # requests in an hour


@dataclass
class GitHubServer:
    """`requests` is every request, in order; `refused` says what was wrong with those that do not fit
    GitHub's description, which are mistakes of ours. `faults` may be set at any time.

    `repositories` are those it was given and the forks that were made since.
    """

    api_url: str
    repositories: list[Repo]
    left: threading.Event  # set once a client has gone before it had its whole answer
    faults: Faults = no_faults
    requests: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def repository(self, full_name: str) -> Repo:
        return next(each for each in self.repositories if each.full_name == full_name)

    def asked(self, method: str, end_of_path: str = "") -> list[Asked]:
        """The requests with that method and path."""
        return [
            each
            for each in self.requests
            if each.method == method and each.path.endswith(end_of_path)
        ]


@contextmanager
def github_server(
    repositories: Iterable[Repo],
    *,
    token: Token = CLASSIC,
    prefix: str = "",
    web_url: str = "https://github.com",
    now: int | None = None,
) -> Generator[GitHubServer]:
    """Answer until the block ends, to the one token and to whoever has none.

    Args:
        repositories: those there are; they are changed by what is asked for.
        token: the only one that is good.
        prefix: what stands before every path, `/api/v3` on GitHub Enterprise.
        web_url: where pages for people are, without a slash at its end.
        now: the server's time in Unix seconds; the time it began where none is given.

    Raises:
        AssertionError: at the end, when an answer of ours did not fit the description.
    """
    openapi.description()  # at once, and not in a request's time
    http = _Server(
        list(repositories), token, prefix, web_url, int(time.time()) if now is None else now
    )
    accepting = threading.Thread(target=http.serve_forever, args=(0.02,), name="github")
    accepting.start()
    try:
        yield http.seen
    finally:
        http.shutdown()
        accepting.join()
        http.hang_up()
        http.server_close()  # waits for the requests under way
        for problem in http.problems:  # rather than what a client made of it
            raise problem


class _Server(StreamingServer):
    def __init__(
        self, repositories: list[Repo], token: Token, prefix: str, web_url: str, now: int
    ) -> None:
        super().__init__(_Handler, keep_alive=True)
        self.prefix = prefix
        self.world = World(
            f"http://127.0.0.1:{self.server_port}{prefix}", web_url, token, repositories, now
        )
        self.seen = GitHubServer(self.world.api_url, repositories, self.left)
        self.state = threading.Lock()  # one request at a time changes it


class _Handler(Streaming):
    server: _Server

    do_PATCH = do_PUT = do_DELETE = Streaming.do_POST  # noqa: N815  # http.server's names

    @override
    def asked(self, data: bytes) -> None:
        whole, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = whole.removeprefix(self.server.prefix)
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        asked = Asked(self.command, path, pairs, headers, _json(data))
        with self.server.state:
            self.server.seen.requests.append(asked)
            fault = self.server.seen.faults(asked)
            answer = self._true_answer(asked, data) if fault is None or fault.done else None
        if fault is None:
            assert answer is not None
            self._tell(asked, answer)
        else:
            self._fail(asked, fault, answer)

    def _true_answer(self, asked: Asked, data: bytes) -> Answer:
        if not self.path.startswith(f"{self.server.prefix}/") and asked.path != "/api/graphql":
            self.server.seen.refused.append(f"{self.path} is not below {self.server.prefix}.")
            return Refused(404, "Not Found").answer("https://docs.github.com/rest")
        return answered(self.server.world, asked, data, self.server.seen.refused)

    def _fail(self, asked: Asked, fault: Fault, answer: Answer | None) -> None:
        match fault.kind:
            case "answer":
                self.told(fault.status, self._usual(asked) | dict(fault.headers), fault.body)
            case "stall":
                self.nothing_more()
            case "cut":
                self.close_connection = True
            case "half":
                assert answer is not None
                self._tell_half(asked, answer)

    def _tell(self, asked: Asked, answer: Answer) -> None:
        self.told(answer.status, self._usual(asked) | dict(answer.headers), json.dumps(answer.body))

    def _tell_half(self, asked: Asked, answer: Answer) -> None:
        self.close_connection = True
        data = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in (self._usual(asked) | dict(answer.headers)).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])

    def _usual(self, asked: Asked) -> dict[str, str]:
        """The headers of every answer."""
        world, known = self.server.world, bearer(asked)
        limit = _LIMIT if known else _LIMIT_WITHOUT_TOKEN
        used = len(self.server.seen.requests)
        kinds = {"/search/issues": "search", "/graphql": "graphql", "/api/graphql": "graphql"}
        usual = {
            "Content-Type": "application/json; charset=utf-8",
            "x-github-media-type": "github.v3; format=json",
            "x-github-request-id": f"0000:0000:{used:06X}",
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(max(0, limit - used)),
            "x-ratelimit-used": str(used),
            "x-ratelimit-reset": str(world.now + _HOUR),
            "x-ratelimit-resource": kinds.get(asked.path, "core"),
        }
        if known != world.token.value:
            return usual
        if world.token.kind == "classic":
            usual |= {
                "x-oauth-scopes": ", ".join(world.token.scopes),
                "x-accepted-oauth-scopes": "",
            }
        if world.token.expires:
            usual["github-authentication-token-expiration"] = world.token.expires
        return usual


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
