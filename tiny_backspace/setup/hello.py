"""The name that a TLS client asks for, read from its first message. Pure.

RFC 8446, 4.1.2 and 5.1 (the message, and the records that it comes in), RFC 6066, 3 (the name), RFC 9849
(a hello whose real name is encrypted, and so cannot be read).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LIMIT = 1 << 16  # bytes of records in which the whole message has to be
_RECORD = 5  # kind, version (2), length (2)
_LONGEST_RECORD = 1 << 14
_HEAD = 4  # of a handshake message: kind, length (3)
_MAJOR = 3  # of every version
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _HOST_NAME = 0, 0
_ENCRYPTED = frozenset(
    (0xFE0D, 0xFFCE)
)  # encrypted client hello, and the encrypted name of its drafts


@dataclass(frozen=True, slots=True)
class Hello:
    """A whole first message. `name` is in lower case."""

    name: str


class NotHello(Exception):
    """It is no client's first message, or none whose name can be told."""


def read(data: bytes) -> Hello | None:
    """The hello at the beginning of what a client has sent; None if more of it has to come.

    Raises:
        NotHello: with what is wrong with it.
    """
    message = _message(data)
    if message is None:
        if len(data) >= LIMIT:
            raise NotHello("the TLS hello is too long")
        return None
    return Hello(_name(_extensions(message)))


def _message(data: bytes) -> bytes | None:
    """The first handshake message, out of however many records it was cut into; None if it is not whole yet."""
    message = bytearray()
    for piece in _pieces(data):
        message += piece
        if message and message[0] != _CLIENT_HELLO:
            raise NotHello("the first TLS message is no hello")
        if len(message) < _HEAD:
            continue
        end = _HEAD + int.from_bytes(message[1:_HEAD], "big")
        if end > LIMIT:
            raise NotHello("the TLS hello is too long")
        if len(message) > end:
            raise NotHello("something follows the TLS hello at once")
        if len(message) == end:
            return bytes(message[_HEAD:])
    return None


def _pieces(data: bytes) -> Iterator[bytes]:
    """What the handshake records hold, the last as far as it has come."""
    at = 0
    while at < len(data):
        if data[at] != _HANDSHAKE or (len(data) > at + 1 and data[at + 1] != _MAJOR):
            raise NotHello("this is not TLS")
        if len(data) < at + _RECORD:
            return
        size = int.from_bytes(data[at + 3 : at + _RECORD], "big")
        if not 0 < size <= _LONGEST_RECORD:
            raise NotHello("a TLS record has an impossible length")
        yield data[at + _RECORD : at + _RECORD + size]
        at += _RECORD + size


class _Bytes:
    """Read from the front; whatever is asked for must be there."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise NotHello("the TLS hello is cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> bytes:
        """What a length of so many bytes stands before."""
        return self.take(self.number(size))

    def __bool__(self) -> bool:
        return self._at < len(self._data)


def _extensions(message: bytes) -> dict[int, bytes]:
    body = _Bytes(message)
    body.take(2 + 32)  # version, random
    for size in (1, 2, 1):  # session, ciphers, compressions
        body.block(size)
    if not body:
        return {}
    listed = _Bytes(body.block(2))
    found: dict[int, bytes] = {}
    while listed:
        kind = listed.number(2)
        if kind in found:
            raise NotHello("the TLS hello says something twice")
        found[kind] = listed.block(2)
    if body:
        raise NotHello("something follows the end of the TLS hello")
    return found


def _name(extensions: dict[int, bytes]) -> str:
    if _ENCRYPTED & extensions.keys():
        raise NotHello("the TLS hello's real name is encrypted")
    if _SERVER_NAME not in extensions:
        raise NotHello("the TLS hello names no host")
    whole = _Bytes(extensions[_SERVER_NAME])
    names = _Bytes(whole.block(2))
    kind, name = names.number(1), names.block(2)
    if whole or names or kind != _HOST_NAME:
        raise NotHello("the TLS hello names more than one host")
    try:
        return name.decode("ascii").lower()
    except UnicodeDecodeError:
        raise NotHello("the TLS hello's name is no host name") from None
