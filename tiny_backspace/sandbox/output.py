"""What a command says, up to a bound."""

from __future__ import annotations

from tiny_backspace.sandbox.attach import STDERR
from tiny_backspace.sandbox.interface import ExecResult, OnOutput

KEEP = 1 << 20  # bytes of each output that are kept
FLOOD = 8 << 20  # bytes of output after which a command is ended


class _Kept:
    """The beginning and the end of an output, half of `KEEP` each."""

    def __init__(self) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self.seen = 0

    def add(self, data: bytes) -> None:
        self.seen += len(data)
        room = KEEP // 2 - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > KEEP:  # cut now and then, not for every piece
            del self._tail[: -KEEP // 2]

    def result(self) -> bytes:
        tail = self._tail[-KEEP // 2 :]
        lost = self.seen - len(self._head) - len(tail)
        mark = b"\n[... %d bytes left out ...]\n" % lost if lost else b""
        return bytes(self._head + mark + tail)


class Collected:
    """What a command says: handed on or kept, up to a bound."""

    def __init__(self, on_output: OnOutput | None) -> None:
        self._stdout, self._stderr = _Kept(), _Kept()
        self._on_output = on_output

    def keep(self, stream: int, data: bytes) -> None:
        if stream == STDERR:
            self._stderr.add(data)
        elif self._on_output is None:
            self._stdout.add(data)
        else:
            self._on_output(data)  # whoever takes it sets the bound, by raising

    def flooded(self, stream: int, data: bytes) -> bool:
        """`keep`; True when the command has said too much."""
        self.keep(stream, data)
        return self._stdout.seen + self._stderr.seen > FLOOD

    def result(self, exit_code: int, *, timed_out: bool) -> ExecResult:
        out, err = self._stdout, self._stderr
        clipped = out.seen > KEEP or err.seen > KEEP
        return ExecResult(exit_code, out.result(), err.result(), timed_out, clipped)
