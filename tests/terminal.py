"""The program in a pseudo-terminal, as a person sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pyte

from tests.program import COMMAND

SIZES = [(80, 24), (120, 40), (200, 50)]


class Terminal:
    """What stands on the screen, and everything that was written to it."""

    def __init__(self, child: pexpect.spawn[bytes], width: int, height: int) -> None:
        self.child = child
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, holds: Callable[[str], bool]) -> str:
        """Read until the screen is like that; pexpect's own time-out ends it."""
        while not holds(self.text):
            data = self.child.read_nonblocking(1 << 16, timeout=20)
            self.written += data
            self._stream.feed(data)
        return self.text

    def ended(self) -> int | None:
        self.written += self.child.read()
        self.child.close()
        return self.child.exitstatus

    def resize(self, width: int, height: int) -> None:
        self.screen.resize(height, width)
        self.child.setwinsize(height, width)


@contextmanager
def terminal(
    *args: str,
    environment: Mapping[str, str],
    size: tuple[int, int] = (80, 24),
    cwd: Path | None = None,
) -> Iterator[Terminal]:
    """The program with these arguments, ended with the block in any case."""
    width, height = size
    child: pexpect.spawn[bytes] = pexpect.spawn(
        sys.executable, [*COMMAND[1:], *args], dimensions=(height, width), timeout=30,
        env={**environment, "TERM": "xterm-256color"}, cwd=str(cwd) if cwd else None,
    )  # fmt: skip
    try:
        yield Terminal(child, width, height)
    finally:
        child.close(force=True)
