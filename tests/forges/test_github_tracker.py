"""Issues with what people said to them, and what reviewers still want."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.forges.github_api import API, Talk, comment, issue, no, ok, pull
from tiny_backspace.errors import ForgeDenied, ForgeError, UsageError
from tiny_backspace.forges.interface import Comment, Issue

NEXT = '<http://github.test/x?page=2>; rel="next", <http://github.test/x?page=9>; rel="last"'


def review(text: str, author: str = "ann", state: str = "CHANGES_REQUESTED") -> dict[str, Any]:
    return comment(text, author) | {"state": state}


def thread(*texts: str, resolved: bool = False, **fields: Any) -> dict[str, Any]:
    nodes = [{"author": {"login": "ann"}, "body": text} for text in texts]
    usual = {"isResolved": resolved, "path": "a.py", "line": 3, "originalLine": 2}
    return usual | {"comments": {"nodes": nodes}} | fields


def threads(*nodes: Any, after: str | None = None) -> httpx2.Response:
    page = {"pageInfo": {"hasNextPage": after is not None, "endCursor": after}, "nodes": list(nodes)}  # fmt: skip
    return ok({"data": {"repository": {"pullRequest": {"reviewThreads": page}}}})


def test_an_issue_comes_with_its_comments() -> None:
    talk = Talk(ok(issue(comments=2)), ok([comment("Me too."), comment("Gone.", None)]))

    assert talk.github.issue(12) == Issue(
        12, "https://github.test/me/it/issues/12", "It breaks", "Here.", True,
        (Comment("ann", "Me too."), Comment("ghost", "Gone.")),
    )  # fmt: skip

    assert talk.asked == [
        "GET /repos/me/it/issues/12",
        "GET /repos/me/it/issues/12/comments?per_page=100&page=1",
    ]


def test_an_issue_without_comments_is_one_question() -> None:
    talk = Talk(ok(issue(body=None, state="closed")))

    told = talk.github.issue(12)

    assert (told.body, told.open, told.comments) == ("", False, ())


def test_of_many_comments_the_last_hundred_are_read_and_that_is_told() -> None:
    texts = [str(n) for n in range(1, 251)]
    pages = [[comment(t) for t in texts[i : i + 100]] for i in (100, 200)]
    talk = Talk(ok(issue(comments=250)), ok(pages[0], link=NEXT), ok(pages[1]))

    told = talk.github.issue(12)

    assert [c.text for c in told.comments] == texts[150:]
    assert [asked[-6:] for asked in talk.asked[1:]] == ["page=2", "page=3"]
    assert talk.warnings == ["Of issue #12 the last 100 of 250 comments are read."]


def test_long_comments_are_left_out_from_the_oldest_on() -> None:
    long = [comment(str(n) * 65_536) for n in range(6)]
    told = Talk(ok(issue(comments=6)), ok(long)).github.issue(12)

    assert [c.text[0] for c in told.comments] == ["2", "3", "4", "5"]


def test_a_list_of_comments_that_never_ends_is_left() -> None:
    talk = Talk(ok(issue(comments=2)), *(ok([comment("x")], link=NEXT) for _ in range(99)))

    assert len(talk.github.issue(12).comments) == 3


def test_the_number_of_a_pull_request_is_no_issue() -> None:
    talk = Talk(ok(issue(pull_request={"url": "x"})))

    with pytest.raises(UsageError, match="#12 is a pull request, not an issue"):
        talk.github.issue(12)


@pytest.mark.parametrize("status", [404, 410])
def test_an_issue_that_is_not_there_is_nobodys_denial(status: int) -> None:
    with pytest.raises(ForgeError, match="there is no issue #12 in me/it") as told:
        Talk(no(status)).github.issue(12)

    assert not isinstance(told.value, ForgeDenied)
    assert "Issues (read)" in str(told.value.hint)


def test_an_issue_that_was_moved_to_another_repository_is_not_followed() -> None:
    moved = no(301, location=f"{API}/repositories/9/issues/1")
    talk = Talk(moved, ok({"full_name": "me/it", "default_branch": "main"}))

    with pytest.raises(ForgeError, match="issue #12 in me/it has moved"):
        talk.github.issue(12)


CLOSES = "Closes #12\r\n\r\nWords.\r\n"
OURS = [{"name": "bug"}, {"name": "tiny-backspace"}]


@pytest.mark.parametrize(
    ("listed", "me", "number"),
    [
        ([pull(8, body="Words."), pull(7, body=CLOSES, labels=OURS, user={"login": "bot"})], None, 7),
        ([pull(7, body="Closes #12.", labels=OURS)], None, 7),
        ([pull(7, body=CLOSES)], ok({"login": "me"}), 7),
        ([pull(7, body=CLOSES, user={"login": "eve"})], ok({"login": "me"}), None),
        ([pull(9, body=CLOSES, user={"login": "eve"}), pull(7, body=CLOSES)], ok({"login": "me"}), 7),
        ([pull(7, body=CLOSES)], no(403, "Resource not accessible by integration"), None),
        ([pull(7, body=None, labels=OURS)], None, None),
        ([pull(7, body="It closes #12", labels=OURS)], None, None),
        ([pull(7, body="Closes #9\n\nThe prompt:\nCloses #12\n", labels=OURS)], None, None),
        ([pull(7, body="Closes #123", labels=OURS), pull(8, body="`Closes #12`", labels=OURS)], None, None),
        ([], None, None),
    ],
)  # fmt: skip
def test_an_issue_is_answered_by_our_pull_request_that_says_it_closes_it(
    listed: list[dict[str, Any]], me: httpx2.Response | None, number: int | None
) -> None:
    talk = Talk(ok(listed), *([me] if me else []))

    found = talk.github.answered_by(12)

    assert (found and found.number) == number
    assert talk.asked[0] == "GET /repos/me/it/pulls?state=open&per_page=100&page=1"
    assert talk.asked[1:] == (["GET /user"] if me else [])


def test_no_more_than_three_hundred_pull_requests_are_looked_at() -> None:
    talk = Talk(*(ok([pull()], link=NEXT) for _ in range(9)))

    assert talk.github.answered_by(12) is None

    assert [asked[-6:] for asked in talk.asked] == ["page=1", "page=2", "page=3"]


def test_a_pull_request_is_found_by_its_number() -> None:
    closed = pull(state="closed", draft=True, body=None)
    closed["head"]["repo"] = None
    told = Talk(ok(closed)).github.pull_request(7)

    assert (told.number, told.open, told.draft, told.body, told.head_repository) == (
        7, False, True, "", "",
    )  # fmt: skip
    with pytest.raises(ForgeError, match="there is no pull request #7 in me/it"):
        Talk(no(404)).github.pull_request(7)


def test_unresolved_is_what_reviewers_want_changed_and_the_threads_nobody_has_settled() -> None:
    talk = Talk(
        ok([review("Old.", "bob"), review("Split it."), review("Nice else.", "ann", "COMMENTED"),
            review("Fine now.", "bob", "APPROVED"), review("No!", "di"), review("", "di", "DISMISSED"),
            review(" ", "eve")]),
        threads(thread("Why?", "Because."), thread("Done.", resolved=True), None, after="abc"),
        threads(thread("Gone.", path="b.py", line=None), thread("A file.", line=None, originalLine=None)),
    )  # fmt: skip

    assert talk.github.unresolved(7) == (
        Comment("ann", "Split it."),
        Comment("ann", "Why?", "a.py", 3),
        Comment("ann", "Because.", "a.py", 3),
        Comment("ann", "Gone.", "b.py", 2),
        Comment("ann", "A file.", "a.py"),
    )

    assert talk.asked == [
        "GET /repos/me/it/pulls/7/reviews?per_page=100&page=1", "POST /graphql", "POST /graphql",
    ]  # fmt: skip
    assert [talk.server.body(n)["variables"] for n in (1, 2)] == [
        {"owner": "me", "name": "it", "number": 7, "after": None},
        {"owner": "me", "name": "it", "number": 7, "after": "abc"},
    ]


def test_threads_without_end_are_left() -> None:
    talk = Talk(ok([]), *(threads(thread("x"), after="abc") for _ in range(9)))

    assert len(talk.github.unresolved(7)) == 3


@pytest.mark.parametrize(
    ("api_url", "path"),
    [
        (API, "/graphql"),
        (f"{API}/", "/graphql"),
        (f"{API}/api/v3", "/api/graphql"),
        (f"{API}/api/v3/", "/api/graphql"),
        (f"{API}/deeper", "/deeper/graphql"),
    ],
)
def test_graphql_is_beside_the_rest(api_url: str, path: str) -> None:
    talk = Talk(ok([]), threads(), api_url=api_url)

    assert talk.github.unresolved(7) == ()

    assert talk.asked[1] == f"POST {path}"


def test_a_graphql_question_changes_nothing_and_is_asked_again_like_any_other() -> None:
    limited = ok({"data": None, "errors": [{"type": "RATE_LIMITED", "message": "m"}]})
    talk = Talk(ok([]), no(502), limited, threads())

    talk.github.unresolved(7)

    assert talk.waited == [1.0, 120.0]
    missing = ok({"data": None, "errors": [{"type": "NOT_FOUND", "message": "Could not resolve"}]})
    with pytest.raises(ForgeError, match="there is no pull request #7 in me/it"):
        Talk(ok([]), missing).github.unresolved(7)
