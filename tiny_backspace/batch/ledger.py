"""What became of every task, of all batches of this state folder: lines of JSON that are only ever added to.

Any number of processes may add at the same time. A line that a crash cut off is passed over.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tiny_backspace.batch.working import Ended
from tiny_backspace.errors import UsageError
from tiny_backspace.statedir import private_dir


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a task: its last end, and how many branches its attempts have left."""

    ended: Ended
    branches: int


class Ledger:
    """The file `ledger.jsonl` in that folder, which is its owner's alone."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError: the folder is not safe to use."""
        self.path = private_dir(folder) / "ledger.jsonl"

    def read(self) -> dict[str, Known]:
        """Of every task that ended, by its key.

        Raises:
            UsageError: it cannot be read.
        """
        found: dict[str, Known] = {}
        try:
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                for line in file:
                    if (ended := _ended(line)) is None:
                        continue
                    before = found.get(ended.key)
                    branches = (before.branches if before else 0) + (ended.branch is not None)
                    found[ended.key] = Known(ended, branches)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from error
        return found

    def add(self, ended: Ended, at: datetime) -> None:
        """Safely on disk before it returns.

        Raises:
            UsageError: it cannot be written.
        """
        line = json.dumps({"at": at.isoformat(timespec="seconds"), **asdict(ended)}) + "\n"
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(self.path, flags, 0o600), "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                end = file.seek(0, os.SEEK_END)
                torn = end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"
                file.write(b"\n" * torn + line.encode())
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(
            f"the ledger {self.path} cannot be used: {error.strerror}",
            hint="It tells which tasks are done. Make room, or make it your own file.",
        )


def _ended(line: bytes) -> Ended | None:
    try:
        found: dict[str, Any] = json.loads(line)
        del found["at"]
        return Ended(**found)
    except (ValueError, TypeError, KeyError):
        return None
