"""The page at `/`: a few fixed files. What they show comes by the same routes that everybody asks.

They are the same for everyone and hold nothing of any run, so they need no token: the script asks for one, and sends it
along with each request. A page rendered here would have to know who asks before there is a header to say so, by a cookie.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Path, Response

from tiny_backspace.server.problems import Problem

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The last two: no text becomes HTML, whatever the script does."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _read() -> Mapping[str, tuple[bytes, str]]:
    found = {}
    for file in files("tiny_backspace.server").joinpath("pages").iterdir():
        kind = _TYPES.get("." + file.name.rpartition(".")[2])
        if kind is not None:
            found[file.name] = (file.read_bytes(), kind)
    return found


_FILES = _read()
PATHS = frozenset(("/", *(f"/page/{name}" for name in _FILES)))
"""What a browser may have without a token."""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    """The page itself."""
    return _answer("page.html")


@router.get("/page/{name}")
async def part(name: Annotated[str, Path()]) -> Response:
    """What it is made of: one of these names, never a path."""
    if name not in _FILES:
        raise Problem(404, "There is no such file.")
    return _answer(name)


def _answer(name: str) -> Response:
    content, kind = _FILES[name]
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(content, media_type=kind, headers=headers)
