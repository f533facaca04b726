"""GitHub as a forge and a tracker: github.com, or an Enterprise Server."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from tiny_backspace.errors import ForgeError
from tiny_backspace.events import Emit
from tiny_backspace.forges import github_questions as asks
from tiny_backspace.forges import github_tracker
from tiny_backspace.forges.github_client import TRIES, Answer, Client, Question, Surroundings
from tiny_backspace.forges.github_failures import Failure
from tiny_backspace.forges.github_place import Place
from tiny_backspace.forges.interface import Comment, Issue, Proposal, PullRequest, Repository

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

# Failures after which it may be there.
_PERHAPS_OPEN = frozenset(("exists", "unavailable", "unanswered", "garbled"))
_FORK_TRIES = 9  # to find the branches of a new fork: up to four minutes


class GitHub:
    """One repository, with one token. `api_url` is https, or a server on this machine.

    A failure that may pass is waited for, and every wait is an event before it begins. A question is
    asked five times and for five minutes at most; an answer that is not there whole after `longest`
    seconds is none. Making one of these asks nothing yet.
    """

    def __init__(
        self,
        owner: str,
        name: str,
        token: SecretStr,
        api_url: str,
        emit: Emit,
        *,
        transport: httpx2.BaseTransport | None = None,
        wait: Callable[[float], None] = sleep,
        clock: Callable[[], float] = monotonic,
        jitter: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
        longest: float = 60.0,
    ) -> None:
        around = Surroundings(emit, wait, clock, jitter, now, longest, transport)
        self._client = Client(token, api_url, around)
        self._place = Place(self._client, asks.checked_place(owner, name))
        self._fork: Repository | None = None

    def repository(self) -> Repository:
        """`may_push` is what the token's owner may do, and its scopes if it is a classic one: of a
        fine-grained token GitHub does not tell what it may do before it does it.
        """
        return self._place.repository()

    def find_pull_request(self, head: str, *, ended: bool = False) -> PullRequest | None:
        owner, branch = asks.checked_head(head, self._place.owner)
        found = self._place.need(asks.all_from if ended else asks.open_from, owner, branch).value
        # a server that makes nothing of the filter answers with all of them
        ours = (
            each.pull
            for each in found
            if each.pull.head == branch and each.head_owner.casefold() == owner.casefold()
        )
        return max(ours, key=lambda pull: pull.open, default=None)

    def open_pull_request(self, proposal: Proposal) -> PullRequest:
        """Never a second one: where it is not known whether it was opened, it is looked for first."""
        asks.checked_head(proposal.head, self._place.owner)
        asks.checked_branch(proposal.base)
        opened = self._opened(proposal)
        self._complete(opened.number, proposal)
        return opened

    def login(self) -> str | None:
        return github_tracker.login(self._place)

    def issue(self, number: int) -> Issue:
        """With its newest comments, at most 100. A pull request's number is a UsageError."""
        return github_tracker.issue(self._place, number)

    def answered_by(self, number: int) -> PullRequest | None:
        """Among the 300 newest open pull requests: the one that is ours and has the line `Closes #number`."""
        return github_tracker.answered_by(self._place, number)

    def pull_request(self, number: int) -> PullRequest:
        return self._place.need(asks.pull_request, number).value

    def unresolved(self, number: int) -> tuple[Comment, ...]:
        return github_tracker.unresolved(self._place, number)

    def fork(self) -> Repository:
        """The fork that the token's owner has of it, made if need be, with its branches in place."""
        made = self._place.need(asks.fork).value
        fork = Place(self._client, made.full_name)
        for attempt in count(1):
            outcome = fork.ask(asks.branch, made.default_branch)
            if isinstance(outcome, Answer):
                self._fork = fork.repository()
                return self._fork
            if outcome.reason not in ("missing", "conflict"):
                raise outcome.error
            if attempt == _FORK_TRIES:
                raise ForgeError(f"GitHub: the fork {fork.name} is still not ready")
            self._client.pause(f"GitHub: the fork {fork.name} is not ready yet", attempt)
        raise AssertionError  # count() has no end

    def update_fork(self, branch: str, commit: str) -> None:
        """Bring that branch of the fork to where it is in the original, or make it there.

        A fork shares the original's objects (`gh repo sync` relies on it), so any commit can be named in it.
        """
        asks.checked_branch(branch)
        fork = Place(self._client, (self._fork or self.fork()).full_name)
        outcome = fork.ask(asks.update, branch)
        if isinstance(outcome, Answer):
            return
        if outcome.reason == "conflict":
            raise ForgeError(
                f"the branch {branch} of the fork {fork.name} has commits of its own, and cannot be brought up to date",
                hint="Rename it there, or delete it.",
            )
        made = outcome.reason in ("missing", "refused") and fork.ask(
            asks.new_branch, branch, commit
        )
        if not isinstance(made, Answer):
            raise outcome.error

    def _opened(self, proposal: Proposal) -> PullRequest:
        draft = proposal.draft
        for attempt in count(1):
            outcome = self._place.ask(asks.opening, proposal, draft=draft)
            if isinstance(outcome, Answer):
                return outcome.value
            if outcome.reason == "no_draft" and draft:
                self._client.warn("Drafts are not supported there: it is opened as no draft.")
                draft = False
                continue
            if outcome.reason not in _PERHAPS_OPEN:
                raise outcome.error
            if outcome.reason != "exists" and attempt < TRIES:
                self._client.pause(str(outcome.error), attempt)
            there = self.find_pull_request(proposal.head)
            if there is not None:
                return there
            if attempt >= TRIES:
                raise outcome.error
            if outcome.reason == "exists":  # a list can be a moment behind
                self._client.pause(str(outcome.error), attempt)
        raise AssertionError  # count() has no end

    def _complete(self, number: int, proposal: Proposal) -> None:
        """Labels and people. Whatever is refused is a warning: the pull request is there."""
        if proposal.labels:
            self._add("the labels", asks.labels, number, proposal.labels)
        self._request(number, proposal.reviewers)
        if proposal.assignees:
            added = self._add("the assignees", asks.assignees, number, proposal.assignees)
            told = proposal.assignees if added is not None else ()
            if missing := [name for name in told if name.casefold() not in (added or ())]:
                self._client.warn(f"GitHub did not assign #{number} to {', '.join(missing)}.")

    def _request(self, number: int, reviewers: Sequence[str]) -> None:
        """All reviewers at once; where that is refused, because of one perhaps, one by one."""
        outcome = self._place.ask(asks.reviewers, number, reviewers) if reviewers else None
        if not isinstance(outcome, Failure):
            return
        if outcome.reason != "refused" or len(reviewers) == 1:
            self._warn(number, "the reviewers", outcome)
            return
        for name in reviewers:
            self._add(f"the reviewer {name}", asks.reviewers, number, (name,))

    def _add(
        self,
        what: str,
        make: Callable[[str, int, Sequence[str]], Question[T]],
        number: int,
        names: Sequence[str],
    ) -> T | None:
        outcome = self._place.ask(make, number, names)
        if isinstance(outcome, Answer):
            return outcome.value
        self._warn(number, what, outcome)
        return None

    def _warn(self, number: int, what: str, failure: Failure) -> None:
        self._client.warn(f"Pull request #{number} is open, without {what}. {failure.error}")
