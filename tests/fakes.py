"""What the Protocols can be in a test: real behaviour, nothing outside memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tiny_backspace.conversation import Assistant, Message, Reply, Stop
from tiny_backspace.errors import ProviderError
from tiny_backspace.events import Emit
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.sandbox.interface import ExecResult, OnOutput, Stdin

Command = Callable[[Sequence[str], bytes], ExecResult]


class FakeSandbox:
    """A repository in a dict. `run` answers commands; by default they succeed and say nothing."""

    def __init__(
        self,
        files: dict[str, str | bytes] | None = None,
        run: Command = lambda argv, stdin: ExecResult(0),
    ) -> None:
        self.files = {k: v.encode() if isinstance(v, str) else v for k, v in (files or {}).items()}
        self._run = run

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        result = self._run(argv, stdin if isinstance(stdin, bytes) else b"".join(stdin))
        if on_output is None:
            return result
        on_output(result.stdout)
        return ExecResult(result.exit_code, b"", result.stderr, result.timed_out, result.clipped)

    call = exec

    def read(self, path: str, *, limit: int = 16 << 20) -> bytes:
        try:
            return self.files[path][:limit]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = data


class ScriptedProvider:
    """Says what it is told to say, and remembers what it was asked."""

    def __init__(self, *script: Assistant | ProviderError, name: str = "scripted") -> None:
        self.name = name
        self.model = "script-1"
        self.window: int | None = None
        self.asked: list[tuple[Message, ...]] = []
        self._script = list(script)

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        self.asked.append(request.conversation)
        match self._script.pop(0):
            case ProviderError() as error:
                raise error
            case Assistant() as message:
                stop: Stop = "tool_use" if message.tool_calls else "end_turn"
                return Reply(message, stop, self.name, self.model, cost_usd=0.0)


def ticking(
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC), step: timedelta = timedelta(seconds=1)
) -> Callable[[], datetime]:
    """A clock that moves by one step each time it is looked at."""
    ticks: Iterable[datetime] = iter(start + step * n for n in range(1 << 30))
    return lambda: next(iter(ticks))


class FolderSandbox:
    """A folder on the host, for commands a test trusts: the real git and sh, no isolation at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        data = stdin if isinstance(stdin, bytes) else b"".join(stdin)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent), "LC_ALL": "C"}
        try:
            done = subprocess.run(
                argv, input=data, capture_output=True, timeout=timeout, check=False,
                cwd=self.folder, env=environment,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return ExecResult(124, timed_out=True)
        except FileNotFoundError as error:
            return ExecResult(127, stderr=str(error).encode())
        if on_output is None:
            return ExecResult(done.returncode, done.stdout, done.stderr)
        on_output(done.stdout)
        return ExecResult(done.returncode, b"", done.stderr)

    call = exec

    def read(self, path: str, *, limit: int = 16 << 20) -> bytes:
        file = self.folder / path
        if file.exists() and not file.is_file() and not file.is_dir():
            raise OSError(22, "Not a regular file", path)
        return file.read_bytes()[:limit]

    def write(self, path: str, data: bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
