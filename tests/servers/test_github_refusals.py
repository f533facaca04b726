"""The GitHub of the tests refuses what the real one refuses, in its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.servers.github import github_server
from tests.servers.github_client import ask, proposal
from tests.servers.github_state import ACTIONS, CLASSIC, FINE_GRAINED, Issue, Pull, Repo, Token
from tests.servers.test_github import hello

PULLS = "/repos/octo/hello/pulls"


def open_pull() -> Pull:
    return Pull(1, "Mend it", head="tb/x")


@pytest.mark.parametrize(
    ("given", "sent", "error"),
    [
        ({}, {"head": "nowhere"}, {"field": "head", "code": "invalid"}),
        ({}, {"head": "stranger:tb/x"}, {"field": "head", "code": "invalid"}),
        ({}, {"base": "nowhere"}, {"field": "base", "code": "invalid"}),
        ({}, {"head": "main"}, {"message": "No commits between main and main"}),
        (
            {"pulls": [open_pull()]},
            {},
            {"message": "A pull request already exists for octo:tb/x."},
        ),
        ({}, {"title": ""}, {"field": "title", "code": "missing_field"}),
        (
            {},
            {"title": "x" * 257},
            {"message": "title is too long (maximum is 256 characters)"},
        ),
        (
            {},
            {"body": "x" * 65_537},
            {"message": "body is too long (maximum is 65536 characters)"},
        ),
        ({"push": False}, {}, {"message": "must be a collaborator"}),
    ],
)
def test_a_pull_request_that_is_not_valid_is_not_opened(
    given: dict[str, Any], sent: dict[str, Any], error: dict[str, str]
) -> None:
    repo = hello(**given)
    before = list(repo.pulls)
    with github_server([repo]) as server:
        reply = ask(server, "POST", PULLS, proposal(**sent))
    assert (reply.status, reply.message) == (422, "Validation Failed")
    assert reply.errors[0].items() >= error.items()
    assert reply.body["status"] == "422"
    assert repo.pulls == before
    assert server.refused == []


def test_lengths_at_the_limits_pass() -> None:
    with github_server([hello()]) as server:
        sent = proposal(title="ö" * 256, body="ö" * 65_536)
        assert ask(server, "POST", PULLS, sent).status == 201


def test_a_draft_is_refused_where_the_plan_has_none() -> None:
    with github_server([hello(has_drafts=False)]) as server:
        reply = ask(server, "POST", PULLS, proposal(draft=True))
        again = ask(server, "POST", PULLS, proposal())
    assert (reply.status, again.status) == (422, 201)
    assert reply.message == "Draft pull requests are not supported in this repository."


def test_a_closed_pull_request_does_not_stand_in_the_way() -> None:
    with github_server([hello(pulls=[replace(open_pull(), open=False)])]) as server:
        assert ask(server, "POST", PULLS, proposal()).body["number"] == 2


def lacking(token: Token, *permissions: str) -> Token:
    return replace(token, lacks=frozenset(permissions))


@pytest.mark.parametrize(
    ("token", "given", "status", "words"),
    [
        (lacking(FINE_GRAINED, "pull_requests"), {}, 403, "not accessible by personal access"),
        (lacking(ACTIONS, "pull_requests"), {}, 403, "not accessible by integration"),
        (ACTIONS, {"actions_may_propose": False}, 403, "GitHub Actions is not permitted"),
        (replace(CLASSIC, scopes=("gist",)), {}, 404, "Not Found"),
        (CLASSIC, {"sso": True}, 403, "organization SAML enforcement"),
        (CLASSIC, {"archived": True}, 403, "archived so is read-only"),
        (CLASSIC, {"private": True, "pull": False}, 404, "Not Found"),
    ],
)
def test_a_token_that_may_not_open_pull_requests_is_told_so(
    token: Token, given: dict[str, Any], status: int, words: str
) -> None:
    repo = hello(**given)
    with github_server([repo], token=token) as server:
        reply = ask(server, "POST", PULLS, proposal(), token=token)
    assert reply.status == status
    assert words in reply.message
    assert repo.pulls == []
    assert server.refused == []


def test_a_missing_permission_is_named_and_reading_goes_on() -> None:
    token = lacking(FINE_GRAINED, "pull_requests")
    with github_server([hello()], token=token) as server:
        refused = ask(server, "POST", PULLS, proposal(), token=token)
        read = ask(server, "GET", PULLS, token=token)
    assert refused.headers["x-accepted-github-permissions"] == "pull_requests=write"
    assert read.status == 200


def test_single_sign_on_says_where_to_authorise_the_token() -> None:
    with github_server([hello(sso=True)]) as server:
        reply = ask(server, "GET", "/repos/octo/hello")
    assert reply.status == 403
    assert reply.headers["x-github-sso"].startswith("required; url=https://github.com/orgs/octo/")


def test_a_wrong_token_is_refused_even_for_what_is_public() -> None:
    with github_server([hello()]) as server:
        wrong = ask(server, "GET", "/repos/octo/hello", token=Token("ghp_guess"))
        nobody = ask(server, "POST", PULLS, proposal(), token=None)
        nameless = ask(server, "GET", "/user", headers={"User-Agent": ""})
    assert (wrong.status, wrong.message) == (401, "Bad credentials")
    assert (nobody.status, nobody.message) == (401, "Requires authentication")
    assert nameless.status == 403


def test_a_workflow_has_no_user_and_makes_no_forks() -> None:
    with github_server([hello()], token=ACTIONS) as server:
        assert ask(server, "GET", "/user", token=ACTIONS).status == 403
        assert ask(server, "POST", "/repos/octo/hello/forks", {}, token=ACTIONS).status == 403
    assert len(server.repositories) == 1


def test_a_renamed_repository_is_pointed_to_by_its_number() -> None:
    old, new = Repo("octo/old", renamed_to="octo/hello"), hello()
    with github_server([old, new]) as server:
        read = ask(server, "GET", "/repos/octo/old")
        written = ask(server, "POST", "/repos/octo/old/pulls", proposal())
        followed = ask(server, "GET", read.headers["location"].removeprefix(server.api_url))
        where = written.headers["location"].removeprefix(server.api_url)
        opened = ask(server, "POST", where, proposal())
    assert (read.status, written.status) == (301, 307)
    assert followed.body["full_name"] == "octo/hello"
    assert (opened.status, len(new.pulls)) == (201, 1)
    assert server.refused == []


@pytest.mark.parametrize(
    ("reviewers", "words"),
    [
        (["stranger"], "Reviews may only be requested from collaborators."),
        (["octocat"], "Review cannot be requested from pull request author."),
    ],
)
def test_reviewers_that_cannot_be_are_refused(reviewers: list[str], words: str) -> None:
    repo = hello(pulls=[open_pull()])
    with github_server([repo]) as server:
        sent = {"reviewers": reviewers}
        reply = ask(server, "POST", f"{PULLS}/1/requested_reviewers", sent)
    assert reply.status == 422
    assert words in reply.message
    assert repo.pulls[0].reviewers == []


def test_labels_need_the_right_to_push_and_assignees_are_left_out_without_it() -> None:
    repo = hello(pulls=[open_pull()], push=False)
    with github_server([repo]) as server:
        labels = ask(server, "POST", "/repos/octo/hello/issues/1/labels", {"labels": ["bug"]})
        people = {"assignees": ["octocat"]}
        assigned = ask(server, "POST", "/repos/octo/hello/issues/1/assignees", people)
        repo.push = True
        long = {"labels": ["x" * 51]}
        too_long = ask(server, "POST", "/repos/octo/hello/issues/1/labels", long)
    assert (labels.status, labels.errors[0]["code"]) == (403, "unauthorized")
    assert (assigned.status, assigned.body["assignees"]) == (201, [])
    assert (too_long.status, too_long.errors[0]["resource"]) == (422, "Label")


def _deleted(repo: Repo) -> None:
    repo.issues[0].deleted = True


def _disabled(repo: Repo) -> None:
    repo.has_issues = False


@pytest.mark.parametrize(
    ("change", "words"),
    [(_deleted, "This issue was deleted"), (_disabled, "Issues are disabled for this repo")],
)
def test_an_issue_that_is_gone_says_so(change: Callable[[Repo], None], words: str) -> None:
    repo = hello(issues=[Issue(7, "It fails")])
    change(repo)
    with github_server([repo]) as server:
        reply = ask(server, "GET", "/repos/octo/hello/issues/7")
    assert (reply.status, reply.message) == (410, words)


@pytest.mark.parametrize(
    "path",
    ["/repos/octo/other", "/repos/octo/hello/branches/other", f"{PULLS}/5",
     "/repos/octo/hello/issues/5"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(path: str) -> None:
    with github_server([hello()]) as server:
        assert ask(server, "GET", path).status == 404
    assert server.refused == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("repo:octo/hello+is:open", "Query must include"),
        ("repo:octo/other+is:pr", "cannot be searched"),
        (f"repo:octo/hello+is:pr+{'x' * 256}", "longer than 256"),
    ],
)
def test_a_search_that_is_none_is_refused(query: str, words: str) -> None:
    with github_server([hello()]) as server:
        reply = ask(server, "GET", f"/search/issues?q={query}")
    assert reply.status == 422
    assert words in reply.errors[0]["message"]
