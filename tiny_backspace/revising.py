"""A change on its way to a pull request that is there."""

from __future__ import annotations

from dataclasses import dataclass

from tiny_backspace.destinations import Offer
from tiny_backspace.errors import ForgeDenied, ForgeError
from tiny_backspace.events import Emit, WorkSaved, timed
from tiny_backspace.forges.interface import PullRequest
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.push import RefTaken, push
from tiny_backspace.repo.remote import may_push
from tiny_backspace.repo.source import Remote


@dataclass(frozen=True, slots=True)
class OnPullRequest:
    """One more commit on the branch of a pull request that is there. `remote` is where that branch is: a fork, perhaps."""

    remote: Remote
    git: Git
    pull_request: PullRequest

    doing = "Updating pull request..."

    def check(self, base: Base, branch: str) -> None:  # noqa: ARG002 - the protocol's
        """Find out whether the branch is there, and the token may push to it.

        Raises:
            ForgeDenied: it may not; of a fork, the hint says who could allow it.
            ForgeError: the branch is gone.
        """
        number, head = self.pull_request.number, self.pull_request.head
        try:
            there = may_push(self.git, self.remote.url)
        except ForgeDenied as error:
            if not self.pull_request.from_fork or self.pull_request.maintainer_can_modify:
                raise
            raise ForgeDenied(
                f"the branch of pull request #{number} is in a fork: {error}",
                hint="Its author has not allowed edits by maintainers: a box on the pull request's page.",
            ) from error
        if head not in there:
            raise ForgeError(
                f"the branch of pull request #{number}, {head}, is no longer at {self.remote.url}",
                hint="Restore it on the pull request's page, or make the change with `tiny-backspace run`.",
            )

    def take(self, offer: Offer, emit: Emit) -> str:
        with timed("commit", emit):
            commit = offer.commit()
        base, branch = offer.cage.base.sha, self.pull_request.head
        with timed("push", emit):
            pushed = push(
                self.git, offer.cage.path, self.remote.url, commit, branch, emit, expected=base
            )
        if isinstance(pushed, RefTaken):
            raise ForgeError(
                f"somebody pushed to {branch} meanwhile: it is {pushed.commit or 'gone'} now",
                hint="The change is kept as a patch. Run again to start from there.",
            )
        emit(WorkSaved(branch=branch, commit=commit, remote=self.remote.url))
        emit(WorkSaved(pr_url=self.pull_request.url))
        return f"Pull request #{self.pull_request.number} has one more commit."
