"""The way to GitHub's API: ghapi over an HTTP client of ours.

Of the environment only the proxy variables and those of the certificates hold. It says neither who we
are nor where we send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from typing_extensions import override

from tiny_backspace import __version__
from tiny_backspace.errors import ForgeDenied, ForgeError
from tiny_backspace.forges.github_failures import line
from tiny_backspace.redact import redactor

if TYPE_CHECKING:
    import httpx2

_TIMEOUT = 15.0  # seconds to connect, and between two pieces of an answer
_LONGEST_ANSWER = 60.0  # seconds from its first piece to its last
_MOST = 16 << 20  # bytes of one answer


class NoSuccess(Exception):
    """An answer that is none. Raised before ghapi puts all of its body into the text of an exception."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def graphql_url(api_url: str) -> str:
    """Beside the REST API: /graphql, or /api/graphql on an Enterprise Server, whose REST API is at /api/v3."""
    return f"{api_url.removesuffix('/v3')}/graphql"


class Api:
    """The operations of ghapi that are asked for, each made when it is.

    `GhApi()` would make all 1,225 in 0.2 s, and look into the environment: for GITHUB_TOKEN, and for
    GITHUB_JWT_TOKEN even if it is given a token.
    """

    def __init__(self, url: str, client: httpx2.Client, headers: Mapping[str, str]) -> None:
        import ghapi.core

        self._ghapi: Any = ghapi.core  # written without types
        self._url = url
        self._transport = self._ghapi.GhSyncTransport(
            client=client,
            base_headers=headers,
            retries=0,  # they are ours, and events
            debug=_silent,  # or it looks for GHAPI_DEBUG, and prints
        )

    def call(self, operation: str, params: Mapping[str, object]) -> httpx2.Response:
        """One operation, by its group and name: "pulls.create".

        Raises:
            NoSuccess: the answer has another status than 2xx.
            ghapi.core.APIError: there is no answer.
        """
        group, _, name = operation.partition(".")
        (spec,) = (o for o in self._ghapi.pspec.ops if (o.group, o.name) == (group, name))
        make = self._ghapi.SyncOpFunc(spec, self._transport, self._url)
        response: httpx2.Response = make(**params, raw_=True)
        return response

    def send(self, method: str, url: str, body: Mapping[str, object] | None) -> httpx2.Response:
        """What is no operation of REST.

        Raises:
            NoSuccess: the answer has another status than 2xx.
            httpx2.RequestError: there is no answer.
        """
        response: httpx2.Response = self._transport.request(method, url, json=body, raw=True)
        return response


def opened(
    api_url: str,
    token: SecretStr,
    transport: httpx2.BaseTransport | None,
    clock: Callable[[], float],
) -> tuple[Api, Callable[[], None]]:
    """A way to that API, and what closes it. Imports ghapi, which takes 0.2 s.

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
            event_hooks={"response": [partial(_heard, clock=clock)]},
        )
    except (httpx2.InvalidURL, ImportError, OSError, ValueError) as error:
        redact = redactor((secret,))
        raise ForgeError(line(redact, "GitHub cannot be asked", str(error))) from None
    headers = {
        "Accept": "application/vnd.github+json",
        "Accept-Encoding": "identity",  # a megabyte can unpack to a gigabyte
        "Authorization": f"Bearer {secret}",
        "User-Agent": f"tiny-backspace/{__version__}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return Api(api_url, client, headers), client.close


def _silent(method: str, url: str, arguments: Mapping[str, object]) -> None:
    """What ghapi calls before each request."""


def _heard(response: httpx2.Response, *, clock: Callable[[], float]) -> None:
    """A response hook: all of the body, within bounds, and an exception unless it is a success."""
    import httpx2

    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise httpx2.DecodingError("it is packed, though nobody asked for that")
    inner, end = response.stream, clock() + _LONGEST_ANSWER

    class Bounded(httpx2.SyncByteStream):
        @override
        def __iter__(self) -> Iterator[bytes]:
            assert isinstance(inner, httpx2.SyncByteStream)
            seen = 0
            for piece in inner:
                seen += len(piece)
                if seen > _MOST:
                    raise httpx2.DecodingError(f"it is longer than {_MOST >> 20} MiB")
                if clock() > end:
                    raise httpx2.ReadTimeout("it took too long")
                yield piece

        @override
        def close(self) -> None:
            assert isinstance(inner, httpx2.SyncByteStream)
            inner.close()

    response.stream = Bounded()
    response.read()
    if not response.is_success:
        raise NoSuccess(response)
