"""What every request passes before anything of it is looked at. Plain ASGI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiny_backspace.server import page
from tiny_backspace.server.auth import Rate, caller
from tiny_backspace.server.problems import Problem
from tiny_backspace.serving import ServerSettings

_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
OPEN = page.PATHS | {"/livez", "/readyz", "/docs", "/openapi.json"}
"""What needs no token: it tells nothing of any run."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    """Every answer has them; one that says something else of its own keeps that."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class KnownHosts:
    """Only by a name that is ours: a foreign name that is made to lead here (DNS rebinding) is refused.

    The address itself that the connection came to is no name, and cannot be rebound.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = _LOOPBACK | frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            told = Headers(scope=scope).getlist("host")
            name = _host(told[0]) if len(told) == 1 else None
            if name is None or not (name in self._hosts or _is_address(name, scope)):
                problem = Problem(
                    403, "This host is not served here.", hint="Its name belongs in [server] hosts."
                )
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


class SameOrigin:
    """A page of somebody else's asks for nothing here, unless its origin is one that the settings name."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_foreign(scope):
            problem = Problem(403, "Pages of another origin may not ask here.")
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None:
            return origin not in self._origins and not _is_ours(origin, headers.get("host", ""))
        site = headers.get("sec-fetch-site", "none")
        return site not in ("none", "same-origin") and scope["method"] not in _SAFE


class Authenticated:
    """The caller is in the scope's state from here on: `request.state.caller`."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, rate: Rate) -> None:
        self._app = app
        self._settings = settings
        self._rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                self._admit(scope)
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        """Raises Problem."""
        found = caller(self._settings, _token(Headers(scope=scope)))
        address = str((scope.get("client") or ("",))[0])
        if wait := self._rate.wait(f"token {found.name}" if found else f"address {address}"):
            raise Problem(429, "That is more requests than one may have.", wait=wait)
        if found is None:
            raise Problem(
                401,
                "A token is needed, and this is none."
                if _token(Headers(scope=scope))
                else "A token is needed.",
                hint="Authorization: Bearer TOKEN; `tiny-backspace serve --new-token NAME` makes one.",
            )
        scope.setdefault("state", {})["caller"] = found


class Bodies:
    """JSON, as it is, and not too much of it: what a form on somebody else's page can send is none."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._too_large = f"The body is larger than {most} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (problem := self._problem(Headers(scope=scope))):
            await problem.response()(scope, receive, send)
            return
        had = 0

        async def counted() -> Message:
            nonlocal had
            message = await receive()
            had += len(message.get("body", b""))
            if had > self._most:  # its length was not said
                raise HTTPException(413, self._too_large)
            return message

        await self._app(scope, counted, send)

    def _problem(self, headers: Headers) -> Problem | None:
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._most:
            return Problem(413, self._too_large)
        if length == "0" and "transfer-encoding" not in headers:
            return None
        if headers.get("content-encoding", "identity").lower() != "identity":
            return Problem(415, "The body is compressed, and must not be.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Problem(415, "The body must be JSON.", hint="Content-Type: application/json")
        return None


def _token(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _host(told: str) -> str | None:
    try:
        return urlsplit(f"//{told}").hostname
    except ValueError:
        return None


def _is_address(name: str, scope: Scope) -> bool:
    """Whether it is the address that the connection came to."""
    try:
        return ip_address(name) == ip_address((scope.get("server") or ("",))[0])
    except ValueError:
        return False


def _is_ours(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host and bool(host)
    except ValueError:
        return False
