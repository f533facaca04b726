"""Many streams over one pair of pipes: whole, in order, each at its own pace, and nothing believed."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.setup.relay import AT_ONCE, PIECE, WINDOW, ProtocolError, Stream, Streams

HEADER = struct.Struct(">cII")


class Pair:
    """Both sides in one loop; what one says reaches the other in pieces of these sizes."""

    def __init__(self, *cuts: int) -> None:
        self.opened: list[Stream] = []
        self.cuts = cuts or (1 << 20,)
        self.near = Streams(self._to_far)
        self.far = Streams(self._to_near, self.opened.append)

    async def _to_far(self, data: bytes) -> None:
        self._pieces(self.far, data)

    async def _to_near(self, data: bytes) -> None:
        self._pieces(self.near, data)

    def _pieces(self, to: Streams, data: bytes) -> None:
        turn = 0
        while data:
            size = self.cuts[turn % len(self.cuts)]
            to.feed(data[:size])
            data, turn = data[size:], turn + 1


async def whole(stream: Stream) -> bytes:
    found = b""
    while data := await stream.read():
        found += data
    return found


@given(
    st.lists(st.binary(max_size=400), max_size=4),
    st.lists(st.binary(max_size=400), max_size=4),
    st.lists(st.integers(1, 50), min_size=1, max_size=4),
)
def test_each_stream_carries_its_own_bytes_both_ways(
    ups: list[bytes], downs: list[bytes], cuts: list[int]
) -> None:
    async def talk() -> None:
        pair = Pair(*cuts)
        near = [await pair.near.open() for _ in range(2)]
        far = pair.opened
        for a, b in zip(near, far, strict=True):
            for up in ups:
                await a.write(up + b"%d" % a.number)
            await a.end()
            for down in downs:
                await b.write(down)
            await b.end()
        for a, b in zip(near, far, strict=True):
            assert await whole(b) == b"".join(up + b"%d" % a.number for up in ups)
            assert await whole(a) == b"".join(downs)
        assert not pair.near.full
        assert pair.far._live == pair.near._live == {}

    asyncio.run(talk())


def test_a_reader_that_does_not_read_holds_up_its_own_writer_and_no_other() -> None:
    async def talk() -> None:
        pair = Pair()
        slow, quick = await pair.near.open(), await pair.near.open()
        writing = asyncio.create_task(slow.write(bytes(WINDOW + 10)))
        await asyncio.sleep(0)
        await quick.write(b"x")
        await quick.end()
        assert await whole(pair.opened[1]) == b"x"
        assert not writing.done()
        assert len(pair.opened[0]._waiting) == WINDOW
        assert len(await pair.opened[0].read()) == PIECE
        await writing
        await slow.end()
        assert len(await whole(pair.opened[0])) == WINDOW + 10 - PIECE

    asyncio.run(talk())


def test_what_came_before_a_stream_broke_off_is_read_and_then_that_it_did() -> None:
    async def talk() -> None:
        pair = Pair()
        near = await pair.near.open()
        reading = asyncio.create_task(pair.opened[0].read())
        await asyncio.sleep(0)  # it waits
        await near.write(b"last words")
        await near.abort()
        assert await reading == b"last words"
        with pytest.raises(ConnectionResetError):
            await pair.opened[0].read()
        with pytest.raises(ConnectionResetError):
            await pair.opened[0].write(b"x")
        with pytest.raises(ConnectionResetError):
            await near.read()

    asyncio.run(talk())


def test_the_end_of_the_other_side_breaks_off_every_stream() -> None:
    async def talk() -> None:
        pair = Pair()
        near = await pair.near.open()
        reading = asyncio.create_task(near.read())
        await asyncio.sleep(0)
        pair.near.break_off()
        with pytest.raises(ConnectionResetError):
            await reading

    asyncio.run(talk())


@pytest.mark.parametrize(
    "frames",
    [
        [(b"D", 1, b"x")],
        [(b"O", 2, b"")],
        [(b"O", 1, b""), (b"O", 1, b"")],
        [(b"O", 1, b""), (b"Z", 1, b"")],
        [(b"O", 1, b""), (b"W", 1, b"x")],
        [(b"O", 1, b""), (b"E", 1, b""), (b"D", 1, b"x")],
        [(b"O", number + 1, b"") for number in range(AT_ONCE + 1)],
        [(b"O", 1, b""), *[(b"D", 1, bytes(PIECE))] * (WINDOW // PIECE + 1)],
        [(b"D", 1, bytes(PIECE + 1))],
    ],
)
def test_frames_that_have_no_place_are_refused(frames: list[tuple[bytes, int, bytes]]) -> None:
    async def hear() -> None:
        whole = b"".join(HEADER.pack(k, number, len(data)) + data for k, number, data in frames)
        with pytest.raises(ProtocolError):
            Pair().far.feed(whole)

    asyncio.run(hear())


def test_streams_that_are_over_make_room_for_others() -> None:
    async def talk() -> None:
        pair = Pair()
        for _ in range(3 * AT_ONCE):
            near = await pair.near.open()
            await near.end()
            await pair.opened[-1].end()
        assert not pair.near.full

    asyncio.run(talk())
