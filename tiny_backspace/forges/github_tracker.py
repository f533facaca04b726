"""What people wrote on GitHub: issues, and the reviews of pull requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from tiny_backspace.errors import UsageError
from tiny_backspace.forges import github_questions as asks
from tiny_backspace.forges.github_client import Answer
from tiny_backspace.forges.github_place import Place
from tiny_backspace.forges.github_reviews import Review, asking_for_changes
from tiny_backspace.forges.github_wire import Listed, newest_within
from tiny_backspace.forges.interface import Comment, Issue, PullRequest

LABEL = "tiny-backspace"
"""On every pull request of ours."""

_PAGES = 3  # of a list, at most
_COMMENTS = 100  # of an issue; older ones are not read
_TEXT = 300_000  # characters of all comments together


def issue(place: Place, number: int) -> Issue:
    """With its newest comments, in the order they were written.

    Raises:
        UsageError: the number is one of a pull request.
        ForgeError: it cannot be read.
    """
    found = place.need(asks.issue, number).value
    if found is None:
        raise UsageError(
            f"#{number} is a pull request, not an issue.", hint="Give the number of an issue."
        )
    told, total = found
    return replace(told, comments=_comments(place, number, total))


def answered_by(place: Place, number: int) -> PullRequest | None:
    """The newest open pull request of ours whose description begins with the line `Closes #number`.

    It is ours if it has our label, which strangers cannot give it, or the token is its author's.
    """
    closing = re.compile(rf"Closes #{number}\.?[ \t\r]*(?:\n|\Z)")  # the rest may be others' words
    found = [each for each in _open_ones(place) if closing.match(each.pull.body)]
    mine = login(place) if any(LABEL not in each.labels for each in found) else None
    ours = (each.pull for each in found if LABEL in each.labels or each.author == mine)
    return next(ours, None)


def unresolved(place: Place, number: int) -> tuple[Comment, ...]:
    """What reviewers wrote who want changes, and the threads that nobody has resolved."""
    comments = [*asking_for_changes(_reviews(place, number)), *_threads(place, number)]
    return newest_within(comments, _TEXT)


def _comments(place: Place, number: int, total: int) -> tuple[Comment, ...]:
    """The last of them: pages are counted from the oldest comment."""
    if total <= 0:
        return ()
    if total > _COMMENTS:
        place.client.warn(f"Of issue #{number} the last {_COMMENTS} of {total} comments are read.")
    first = max(0, total - _COMMENTS) // asks.PAGE + 1
    found: list[Comment] = []
    for page in count(first):
        answer = place.need(asks.comments, number, page)
        found += answer.value
        if not answer.more or page > first + 1:
            break
    return newest_within(found[-_COMMENTS:], _TEXT)


def _open_ones(place: Place) -> Iterator[Listed]:
    for page in range(1, _PAGES + 1):
        answer = place.need(asks.open_ones, page)
        yield from answer.value
        if not answer.more:
            return


def login(place: Place) -> str | None:
    """Whose token it is. Of those that GitHub Actions gets it does not say."""
    answer = place.client.ask(asks.me())
    return answer.value if isinstance(answer, Answer) else None


def _reviews(place: Place, number: int) -> Iterator[Review]:
    """From the oldest to the newest."""
    for page in range(1, _PAGES + 1):
        answer = place.need(asks.reviews, number, page)
        yield from answer.value
        if not answer.more:
            return


def _threads(place: Place, number: int) -> Iterator[Comment]:
    after: str | None = None
    for _ in range(_PAGES):
        page = place.need(asks.threads, number, after).value
        yield from page.comments
        after = page.after
        if after is None:
            return
