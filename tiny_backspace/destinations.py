"""Where a change goes: a branch in the user's repository, a file, or a pull request on a forge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tiny_backspace.earlier import at
from tiny_backspace.errors import RepoError, UsageError
from tiny_backspace.events import Emit, WorkSaved, timed
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.origin import LocalRepository, leave_branch
from tiny_backspace.repo.quarantine import Quarantine
from tiny_backspace.repo.remote import in_the_way
from tiny_backspace.statedir import write_private


@dataclass(frozen=True, slots=True)
class Offer:
    """A judged change, and every word about it. `commit` makes the one commit of `tree`, in `cage`."""

    branch: str
    title: str
    body: str
    draft: bool
    labels: tuple[str, ...]
    patch: Path
    cage: Quarantine
    tree: str
    commit: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Left:
    """A branch that an earlier run pushed without getting to its pull request: where, and what is on it."""

    remote: str
    branch: str
    commit: str
    tree: str


class Destination(Protocol):
    """Where a change goes. `doing` is what a person reads while it does."""

    @property
    def doing(self) -> str: ...

    def check(self, base: Base, branch: str) -> None:
        """Find out whether it could go there, before anything is spent on it."""
        ...

    def take(self, offer: Offer, emit: Emit) -> str:
        """Take it there, and say so in one sentence."""
        ...


@dataclass(frozen=True, slots=True)
class UsersRepository:
    """A new branch beside the user's own; nothing else of the repository is touched."""

    repository: LocalRepository
    once: str | None = None

    doing = "Creating branch..."

    def earlier(self, base: Base, branch: str, emit: Emit) -> str | None:  # noqa: ARG002 - as on a forge
        """The closing sentence, where a run with the same key has left its branch already.

        Raises:
            AgentError: it is unfinished work.
        """
        if self.once is None:
            return None
        git, git_dir = self.repository.git, self.repository.git_dir
        found = at(git, git_dir, f"refs/heads/{branch}", self.once)
        if found is None:
            return None
        emit(WorkSaved(branch=branch, commit=found.commit))
        found.check_finished(branch, None)
        return f"Branch {branch} is there already: nothing was done."

    def check(self, base: Base, branch: str) -> None:  # noqa: ARG002 - the protocol's
        """Raises UsageError: there is a branch of this name, or in the way of it."""
        listed = self.repository.git.run(
            "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads",
            git_dir=self.repository.git_dir,
        )  # fmt: skip
        if (other := in_the_way(listed.text.splitlines(), branch)) is not None:
            raise UsageError(
                f"this repository has a branch {other} already, so there can be no {branch}",
                hint="Name another one: --branch NAME.",
            )

    def take(self, offer: Offer, emit: Emit) -> str:
        with timed("commit", emit):
            commit = offer.commit()
        try:
            with timed("branch", emit):
                leave_branch(
                    self.repository, offer.branch, commit, offer.cage.base, offer.cage.path, emit
                )
        except RepoError:  # another run with the same key may have been quicker
            if said := self.earlier(offer.cage.base, offer.branch, emit):
                return said
            raise
        emit(WorkSaved(branch=offer.branch, commit=commit))
        return f"Branch {offer.branch} is {'left as a draft' if offer.draft else 'ready'}."


@dataclass(frozen=True, slots=True)
class DryRun:
    """Everything is found out that can be, and nothing is pushed: the words and the patch are files."""

    instead_of: Destination

    doing = "Showing what would be proposed..."

    def check(self, base: Base, branch: str) -> None:
        self.instead_of.check(base, branch)

    def take(self, offer: Offer, emit: Emit) -> str:
        PatchFile().take(offer, emit)
        return f"Nothing was pushed or made: it would be {'a draft of ' if offer.draft else ''}{offer.branch}."


@dataclass(frozen=True, slots=True)
class Approved:
    """Somebody is shown the change first, and asked. `ask` gets the words and the patch's file."""

    instead_of: Destination
    ask: Callable[[str, Path], bool]

    @property
    def doing(self) -> str:
        return self.instead_of.doing

    def check(self, base: Base, branch: str) -> None:
        self.instead_of.check(base, branch)

    def take(self, offer: Offer, emit: Emit) -> str:
        if self.ask(f"# {offer.title}\n\n{offer.body}", offer.patch):
            return self.instead_of.take(offer, emit)
        return f"Not approved, so nothing was pushed or made. {PatchFile().take(offer, emit)}"


@dataclass(frozen=True, slots=True)
class PatchFile:
    """The patch stays, and beside it what a pull request would say."""

    doing = "Saving the patch and the pull request's text..."

    def check(self, base: Base, branch: str) -> None:
        """There is room for it, or the run would not have its folder."""

    def take(self, offer: Offer, emit: Emit) -> str:
        text = offer.patch.with_name("pull-request.md")
        write_private(text, f"# {offer.title}\n\n{offer.body}".encode())
        emit(WorkSaved(pull_request_text=str(text)))
        return f"The patch is ready: {offer.patch}"
