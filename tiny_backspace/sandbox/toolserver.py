"""Runs inside the container, for as long as the file session lasts: reads, writes and quick commands.

Its source is handed to the image's python3 as an argument, so any image with Python 3.9 or newer
serves. Standard library only. Nothing it says is believed for more than its convenience.

Frames, both ways: one byte kind, four bytes length (big-endian), payload.
  in:  R a request (JSON), then any number of I, a piece of input, then E, its end
  out: H hello (our process number) · 1 standard output or file content · 2 standard error · X the result (JSON)
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

CHUNK = 1 << 18
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of fcntl(2); Python has the name since 3.10
PIPE = 1 << 20  # bytes a pipe holds, where the kernel allows it: fewer turns for the same data
BACKLOG = 1 << 20  # bytes of input taken in before the command has read them
GRACE = 0.2  # seconds for output that is still in a pipe after the command has ended

Json = dict[str, Any]


WAITING = bytearray()
TOGETHER = (
    1 << 14
)  # bytes; what is smaller waits for the end of the answer, as each write costs as much as a kilobyte


def send(kind: bytes, payload: bytes = b"") -> None:
    WAITING.extend(kind + len(payload).to_bytes(4, "big") + payload)
    if kind in b"HX" or len(WAITING) > TOGETHER:
        data = memoryview(bytes(WAITING))
        WAITING.clear()
        while data:
            data = data[os.write(1, data) :]


def widen(pipe: int) -> None:
    with suppress(OSError):
        fcntl.fcntl(pipe, SET_PIPE_SIZE, PIPE)


class Inbox:
    """Frames from standard input. The end of the stream ends the server and what it runs."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ended = True  # all the input of the present request is in

    def read(self) -> None:
        data = os.read(0, CHUNK)
        if not data:
            raise SystemExit
        self._buffer += data

    def ready(self) -> Iterator[tuple[bytes, bytes]]:
        while len(self._buffer) >= 5:  # noqa: PLR2004 - a frame's header
            size = int.from_bytes(self._buffer[1:5], "big")
            if len(self._buffer) < 5 + size:
                return
            kind, payload = bytes(self._buffer[:1]), bytes(self._buffer[5 : 5 + size])
            del self._buffer[: 5 + size]
            self.ended = kind == b"E"
            yield kind, payload

    def next(self) -> tuple[bytes, bytes]:
        while True:
            for frame in self.ready():
                return frame
            self.read()

    def drain(self) -> None:
        while not self.ended:
            self.next()


def op_read(request: Json, _: Inbox) -> Json:
    # O_NONBLOCK: opening a FIFO must not wait for somebody to write to it
    file = os.open(request["path"], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(file)
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        left = request["limit"]
        while left and (data := os.read(file, min(CHUNK, left))):
            send(b"1", data)
            left -= len(data)
    finally:
        os.close(file)
    return {"size": info.st_size}


def op_write(request: Json, inbox: Inbox) -> Json:
    content = bytearray()
    while (frame := inbox.next())[0] != b"E":
        content += frame[1]
    path = os.path.realpath(request["path"])  # write through a link, do not replace it
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        mode = 0o644
    new = f"{path}.{os.getpid()}.tmp"
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(file, "wb") as target:
            target.write(content)
        os.chmod(new, mode)
        os.replace(new, path)
    except OSError:
        if os.path.lexists(new):
            os.unlink(new)
        raise
    return {}


def op_run(request: Json, inbox: Inbox) -> Json:
    process = subprocess.Popen(
        request["argv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    )
    try:
        timed_out = Pump(process, inbox, time.monotonic() + request["timeout"]).run()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return {"exit_code": process.returncode, "timed_out": timed_out}


class Pump:
    """Standard input of the command from the inbox, its two outputs to our own, all at once."""

    def __init__(self, process: subprocess.Popen[bytes], inbox: Inbox, deadline: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process, self._inbox, self._deadline = process, inbox, deadline
        self._stdin, self._stdin_open = process.stdin, True
        self._backlog = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ, b"1")
        self._selector.register(process.stderr, selectors.EVENT_READ, b"2")
        self._open = 2
        os.set_blocking(self._stdin.fileno(), False)
        widen(self._stdin.fileno())

    def run(self) -> bool:
        """Until the command has ended and all its input was taken in; True if the time was up first."""
        ended_at = None
        pause = 0.0001
        while True:
            self._feed()  # before the wait: some input has come together with the request
            self._watch()
            if not self._open:  # nothing wakes us when the command ends, which is soon as a rule
                pause = min(pause * 2, 0.02)
            for key, _ in self._selector.select(0.25 if self._open else pause):
                self._handle(key)
            now = time.monotonic()
            if ended_at is None and self._process.poll() is not None:
                ended_at = now
            quiet = self._open == 0 or (ended_at is not None and now - ended_at > GRACE)
            if ended_at is not None and quiet and self._inbox.ended:
                return False
            if now > self._deadline and ended_at is None:
                return True

    def _watch(self) -> None:
        wanted = not self._inbox.ended and len(self._backlog) < BACKLOG
        self._register(0, selectors.EVENT_READ, wanted=wanted)
        if self._stdin_open:
            self._register(self._stdin, selectors.EVENT_WRITE, wanted=bool(self._backlog))

    def _register(self, file: Any, events: int, *, wanted: bool) -> None:  # noqa: ANN401 - a file or its number
        registered = file in self._selector.get_map()
        if wanted and not registered:
            self._selector.register(file, events)
        elif registered and not wanted:
            self._selector.unregister(file)

    def _handle(self, key: selectors.SelectorKey) -> None:
        if key.fd == 0:
            self._inbox.read()
        elif key.data:
            if data := os.read(key.fd, CHUNK):
                send(key.data, data)
            else:
                self._selector.unregister(key.fileobj)
                self._open -= 1

    def _feed(self) -> None:
        if not self._inbox.ended:
            for kind, payload in self._inbox.ready():
                if kind == b"E":
                    break
                if self._stdin_open:
                    self._backlog += payload
        if self._backlog:
            try:
                del self._backlog[: os.write(self._stdin.fileno(), self._backlog)]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                self._backlog.clear()
                self._close_stdin()
        if self._inbox.ended and not self._backlog:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin_open:
            self._register(self._stdin, selectors.EVENT_WRITE, wanted=False)
            self._stdin.close()
            self._stdin_open = False


def op_others(request: Json, _: Inbox) -> Json:
    """The processes of our uid besides this one and those that are known, zombies left out."""
    known = {os.getpid(), *request["ours"]}
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in known:
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    with open(f"/proc/{name}/stat") as file:
                        if file.read().rpartition(")")[2].split()[0] != "Z":
                            found.append(int(name))
            except OSError:
                continue  # it ended while we looked
    return {"pids": found}


OPERATIONS = {"read": op_read, "write": op_write, "run": op_run, "others": op_others}


def main() -> None:
    os.umask(0o022)
    widen(0)
    send(b"H", str(os.getpid()).encode())
    inbox = Inbox()
    while True:
        _, request = inbox.next()
        wanted: Json = json.loads(request)
        try:
            result = OPERATIONS[wanted["op"]](wanted, inbox)
        except OSError as error:
            result = {"errno": error.errno or errno.EIO, "message": error.strerror or str(error)}
        inbox.drain()  # or the rest of this input would be taken for the next request
        send(b"X", json.dumps(result).encode())


if __name__ == "__main__":
    main()
