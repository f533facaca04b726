"""The cached bare repository of a source, and its way into the sandbox."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tiny_backspace.errors import RepoError, SandboxError
from tiny_backspace.events import Emit, GitOperation, Warned
from tiny_backspace.repo.cache import LIMIT, in_use, locked, trim
from tiny_backspace.repo.git import TRANSFER, Done, Git, Limits
from tiny_backspace.repo.packs import damaged_pack, tar_entry
from tiny_backspace.repo.remote import PATIENCE, Patience, refusal, unreadable
from tiny_backspace.sandbox.interface import Sandbox

_MANY_PACKS = 8  # a run on a new commit adds one, and all of them travel: fold them now and then
_LONGEST_RUN = 3 * 3600  # seconds: the most that --timeout takes, and time to come and go
_ALL_HISTORY = replace(TRANSFER, heap=TRANSFER.memory)  # some bytes for every object there ever was
_TIDYING = replace(_ALL_HISTORY, network=False)
_PREFIX = "refs/tiny-backspace/"
_NO_BRANCH = "work"  # what a detached base is called inside
TOO_LARGE = (
    "That is what git may have of memory. Something in it is immense, or was made to look so."
)

# Argument: branch. Standard input: objects, `shallow` and the branch itself as a tar. What it leaves is a
# plain repository whose only commit is the base, and a copy of the index to take the change out with.
# Git keeps paths that no file system here can hold: those are marked as not checked out, and stay as they are.
_CHECK_OUT = """
set -e
git init -q -b "$1" .
tar -xf - -C .git
said=$(git -c checkout.workers=4 reset -q --hard 2>&1) || {
  ended() { # git does not say of a file that there was no room for it
    size=$(timeout 10 git ls-tree -r -l HEAD | awk '{ sum += $4 } END { printf "%d", sum }')
    room=$(df -B1 --output=size . | tail -n 1)
    test "$size" -lt "$room" || echo "No space left: the files have $size bytes, the sandbox has $room" >&2
    echo "$said" >&2
    exit 1
  }
  git read-tree HEAD || ended
  git ls-files -z | LC_ALL=C grep -zE '.{4096}|[^/]{256}' >.git/too-long || ended
  git update-index -z --skip-worktree --stdin <.git/too-long
  git reset -q --hard
}
cp -p .git/index .git/tiny-backspace-index
"""


@dataclass(frozen=True, slots=True)
class Base:
    """The commit a run starts from. `branch` is None where the base is no branch (a detached HEAD)."""

    sha: str
    branch: str | None


@dataclass(frozen=True, slots=True)
class Mirror:
    """A bare repository in the cache, with one ref for each base commit that was asked for.

    `depth` is how many commits of history a base brings along; None brings all of them, and then the
    next base brings only what is new.
    """

    path: Path
    git: Git
    depth: int | None = 1

    def fetch(self, url: str, base: Base, emit: Emit, patience: Patience = PATIENCE) -> None:
        """Have the base commit here. Safe with other processes doing the same.

        A damaged mirror is made anew, once. A run that borrows from it meanwhile has lost its objects
        already, or will find them again if they are part of this base.

        Raises:
            RepoError: it cannot be fetched; the hint says what to do where we know.
        """
        with locked(self.path):
            old = (self.path / "HEAD").exists()
            if not old:
                self._make()
            elif damage := damaged_pack(self.path):
                self._make_anew(url, damage, emit)
                old = False
            elif self._known(base, emit):
                return
            self._forget_dead()
            done = patience.asking(lambda: self._fetched(url, base), emit)
            if not done.ok and old and refusal(done) is None and not self._whole():
                self._make_anew(url, done.complaint, emit)
                done = self._fetched(url, base)
            if not done.ok:
                raise self._failed(url, base, done)
            how = " ".join(("git fetch", *self._how_deep, url, base.sha))
            emit(GitOperation(command=how, output=base.sha))
            self._fold(_PREFIX + base.sha)

    def _known(self, base: Base, emit: Emit) -> bool:
        ref = self.path / (_PREFIX + base.sha)  # its refs are files
        if not ref.exists() or ref.read_text("ascii", "replace").strip() != base.sha:
            return False
        ref.touch()
        command = f"git show-ref --verify {_PREFIX}{base.sha}"
        emit(GitOperation(command=command, output="in the cache already", simulated=True))
        return True

    @property
    def _how_deep(self) -> tuple[str, ...]:
        # what a shallow repository of the user's has is all there is
        return ("--update-shallow",) if self.depth is None else (f"--depth={self.depth}",)

    @property
    def _limits(self) -> Limits:
        return _ALL_HISTORY if self.depth is None else TRANSFER

    def _fetched(self, url: str, base: Base) -> Done:
        return self.git.run(
            "fetch", "-q", *self._how_deep, "--no-tags", "--no-write-fetch-head",
            "--end-of-options", url, f"{base.sha}:{_PREFIX}{base.sha}",
            git_dir=self.path, limits=self._limits,
        )  # fmt: skip

    def _failed(self, url: str, base: Base, done: Done) -> RepoError:
        """Why it could not be fetched. What came of it does not stay: it can be gigabytes."""
        what = f"the commit {base.sha[:12]} could not be fetched from {url}"
        came = [piece.stat().st_size for piece in self.path.glob("objects/pack/tmp_*")]
        self._forget_dead()
        if max(came, default=0) >= TRANSFER.file:
            return RepoError(
                f"{what}: it is larger than {TRANSFER.file >> 30} GiB",
                hint="Leave out --history full." if self.depth is None else None,
            )
        if done.too_large:
            return RepoError(
                f"{what}: it does not fit into {self._limits.heap >> 20} MiB", hint=TOO_LARGE
            )
        if "possible repository corruption" in done.complaint:
            return RepoError(
                f"{what}: objects are missing there",
                hint="If it is a partial clone, check that commit out in it first, or name its remote.",
            )
        return unreadable(self.git, url, done, what)

    def _whole(self) -> bool:
        """Whether git can read every commit and tree here: only asked when a fetch has failed."""
        return self.git.run(
            "rev-list", "--all", "--objects", "--quiet", git_dir=self.path, limits=_TIDYING
        ).ok

    def _make_anew(self, url: str, damage: str, emit: Emit) -> None:
        emit(Warned(message=f"The cached copy of {url} is damaged ({damage}): it is fetched anew."))
        self._make()

    def _make(self) -> None:
        """Whole or not at all: a half-made one would be taken for a mirror ever after."""
        new = self.path.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        self.git.must(
            "init", "-q", "--bare", "--shared=0600", "--template=", str(new), doing="making the cache",
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
        self.git.must("repack", "-adq", git_dir=self.path, limits=_TIDYING, doing="tidying up")
        self.git.must("prune", "--expire=now", git_dir=self.path, doing="tidying up")

    def stream(self, base: Base) -> Iterator[bytes]:
        """Objects, `shallow` and the branch as a tar, in chunks: indexed packs as they lie, never indexed again."""
        with locked(self.path, shared=True):
            files = [p for p in sorted(self.path.glob("objects/pack/*")) if p.is_file()]
            for path in [*files, self.path / "shallow"]:
                if path.exists():
                    yield from tar_entry(path, str(path.relative_to(self.path)))
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
            hint = None
            if "No space left" in said:
                hint = "Give it more room with --disk and --memory."
            elif "File size limit" in said:
                history = ": leave out --history full" if self.depth is None else ""
                hint = (
                    f"No file in a sandbox is larger than 1 GiB, and what comes in is one{history}."
                )
            raise SandboxError(
                f"the repository could not be checked out in the sandbox: {said[-500:]}", hint=hint
            )


def mirror_of(cache: Path, url: str, git: Git, depth: int | None = 1) -> Mirror:
    """The mirror for this source, to this depth.

    The folder's name tells nothing about it, nor can it lead elsewhere.
    """
    place = (
        url if depth == 1 else f"{url}\0{depth}"
    )  # whoever wants no history is not given another's
    key = hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:20]
    return Mirror(cache / "mirrors" / f"{key}.git", git, depth)


@contextmanager
def using(
    cache: Path, url: str, git: Git, *, depth: int | None = 1, limit: int = LIMIT
) -> Iterator[Mirror]:
    """The mirror for this source, which nobody removes before the block ends.

    At its end the cache is made to have at most `limit` bytes; this mirror stays, whatever its size.
    """
    mirror = mirror_of(cache, url, git, depth)
    with in_use(mirror.path):
        try:
            yield mirror
        finally:
            trim(mirror.path.parent, limit)
