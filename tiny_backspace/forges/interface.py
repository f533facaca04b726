"""What a run needs of the place where pull requests are opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as the forge has it. `full_name` is owner/name as it is called now, which a
    renamed one is not asked for by; `may_push` is what the token may do.
    """

    full_name: str
    default_branch: str
    may_push: bool
    archived: bool = False
    private: bool = False
    empty: bool = False
    disabled: bool = False

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        return self.full_name.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pull request that is wanted; every word of it is decided before the forge is asked.

    `head` is a branch of this repository, or `owner:branch` of a fork.
    """

    base: str
    head: str
    title: str
    body: str
    draft: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One that is there. `head_repository` is owner/name; empty where it was deleted. `from_fork` if it is not
    the repository that the pull request goes to; who may push there may then push to its branch only if
    its author allowed it (`maintainer_can_modify`).
    """

    number: int
    url: str
    title: str = ""
    body: str = ""
    base: str = ""
    head: str = ""
    head_repository: str = ""
    open: bool = True
    draft: bool = False
    commits: int = 1
    from_fork: bool = False
    maintainer_can_modify: bool = False


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody wrote, on a line of a file if there is one."""

    author: str
    text: str
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    number: int
    url: str
    title: str
    body: str
    open: bool
    comments: tuple[Comment, ...] = ()


class Forge(Protocol):
    """One repository on a forge, with one token. Everything raises `ForgeError` where it fails for good."""

    def repository(self) -> Repository: ...

    def find_pull_request(self, head: str, *, ended: bool = False) -> PullRequest | None:
        """The open one from that head, a branch here or `owner:branch`; with `ended` also one that was closed or merged."""
        ...

    def open_pull_request(self, proposal: Proposal) -> PullRequest:
        """Open it, or find that it is open already. Labels and people that are refused are a warning."""
        ...

    def update_fork(self, branch: str, commit: str) -> None:
        """Have that commit, the tip of a branch here, in the fork that `head` of a proposal will name."""
        ...


class Tracker(Protocol):
    """What people wrote: issues, and the reviews of pull requests."""

    def login(self) -> str | None:
        """Of whoever's token it is; None where the forge does not say."""
        ...

    def issue(self, number: int) -> Issue: ...

    def answered_by(self, number: int) -> PullRequest | None:
        """The open pull request of ours that says it closes this issue."""
        ...

    def pull_request(self, number: int) -> PullRequest: ...

    def unresolved(self, number: int) -> tuple[Comment, ...]:
        """What reviewers of the pull request wrote and nobody has settled yet."""
        ...
