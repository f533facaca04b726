"""The tool server as a process of the host, behind a socket that speaks as the engine does."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

from tiny_backspace.sandbox.attach import STDERR, STDOUT, Attached
from tiny_backspace.sandbox.session import Session, command

PATIENCE = 30.0
SERVER = (sys.executable, *command()[1:])
_NUMBERS = count()  # one socket for each of the sessions that a test has
_UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Served:
    session: Session
    server: subprocess.Popen[bytes]


@contextmanager
def serving(folder: Path, argv: Sequence[str] = SERVER) -> Iterator[Served]:
    """A session with this program, which runs in the folder. It is ended after the block."""
    with attached(folder, argv) as (stream, process):
        session = Session(stream, PATIENCE)
        try:
            yield Served(session, process)
        finally:
            session.close()


@contextmanager
def attached(
    folder: Path, argv: Sequence[str]
) -> Iterator[tuple[Attached, subprocess.Popen[bytes]]]:
    path = folder.parent / f"engine-{next(_NUMBERS)}"
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        stack.callback(path.unlink)
        listener.listen()
        process = stack.enter_context(
            subprocess.Popen(
                argv,
                cwd=folder,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        stack.callback(process.kill)
        engine = threading.Thread(target=_engine, args=(listener, process))
        engine.start()
        stack.callback(engine.join)
        stack.callback(process.kill)
        yield stack.enter_context(Attached(str(path), "1.41", "e", PATIENCE)), process


def _engine(listener: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """One exec, as the engine serves it: input raw, outputs in frames, the end when both have ended."""
    connection, _ = listener.accept()
    with connection:
        request = b""
        while b'"Tty": false}' not in request:
            request += connection.recv(1 << 16)
        connection.sendall(_UPGRADED)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        one_at_a_time = threading.Lock()
        outputs = [
            threading.Thread(target=_output, args=(connection, kind, pipe, one_at_a_time))
            for kind, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr))
        ]
        given = threading.Thread(target=_input, args=(connection, process.stdin))
        for thread in (*outputs, given):
            thread.start()
        for thread in outputs:
            thread.join()
        with suppress(OSError):  # we were left before
            connection.shutdown(socket.SHUT_RDWR)
        given.join()


def _input(connection: socket.socket, pipe: IO[bytes]) -> None:
    try:
        while data := connection.recv(1 << 16):
            rest = memoryview(data)
            while rest:
                rest = rest[pipe.write(rest) :]
        pipe.close()
    except OSError:
        return  # the program or the other side has gone; the outputs tell


def _output(
    connection: socket.socket, kind: int, pipe: IO[bytes], one_at_a_time: threading.Lock
) -> None:
    while data := pipe.read(1 << 15):
        try:
            with one_at_a_time:
                connection.sendall(bytes((kind, 0, 0, 0)) + len(data).to_bytes(4, "big") + data)
        except OSError:
            continue  # nobody listens any more; the pipe must not fill up all the same
