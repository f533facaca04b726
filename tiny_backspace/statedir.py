"""Where a person's runs are kept, and which of them are alive.

    state/   id            who this folder is: containers are labelled with it
             live/<run>    locked for as long as the run's process lives
             history.db    telemetry/store.py

Everything here is readable and writable by its owner alone, whatever the umask.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import secrets
import stat
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tiny_backspace.errors import UsageError

_NAME = "tiny-backspace"
_RUN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_OWNER_ID = re.compile(r"[0-9a-f]{16}")
_ROOM = 32 << 20  # bytes: the change (20 MiB at most), the quarantine, the history
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def state_dir(env: Mapping[str, str]) -> Path:
    """What must outlive a run: history, patches, logs. Not created here."""
    return _base(env, "XDG_STATE_HOME", ".local/state") / _NAME


def cache_dir(env: Mapping[str, str]) -> Path:
    """What can be fetched again: mirrors, answers. Not created here."""
    return _base(env, "XDG_CACHE_HOME", ".cache") / _NAME


def _base(env: Mapping[str, str], variable: str, fallback: str) -> Path:
    """XDG base directories 0.8: a value that is not an absolute path is ignored."""
    named = env.get(variable, "")
    return Path(named) if named.startswith("/") else _home(env) / fallback


def _home(env: Mapping[str, str]) -> Path:
    if env.get("HOME", "").startswith("/"):
        return Path(env["HOME"])
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise UsageError(
            "There is no home folder to keep runs in",
            hint="Set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME, to absolute paths.",
        ) from None


def private_dir(path: Path) -> Path:
    """The folder, made with its missing parents if need be, each 0700.

    Raises:
        UsageError: it cannot be made, is a link, belongs to somebody else, or others may write in it.
    """
    try:
        _make(path)
        found = path.lstat()
    except OSError as error:
        raise UsageError(
            f"The folder {path} cannot be used: {error.strerror}",
            hint="Set XDG_STATE_HOME and XDG_CACHE_HOME to folders you can write to.",
        ) from error
    if problem := _unsafe(found):
        raise UsageError(
            f"The folder {path} is not safe to use: {problem}",
            hint="Move it away, or make it your own: a folder with mode 0700.",
        )
    return path


def with_room(path: Path) -> Path:
    """The same folder, if its disk has room for what a run writes.

    Raises:
        UsageError: it has not, and the work would be lost.
    """
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free < _ROOM:  # some network file systems do not tell
        raise UsageError(
            f"The disk of {path} has {free >> 20} MiB left, and a run needs {_ROOM >> 20}",
            hint="Make room (`tiny-backspace prune`), or set XDG_STATE_HOME to a folder of another disk.",
        )
    return path


def _make(path: Path) -> None:
    if os.path.lexists(path):
        return
    _make(path.parent)
    with suppress(FileExistsError):  # another process was quicker
        path.mkdir(mode=0o700)
        path.chmod(0o700)  # a umask can take the owner's bits too


def _unsafe(found: os.stat_result) -> str | None:
    if not stat.S_ISDIR(found.st_mode):
        return "it is not a folder" if not stat.S_ISLNK(found.st_mode) else "it is a link"
    if found.st_uid != os.getuid():
        return f"it belongs to user {found.st_uid}"
    if found.st_mode & _OTHERS_WRITE:
        return "others may write in it"
    return None


def write_private(path: Path, data: bytes) -> None:
    """Replace the file as a whole, mode 0600. A link in its place is replaced, never followed.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    temporary = temporary_file(path, data)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def claim_private(path: Path, temporary: Path) -> bool:
    """Give a finished temporary file its name unless that is taken; of several processes one wins.

    The temporary file is gone afterwards. Returns whether it became `path`.

    Raises:
        OSError: the name cannot be given for another reason.
    """
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def temporary_file(path: Path, data: bytes = b"") -> Path:
    """A file beside `path` under a name that nobody else has, mode 0600, safely on disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    """So that the new name outlives a power cut."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def owner_id(state: Path) -> str:
    """The 16 hex digits of this state folder, made once.

    Containers carry them, so that one folder's clean-up never touches another's containers.

    Raises:
        UsageError: the folder is not safe to use, or what it holds is no id.
    """
    path = private_dir(state) / "id"
    try:
        if not os.path.lexists(path):
            claim_private(path, temporary_file(path, secrets.token_hex(8).encode() + b"\n"))
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            found = file.read(64).decode("ascii", "replace").strip()
    except OSError as error:
        raise UsageError(f"The file {path} cannot be used: {error.strerror}") from error
    if not _OWNER_ID.fullmatch(found):
        raise UsageError(
            f"The file {path} does not hold an id",
            hint="Remove it; a new one is made. Containers that were left over keep the old one.",
        )
    return found


@contextmanager
def hold(state: Path, run_id: str) -> Generator[None]:
    """The run lives for as long as this block, or until its process dies: the kernel frees the lock.

    Raises:
        UsageError: the folder is not safe to use, or a run of that id lives already.
        ValueError: this can be no run's id.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError(run_id)
    private_dir(state)
    path = private_dir(state / "live") / run_id
    lock = _locked(path, run_id)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _locked(path: Path, run_id: str) -> int:
    """The open file of that name, locked: one that `forget_dead` removed before it was locked is none."""
    while True:
        # not inherited by what the run starts (PEP 446)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            _lock(lock, run_id)
            if _is_at(lock, path):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


def _lock(lock: int, run_id: str) -> None:
    """Exclusively, and patient enough for somebody who is just asking `is_live`."""
    for _ in range(100):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return
    raise UsageError(f"Run {run_id} is going on already")


def is_live(state: Path, run_id: str) -> bool:
    """Whether a process holds this run. Asking is a shared lock: askers do not take each other for it."""
    if not _RUN_ID.fullmatch(run_id):
        return False
    try:
        lock = os.open(state / "live" / run_id, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def forget_dead(state: Path) -> None:
    """Remove the files of dead runs from `live`: one that was killed could not do it. Safe beside beginning ones."""
    for path in (state / "live").glob("*"):
        with suppress(OSError):  # it lives, has just ended, or is none of ours
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(lock)
