"""One log that many processes write to at once, set aside when it is long or old, without losing a line.

    app.log                    what is written to
    app.log.20261126T124501Z   set aside; soon …
    app.log.20261126T124501Z.gz
    .app.log.lock              held while somebody writes

Under the lock nobody else writes or renames: whoever has it appends whole lines to what is `app.log` then.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from tiny_backspace.telemetry.categories import Keeping

_DAY = 86_400  # seconds
_LONGEST_OPEN = (
    7 * _DAY
)  # a log is set aside after that though it is short: its lines must get old too
_FIRST = re.compile(rb'\{"at": ?"([0-9T:.+-]{19,40})"')


class LogFile:
    """Appends lines. Every method raises OSError where the disk fails; a line is then in it whole, or not at all."""

    def __init__(self, path: Path, keeping: Keeping) -> None:
        self.path = path
        self._keeping = keeping
        self._lock = path.with_name(f".{path.name}.lock")

    def append(self, lines: Sequence[bytes]) -> None:
        """All of them, each with its line end, together."""
        data = b"".join(lines)
        with self._alone():
            aside = self._set_aside(len(data))
            file = os.open(
                self.path,
                os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o600,
            )
            try:
                _append(file, data)
            finally:
                os.close(file)
        if aside:
            self.tidy()

    def tidy(self) -> None:
        """Pack what was set aside, and remove what is too old. What somebody else is at is left to them."""
        oldest = time.time() - self._keeping.days * _DAY
        for path in self.path.parent.glob(f"{self.path.name}.*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
                elif path.suffix != ".gz":
                    _pack(path)

    @contextmanager
    def _alone(self) -> Generator[None]:
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _set_aside(self, more: int) -> bool:
        """Give the log another name if it is too long for this much more, or too old."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return False
        if not size or (size + more <= self._keeping.size and not self._old()):
            return False
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        target, n = self.path.with_name(f"{self.path.name}.{stamp}"), 0
        while target.exists() or target.with_name(f"{target.name}.gz").exists():
            n += 1
            target = self.path.with_name(f"{self.path.name}.{stamp}-{n:03}")
        self.path.rename(target)
        return True

    def _old(self) -> bool:
        with self.path.open("rb") as file:
            first = _FIRST.match(file.read(64))
        try:
            at = datetime.fromisoformat(first[1].decode()) if first else None
        except ValueError:
            at = None
        return at is not None and time.time() - at.timestamp() > _LONGEST_OPEN


def _append(file: int, data: bytes) -> None:
    """Whole, or what was there before."""
    before = os.fstat(file).st_size
    try:
        if (
            before and os.pread(file, 1, before - 1) != b"\n"
        ):  # somebody was killed while the disk was full
            data = b"\n" + data
        written = 0
        while written < len(data):
            written += os.write(file, data[written:])
    except BaseException:
        os.ftruncate(file, before)
        raise


def _pack(path: Path) -> None:
    """`path` as `path.gz`, as old as it was. Whoever has the lock of the file packs it."""
    packed = path.with_name(f"{path.name}.gz")
    temporary = path.with_name(f".{packed.name}.tmp")
    with path.open("rb") as source:
        try:
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not path.exists():  # packed by another one, who was quicker
            return
        times = os.fstat(source.fileno())
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with (
            os.fdopen(os.open(temporary, flags, 0o600), "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
        os.utime(temporary, (times.st_atime, times.st_mtime))
        temporary.replace(packed)
        path.unlink()
