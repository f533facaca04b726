"""A repository behind the git server, and a run's commit on it that is ready to be pushed."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import SecretStr

from tests.program import git, make_repository
from tests.repo.hostgit import host_git, quiet
from tests.servers.git_faults import Decide, no_fault
from tests.servers.git_http import GitServer, git_server
from tiny_backspace.events import Event, Retry, ThoughtDelta
from tiny_backspace.repo.environment import Credential
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base, mirror_of
from tiny_backspace.repo.push import Pushed, RefTaken, push
from tiny_backspace.repo.quarantine import Quarantine, quarantine
from tiny_backspace.repo.remote import Patience

IDENTITY = {f"GIT_{r}_{p}": "x" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class Served:
    """`bare` is what is behind `url`, `work` a clone to add to it by; `waited` are seconds of backoff."""

    folder: Path
    server: GitServer
    bare: Path
    work: Path
    events: list[Event | ThoughtDelta] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.server.url}/o/n.git"

    @property
    def head(self) -> str:
        return git(self.bare, "rev-parse", "main")

    @property
    def branches(self) -> dict[str, str]:
        listed = git(self.bare, "for-each-ref", "--format=%(refname) %(objectname)")
        refs = dict(line.split(" ") for line in listed.splitlines())
        return {name.removeprefix("refs/heads/"): sha for name, sha in refs.items()}

    @property
    def patience(self) -> Patience:
        return Patience(wait=self.waited.append, jitter=lambda: 1.0)

    def git(self, token: str | None = None, settings: Mapping[str, str] | None = None) -> Git:
        """The host's git, which may speak to the server; what it does is in `events`."""
        credential = Credential(f"{self.server.url}/", SecretStr(token)) if token else None
        return replace(
            host_git(self.folder, self.events.append),
            protocols=("http",),
            credential=credential,
            settings=tuple((settings or {}).items()),
        )

    def pushes(self) -> int:
        """How often a pack was sent."""
        return sum(
            asked.method == "POST" and asked.path.endswith("receive-pack")
            for asked in self.server.asked
        )

    def retries(self) -> list[Retry]:
        return [event for event in self.events if isinstance(event, Retry)]

    @contextmanager
    def caged(self, ours: Git, base: str | None = None) -> Generator[Quarantine]:
        """The quarantine of a run: it borrows from a mirror of depth 1."""
        start = Base(base or self.head, "main")
        mirror = mirror_of(self.folder / "cache", self.url, ours)
        mirror.fetch(self.url, start, quiet)
        with quarantine(self.folder / "quarantine.git", mirror, start) as cage:
            yield cage

    def push(
        self, cage: Quarantine, commit: str, branch: str, *, expected: str | None = None
    ) -> Pushed | RefTaken:
        return push(
            cage.git, cage.path, self.url, commit, branch, self.events.append,
            expected=expected, patience=self.patience,
        )  # fmt: skip


def change(cage: Quarantine, text: bytes = b"changed\n") -> str:
    """One commit on the base, as a run makes it: of one file."""
    ours = cage.git
    blob = ours.must("hash-object", "-w", "--stdin", git_dir=cage.path, stdin=text, doing="x").text
    entry = f"100644 blob {blob}\ta.txt\n".encode()
    tree = ours.must("mktree", git_dir=cage.path, stdin=entry, doing="x").text
    return cage.commit(tree, "Change a\n", IDENTITY)


@contextmanager
def served(
    folder: Path, *, token: str | None = None, reader: str | None = None, fault: Decide = no_fault
) -> Generator[Served]:
    """A repository of two commits: a run's base has a parent that the mirror does not have."""
    work = make_repository(folder / "work", {"a.txt": "a\n", "b.bin": os.urandom(5000)})
    git(work, "commit", "-q", "--allow-empty", "-m", "second")
    bare = folder / "served" / "o" / "n.git"
    git(work, "clone", "-q", "--bare", str(work), str(bare))
    with git_server(folder / "served", token=token, reader=reader, fault=fault) as server:
        yield Served(folder, server, bare, work)
