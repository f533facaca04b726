"""git on the host: an environment of our own, limits on every child, bounded output, every run recorded.

GitPython is not used here: its `execute` hands the whole of `os.environ` to the child, and waits for
ever with unbounded output. Sources of the settings: docs/security.md, "Host side".
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import IO

from tiny_backspace.errors import RepoError
from tiny_backspace.events import Emit, HostCommand
from tiny_backspace.redact import clean_line
from tiny_backspace.repo.environment import Credential, variables

_MIB = 1 << 20
_NOT_FOUND = 127  # the shell's word for a program that is not there


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one git child. Bytes and seconds. `network`: it may speak to others, as its work is to.

    `memory` is address space, files that are mapped included; `heap` what it may ask for besides.
    """

    memory: int
    heap: int
    cpu: int
    file: int
    wall: float
    output: int = 64 * _MIB
    network: bool = False


AGENTS_WORK = Limits(memory=1024 * _MIB, heap=1024 * _MIB, cpu=30, file=256 * _MIB, wall=60)
TRANSFER = Limits(
    memory=4096 * _MIB, heap=960 * _MIB, cpu=300, file=2048 * _MIB, wall=300, network=True
)


@dataclass(frozen=True, slots=True)
class Done:
    """What git said."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace").strip()

    @property
    def too_large(self) -> bool:
        """Whether it wanted more memory than it may have."""
        return b"out of memory" in self.stderr.lower()

    @property
    def complaint(self) -> str:
        """The last lines of what it complained about, for a message."""
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return clean_line(
            " ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in lines[-3:])
        )


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git. `home` is an empty folder of the run; `protocols` may be used besides https.

    `safe` are the folders of the one repository that may belong to another user. `settings` are
    (key, value) pairs that, like our own, no repository's configuration can override. Only a child
    that speaks to the credential's place gets it, and nothing that git says shows it.
    """

    environment: Mapping[str, str] = field(repr=False)  # it may hold keys
    home: Path
    emit: Emit
    protocols: tuple[str, ...] = ()
    safe: tuple[Path, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    credential: Credential | None = None

    def run(
        self,
        *args: str,
        git_dir: Path | None = None,
        stdin: IO[bytes] | bytes = b"",
        stdout: IO[bytes] | None = None,
        limits: Limits = AGENTS_WORK,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run `git <args>`; a failure is a value.

        Raises:
            RepoError: git is missing, or was ended by a limit.
        """
        argv = ["git", *([f"--git-dir={git_dir}"] if git_dir else []), *args]
        credential = self._credential(argv, limits)
        told = self._environment(limits, credential) | dict(env or {})
        with _input(stdin) as source, self._child(argv, source, stdout, limits, told) as process:
            out, err = _communicate(process, limits, argv)
            exit_code = process.wait()
        if credential is not None:
            out, err = credential.hide(out), credential.hide(err)
        if exit_code == _NOT_FOUND:
            raise RepoError("git cannot be started", hint="Install git 2.39.4 or newer.")
        return Done(exit_code, out, err)

    def must(
        self,
        *args: str,
        doing: str,
        git_dir: Path | None = None,
        stdin: IO[bytes] | bytes = b"",
        stdout: IO[bytes] | None = None,
        limits: Limits = AGENTS_WORK,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """`run`, where a failure is the end: `doing` says of what.

        Raises:
            RepoError: git failed.
        """
        done = self.run(*args, git_dir=git_dir, stdin=stdin, stdout=stdout, limits=limits, env=env)
        if not done.ok:
            raise RepoError(f"git failed while {doing}: {done.complaint}")
        return done

    @contextmanager
    def _child(
        self,
        argv: Sequence[str],
        stdin: IO[bytes] | int,
        stdout: IO[bytes] | None,
        limits: Limits,
        env: Mapping[str, str],
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The process, in a group of its own that does not outlive the block; recorded, however it ends."""
        start = monotonic()
        try:
            process = subprocess.Popen(
                [*_limited(limits), *argv],
                stdin=stdin,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=self.home,
                start_new_session=True,
            )
        except OSError as error:
            raise RepoError(f"git cannot be started: {error}") from error
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            self.emit(
                HostCommand(
                    argv=tuple(argv),
                    exit_code=process.returncode,
                    duration_ms=round((monotonic() - start) * 1000, 3),
                )
            )

    def _credential(self, argv: Sequence[str], limits: Limits) -> Credential | None:
        known = self.credential
        return known if known and limits.network and known.serves(argv) else None

    def _environment(self, limits: Limits, credential: Credential | None) -> dict[str, str]:
        settings = dict((*self.settings, *([credential.setting] if credential else [])))
        return variables(
            self.environment,
            self.home,
            settings,
            safe=self.safe,
            protocols=self.protocols,
            network=limits.network,
        )


def _limited(limits: Limits) -> list[str]:
    """An argv that sets the limits and becomes what follows. macOS has no limit on address space."""
    script = (
        f"ulimit -v {limits.memory >> 10} 2>/dev/null; ulimit -d {limits.heap >> 10} 2>/dev/null; "
        f"ulimit -t {limits.cpu}; "
        f"ulimit -f {limits.file >> 9}; ulimit -n 256; ulimit -c 0; "
        'exec "$@"'
    )
    return ["/bin/sh", "-c", script, "sh"]


@contextmanager
def _input(stdin: IO[bytes] | bytes) -> Iterator[IO[bytes] | int]:
    if not isinstance(stdin, bytes):
        yield stdin
    elif not stdin:
        yield subprocess.DEVNULL
    else:
        with TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            yield file


def _communicate(
    process: subprocess.Popen[bytes], limits: Limits, argv: Sequence[str]
) -> tuple[bytes, bytes]:
    kept = {"out": bytearray(), "err": bytearray()}
    deadline = monotonic() + limits.wall
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("out", process.stdout), ("err", process.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, name)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - monotonic()))
            if not ready:
                raise RepoError(
                    f"git {_verb(argv)} took longer than {limits.wall:g} s and was ended"
                )
            for key, _ in ready:
                if not (data := os.read(key.fd, 1 << 16)):
                    selector.unregister(key.fileobj)
                kept[key.data] += data
                if len(kept[key.data]) > limits.output:
                    raise RepoError(
                        f"git {_verb(argv)} said more than {limits.output} bytes and was ended"
                    )
    return bytes(kept["out"]), bytes(kept["err"])


def _verb(argv: Sequence[str]) -> str:
    return next((a for a in argv[1:] if not a.startswith("-")), "")
