"""What a program asks a proxy for: the head of its request, and the one we ask in its place. Pure.

RFC 9112, 3.2 (forms of a target) and RFC 9110, 7.6.1 (what is of one connection only).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 1 << 14  # bytes of a head
_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]+) HTTP/1\.[01]")
_CONNECT = re.compile(r"(\[[^\]]*\]|[^\[\]:/?#@]+):([0-9]{1,5})")
_ABSOLUTE = re.compile(r"http://([^/?#]*)(/[^#]*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^\[\]:@]+)(?::([0-9]{1,5}))?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_OF_THE_CONNECTION = frozenset(
    (b"connection", b"host", b"keep-alive", b"te", b"trailer", b"upgrade", b"expect")
)
_READING = frozenset(("GET", "HEAD"))


class BadRequest(Exception):
    """It is nothing that is answered; `host` and `port` as far as they can be told."""

    def __init__(self, reason: str, host: str = "", port: int = 0) -> None:
        super().__init__(reason)
        self.host, self.port = host, port


@dataclass(frozen=True, slots=True)
class Asked:
    """A host as it was written. `head` is empty for a tunnel, and else what that host is to be asked."""

    host: str
    port: int
    head: bytes = b""

    @property
    def tunnel(self) -> bool:
        return not self.head


def parse(head: bytes) -> Asked:
    """What is asked for by a head, its empty line included.

    Raises:
        BadRequest: a form, a method or a field that is not passed on.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    found = _LINE.fullmatch(first)
    if found is None:
        raise BadRequest("that is no request to a proxy")
    method, target = found[1].decode(), found[2].decode()
    if method == "CONNECT":
        named = _CONNECT.fullmatch(target)
        if named is None:
            raise BadRequest("CONNECT needs a host and a port", target)
        return Asked(named[1], int(named[2]))
    absolute = _ABSOLUTE.fullmatch(target)
    named = _AUTHORITY.fullmatch(absolute[1]) if absolute else None
    if absolute is None or named is None:
        raise BadRequest(
            "only CONNECT and http:// addresses without a password are passed on", target
        )
    host, port = named[1], int(named[2] or 80)
    if method not in _READING:
        raise BadRequest(f"{method} in plain HTTP is not passed on", host, port)
    fields = [line for line in lines if _kept(line, host, port)]
    whole = (
        f"{method} {absolute[2] or '/'} HTTP/1.1".encode(),
        f"Host: {absolute[1].lower()}".encode(),
        *fields,
        b"Connection: close",
    )
    return Asked(host, port, b"\r\n".join(whole) + b"\r\n\r\n")


def _kept(line: bytes, host: str, port: int) -> bool:
    field = _FIELD.fullmatch(line)
    if field is None:
        raise BadRequest("a field of the request is malformed", host, port)
    name = field[1].lower()
    if name == b"transfer-encoding" or (name == b"content-length" and field[2].strip() != b"0"):
        raise BadRequest("a request with a body is not passed on in plain HTTP", host, port)
    return name not in _OF_THE_CONNECTION and not name.startswith(b"proxy-")
