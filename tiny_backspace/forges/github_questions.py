"""What GitHub is asked for, call by call. Pure.

What becomes part of an address is checked here, whatever becomes of it on the way there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from tiny_backspace.errors import ForgeError
from tiny_backspace.forges import github_reviews, github_wire
from tiny_backspace.forges.github_client import GRAPHQL, Question
from tiny_backspace.forges.github_failures import Subject
from tiny_backspace.forges.github_reviews import Review, Threads
from tiny_backspace.forges.github_wire import Listed
from tiny_backspace.forges.interface import Comment, Issue, Proposal, PullRequest, Repository

T = TypeVar("T")

PAGE = 100  # of a list; GitHub gives no more
_BRANCH = re.compile(r"(?![/.-])(?!.*(?:\.\.|//|/\.|@\{))[^\x00-\x20\x7f~^:?*\[\\]{1,255}(?<![/.])")
_WRITE = "the permissions Contents and Pull requests (read and write)"
_PULLS = "the permission Pull requests (read and write)"
_ISSUES = "the permission Issues (read)"


def checked_place(owner: str, name: str) -> str:
    """owner/name.

    Raises:
        ForgeError: it is none.
    """
    try:
        return github_wire.full_name(f"{owner}/{name}")
    except ValueError:
        raise ForgeError("GitHub: this is no name of a repository, owner/name") from None


def checked_branch(name: str) -> str:
    """A branch's name, as git would take it.

    Raises:
        ForgeError: it is none.
    """
    if not _BRANCH.fullmatch(name):
        raise ForgeError("GitHub: this is no name of a branch")
    return name


def checked_head(head: str, owner: str) -> tuple[str, str]:
    """Whose branch, and which: of `branch` or `owner:branch`."""
    whose, colon, branch = head.rpartition(":")
    checked_place(whose if colon else owner, "any")
    return (whose if colon else owner), checked_branch(branch)


def within(api_url: str, location: str) -> str | None:
    """Where a redirect leads to, None if that is not below the address of this API."""
    try:
        where = urljoin(api_url + "/", location)
        base, there = urlsplit(api_url), urlsplit(where)
    except ValueError:
        return None
    same = (base.scheme, base.netloc) == (there.scheme, there.netloc)
    inside = there.path.startswith(f"{base.path}/") and not {".", ".."} & set(there.path.split("/"))
    return where if location and same and inside and re.fullmatch(r"[\x21-\x7e]+", where) else None


def repository(place: str, url: str = "") -> Question[Repository]:
    """`url` is where it has moved to."""
    subject = Subject(f"repository {place}", _WRITE, hidden=True)
    return Question("repos.get", _at(place), github_wire.repository, subject, url=url)


def branch(place: str, name: str) -> Question[object]:
    subject = Subject(f"branch {name} of {place}", _WRITE)
    params = _at(place) | {"branch": checked_branch(name)}
    return Question("repos.get_branch", params, lambda value: value, subject)


def open_from(place: str, owner: str, head: str) -> Question[tuple[Listed, ...]]:
    return _listed(place, {"head": f"{owner}:{head}"})


def all_from(place: str, owner: str, head: str) -> Question[tuple[Listed, ...]]:
    """Closed and merged ones too, the newest first."""
    return _listed(place, {"head": f"{owner}:{head}", "state": "all"})


def open_ones(place: str, page: int) -> Question[tuple[Listed, ...]]:
    return _listed(place, {"page": page})


def opening(place: str, proposal: Proposal, *, draft: bool) -> Question[PullRequest]:
    subject = Subject(f"repository {place}", _PULLS, hidden=True)
    params = _at(place) | {
        "title": proposal.title,
        "body": proposal.body,
        "head": proposal.head,
        "base": proposal.base,
        "draft": draft,
    }
    # asked again only after a look whether it was opened
    return _posted("pulls.create", params, github_wire.pull_request, subject)


def pull_request(place: str, number: int) -> Question[PullRequest]:
    subject = Subject(f"pull request #{number} in {place}", _PULLS)
    params = _at(place) | {"pull_number": number}
    return Question("pulls.get", params, github_wire.pull_request, subject)


def labels(place: str, number: int, names: Sequence[str]) -> Question[object]:
    params = {"issue_number": number, "labels": list(names)}
    return _added("issues.add_labels", place, number, params, lambda value: value)


def reviewers(place: str, number: int, names: Sequence[str]) -> Question[object]:
    """People by their logins, teams as organisation/team."""
    people = [name for name in names if "/" not in name]
    teams = [name.rpartition("/")[2] for name in names if "/" in name]
    params = {"pull_number": number, "reviewers": people, "team_reviewers": teams}
    return _added("pulls.request_reviewers", place, number, params, lambda value: value)


def assignees(place: str, number: int, names: Sequence[str]) -> Question[frozenset[str]]:
    params = {"issue_number": number, "assignees": list(names)}
    return _added("issues.add_assignees", place, number, params, github_wire.assignees)


def issue(place: str, number: int) -> Question[tuple[Issue, int] | None]:
    params = _at(place) | {"issue_number": number}
    return Question("issues.get", params, github_wire.issue, _issue(place, number))


def comments(place: str, number: int, page: int) -> Question[tuple[Comment, ...]]:
    params = _at(place) | {"issue_number": number, "per_page": PAGE, "page": page}
    return Question("issues.list_comments", params, github_wire.comments, _issue(place, number))


def me() -> Question[str]:
    return Question("users.get_authenticated", {}, github_wire.login, Subject("user", _WRITE))


def reviews(place: str, number: int, page: int) -> Question[tuple[Review, ...]]:
    subject = Subject(f"pull request #{number} in {place}", _PULLS)
    params = _at(place) | {"pull_number": number, "per_page": PAGE, "page": page}
    return Question("pulls.list_reviews", params, github_reviews.reviews, subject)


def threads(place: str, number: int, after: str | None) -> Question[Threads]:
    """A POST, but one that changes nothing."""
    subject = Subject(f"pull request #{number} in {place}", _PULLS)
    owner, _, name = place.partition("/")
    variables = {"owner": owner, "name": name, "number": number, "after": after}
    params = {"query": github_reviews.THREADS, "variables": variables}
    return Question(GRAPHQL, params, github_reviews.threads, subject)


def fork(place: str) -> Question[Repository]:
    subject = Subject(f"repository {place}", "the permissions to read it and to make forks")
    return _posted("repos.create_fork", _at(place), github_wire.repository, subject)


def update(place: str, name: str) -> Question[object]:
    """Bring a fork's branch to where the original's is."""
    subject = Subject(f"branch {name} of the fork {place}", _WRITE)
    params = _at(place) | {"branch": checked_branch(name)}
    return _posted("repos.merge_upstream", params, lambda value: value, subject)


def new_branch(place: str, name: str, commit: str) -> Question[object]:
    subject = Subject(f"branch {name} of the fork {place}", _WRITE)
    params = _at(place) | {"ref": f"refs/heads/{checked_branch(name)}", "sha": commit}
    return _posted("git.create_ref", params, lambda value: value, subject)


def _at(place: str) -> dict[str, object]:
    owner, _, name = place.partition("/")
    return {"owner": owner, "repo": name}


def _issue(place: str, number: int) -> Subject:
    return Subject(f"issue #{number} in {place}", _ISSUES)


def _listed(place: str, more: Mapping[str, object]) -> Question[tuple[Listed, ...]]:
    subject = Subject(f"repository {place}", _PULLS, hidden=True)
    params = {**_at(place), "state": "open", "per_page": PAGE, **more}
    return Question("pulls.list", params, github_wire.pull_requests, subject)


def _added(
    operation: str,
    place: str,
    number: int,
    params: Mapping[str, object],
    read: Callable[[object], T],
) -> Question[T]:
    subject = Subject(f"pull request #{number} in {place}", _PULLS)
    return _posted(operation, {**_at(place), **params}, read, subject)


def _posted(
    operation: str, params: Mapping[str, object], read: Callable[[object], T], subject: Subject
) -> Question[T]:
    return Question(operation, params, read, subject, repeatable=False)
