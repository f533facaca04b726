"""What an earlier run with the same key (`--once`) has left at its branch: found by the key in its commit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tiny_backspace.errors import AgentError, ForgeError
from tiny_backspace.forges.markdown import prose
from tiny_backspace.forges.proposal import DRAFT, ONCE
from tiny_backspace.repo.git import TRANSFER, Git

# Whoever may push can push this too: what a run says of what it made itself cannot be said of it.
_FOUND = """\
This branch was there already, under the key of the task that was to be done: as if an earlier run had made it and ended before
it could open this pull request. It was not made, verified or judged by the run that opened this one."""
_SHOWN = 14_000  # characters of the commit's text in a pull request


@dataclass(frozen=True, slots=True)
class Earlier:
    """The commit of that run. `text` is its message without the title and our trailers."""

    commit: str
    title: str
    text: str

    @property
    def body(self) -> str:
        """What a pull request says that is opened only now, when the run that could say more has gone."""
        said = prose(self.text, _SHOWN) or "The agent gave no summary."
        return f"## What and why\n\n{said}\n\n## How it was made\n\n{_FOUND}\n"

    def check_finished(self, branch: str, address: str | None) -> None:
        """Raises AgentError: it left a draft, which is not what was asked for."""
        if self.title.startswith(DRAFT):
            raise AgentError(
                f"an earlier run with the same key left unfinished work at {branch}",
                hint=f"Look at it{f': {address}' if address else ''}; or name another branch: --branch NAME.",
            )


def at(git: Git, git_dir: Path, rev: str, once: str) -> Earlier | None:
    """The commit there, if a run with that key made it; None if it is anybody else's, or there is none."""
    form = f"--format=%H%n%(trailers:key={ONCE},valueonly,separator=%x2C)%n%s%n%b"
    shown = git.run("log", "-1", form, "--end-of-options", rev, "--", git_dir=git_dir)
    commit, _, rest = shown.text.partition("\n")
    key, _, message = rest.partition("\n")
    if not shown.ok or key.strip() != once:
        return None
    title, _, text = message.partition("\n")
    return Earlier(commit, title, text.rpartition("Tiny-Backspace-Run:")[0].strip())


def fetched(git: Git, url: str, branch: str, once: str) -> Earlier | None:
    """The same of a branch elsewhere, of which only the commit itself is fetched where the server can.

    Raises:
        ForgeError: it cannot be fetched now.
    """
    folder = git.home / "earlier.git"
    try:
        git.must("init", "-q", "--bare", str(folder), doing="making a place for a commit")
        done = git.run(
            "fetch", "-q", "--depth=1", "--filter=tree:0", "--no-tags", "--end-of-options", url,
            f"refs/heads/{branch}:refs/heads/it", git_dir=folder, limits=TRANSFER,
        )  # fmt: skip
        if not done.ok:
            raise ForgeError(f"{url} cannot be asked for {branch}: {done.complaint}")
        return at(git, folder, "refs/heads/it", once)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
