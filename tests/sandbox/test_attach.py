from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.errors import SandboxLost
from tiny_backspace.sandbox.attach import Attached, Demultiplexer, Ended

FRAMES = st.lists(st.tuples(st.sampled_from((1, 2)), st.binary(max_size=300)), max_size=12)


def wire(frames: list[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes((k, 0, 0, 0)) + len(p).to_bytes(4, "big") + p for k, p in frames)


@given(FRAMES, st.lists(st.integers(0, 4000), max_size=20))
def test_frames_come_out_whole_however_they_were_cut(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data, demultiplexer = wire(frames), Demultiplexer()
    got: dict[int, bytes] = {1: b"", 2: b""}

    for start, end in pairwise(sorted({0, len(data), *(c for c in cuts if c < len(data))})):
        for kind, payload in demultiplexer.feed(data[start:end]):
            got[kind] += payload

    assert got == {k: b"".join(p for kind, p in frames if kind == k) for k in (1, 2)}


@contextmanager
def engine(path: Path, answer: bytes, *, wait_for: int = 0) -> Iterator[list[bytes]]:
    """An engine that answers one connection with these bytes, and says what it was sent."""
    heard: list[bytes] = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            request = b""
            while b'"Tty": false}' not in request:
                request += connection.recv(1 << 16)
            connection.sendall(answer)
            body = b""
            while len(body) < wait_for and (data := connection.recv(1 << 16)):
                body += data
            heard.append(body)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield heard
    finally:
        server.close()
        thread.join()


UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\n"


def test_bytes_that_come_with_the_headers_are_not_lost(tmp_path: Path) -> None:
    got = bytearray()

    with (
        engine(tmp_path / "s", UPGRADED + wire([(1, b"hello"), (2, b"!")])),
        Attached(str(tmp_path / "s"), "1.41", "e", 5) as attached,
    ):
        ended = attached.exchange((), lambda _, data: got.__iadd__(data) == b"", monotonic() + 5)

    assert (ended, bytes(got)) == (Ended.CLOSED, b"hello!")


def test_everything_is_sent_and_the_end_is_told(tmp_path: Path) -> None:
    chunks = [b"a" * 300_000, b"", b"b" * 300_000]

    with (
        engine(tmp_path / "s", UPGRADED, wait_for=1 << 30) as heard,
        Attached(str(tmp_path / "s"), "1.41", "e", 5) as attached,
    ):
        ended = attached.exchange(iter(chunks), lambda *_: False, monotonic() + 5, close=True)

    assert ended is Ended.CLOSED
    assert heard == [b"".join(chunks)]


@pytest.mark.parametrize("cut", [*range(1, 8), 8, 12])
def test_a_stream_that_ends_in_the_middle_of_a_frame_has_broken_off(
    tmp_path: Path, cut: int
) -> None:
    said, got = wire([(1, b"whole"), (1, b"broken")]), bytearray()
    whole = len(wire([(1, b"whole")]))

    with (
        engine(tmp_path / "s", UPGRADED + said[: whole + cut]),
        Attached(str(tmp_path / "s"), "1.41", "e", 5) as attached,
        pytest.raises(SandboxLost, match="broke off"),
    ):
        attached.exchange((), lambda _, data: got.__iadd__(data) == b"", monotonic() + 5)

    assert bytes(got) == b"whole" + b"broken"[: max(0, cut - 8)]


def test_silence_ends_at_the_deadline(tmp_path: Path) -> None:
    with (
        engine(tmp_path / "s", UPGRADED, wait_for=1),
        Attached(str(tmp_path / "s"), "1.41", "e", 5) as attached,
    ):
        assert attached.exchange((), lambda *_: False, monotonic() + 0.05) is Ended.DEADLINE


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 409 Conflict\r\n\r\ncontainer is paused", "container is paused"),
    ],
    ids=["closed", "refused"],
)
def test_an_engine_that_does_not_start_the_command_is_an_error(
    tmp_path: Path, answer: bytes, said: str
) -> None:
    with engine(tmp_path / "s", answer), pytest.raises(SandboxLost, match=said):
        Attached(str(tmp_path / "s"), "1.41", "e", 5)


def test_an_engine_that_stalls_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()

        with pytest.raises(SandboxLost, match="did not start the command: timed out"):
            Attached(str(tmp_path / "s"), "1.41", "e", 0.05)


def test_no_engine_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SandboxLost, match="did not start"):
        Attached(str(tmp_path / "nobody"), "1.41", "e", 5)
