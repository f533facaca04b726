"""Finished setups of this state folder: which volume holds which, who uses them, which ones go.

A volume counts only if the file of its key names it, which is written when the setup is done: one that
was killed on its way has no such file. Its name is used once, so nobody takes the rest of one for the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from time import monotonic

from tiny_backspace.errors import SandboxError
from tiny_backspace.events import Emit, SetupFinished
from tiny_backspace.repo.cache import in_use, locked, only_user
from tiny_backspace.sandbox import volumes
from tiny_backspace.sandbox.engine import Engine
from tiny_backspace.statedir import private_dir, write_private

SETUPS = "setups"  # in the cache folder
_PREFIX = "tiny-backspace-setup"


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished setup. `size` in bytes."""

    volume: str
    size: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """`folder` is in the cache; `limit` is bytes of all setups together."""

    engine: Engine
    folder: Path
    owner: str
    limit: int = 0

    @contextmanager
    def setup(self, key: str, make: Callable[[str], int], emit: Emit) -> Iterator[str]:
        """The volume of this setup, which nobody removes before the block ends.

        `make` fills a new volume and says how many bytes it has. Whoever wants the same meanwhile waits for it.
        """
        start = monotonic()
        path = private_dir(self.folder) / key
        try:
            with in_use(path):
                with locked(path):
                    found = self._kept(path)
                    kept = found or self._made(path, make)
                took = round((monotonic() - start) * 1000, 3)
                told = {"volume": kept.volume, "size": kept.size, "duration_ms": took}
                emit(SetupFinished.model_validate({"cached": found is not None, **told}))
                yield kept.volume
                with suppress(SandboxError):  # the run is done; another one tidies up
                    self.trim(self.limit)
        finally:
            with suppress(SandboxError):
                self.forget_unfinished()

    def _kept(self, path: Path) -> Kept | None:
        kept = _read(path)
        return kept if kept and volumes.exists(self.engine, kept.volume) else None

    def _made(self, path: Path, make: Callable[[str], int]) -> Kept:
        volume = f"{_PREFIX}-{path.name}-{token_hex(4)}"
        volumes.create(self.engine, volume, self.owner, path.name)
        try:
            kept = Kept(volume, make(volume))
            write_private(path, json.dumps({"volume": kept.volume, "size": kept.size}).encode())
        except BaseException:
            with suppress(
                SandboxError
            ):  # what it failed of is what counts; it is removed another time
                volumes.remove(self.engine, volume)
            raise
        return kept

    def forget_unfinished(self) -> int:
        """Remove volumes of setups that were killed on their way; how many."""
        private_dir(self.folder)
        there = volumes.of_owner(self.engine, self.owner)
        return sum(self._removed_unfinished(name, key) for name, key in there.items())

    def trim(self, limit: int) -> int:
        """Remove the longest unused until the rest has at most `limit` bytes; how many.

        One that a run uses, or makes, stays, however old it is.
        """
        keys = set(volumes.of_owner(self.engine, self.owner).values())
        kept = {
            path: found for path in (self.folder / key for key in keys) if (found := _read(path))
        }
        total, removed = sum(each.size for each in kept.values()), 0
        for path in sorted(kept, key=_last_used):
            if total <= limit:
                break
            if self._removed(path, kept[path]):
                total -= kept[path].size
                removed += 1
        return removed

    def _removed_unfinished(self, name: str, key: str) -> bool:
        path = self.folder / key
        with only_user(path) as alone:
            kept = _read(path)
            unfinished = kept is None or kept.volume != name
            return alone and unfinished and volumes.remove(self.engine, name)

    def _removed(self, path: Path, kept: Kept) -> bool:
        with only_user(path) as alone:
            if not alone:
                return False
            path.unlink(missing_ok=True)
            return volumes.remove(self.engine, kept.volume)


def _read(path: Path) -> Kept | None:
    try:
        found = json.loads(path.read_bytes())
        return Kept(str(found["volume"]), int(found["size"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _last_used(path: Path) -> float:
    with suppress(FileNotFoundError):
        return Path(f"{path}.used").stat().st_mtime
    return 0.0
