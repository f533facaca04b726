"""The response cache (--cache): whole replies on disk, found by everything that was asked.

    folder/3f/3f9a…    the digest of the rest, and one line of `transcript.dump_reply`

An entry is good for 30 days, and the folder is kept below 256 MiB by removing the oldest ones. There
is nothing of the question in it, so no key and no address either. It never ends a run: what
cannot be read or written is a miss.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

from tiny_backspace import transcript
from tiny_backspace.conversation import Reply, Usage
from tiny_backspace.errors import UsageError
from tiny_backspace.events import CacheHit, Emit, Warned
from tiny_backspace.providers.interface import ModelRequest, Provider
from tiny_backspace.statedir import private_dir, write_private

AGE = 30 * 24 * 3600  # seconds
ROOM = 256 << 20  # bytes
_KEPT = ("end_turn", "tool_use")  # others may be other ones next time
_FORM = 1  # of the entries: another one finds none of the old


class Cached:
    """Gives the answer it has for a request, and keeps those it has not.

    `identity` tells whatever else changes an answer: dialect, address, effort, limits.
    `clock` is in seconds since 1970, as the times of files are.
    """

    def __init__(
        self,
        provider: Provider,
        folder: Path,
        *,
        identity: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._folder = folder
        self._identity = identity
        self._clock = clock
        self._warned = False
        self._pruned = False

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def model(self) -> str:
        return self._provider.model

    @property
    def window(self) -> int | None:
        return self._provider.window

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        key = self._key(request)
        kept = self._read(key, emit)
        if kept is not None:
            emit(CacheHit(provider=self.name, model=kept.model, key=key))
            return replace(kept, usage=Usage(), cost_usd=0.0)
        reply = self._provider.reply(request, emit)
        if reply.stop in _KEPT:
            self._keep(key, reply, emit)
        return reply

    def _key(self, request: ModelRequest) -> str:
        """64 hex digits. Which turn it is, and how long there is time, makes no other answer."""
        who = (_FORM, self._identity, self.name, self.model)
        tools = [asdict(tool) for tool in request.tools]
        asked = (*who, request.system, tools, transcript.dump(request.conversation))
        return sha256(json.dumps(asked).encode()).hexdigest()

    def _read(self, key: str, emit: Emit) -> Reply | None:
        try:
            path = self._path(key)
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                if self._is_old(os.fstat(file.fileno())):
                    return None
                data = file.read()
            try:
                return _unpacked(key, data)
            except ValueError:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except (OSError, UsageError) as error:
            self._warn(error, emit)
        return None

    def _keep(self, key: str, reply: Reply, emit: Emit) -> None:
        try:
            write_private(self._path(key), _packed(key, reply))
            if not self._pruned:
                self._pruned = True
                self._prune()
        except (OSError, UsageError) as error:
            self._warn(error, emit)

    def _path(self, key: str) -> Path:
        private_dir(self._folder)
        return private_dir(self._folder / key[:2]) / key

    def _is_old(self, found: os.stat_result) -> bool:
        return self._clock() - found.st_mtime > AGE

    def _prune(self) -> None:
        """Remove what is too old, then the oldest until the rest has room."""
        found = sorted(_files(self._folder), key=lambda file: file[1].st_mtime)
        total = sum(stat.st_size for _, stat in found)
        for path, stat in found:
            if total <= ROOM and not self._is_old(stat):
                return
            path.unlink(missing_ok=True)
            total -= stat.st_size

    def _warn(self, error: OSError | UsageError, emit: Emit) -> None:
        if not self._warned:
            self._warned = True
            emit(Warned(message=f"the response cache {self._folder} cannot be used: {error}"))


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with os.scandir(folder) as shards:
        names = [shard.path for shard in shards if shard.is_dir(follow_symlinks=False)]
    for name in names:
        with os.scandir(name) as files:
            for file in files:
                with suppress(FileNotFoundError):  # another run was quicker
                    if file.is_file(follow_symlinks=False):
                        yield Path(file.path), file.stat(follow_symlinks=False)


def _digest(key: str, body: bytes) -> bytes:
    return sha256(key.encode() + body).hexdigest().encode()


def _packed(key: str, reply: Reply) -> bytes:
    body = transcript.dump_reply(reply).encode()
    return _digest(key, body) + b"\n" + body


def _unpacked(key: str, data: bytes) -> Reply:
    """Raises ValueError if it is not, byte for byte, what was packed under this key."""
    digest, _, body = data.partition(b"\n")
    if digest != _digest(key, body):
        raise ValueError("the entry is damaged")
    return transcript.load_reply(body.decode())
