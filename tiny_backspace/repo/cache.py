"""The cache as a whole: who uses which mirror, and which ones go when it has grown too large."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

LIMIT = 5 << 30  # bytes of all mirrors together


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """One writer, or any number of readers, over all processes of this machine."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _flock(f"{path}.lock", fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
        yield


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Within the block nobody removes this mirror. Writers are not kept out; the time of it is kept."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _flock(f"{path}.used", fcntl.LOCK_SH) as file:
        os.utime(file)
        try:
            yield
        finally:
            os.utime(file)


@contextmanager
def _flock(name: str, how: int) -> Iterator[int]:
    """The kernel lets go of it when the process dies, however it dies. The file stays: others may wait on it."""
    file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, how)
        yield file
    finally:
        os.close(file)


def trim(folder: Path, limit: int) -> None:
    """Remove mirrors, the longest unused first, until what is left has at most `limit` bytes.

    One that a run uses, or that somebody writes to, stays, however old it is.
    """
    sizes = {path: _size(path) for path in folder.glob("*.git")}
    total = sum(sizes.values())
    for path in sorted(sizes, key=_last_used):
        if total <= limit:
            return
        if _removed(path):
            total -= sizes[path]


def _removed(path: Path) -> bool:
    with only_user(path) as alone:
        if alone:
            (path / "HEAD").unlink(
                missing_ok=True
            )  # should we be killed now, the rest is no mirror
            shutil.rmtree(path, ignore_errors=True)
        return alone


@contextmanager
def only_user(path: Path) -> Iterator[bool]:
    """Whether nobody uses it nor writes to it. Then nobody begins to before the block ends."""
    with ExitStack() as held:
        alone = True
        try:
            for kind in ("used", "lock"):
                held.enter_context(_flock(f"{path}.{kind}", fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            alone = False
        yield alone


def _last_used(path: Path) -> float:
    for known in (Path(f"{path}.used"), path):  # the second: of a version that did not keep it
        with suppress(FileNotFoundError):
            return known.stat().st_mtime
    return 0.0


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):  # a fetch renames its files
                total += Path(folder, name).stat(follow_symlinks=False).st_size
    return total
