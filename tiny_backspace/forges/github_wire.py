"""What GitHub's JSON says, in our types. Pure.

Each function takes any JSON and raises a ValueError if it is not what it should be. What is not
needed is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PositiveInt, TypeAdapter

from tiny_backspace.forges.interface import Comment, Issue, PullRequest, Repository

_FULL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*/(?!\.{1,2}\Z)[A-Za-z0-9._-]+")
_PROPOSING_SCOPES = frozenset(("repo", "public_repo"))
# How tokens begin that have permissions in place of scopes: fine-grained ones, and those of GitHub's apps.
_WITHOUT_SCOPES = ("github_pat_", "ghs_", "ghu_")
_NOBODY = "ghost"  # as GitHub calls the author of what somebody wrote who has gone


@dataclass(frozen=True, slots=True)
class Listed:
    """A pull request in a list, and what it is recognised by."""

    pull: PullRequest
    head_owner: str
    author: str
    labels: tuple[str, ...]


def full_name(text: str) -> str:
    """owner/name, of the characters that GitHub allows: it becomes part of addresses."""
    if not _FULL_NAME.fullmatch(text):
        raise ValueError("that is no owner/name")
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"https?://[\x21-\x7e]{1,2000}", text):
        raise ValueError("that is no address")
    return text


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class User(Wire):
    login: str = _NOBODY


class _Permissions(Wire):
    push: bool = False


class _Repository(Wire):
    full_name: Annotated[str, AfterValidator(full_name)]
    default_branch: str
    permissions: _Permissions | None = None
    archived: bool = False
    disabled: bool = False
    private: bool = False
    size: int = 1  # kB, counted from time to time


class _Named(Wire):
    full_name: str = ""


class _Branch(Wire):
    ref: str = ""
    label: str | None = None
    user: User | None = None
    repo: _Named | None = None

    @property
    def owner(self) -> str:
        """Whose branch it is, also where the repository has been deleted."""
        owner, colon, _ = (self.label or "").partition(":")
        return owner if colon else (self.user or User()).login


class _Label(Wire):
    name: str = ""


class _Pull(Wire):
    number: PositiveInt
    html_url: Annotated[str, AfterValidator(_address)]
    title: str = ""
    body: str | None = None
    state: str = "open"
    draft: bool = False
    commits: PositiveInt = 1
    base: _Branch = _Branch()
    head: _Branch = _Branch()
    user: User | None = None
    labels: list[_Label] = []
    maintainer_can_modify: bool = False

    def told(self) -> PullRequest:
        head, base = (each.repo.full_name if each.repo else "" for each in (self.head, self.base))
        return PullRequest(
            number=self.number,
            url=self.html_url,
            title=self.title,
            body=self.body or "",
            base=self.base.ref,
            head=self.head.ref,
            head_repository=head,
            open=self.state == "open",
            draft=self.draft,
            commits=self.commits,
            from_fork=head.casefold() != base.casefold(),
            maintainer_can_modify=self.maintainer_can_modify,
        )


class _Comment(Wire):
    user: User | None = None
    body: str | None = None


class _Issue(Wire):
    number: PositiveInt
    html_url: Annotated[str, AfterValidator(_address)]
    title: str
    body: str | None = None
    state: str = "open"
    comments: int = 0
    pull_request: Mapping[str, object] | None = None
    assignees: list[User] | None = None


def repository(value: object) -> Repository:
    """`empty` only says that it may be: a small one has no size either."""
    told = _Repository.model_validate(value)
    return Repository(
        full_name=told.full_name,
        default_branch=told.default_branch,
        may_push=told.permissions is not None and told.permissions.push,
        archived=told.archived,
        disabled=told.disabled,
        private=told.private,
        empty=told.size == 0,
    )


def may_propose(scopes: str | None, token: str) -> bool:
    """Whether a token may by its scopes: what the header says, None where there is none.

    Only classic tokens have scopes, and one of them may have none at all.
    """
    if scopes is None or token.startswith(_WITHOUT_SCOPES):
        return True
    return bool({scope.strip() for scope in scopes.split(",")} & _PROPOSING_SCOPES)


def pull_request(value: object) -> PullRequest:
    return _Pull.model_validate(value).told()


def pull_requests(value: object) -> tuple[Listed, ...]:
    return tuple(
        Listed(
            pull=each.told(),
            head_owner=each.head.owner,
            author=(each.user or User()).login,
            labels=tuple(label.name for label in each.labels),
        )
        for each in TypeAdapter(list[_Pull]).validate_python(value)
    )


def issue(value: object) -> tuple[Issue, int] | None:
    """It, still without comments, and how many there are. None if it is a pull request."""
    told = _Issue.model_validate(value)
    if told.pull_request is not None:
        return None
    found = Issue(
        number=told.number,
        url=told.html_url,
        title=told.title,
        body=told.body or "",
        open=told.state == "open",
    )
    return found, told.comments


def assignees(value: object) -> frozenset[str]:
    return frozenset(user.login.casefold() for user in _Issue.model_validate(value).assignees or ())


def comments(value: object) -> tuple[Comment, ...]:
    told = TypeAdapter(list[_Comment]).validate_python(value)
    return tuple(Comment((each.user or User()).login, each.body or "") for each in told)


def login(value: object) -> str:
    return User.model_validate(value).login


def newest_within(found: Iterable[Comment], characters: int) -> tuple[Comment, ...]:
    """As many of the comments as are together not longer than this; those are kept that came last."""
    kept: list[Comment] = []
    for each in reversed(tuple(found)):
        characters -= len(each.text)
        if characters < 0:
            break
        kept.append(each)
    return tuple(reversed(kept))
