"""Our side of the tool server: one long-lived exec that answers in well under a millisecond."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from tiny_backspace.errors import SandboxLost
from tiny_backspace.sandbox.attach import STDERR, STDOUT, Attached, Ended

SOURCE = Path(__file__).with_name("toolserver.py")
_HEADER = 5
_PIECE = 1 << 18
_TOGETHER = 1 << 14
_GRACE = 10.0  # seconds the server has beyond the command's own time to say that it was up
_LONGEST_PID = 10  # digits
_LARGEST = 1 << 20  # bytes of a frame; the server's own are far smaller
_FAILED: dict[str, type] = {"errno": int, "message": str}
_ANSWERS: dict[str, dict[str, type]] = {
    "read": {"size": int},
    "write": {},
    "run": {"exit_code": int, "timed_out": bool},
    "others": {"pids": list},
}

OnFrame = Callable[[bytes, bytes], None]


def command() -> list[str]:
    """The argv that starts the server in a container that has Python."""
    return ["python3", "-I", "-S", "-c", SOURCE.read_text("utf-8")]


def _ignore(_: bytes, __: bytes) -> None:
    """For answers without output."""


class Session:
    """Requests to one tool server, one after the other. `pid` is the server's, inside.

    Whoever has the server's uid can write into its pipe: what comes is checked before it is used.
    """

    def __init__(self, attached: Attached, timeout: float) -> None:
        self._attached = attached
        self._buffer = bytearray()
        self._complaint = b""
        self._idle = True
        hello = self._await(b"H", iter(()), monotonic() + timeout, _ignore)
        self.pid = _pid(hello)

    def request(
        self,
        request: dict[str, Any],
        *,
        timeout: float,
        stdin: Iterable[bytes] = (),
        on_frame: OnFrame = _ignore,
    ) -> dict[str, Any]:
        """One request with its input; what comes back goes to `on_frame` (b"1" or b"2", bytes) as it comes.

        Raises:
            OSError: as the server met it inside (FileNotFoundError, IsADirectoryError, …).
            SandboxLost: the server has gone, or does not answer.
        """
        until = monotonic() + timeout + _GRACE
        self._idle = False
        payload = self._await(b"X", _frames(request, stdin), until, on_frame)
        result = _answer(payload, request["op"])
        self._idle = True
        if "errno" in result:
            raise OSError(result["errno"], result["message"], request.get("path"))
        return result

    def _await(
        self, wanted: bytes, outgoing: Iterator[bytes], deadline: float, on_frame: OnFrame
    ) -> bytes:
        last = b""

        def consume(stream: int, data: bytes) -> bool:
            nonlocal last
            if stream == STDERR:
                self._complaint = (self._complaint + data)[-2000:]
                return False
            assert stream == STDOUT
            self._buffer += data
            for kind, payload in self._take():
                if kind == wanted:
                    last = payload
                    return True
                if kind not in (b"1", b"2"):
                    raise SandboxLost("the file session does not keep to its protocol")
                on_frame(kind, payload)
            return False

        ended = self._attached.exchange(outgoing, consume, deadline)
        if ended is not Ended.DONE:
            complaint = self._complaint.decode(errors="replace").strip().rpartition("\n")[2]
            raise SandboxLost(f"the file session ended: {complaint or ended.value}")
        return last

    def _take(self) -> Iterator[tuple[bytes, bytes]]:
        while len(self._buffer) >= _HEADER:
            size = int.from_bytes(self._buffer[1:_HEADER], "big")
            if size > _LARGEST:
                raise SandboxLost("the file session does not keep to its protocol")
            end = _HEADER + size
            if len(self._buffer) < end:
                return
            kind, payload = bytes(self._buffer[:1]), bytes(self._buffer[_HEADER:end])
            del self._buffer[:end]
            yield kind, payload

    def alive(self) -> bool:
        """Whether it can take a request: not if the last one was broken off in the middle."""
        return self._idle and not self._buffer and self._attached.alive()

    def close(self) -> None:
        self._attached.close()


def _pid(hello: bytes) -> int:
    if len(hello) > _LONGEST_PID or not hello.isdigit():
        raise SandboxLost("the file session does not keep to its protocol")
    return int(hello)


def _answer(payload: bytes, operation: str) -> dict[str, Any]:
    try:
        result = json.loads(payload)
    except (ValueError, RecursionError):
        result = None
    if isinstance(result, dict):
        shape = _FAILED if "errno" in result else _ANSWERS[operation]
        if all(isinstance(result.get(key), kind) for key, kind in shape.items()):
            return result
    raise SandboxLost("the file session does not keep to its protocol")


def _frames(request: dict[str, Any], stdin: Iterable[bytes]) -> Iterator[bytes]:
    """Small ones together: each time the engine passes something on costs as much as a kilobyte of it."""
    waiting = bytearray(_frame(b"R", json.dumps(request).encode()))
    for chunk in stdin:
        for start in range(0, len(chunk), _PIECE):
            waiting += _frame(b"I", chunk[start : start + _PIECE])
            if len(waiting) > _TOGETHER:
                yield bytes(waiting)
                waiting.clear()
    yield bytes(waiting + _frame(b"E", b""))


def _frame(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload
