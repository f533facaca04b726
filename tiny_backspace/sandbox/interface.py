"""Somewhere the agent's commands can do no harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Stdin: TypeAlias = bytes | Iterable[bytes]
OnOutput: TypeAlias = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command did. A command that fails is a result, not an exception.

    `stdout` and `stderr` are what was kept of them (see `Sandbox.exec`); `clipped` says that more was written.
    """

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    timed_out: bool = False
    clipped: bool = False

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and not self.timed_out


class Sandbox(Protocol):
    """Four verbs. All of them raise `SandboxLost` if the sandbox itself is gone.

    Paths are absolute or relative to the work tree. `timeout` is in seconds. `stdin` is streamed;
    with `on_output` the standard output is handed over in pieces as it comes and not kept.
    """

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """Run somebody's command: isolated, its exit code confirmed by the engine, its leftovers swept."""
        ...

    def call(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """Run a program of the image for ourselves (git, rg): a hundred times faster, nothing swept."""
        ...

    def read(self, path: str, *, limit: int = 16 << 20) -> bytes:
        """The first `limit` bytes of a regular file.

        Raises:
            OSError: there is no such regular file (FileNotFoundError, IsADirectoryError, …).
        """
        ...

    def write(self, path: str, data: bytes) -> None:
        """Replace a file's content, keeping its mode, or create it and its folders.

        Raises:
            OSError: it cannot be written there.
        """
        ...
