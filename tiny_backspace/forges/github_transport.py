"""The way to GitHub's API: the operations as ghapi describes them, over an HTTP client of ours.

Of the environment only the proxy variables and those of the certificates hold. It says neither who we
are nor where we send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import SecretStr
from typing_extensions import override

from tiny_backspace import __version__
from tiny_backspace.errors import ForgeDenied, ForgeError
from tiny_backspace.forges.github_failures import line
from tiny_backspace.redact import redactor

if TYPE_CHECKING:
    import httpx2

_TIMEOUT = 15.0  # seconds to connect, and between two pieces of an answer
_MOST = 16 << 20  # bytes of one answer


def load() -> None:
    """Import what the first question needs: 50 ms."""
    for name in ("httpx2", "httpcore2", "ghapi.gh_spec"):
        import_module(name)


class NoSuccess(Exception):
    """An answer that is none."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def graphql_url(api_url: str) -> str:
    """Beside the REST API: /graphql, or /api/graphql on an Enterprise Server, whose REST API is at /api/v3."""
    return f"{api_url.removesuffix('/v3')}/graphql"


class Api:
    """GitHub's operations by their names, where ghapi says what is part of an address, query or body.

    Only its table is imported: all of ghapi takes fifty milliseconds more, and its `GhApi` looks into the
    environment, for GITHUB_TOKEN, and for GITHUB_JWT_TOKEN even if it is given a token.
    """

    def __init__(self, url: str, client: httpx2.Client) -> None:
        self._url = url
        self._client = client

    def call(self, operation: str, params: Mapping[str, object]) -> httpx2.Response:
        """One operation, by its group and name: "pulls.create".

        Raises:
            NoSuccess: the answer has another status than 2xx.
            httpx2.RequestError: there is no answer.
        """
        sent = request(operation, params)
        return self._client.request(
            sent.method, self._url + sent.path, params=sent.query, json=sent.body
        )

    def send(self, method: str, url: str, body: Mapping[str, object] | None) -> httpx2.Response:
        """What is no operation of REST. Raises the same."""
        return self._client.request(method, url, json=body)


@dataclass(frozen=True, slots=True)
class Request:
    """`path` begins with a slash; a body is None where an operation has none."""

    method: str
    path: str
    query: dict[str, Any]
    body: dict[str, Any] | None


def request(operation: str, params: Mapping[str, object]) -> Request:
    """Where each parameter of an operation belongs. What is part of the path is one segment of it, whatever it holds.

    Raises:
        ValueError: there is no such operation, or it has no such parameter.
    """
    from ghapi.gh_spec import spec

    group, _, name = operation.partition(".")
    operations: Any = spec["ops"]
    (told,) = (one for one in operations if (one["group"], one["name"]) == (group, name))
    kinds = {
        kind: {n: value for n, value in params.items() if n in told.get(f"{kind}_params", ())}
        for kind in ("route", "query", "body")
    }
    if unknown := params.keys() - {n for kind in kinds.values() for n in kind}:
        raise ValueError(f"{operation} has no {', '.join(sorted(unknown))}")
    path = str(told["path"])
    for n, value in kinds["route"].items():
        path = path.replace(f"{{{n}}}", quote(str(value), safe=""))
    return Request(told["verb"], path, kinds["query"], kinds["body"] or None)


def opened(
    api_url: str,
    token: SecretStr,
    transport: httpx2.BaseTransport | None,
    trace: Callable[[httpx2.Request], None],
) -> tuple[Api, Callable[[], None]]:
    """A way to that API, and what closes it. `trace` is told of each request.

    Raises:
        ForgeError: the token is none, or a proxy variable or a certificate file.
    """
    import httpx2

    secret = token.get_secret_value()
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ForgeDenied("GitHub: the token is empty or has characters that no token has")
    try:
        client = httpx2.Client(
            transport=transport,
            timeout=_TIMEOUT,
            follow_redirects=False,  # the token goes nowhere else
            event_hooks={"request": [trace], "response": [_heard]},
            headers={
                "Accept": "application/vnd.github+json",
                "Accept-Encoding": "identity",  # a megabyte can unpack to a gigabyte
                "Authorization": f"Bearer {secret}",
                "User-Agent": f"tiny-backspace/{__version__}",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
    except (httpx2.InvalidURL, ImportError, OSError, ValueError) as error:
        redact = redactor((secret,))
        raise ForgeError(line(redact, "GitHub cannot be asked", str(error))) from None
    return Api(api_url, client), client.close


def _heard(response: httpx2.Response) -> None:
    """A response hook: all of the body, within bounds, and an exception unless it is a success."""
    import httpx2

    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise httpx2.DecodingError("it is packed, though nobody asked for that")
    inner = response.stream

    class Bounded(httpx2.SyncByteStream):
        @override
        def __iter__(self) -> Iterator[bytes]:
            assert isinstance(inner, httpx2.SyncByteStream)
            seen = 0
            for piece in inner:
                seen += len(piece)
                if seen > _MOST:
                    raise httpx2.DecodingError(f"it is longer than {_MOST >> 20} MiB")
                yield piece

        @override
        def close(self) -> None:
            assert isinstance(inner, httpx2.SyncByteStream)
            inner.close()

    response.stream = Bounded()
    response.read()
    if not response.is_success:
        raise NoSuccess(response)
