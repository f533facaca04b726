"""The one thing that leaves: a commit, pushed to one branch; never over what somebody else put there.

A connection can break after the server has done what it was asked (docs/security.md, F17). So what
went wrong is looked at before it is judged: the remote is asked what the branch is now, and only
where the commit is not there, and nobody refused it, the same commit is pushed again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from tiny_backspace.errors import ForgeError, RepoError
from tiny_backspace.events import Emit, GitOperation
from tiny_backspace.redact import clean_line
from tiny_backspace.repo.git import TRANSFER, Done, Git
from tiny_backspace.repo.remote import (
    PATIENCE,
    Patience,
    branches,
    denied,
    in_the_way,
    server_words,
)

_PUSHING = replace(TRANSFER, wall=180)
_OBJECT = re.compile(r"[0-9a-f]{40}")
_ACCEPTED = frozenset("* =+")  # git-push(1), --porcelain: new, forward, there already, forced

# What servers say when they refuse a push, and the way out; the first that fits. GitHub's words (2026).
_WAYS_OUT = (
    ("push protection", "The server found a secret in the change. Look at it before it goes anywhere."),
    ("file size limit", "The change holds a file that is too large for this server."),
    ("workflow", "A change of .github/workflows needs the permission `workflows: write` too."),
    ("protected branch", "Choose another name for the branch: this one is protected."),
    ("rule violation", "A rule of the repository forbids it: another name for the branch may help."),
    ("shallow update", "The commit that the run started from is no longer there. Run again."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pushed:
    """The branch is there, and is this commit."""

    branch: str
    commit: str


@dataclass(frozen=True, slots=True)
class RefTaken:
    """The branch is somebody else's: nothing was pushed, and another name may be tried.

    `by` is the branch in the way, the very one or one that would be its folder, and `commit` what
    it is now: None where it is gone although it was expected.
    """

    branch: str
    by: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class _Parcel:
    """`expected` is what the branch must be now; None: there must be none."""

    url: str
    commit: str
    branch: str
    expected: str | None

    @property
    def command(self) -> tuple[str, ...]:
        ref = f"refs/heads/{self.branch}"
        return (
            "push", "--porcelain", "--no-verify", "--no-follow-tags",
            f"--force-with-lease={ref}:{self.expected or ''}",
            "--end-of-options", self.url, f"{self.commit}:{ref}",
        )  # fmt: skip

    def found(self, there: Mapping[str, str]) -> Pushed | RefTaken | None:
        """What the remote's branches tell of the push; None: it has not come, and the way is free."""
        now = there.get(self.branch)
        if now == self.commit:
            return Pushed(self.branch, self.commit)
        if self.expected is not None:
            return None if now == self.expected else RefTaken(self.branch, self.branch, now)
        by = in_the_way(there, self.branch)
        return RefTaken(self.branch, by, there[by]) if by is not None else None


def push(
    git: Git,
    git_dir: Path,
    url: str,
    commit: str,
    branch: str,
    emit: Emit,
    *,
    expected: str | None = None,
    patience: Patience = PATIENCE,
) -> Pushed | RefTaken:
    """Push one commit as one new branch; or on top of the commit `expected` of a branch that is there.

    Raises:
        ForgeDenied: the token is refused, or may not push.
        ForgeError: the server does not want this commit, in its words; or it could not be reached.
        RepoError: `branch` is no branch's name, or git is missing.
        ValueError: `commit` is no commit on top of `expected`.
    """
    _check(git, git_dir, commit, branch, expected)
    parcel = _Parcel(url, commit, branch, expected)
    for attempt in count(1):
        done = _attempt(git, git_dir, parcel)
        if done is not None and _report(done)[0] in _ACCEPTED:
            _tell(parcel, f"{branch} is {commit}", emit)
            return Pushed(branch, commit)
        reason = "it took too long" if done is None else _reason(done)
        _tell(parcel, reason, emit)
        there = branches(git, url)
        if there is not None and (found := parcel.found(there)):
            asked = f"git ls-remote --heads {url}"
            name = found.by if isinstance(found, RefTaken) else found.branch
            emit(GitOperation(command=asked, output=f"{name} is {found.commit or 'gone'}"))
            return found
        if done is not None and (error := denied(git, url, done) or _refused(done)):
            raise error
        if attempt == patience.tries:
            unsure = " Whether it arrived is not known." if there is None else ""
            raise ForgeError(
                f"{commit[:12]} could not be pushed to {url}: {reason} (tried {patience.tries} times).{unsure}",
                hint="The same commit can be pushed again later; that does no harm.",
            )
        patience.pause(attempt, reason, emit)
    raise AssertionError  # count() has no end


def _check(git: Git, git_dir: Path, commit: str, branch: str, expected: str | None) -> None:
    """An empty commit would delete the branch; one that is not on top of `expected` would overwrite it."""
    if not _OBJECT.fullmatch(commit) or (expected and not _OBJECT.fullmatch(expected)):
        raise ValueError("not the full name of a commit")
    if not git.run("check-ref-format", f"refs/heads/{branch}").ok:
        raise RepoError(f"{clean_line(branch)!r} is no name for a branch")
    if expected and not git.run(
        "merge-base", "--is-ancestor", expected, commit, git_dir=git_dir
    ).ok:  # fmt: skip
        raise ValueError("the commit is not on top of what the branch is expected to be")


def _attempt(git: Git, git_dir: Path, parcel: _Parcel) -> Done | None:
    """What git said; None where it was ended by a limit."""
    try:
        return git.run(*parcel.command, git_dir=git_dir, limits=_PUSHING)
    except RepoError:  # if git cannot be started, asking for the branches says so
        return None


def _tell(parcel: _Parcel, output: str, emit: Emit) -> None:
    emit(GitOperation(command=shlex.join(("git", *parcel.command)), output=output))


def _report(done: Done) -> tuple[str, str]:
    """The flag and the summary of the one ref, both empty where git came to no result."""
    lines = (line.split("\t") for line in done.stdout.decode(errors="replace").splitlines())
    return next(((line[0], line[2]) for line in lines if len(line) == 3), ("", ""))  # noqa: PLR2004 - flag, refs, summary


def _reason(done: Done) -> str:
    _, summary = _report(done)
    return " ".join(filter(None, (clean_line(summary), server_words(done)))) or done.complaint


def _refused(done: Done) -> ForgeError | None:
    """The error of a push that came to a result, and not the one we want; None: it broke on the way."""
    flag, summary = _report(done)
    if flag != "!" or summary.startswith("[remote failure]"):  # the server has not said what it did
        return None
    reason = _reason(done)
    hint = next((way for word, way in _WAYS_OUT if word in reason.lower()), None)
    return ForgeError(f"the push was refused: {reason}", hint=hint)
