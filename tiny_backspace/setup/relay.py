"""Many connections over one pair of pipes. Inside the container it is a proxy's front: the host has the rest.

Its source is handed to the image's python3 as an argument (Python 3.9 or newer, standard library only), and
runs there as a user that no command of the setup can reach; the port follows. The host imports `Streams` from here.

A frame is one byte kind, four bytes stream, four bytes length, both big-endian, then the payload:
  H hello, once, when connections are taken · O a new stream · D data of it · E the end of its data
  W so many bytes more may be sent (four bytes) · R it is broken off
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

PORT = 3128
AT_ONCE = 64  # streams
WINDOW = 1 << 18  # bytes that may be on their way in one direction of a stream
PIECE = 1 << 15
_HEADER = struct.Struct(">cII")
_COUNT = 4

Write = Callable[[bytes], Awaitable[None]]


class ProtocolError(Exception):
    """The other side does not keep to the frames."""


class Stream:
    """One connection: two directions, each with its own end, and no more under way than is taken in."""

    def __init__(self, streams: Streams, number: int) -> None:
        self.number = number
        self._streams = streams
        self._waiting = bytearray()
        self._credit = WINDOW
        self._news = asyncio.Event()
        self._over = False  # the other side's data
        self._said_over = False  # ours
        self.broken = False

    async def read(self) -> bytes:
        """Some of what has come; nothing at the end."""
        while not self._waiting and not self._over:
            await self._wait()
        data = bytes(self._waiting[:PIECE])
        del self._waiting[:PIECE]
        if data and not self._over:
            await self._streams.send(b"W", self.number, len(data).to_bytes(_COUNT, "big"))
        return data

    async def write(self, data: bytes) -> None:
        while data:
            while not self._credit or self.broken:
                await self._wait()
            size = min(len(data), self._credit, PIECE)
            self._credit -= size
            await self._streams.send(b"D", self.number, data[:size])
            data = data[size:]

    async def end(self) -> None:
        """No more data from us."""
        if not self._said_over and not self.broken:
            self._said_over = True
            await self._streams.send(b"E", self.number)
            self._streams.forget_ended(self)

    async def abort(self) -> None:
        if not self.broken and not self.done:
            self.break_off()
            await self._streams.send(b"R", self.number)
        self._streams.forget(self)

    @property
    def done(self) -> bool:
        return self._over and self._said_over

    def break_off(self) -> None:
        self.broken = True
        self._news.set()

    def heard(self, kind: bytes, payload: bytes) -> None:
        """What the other side says of this stream."""
        if kind == b"D" and not self._over and len(self._waiting) + len(payload) <= WINDOW:
            self._waiting += payload
        elif kind == b"E":
            self._over = True
        elif kind == b"W" and len(payload) == _COUNT:
            self._credit = min(WINDOW, self._credit + int.from_bytes(payload, "big"))
        elif kind == b"R":
            self.break_off()
        else:
            raise ProtocolError("a frame has no place where it came")
        self._news.set()

    async def _wait(self) -> None:
        """Until something was heard. What came before the connection broke off is still there to be read."""
        if self.broken:
            raise ConnectionResetError("the connection was broken off")
        self._news.clear()
        await self._news.wait()


class Streams:
    """`write` sends bytes to the other side; `opened` is called with each stream that it opens, `greeted` at its hello."""

    def __init__(
        self,
        write: Write,
        opened: Callable[[Stream], None] | None = None,
        greeted: Callable[[], None] | None = None,
    ) -> None:
        self._write = write
        self._opened, self._greeted = opened, greeted
        self._live: dict[int, Stream] = {}
        self._last = 0
        self._buffer = bytearray()
        self._sending = asyncio.Lock()  # older versions let only one wait in drain()

    async def open(self) -> Stream:
        self._last += 1
        stream = self._live[self._last] = Stream(self, self._last)
        await self.send(b"O", stream.number)
        return stream

    @property
    def full(self) -> bool:
        return len(self._live) >= AT_ONCE

    async def send(self, kind: bytes, number: int = 0, payload: bytes = b"") -> None:
        async with self._sending:
            await self._write(_HEADER.pack(kind, number, len(payload)) + payload)

    def feed(self, data: bytes) -> None:
        """Bytes from the other side, cut anywhere.

        Raises:
            ProtocolError: they are no frames.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, number, size = _HEADER.unpack_from(self._buffer)
            if size > PIECE:
                raise ProtocolError("a frame is too long")
            end = _HEADER.size + size
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            self._frame(kind, number, payload)

    def _frame(self, kind: bytes, number: int, payload: bytes) -> None:
        if kind == b"H" and self._greeted is not None:
            self._greeted()
        elif kind == b"O":
            if self._opened is None or number != self._last + 1 or self.full:
                raise ProtocolError("a stream is opened that may not be")
            self._last = number
            self._live[number] = Stream(self, number)
            self._opened(self._live[number])
        elif (stream := self._live.get(number)) is not None:
            stream.heard(kind, payload)
            self.forget_ended(stream)
            if stream.broken:
                self.forget(stream)
        elif not 0 < number <= self._last:
            raise ProtocolError("a frame is for a stream that never was")

    def forget_ended(self, stream: Stream) -> None:
        if stream.done:
            self.forget(stream)

    def forget(self, stream: Stream) -> None:
        self._live.pop(stream.number, None)

    def break_off(self) -> None:
        """All of them: there is no other side any more."""
        for stream in self._live.values():
            stream.break_off()
        self._live.clear()


async def _carry(
    streams: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One connection of a program in the container."""
    if streams.full:
        writer.close()
        return
    stream = await streams.open()

    async def up() -> None:
        while data := await reader.read(PIECE):
            await stream.write(data)
        await stream.end()

    async def down() -> None:
        while data := await stream.read():
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    both = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    try:
        await asyncio.gather(*both)
    except (OSError, EOFError):
        await stream.abort()
    finally:
        for one in both:
            one.cancel()
        writer.close()


async def main() -> None:
    """Until the host closes our input."""
    loop = asyncio.get_running_loop()
    reader, unread = asyncio.StreamReader(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(unread), sys.stdout.buffer
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    streams = Streams(write)

    async def accepted(client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await _carry(streams, client, answer)

    server = await asyncio.start_server(accepted, "127.0.0.1", int(sys.argv[1]))
    await streams.send(b"H")
    while data := await reader.read(PIECE):
        streams.feed(data)
    streams.break_off()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
