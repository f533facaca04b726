"""A server that answers a byte at a time, which no read timeout ends, is left all the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from tests.forges.github_api import TOKEN, raised
from tiny_backspace.errors import ForgeError
from tiny_backspace.forges.github import GitHub

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@contextmanager
def dripping(begin: bytes, drop: bytes) -> Generator[tuple[str, list[socket.socket]]]:
    """The address of one that begins so and goes on with that, drop by drop, and who came."""
    over, came = threading.Event(), list[socket.socket]()

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(begin)
                while not over.wait(0.02):
                    connection.sendall(drop)
            except OSError:
                pass  # it was hung up

    def listen(listening: socket.socket) -> None:
        while True:
            connection, _ = listening.accept()
            if over.is_set():
                connection.close()
                return
            came.append(connection)
            threads.append(threading.Thread(target=drip, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = [threading.Thread(target=listen, args=(listening,))]
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", came
        finally:
            over.set()
            socket.create_connection(listening.getsockname()).close()
            for thread in threads:
                thread.join()


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 ", b"O"),
        (HEAD, b"x-a: b\r\n"),
        (HEAD + b"content-length: 100000\r\n\r\n", b" "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (HEAD + b"connection: close\r\n\r\n{}", b" "),
        (b"HTTP/1.1 500 No\r\ncontent-length: 100000\r\n\r\n", b" "),
    ],
    ids=["nothing", "status", "head", "body", "chunks", "no end", "failure"],
)
@pytest.mark.timeout(20)
def test_an_answer_that_drips_is_left(begin: bytes, drop: bytes) -> None:
    with dripping(begin, drop) as (url, came):
        github = GitHub(
            "me", "it", SecretStr(TOKEN), url, lambda _: None, wait=lambda _: None, longest=0.2
        )

        error = raised(github.repository)

    assert isinstance(error, ForgeError)
    assert "it took too long) (asked 5 times" in str(error)
    assert len(came) == 5
