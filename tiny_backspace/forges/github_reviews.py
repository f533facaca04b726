"""What reviewers wrote, from GitHub's JSON, and how it is asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from tiny_backspace.forges.github_wire import User, Wire
from tiny_backspace.forges.interface import Comment

# Whether a thread is settled is only told here.
THREADS = """
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          isResolved
          path
          line
          originalLine
          comments(first: 50) { nodes { author { login } body } }
        }
      }
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Threads:
    """One page of the unresolved threads of a review; `after` is where the next page begins, if any."""

    comments: tuple[Comment, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Review:
    author: str
    state: str
    text: str


class _Reviewed(Wire):
    user: User | None = None
    body: str | None = None
    state: str = ""


class _Written(Wire):
    author: User | None = None
    body: str = ""


class _Remarks(Wire):
    nodes: list[_Written | None]


class _Thread(Wire):
    isResolved: bool  # noqa: N815 - GraphQL's names
    path: str | None = None
    line: int | None = None
    originalLine: int | None = None  # noqa: N815
    comments: _Remarks


class _PageInfo(Wire):
    hasNextPage: bool  # noqa: N815
    endCursor: str | None = None  # noqa: N815


class _ThreadPage(Wire):
    pageInfo: _PageInfo  # noqa: N815
    nodes: list[_Thread | None]


def reviews(value: object) -> tuple[Review, ...]:
    told = TypeAdapter(list[_Reviewed]).validate_python(value)
    return tuple(Review((each.user or User()).login, each.state, each.body or "") for each in told)


def threads(value: object) -> Threads:
    page = _ThreadPage.model_validate(
        _inner(value, "data", "repository", "pullRequest", "reviewThreads")
    )
    found = tuple(
        Comment(
            (written.author or User()).login, written.body, thread.path,
            thread.line if thread.line is not None else thread.originalLine,
        )
        for thread in page.nodes
        if thread is not None and not thread.isResolved
        for written in thread.comments.nodes
        if written is not None
    )  # fmt: skip
    return Threads(found, page.pageInfo.endCursor if page.pageInfo.hasNextPage else None)


def asking_for_changes(told: Iterable[Review]) -> tuple[Comment, ...]:
    """What those wrote who still want changes: who approves later, or is overruled, no longer does."""
    last = {each.author: each for each in told if each.state not in ("COMMENTED", "PENDING")}
    return tuple(
        Comment(each.author, each.text)
        for each in last.values()
        if each.state == "CHANGES_REQUESTED" and each.text.strip()
    )


def _inner(value: object, *path: str) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
