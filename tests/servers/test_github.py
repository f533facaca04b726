"""The GitHub of the tests keeps what it is told, and notices what the real one would not understand."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ghapi.core import GhApi

from tests.servers.github import github_server
from tests.servers.github_client import ask, proposal
from tests.servers.github_state import (
    ACTIONS,
    CLASSIC,
    FINE_GRAINED,
    Comment,
    Issue,
    Pull,
    Repo,
    Review,
    Thread,
    Token,
)

HEAD = "1" * 40


def hello(**more: Any) -> Repo:
    """A repository with a branch that nobody has proposed yet."""
    repo = Repo("octo/hello", **more)
    assert repo.branches is not None
    repo.branches["tb/x"] = HEAD
    return repo


def test_a_repository_is_told_with_what_the_token_may_do() -> None:
    repo = hello(private=True, push=False, default_branch="trunk")
    with github_server([repo]) as server:
        told = ask(server, "GET", "/repos/OCTO/Hello").body
        assert (told["full_name"], told["default_branch"]) == ("octo/hello", "trunk")
        assert told["permissions"]["pull"]
        assert not told["permissions"]["push"]
        assert ask(server, "GET", "/repos/octo/hello", token=None).status == 404
    assert server.refused == []


def test_a_public_repository_is_told_to_nobody_in_particular_without_permissions() -> None:
    with github_server([hello()]) as server:
        told = ask(server, "GET", "/repos/octo/hello", token=None)
    assert "permissions" not in told.body
    assert told.headers["x-ratelimit-limit"] == "60"


def test_a_pull_request_is_opened_found_changed_and_closed() -> None:
    repo = hello()
    with github_server([repo]) as server:
        opened = ask(server, "POST", "/repos/octo/hello/pulls", proposal(draft=True))
        found = ask(server, "GET", "/repos/octo/hello/pulls?state=open&head=octo:tb/x&base=main")
        changes = {"title": "Mended", "state": "closed"}
        closed = ask(server, "PATCH", "/repos/octo/hello/pulls/1", changes)
        left = ask(server, "GET", "/repos/octo/hello/pulls?head=octo:tb/x")
        every = ask(server, "GET", "/repos/octo/hello/pulls?state=all")
    assert opened.status == 201
    assert opened.body["html_url"] == "https://github.com/octo/hello/pull/1"
    assert opened.body["head"]["repo"]["full_name"] == "octo/hello"
    assert opened.body["head"]["ref"] == "tb/x"
    assert opened.body["head"]["sha"] == HEAD
    assert opened.body["user"]["login"] == CLASSIC.login
    assert opened.body["draft"]
    assert [each["number"] for each in found.body] == [1]
    assert (closed.body["title"], closed.body["state"]) == ("Mended", "closed")
    assert (left.body, len(every.body)) == ([], 1)
    assert (repo.pulls[0].title, repo.pulls[0].open) == ("Mended", False)
    assert server.refused == []


def test_a_head_without_an_owner_is_no_filter_as_on_github() -> None:
    repo = hello(pulls=[Pull(1, "Another", head="other")])
    with github_server([repo]) as server:
        found = ask(server, "GET", "/repos/octo/hello/pulls?head=tb/x")
    assert [each["number"] for each in found.body] == [1]


def test_labels_people_and_reviewers_are_added() -> None:
    repo = hello(pulls=[Pull(1, "Mend it", head="tb/x")], collaborators={"octocat", "anna"})
    with github_server([repo]) as server:
        for end, body, status in (
            ("issues/1/labels", {"labels": ["bug", "novel"]}, 200),
            ("issues/1/assignees", {"assignees": ["anna", "stranger"]}, 201),
            ("pulls/1/requested_reviewers", {"reviewers": ["anna"]}, 201),
        ):
            assert ask(server, "POST", f"/repos/octo/hello/{end}", body).status == status
        told = ask(server, "GET", "/repos/octo/hello/pulls/1").body
    assert [each["name"] for each in told["labels"]] == ["bug", "novel"]
    assert [each["login"] for each in told["assignees"]] == ["anna"]
    assert [each["login"] for each in told["requested_reviewers"]] == ["anna"]
    assert "novel" in repo.labels


def test_long_lists_come_in_pages_with_links_that_lead_on() -> None:
    said = [Comment("anna", f"Comment {number}") for number in range(250)]
    repo = hello(issues=[Issue(7, "It fails", comments=said)])
    read = []
    with github_server([repo], prefix="/api/v3") as server:
        path = "/repos/octo/hello/issues/7/comments?per_page=100"
        while path:
            reply = ask(server, "GET", path)
            read += [each["body"] for each in reply.body]
            following = re.search('<([^>]+)>; rel="next"', reply.headers.get("link", ""))
            path = following[1].removeprefix(server.api_url) if following else ""
    assert read == [each.text for each in said]
    assert len(server.requests) == 3


def test_what_reviewers_said_is_told() -> None:
    thread = Thread([Comment("anna", "Why?", "app.py", 3), Comment("octocat", "Because.")])
    pull = Pull(1, "Mend it", head="tb/x", threads=[thread], reviews=[Review("anna", "Not yet.")])
    with github_server([hello(pulls=[pull])]) as server:
        comments = ask(server, "GET", "/repos/octo/hello/pulls/1/comments").body
        reviews = ask(server, "GET", "/repos/octo/hello/pulls/1/reviews").body
    assert [(each["path"], each["line"]) for each in comments] == [("app.py", 3), ("", None)]
    assert [(each["user"]["login"], each["body"]) for each in reviews] == [("anna", "Not yet.")]


def test_an_issue_is_told_and_the_pull_requests_that_mention_it_are_found() -> None:
    issue = Issue(7, "It fails", "On Mondays.", comments=[Comment("anna", "Here too.")])
    pulls = [
        Pull(8, "Mend it", "Fixes #7", head="a"),
        Pull(9, "Old", "Fixes #7", open=False, head="b"),
    ]
    with github_server([hello(issues=[issue], pulls=pulls)]) as server:
        told = ask(server, "GET", "/repos/octo/hello/issues/7").body
        query = 'q=repo:octo/hello+is:pr+is:open+in:body+"fixes+%237"'
        found = ask(server, "GET", f"/search/issues?{query}")
    assert (told["title"], told["body"], told["comments"]) == ("It fails", "On Mondays.", 1)
    assert "pull_request" not in told
    assert [each["number"] for each in found.body["items"]] == [8]
    assert "pull_request" in found.body["items"][0]
    assert found.headers["x-ratelimit-resource"] == "search"


@pytest.mark.parametrize(
    ("token", "scopes"), [(CLASSIC, "repo, workflow"), (FINE_GRAINED, None), (ACTIONS, None)]
)
def test_only_a_classic_token_has_its_scopes_told(token: Token, scopes: str | None) -> None:
    with github_server([hello()], token=token, now=1_000) as server:
        told = ask(server, "GET", "/repos/octo/hello", token=token)
    assert told.headers.get("x-oauth-scopes") == scopes
    assert told.headers["x-ratelimit-remaining"] == "4999"
    assert told.headers["x-ratelimit-reset"] == "4600"


def test_every_request_is_kept_as_it_came() -> None:
    with github_server([hello()], prefix="/api/v3") as server:
        headers = {"X-GitHub-Api-Version": "2022-11-28"}
        ask(server, "POST", "/repos/octo/hello/pulls", proposal(), headers=headers)
        ask(server, "GET", "/repos/octo/hello/pulls?page=1&state=all")
    first, second = server.requests
    assert (first.method, first.path) == ("POST", "/repos/octo/hello/pulls")
    assert first.body == proposal()
    assert first.headers["x-github-api-version"] == "2022-11-28"
    assert second.query == (("page", "1"), ("state", "all"))
    assert server.asked("POST", "/pulls") == [first]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("PUT", "/repos/octo/hello/pulls", {}, 404, "does not take PUT"),
        ("GET", "/repos/octo/hello/pull", None, 404, "There is no path like"),
        ("GET", "/repos/octo/hello/pulls?sorted=up", None, 422, "no query parameter 'sorted'"),
        ("POST", "/repos/octo/hello/pulls", proposal(title=7), 422, "For 'title', 7 is not"),
        ("POST", "/repos/octo/hello/pulls", proposal(lables=[]), 422, '"lables" is not a permi'),
        ("GET", "/repos/octo/hello/actions/runs", None, 501, "This server does not have"),
    ],
)
def test_a_request_that_does_not_fit_the_description_is_noticed(
    method: str, path: str, body: Any, status: int, words: str
) -> None:
    repo = hello()
    with github_server([repo]) as server:
        reply = ask(server, method, path, body)
    assert reply.status == status
    assert len(server.refused) == 1
    assert words in server.refused[0]
    assert repo.pulls == []


def test_a_request_beside_the_prefix_is_noticed() -> None:
    with github_server([hello()], prefix="/api/v3") as server:
        server.api_url = server.api_url.removesuffix("/api/v3")
        assert ask(server, "GET", "/repos/octo/hello").status == 404
    assert server.refused == ["/repos/octo/hello is not below /api/v3."]


def test_what_ghapi_sends_fits_and_keeps_the_prefix() -> None:
    with github_server([hello()], prefix="/api/v3") as server:
        make: Any = GhApi  # it has no types
        api = make("octo", "hello", CLASSIC.value, gh_host=server.api_url, sync=True)
        opened = api.pulls.create(**proposal())
        found = api.pulls.list(head="octo:tb/x", state="open")
        branch = api.repos.get_branch(branch="tb/x")
    assert [each.number for each in found] == [opened.number] == [1]
    assert branch.commit.sha == HEAD
    assert server.refused == []
