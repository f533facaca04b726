"""The first words of a connection, and how one is made to somebody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

from tiny_backspace.redact import clean_line
from tiny_backspace.setup import asking, hello
from tiny_backspace.setup.hello import NotHello
from tiny_backspace.setup.relay import Stream

LONGEST_NAME = 253
_END = b"\r\n\r\n"


async def head_of(stream: Stream) -> tuple[bytes, bytes]:
    """The head of a request and what came with it; an empty one if nothing was said."""
    data = bytearray()
    while (end := data.find(_END)) < 0:
        if not (more := await stream.read()):
            return bytes(data), b""
        data += more
        if len(data) > asking.LONGEST and _END not in data[: asking.LONGEST]:
            return bytes(data[: asking.LONGEST]), b""
    return bytes(data[: end + len(_END)]), bytes(data[end + len(_END) :])


async def client_hello(stream: Stream, early: bytes, host: str) -> bytes:
    """All that a client has said up to the end of its hello, which names this host.

    Raises:
        NotHello: it does not.
    """
    data = early
    while (found := hello.read(data)) is None:
        if not (more := await stream.read()):
            raise NotHello("the TLS hello never came" if not data else "the TLS hello is cut short")
        data += more
    if found.name != host:
        raise NotHello(f"the TLS hello names another host: {clean_line(found.name)[:LONGEST_NAME]}")
    return data


async def looked_up(host: str, port: int) -> tuple[str, ...]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))


async def first_of(
    addresses: Sequence[str], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for address in addresses[:-1]:
        with suppress(OSError):
            return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(addresses[-1], port)


def answer(status: str, text: str) -> bytes:
    body = f"tiny-backspace: {text}\n".encode("ascii", "replace")
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("ascii", "replace") + body
