"""The cached bare repository of a source, and its way into the sandbox."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tiny_backspace.errors import RepoError, SandboxError
from tiny_backspace.events import Emit, GitOperation
from tiny_backspace.repo.git import TRANSFER, Git
from tiny_backspace.sandbox.interface import Sandbox

_CHUNK = 1 << 20
_MANY_PACKS = 8  # a run on a new commit adds one, and all of them travel: fold them now and then
_LONGEST_RUN = 3 * 3600  # seconds: the most that --timeout takes, and time to come and go
_PREFIX = "refs/tiny-backspace/"
_NO_BRANCH = "work"  # what a detached base is called inside

# Argument: branch. Standard input: objects, `shallow` and the branch itself as a tar. What it leaves is a
# plain repository whose only commit is the base, and a copy of the index to take the change out with.
_CHECK_OUT = """
set -e
git init -q -b "$1" .
tar -xf - -C .git
git -c checkout.workers=4 reset -q --hard
cp -p .git/index .git/tiny-backspace-index
"""


@dataclass(frozen=True, slots=True)
class Base:
    """The commit a run starts from. `branch` is None where the base is no branch (a detached HEAD)."""

    sha: str
    branch: str | None


@dataclass(frozen=True, slots=True)
class Mirror:
    """A bare repository in the cache: depth 1, one ref for each base commit that was asked for."""

    path: Path
    git: Git

    def fetch(self, url: str, base: Base, emit: Emit) -> None:
        """Have the base commit here, without its history. Safe with other processes doing the same."""
        ref = _PREFIX + base.sha
        with _locked(self.path):
            if not (self.path / "HEAD").exists():
                self._make()
            elif (self.path / ref).exists():  # its refs are files
                (self.path / ref).touch()
                known = f"git show-ref --verify {ref}"
                emit(GitOperation(command=known, output="in the cache already", simulated=True))
                return
            self._forget_dead()
            done = self.git.run(
                "fetch", "-q", "--depth=1", "--no-tags", "--no-write-fetch-head",
                "--end-of-options", url, f"{base.sha}:{ref}",
                git_dir=self.path, limits=TRANSFER,
            )  # fmt: skip
            if not done.ok:
                raise RepoError(
                    f"the commit {base.sha[:12]} could not be fetched from {url}: {done.complaint}"
                )
            emit(GitOperation(command=f"git fetch --depth=1 {url} {base.sha}", output=base.sha))
            self._fold(ref)

    def _make(self) -> None:
        """Whole or not at all: a half-made one would be taken for a mirror ever after."""
        new = self.path.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        self.git.must(
            "init", "-q", "--bare", "--template=", str(new), doing="making the cache",
            env={"GIT_DEFAULT_REF_FORMAT": "files"},  # their age is asked for below
        )  # fmt: skip
        shutil.rmtree(self.path, ignore_errors=True)
        new.replace(self.path)

    def _forget_dead(self) -> None:
        """What a fetch that was killed left behind. Ours is the only one: we hold the lock."""
        for pattern in ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*"):
            for stale in self.path.glob(pattern):
                stale.unlink()

    def _fold(self, keep: str) -> None:
        """Once in a while, one pack of what is still wanted instead of many."""
        if len(list(self.path.glob("objects/pack/*.pack"))) <= _MANY_PACKS:
            return
        listed = self.git.must(
            "for-each-ref", "--format=%(refname)", _PREFIX, git_dir=self.path, doing="tidying up"
        )
        # a run that is still going on borrows its base from here until the end
        youngest = (self.path / keep).stat().st_mtime
        old = [
            ref
            for ref in listed.text.splitlines()
            if (self.path / ref).stat().st_mtime < youngest - _LONGEST_RUN
        ]
        commands = "".join(f"delete {ref}\n" for ref in old).encode()
        self.git.must(
            "update-ref", "--stdin", git_dir=self.path, stdin=commands, doing="tidying up"
        )
        self.git.must("repack", "-adq", git_dir=self.path, limits=TRANSFER, doing="tidying up")
        self.git.must("prune", "--expire=now", git_dir=self.path, doing="tidying up")

    def stream(self, base: Base) -> Iterator[bytes]:
        """Objects, `shallow` and the branch as a tar, in chunks: indexed packs as they lie, never indexed again."""
        with _locked(self.path, shared=True):
            files = [p for p in sorted(self.path.glob("objects/pack/*")) if p.is_file()]
            for path in [*files, self.path / "shallow"]:
                if path.exists():
                    yield from _tar_entry(path, str(path.relative_to(self.path)))
        ref = tarfile.TarInfo(f"refs/heads/{base.branch or _NO_BRANCH}")
        ref.size = len(base.sha) + 1
        yield ref.tobuf() + f"{base.sha}\n".encode().ljust(tarfile.BLOCKSIZE, b"\0")
        yield bytes(2 * tarfile.BLOCKSIZE)

    def bring_in(self, sandbox: Sandbox, base: Base) -> None:
        """Check the base out inside the sandbox. The host checks nothing out.

        Raises:
            SandboxError: it does not fit, or what is in it cannot be checked out.
        """
        argv = ["sh", "-c", _CHECK_OUT, "sh", base.branch or _NO_BRANCH]
        result = sandbox.call(argv, timeout=300, stdin=self.stream(base))
        if not result.ok:
            said = result.stderr.decode(errors="replace").strip()
            full = "No space left" in said
            raise SandboxError(
                f"the repository could not be checked out in the sandbox: {said[-500:]}",
                hint="Give it more room with --disk and --memory." if full else None,
            )


def mirror_of(cache: Path, url: str, git: Git) -> Mirror:
    """The mirror for this source. The folder's name tells nothing about it, nor can it lead elsewhere."""
    key = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()[:20]
    return Mirror(cache / "mirrors" / f"{key}.git", git)


@contextmanager
def _locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """One writer, or any number of readers, over all processes of this machine."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _tar_entry(path: Path, name: str) -> Iterator[bytes]:
    with path.open("rb") as file:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = os.fstat(file.fileno()).st_size, 0o644
        yield entry.tobuf()
        while data := file.read(_CHUNK):
            yield data
    if rest := entry.size % tarfile.BLOCKSIZE:
        yield bytes(tarfile.BLOCKSIZE - rest)
