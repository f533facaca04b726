"""Who waits for a model that has gone silent is woken, at once, and nothing is left behind."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf

import httpx2
import pytest

from tiny_backspace.watchdog import Connections, Watch, watched

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"2\r\nhi\r\n"


@contextmanager
def server(
    say: Callable[[socket.socket, threading.Event], None], begin: bytes = HEAD + CHUNK
) -> Generator[str]:
    """The address of one that answers one request with `begin` and `say`."""
    over = threading.Event()

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(begin)
                say(connection, over)
            except OSError:
                pass  # it was hung up

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


def stall(_: socket.socket, over: threading.Event) -> None:
    over.wait()


def drip(connection: socket.socket, over: threading.Event) -> None:
    while not over.wait(0.02):
        connection.sendall(CHUNK)


def end(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"0\r\n\r\n")


def read(url: str, *, idle: float = inf, seconds: float = inf, hears: bool = False) -> Watch:
    """Ask and read all there is, under watch."""
    connections = Connections()
    with httpx2.Client(timeout=20, event_hooks={"request": [connections.trace]}) as client:
        until = time.monotonic() + seconds
        with watched(connections.hang_up, idle=idle, until=until) as watch:
            try:
                with client.stream("GET", url) as response:
                    for _ in response.iter_raw():
                        if hears:
                            watch.alive()
            except httpx2.TransportError:
                assert watch.ended
    return watch


def test_silence_is_ended() -> None:
    with server(stall) as url:
        assert read(url, idle=0.1, seconds=20, hears=True).ended == "idle"


def test_an_answer_that_never_ends_is_ended() -> None:
    with server(drip) as url:
        assert read(url, idle=20, seconds=0.1, hears=True).ended == "over"


def test_bytes_that_mean_nothing_are_silence() -> None:
    with server(drip) as url:
        assert read(url, idle=0.1, seconds=20).ended == "idle"


def test_an_answer_that_ends_by_itself_is_left_alone() -> None:
    with server(end) as url:
        assert read(url, idle=20, seconds=20, hears=True).ended is None


def test_a_time_that_is_past_already_is_over_at_once() -> None:
    hung_up = threading.Event()
    with watched(hung_up.set, idle=20, until=time.monotonic() - 1) as watch:
        assert hung_up.wait(5)
    assert watch.ended == "over"


def test_what_is_heard_puts_the_end_off() -> None:
    now, hung_up = [0.0], threading.Event()
    with watched(hung_up.set, idle=1, until=inf, clock=lambda: now[0]) as watch:
        now[0] = 0.9
        watch.alive()
        assert watch.heard == pytest.approx(0.9)
    assert watch.ended is None


def test_no_thread_is_left_however_the_block_ends() -> None:
    before = threading.active_count()

    with watched(lambda: None, idle=20, until=inf):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before

    with pytest.raises(ValueError, match="own"), watched(lambda: None, idle=20, until=inf):
        raise ValueError("the reader's own")
    assert threading.active_count() == before


@pytest.mark.parametrize("piece", [b"x", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_an_answer_that_never_begins_is_ended(piece: bytes) -> None:
    """A header without an end, or one early hint after the other: every byte pleases the read timeout."""

    def drip_head(connection: socket.socket, over: threading.Event) -> None:
        while not over.wait(0.02):
            connection.sendall(piece)

    begin = b"HTTP/1.1 200 OK\r\nx-header: " if piece == b"x" else piece
    with server(drip_head, begin) as url:
        assert read(url, idle=0.1, seconds=20).ended == "idle"


def test_a_connection_without_a_socket_cannot_be_hung_up_and_that_is_no_error() -> None:
    connections = Connections()
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200))
    hooks = {"request": [connections.trace]}
    with httpx2.Client(transport=transport, event_hooks=hooks) as client:
        client.get("http://example.org/")
    connections.hang_up()


def test_a_socket_that_is_gone_is_no_error() -> None:
    connections = Connections()
    hooks = {"request": [connections.trace]}
    with server(end) as url, httpx2.Client(event_hooks=hooks) as client:
        client.get(url)
    connections.hang_up()
