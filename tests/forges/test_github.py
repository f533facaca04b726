"""One repository on GitHub: what it is, and pull requests that are opened once and no more."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest
from pydantic import SecretStr

from tests.forges.github_api import API, TOKEN, Answered, Talk, custom, issue, no, ok, pull, repo
from tiny_backspace.errors import ForgeDenied, ForgeError
from tiny_backspace.events import Timed
from tiny_backspace.forges.github import GitHub
from tiny_backspace.forges.github_transport import request
from tiny_backspace.forges.interface import Forge, Proposal, PullRequest, Repository, Tracker

PROPOSAL = Proposal("main", "fix", "A fix", "Why")
OPENED = PullRequest(
    number=7, url="https://github.test/me/it/pull/7", title="A fix", body="Why", base="main",
    head="fix", head_repository="me/it",
)  # fmt: skip
EXISTS = no(422, "Validation Failed", custom("A pull request already exists for me:fix."))
SHA = "1" * 40
LOOK = "GET /repos/me/it/pulls?state=open&per_page=100&head=me%3Afix"
OPEN = "POST /repos/me/it/pulls"


def looked_and_found(answer: Answered = EXISTS) -> Talk:
    return Talk(answer, ok([pull()]))


def test_it_is_a_forge_and_a_tracker() -> None:
    def check(forge: Forge, tracker: Tracker) -> bool:
        return forge.find_pull_request("fix") is None and tracker.issue(12).number == 12

    github = Talk(ok([]), ok(issue())).github
    assert check(github, github)


def test_a_repository_is_what_github_says_that_it_is() -> None:
    talk = Talk(ok(repo(default_branch="trunk", private=True, archived=True, disabled=True)))

    assert talk.github.repository() == Repository(
        "me/it", "trunk", may_push=True, private=True, archived=True, disabled=True
    )

    assert talk.asked == ["GET /repos/me/it"]
    assert [e.operation for e in talk.events if isinstance(e, Timed)] == ["github.repos.get"]


@pytest.mark.parametrize(
    ("permissions", "scopes", "may"),
    [
        ({"push": True}, None, True),
        ({"push": True}, "gist, repo", True),
        ({"push": True}, "public_repo", True),
        ({"push": True}, "gist, read:org", False),
        ({"push": True}, "", False),
        ({"push": False}, "repo", False),
        (None, None, False),
    ],
)
def test_a_token_may_push_if_its_owner_may_and_its_scopes_allow_it(
    permissions: dict[str, bool] | None, scopes: str | None, may: bool
) -> None:
    told = repo(permissions=permissions)
    talk = Talk(ok(told) if scopes is None else ok(told, x_oauth_scopes=scopes))

    assert talk.github.repository().may_push is may


@pytest.mark.parametrize(("branch", "empty"), [(no(404), True), (ok({}), False), (no(403), False)])
def test_a_repository_without_size_is_empty_if_its_branch_is_not_there(
    branch: httpx2.Response, empty: bool
) -> None:
    talk = Talk(ok(repo(size=0)), branch)

    assert talk.github.repository().empty is empty

    assert talk.asked[1] == "GET /repos/me/it/branches/main"


def test_a_renamed_repository_is_followed_and_asked_by_its_new_name_from_then_on() -> None:
    moved = no(301, "Moved Permanently", location=f"{API}/repositories/5")
    talk = Talk(moved, ok(repo("them/that")), ok([]))

    assert talk.github.repository().full_name == "them/that"
    assert talk.github.find_pull_request("fix") is None

    assert talk.asked[:2] == ["GET /repos/me/it", "GET /repositories/5"]
    assert talk.asked[2] == LOOK.replace("me/it", "them/that").replace("=me", "=them")


def test_a_rename_that_is_met_on_the_way_is_followed_without_doing_anything_twice() -> None:
    moved = no(307, location=f"{API}/repositories/5/pulls")
    renamed = no(301, location="/repositories/5")
    talk = Talk(moved, renamed, ok(repo("them/that")), ok(pull()))

    assert talk.github.open_pull_request(PROPOSAL) == OPENED

    assert [r.method for r in talk.server.requests] == ["POST", "GET", "GET", "POST"]
    assert talk.asked[-1] == "POST /repos/them/that/pulls"


@pytest.mark.parametrize(
    "location",
    [
        "http://evil.test/repos/me/it", "https://github.test/repositories/5", "http://github.test:81/x",
        "//evil.test/x", "http://github.test@evil.test/x", "http://user@github.test/x",
        "http://github.test.evil.test/x", "file:///etc/passwd", "", "http://[", "/a b",
    ],
)  # fmt: skip
def test_no_redirect_leads_the_token_anywhere_else(location: str) -> None:
    talk = Talk(no(301, location=location))

    with pytest.raises(ForgeError, match="GitHub: "):
        talk.github.repository()

    assert talk.asked == ["GET /repos/me/it"]


@pytest.mark.parametrize("path", ["/elsewhere", "/api/v3/../x", "/api/v3x/y"])
def test_an_enterprise_server_is_not_left_for_another_path_of_its_host(path: str) -> None:
    for location in (path, f"{API}{path}"):
        talk = Talk(no(301, location=location), api_url=f"{API}/api/v3")

        with pytest.raises(ForgeError, match="another server"):
            talk.github.repository()

        assert talk.asked == ["GET /api/v3/repos/me/it"]


def test_a_ring_of_redirects_is_left() -> None:
    talk = Talk(*(no(301, location="/repositories/5") for _ in range(9)))

    with pytest.raises(ForgeError, match="too many times"):
        talk.github.repository()


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (no(404, "Not Found"), ForgeDenied, "no repository me/it, or the token has no access"),
        (no(401, "Bad credentials"), ForgeDenied, "the token is refused"),
        (no(403, "SAML", x_github_sso="required; url=https://github.test/sso"), ForgeDenied, "single sign-on"),
        (no(403, "Resource not accessible by personal access token"), ForgeDenied, "the token may not do this"),
        (ok({"message": "Hello"}), ForgeError, "full_name: Field required"),
        (httpx2.Response(200, html="<title>Log in</title>"), ForgeError, "its answer cannot be read"),
        (ok(repo("../..")), ForgeError, "that is no owner/name"),
    ],
)  # fmt: skip
def test_a_repository_that_is_not_shown_is_not_asked_for_again(
    answer: httpx2.Response, kind: type[ForgeError], sentence: str
) -> None:
    talk = Talk(answer)

    with pytest.raises(ForgeError) as told:
        talk.github.repository()

    assert type(told.value) is kind
    assert sentence in str(told.value)
    assert talk.waited == []


@pytest.mark.parametrize(
    ("owner", "name"), [("a/../..", "b"), ("..", "b"), ("a", ".."), ("a", "."), ("", "b"), ("a", ""), ("a", "b?c"), ("a", "b\n"), ("-a", "b"), ("a", "{repo}")]
)  # fmt: skip
def test_what_is_no_owner_and_name_never_gets_into_an_address(owner: str, name: str) -> None:
    with pytest.raises(ForgeError, match="no name of a repository"):
        GitHub(owner, name, SecretStr(TOKEN), API, lambda _: None)


@pytest.mark.parametrize(
    "head", ["", "a..b", "a b", "-a", "/a", "a/", "a//b", "a:b:c", ":a", "a/../b:c", "a\n", "a@{1}"]
)
def test_what_is_no_branch_is_not_asked_for(head: str) -> None:
    talk = Talk()

    with pytest.raises(ForgeError, match="this is no name of a"):
        talk.github.find_pull_request(head)
    with pytest.raises(ForgeError, match="this is no name of a"):
        talk.github.open_pull_request(replace(PROPOSAL, head=head))

    assert talk.asked == []


def test_the_open_pull_request_of_a_branch_is_found_here_and_in_forks() -> None:
    other = pull(5, "you:fix")
    talk = Talk(ok([other, pull()]), ok([other, pull()]), ok([pull(6, "me:fixed")]))

    mine, yours = talk.github.find_pull_request("fix"), talk.github.find_pull_request("you:fix")

    assert (mine, yours and yours.number) == (OPENED, 5)
    assert talk.github.find_pull_request("fix") is None
    assert talk.asked[:2] == [LOOK, LOOK.replace("=me", "=you")]


def test_the_pull_request_of_a_fork_that_was_deleted_is_found() -> None:
    orphan = pull(head="you:fix")
    orphan["head"] |= {"repo": None, "label": None, "user": {"login": "You"}}
    found = Talk(ok([orphan])).github.find_pull_request("you:fix")

    assert found is not None
    assert (found.head_repository, found.from_fork) == ("", True)


def test_a_pull_request_tells_where_its_branch_is_and_who_may_push_to_it() -> None:
    told = pull(head="you:fix", maintainer_can_modify=True)
    found = Talk(ok(told)).github.pull_request(7)

    assert (found.head_repository, found.from_fork) == ("you/it", True)
    assert found.maintainer_can_modify
    assert not Talk(ok(pull())).github.pull_request(7).from_fork


def test_what_a_name_holds_is_one_segment_of_an_address() -> None:
    sent = request("repos.get_branch", {"owner": "me", "repo": "it", "branch": "a/../b?c#d"})

    assert (sent.method, sent.body) == ("GET", None)
    assert sent.path == "/repos/me/it/branches/a%2F..%2Fb%3Fc%23d"
    with pytest.raises(ValueError, match=r"repos.get_branch has no colour"):
        request("repos.get_branch", {"owner": "me", "repo": "it", "colour": "red"})
    with pytest.raises(ValueError, match="unpack"):
        request("repos.no_such", {})


def test_a_proposal_is_opened_word_for_word() -> None:
    talk = Talk(ok(pull(draft=True), 201))
    proposal = Proposal("main", "me:fix", "Ä title", "Body\n", draft=True)

    assert talk.github.open_pull_request(proposal) == replace(OPENED, draft=True)

    assert talk.asked == [OPEN]
    assert talk.server.body() == {
        "title": "Ä title", "body": "Body\n", "head": "me:fix", "base": "main", "draft": True,
    }  # fmt: skip


def test_one_that_is_open_already_is_the_answer() -> None:
    talk = looked_and_found()

    assert talk.github.open_pull_request(PROPOSAL) == OPENED

    assert talk.asked == [OPEN, LOOK]
    assert talk.waited == []


@pytest.mark.parametrize(
    "answer",
    [
        no(502), no(500), no(408), httpx2.ReadTimeout("m"), httpx2.RemoteProtocolError("cut"),
        httpx2.ConnectError("m"), httpx2.Response(201, text="<html>"), ok({}, 201),
    ],
)  # fmt: skip
def test_where_it_is_not_known_whether_it_was_opened_it_is_looked_for_and_not_opened_again(
    answer: Answered,
) -> None:
    talk = looked_and_found(answer)

    assert talk.github.open_pull_request(PROPOSAL) == OPENED

    assert talk.asked == [OPEN, LOOK]
    assert talk.waited == [1.0]


def test_one_that_was_not_opened_is_tried_again_five_times_with_a_look_each_time() -> None:
    talk = Talk(*([no(502), ok([])] * 4), ok(pull(), 201))
    assert talk.github.open_pull_request(PROPOSAL) == OPENED
    assert talk.asked == [OPEN, LOOK] * 4 + [OPEN]

    talk = Talk(*([no(502), ok([])] * 9))
    with pytest.raises(ForgeError, match="it cannot answer now"):
        talk.github.open_pull_request(PROPOSAL)
    assert talk.asked == [OPEN, LOOK] * 5
    assert talk.waited == [1.0, 2.0, 4.0, 8.0]


def test_one_that_exists_though_no_list_shows_it_yet_is_looked_for_again() -> None:
    talk = Talk(EXISTS, ok([]), EXISTS, ok([pull()]))
    assert talk.github.open_pull_request(PROPOSAL) == OPENED

    talk = Talk(*([EXISTS, ok([])] * 9))
    with pytest.raises(ForgeError, match="has an open pull request already"):
        talk.github.open_pull_request(PROPOSAL)
    assert len(talk.asked) == 10


def test_where_the_look_fails_nothing_is_opened_again() -> None:
    talk = Talk(no(502), no(401, "Bad credentials"))

    with pytest.raises(ForgeDenied, match="token is refused"):
        talk.github.open_pull_request(PROPOSAL)

    assert talk.asked == [OPEN, LOOK]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (no(422, "Validation Failed", custom("No commits between main and fix")), "no commit between"),
        (no(422, "Validation Failed", {"field": "base", "code": "invalid"}), "the base branch is not there"),
        (no(422, "Validation Failed", {"field": "head", "code": "invalid"}), "the branch of the pull request is not there"),
        (no(422, "Validation Failed", custom("title is too long (maximum is 256 characters)")), "too long"),
        (no(422, "Repository rule violations found"), "a rule that protects a branch"),
        (no(403, "Repository was archived so is read-only."), "repository me/it is archived"),
        (no(403, "Resource not accessible by integration"), "the token may not do this"),
        (no(404, "Not Found"), "no repository me/it, or the token has no access"),
        (no(422, "Validation Failed", {"field": "title", "code": "missing_field"}), "title: missing_field"),
    ],
)  # fmt: skip
def test_what_github_will_not_open_is_told_once_and_for_good(
    answer: httpx2.Response, sentence: str
) -> None:
    talk = Talk(answer)

    with pytest.raises(ForgeError) as told:
        talk.github.open_pull_request(PROPOSAL)

    assert sentence in str(told.value)
    assert talk.asked == [OPEN]


def test_a_draft_where_there_are_none_is_opened_as_no_draft_with_a_warning() -> None:
    unsupported = no(422, "Draft pull requests are not supported in this repository.")
    talk = Talk(unsupported, ok(pull(), 201))

    assert talk.github.open_pull_request(replace(PROPOSAL, draft=True)) == OPENED

    assert [talk.server.body(n)["draft"] for n in (0, 1)] == [True, False]
    assert talk.warnings == ["Drafts are not supported there: it is opened as no draft."]
    with pytest.raises(ForgeError, match="drafts of pull requests are not supported"):
        Talk(unsupported).github.open_pull_request(PROPOSAL)


def test_labels_and_people_are_added_also_to_one_that_was_open() -> None:
    proposal = replace(PROPOSAL, labels=("tiny-backspace", "bug"), reviewers=("ann", "org/team"), assignees=("Bob",))  # fmt: skip
    talk = looked_and_found()
    talk.server.answers += [ok([]), ok(pull(), 201), ok(pull(assignees=[{"login": "bob"}]), 201)]

    talk.github.open_pull_request(proposal)

    assert talk.asked[2:] == [
        "POST /repos/me/it/issues/7/labels",
        "POST /repos/me/it/pulls/7/requested_reviewers",
        "POST /repos/me/it/issues/7/assignees",
    ]
    assert [talk.server.body(n) for n in (2, 3, 4)] == [
        {"labels": ["tiny-backspace", "bug"]},
        {"reviewers": ["ann"], "team_reviewers": ["team"]},
        {"assignees": ["Bob"]},
    ]
    assert talk.warnings == []


def test_what_is_refused_of_labels_and_people_is_a_warning_each() -> None:
    proposal = replace(PROPOSAL, labels=("a",), reviewers=("ann", "bob"), assignees=("cy", "di"))
    stranger = no(422, "Reviews may only be requested from collaborators.")
    talk = Talk(
        ok(pull(), 201), no(403, f"Must have push access {TOKEN}"),
        stranger, ok(pull(), 201), stranger, ok(pull(assignees=[{"login": "cy"}])),
    )  # fmt: skip

    assert talk.github.open_pull_request(proposal) == OPENED

    labels, reviewer, assignee = talk.warnings
    assert labels.startswith("Pull request #7 is open, without the labels. GitHub: the token may")
    assert "without the reviewer bob. GitHub: it refuses this" in reviewer
    assert assignee == "GitHub did not assign #7 to di."
    assert TOKEN not in repr(talk.events)


def test_not_even_a_label_whose_address_has_moved_is_a_failure() -> None:
    talk = Talk(ok(pull(), 201), no(301, location="/x"), no(301, location="http://evil.test"))

    assert talk.github.open_pull_request(replace(PROPOSAL, labels=("a",))) == OPENED

    assert "without the labels" in talk.warnings[0]


def test_nobody_of_all_the_assignees_is_a_warning_too() -> None:
    talk = Talk(ok(pull(), 201), ok(pull()))
    talk.github.open_pull_request(replace(PROPOSAL, assignees=("cy",)))
    assert talk.warnings == ["GitHub did not assign #7 to cy."]


def test_a_label_that_times_out_is_not_added_again() -> None:
    talk = Talk(ok(pull(), 201), httpx2.ReadTimeout("m"), no(500))
    proposal = replace(PROPOSAL, labels=("a",), reviewers=("ann",))

    talk.github.open_pull_request(proposal)

    assert len(talk.asked) == 3
    assert [w.partition(". ")[0] for w in talk.warnings] == [
        "Pull request #7 is open, without the labels",
        "Pull request #7 is open, without the reviewers",
    ]


def test_a_fork_is_there_once_its_branches_are() -> None:
    fork = repo("you/it", default_branch="trunk")
    talk = Talk(ok(fork, 202), no(404), no(409, "Git Repository is empty."), ok({}), ok(fork))

    assert talk.github.fork().full_name == "you/it"

    assert talk.asked == [
        "POST /repos/me/it/forks", *["GET /repos/you/it/branches/trunk"] * 3, "GET /repos/you/it",
    ]  # fmt: skip
    assert talk.waited == [1.0, 2.0]
    assert talk.retries[0].reason == "GitHub: the fork you/it is not ready yet"


def test_a_fork_that_is_never_ready_is_not_waited_for_for_ever() -> None:
    talk = Talk(ok(repo("you/it"), 202), *(no(404) for _ in range(99)))

    with pytest.raises(ForgeError, match="the fork you/it is still not ready"):
        talk.github.fork()

    assert 200 < sum(talk.waited) < 300


def test_a_branch_of_the_fork_is_brought_up_to_date() -> None:
    talk = Talk(ok(repo("you/it"), 202), ok({}), ok(repo("you/it")), ok({"merge_type": "none"}))
    talk.github.update_fork("feature/x", SHA)
    assert talk.asked[-1] == "POST /repos/you/it/merge-upstream"
    assert talk.server.body() == {"branch": "feature/x"}

    talk.server.answers = [no(409, "There are merge conflicts")]
    with pytest.raises(ForgeError, match="branch main of the fork you/it has commits of its own"):
        talk.github.update_fork("main", SHA)
    with pytest.raises(ForgeError, match="no name of a branch"):
        talk.github.update_fork("../x", SHA)
    assert len(talk.asked) == 5


@pytest.mark.parametrize("answer", [no(404, "Branch not found"), no(422, "No such branch")])
def test_a_branch_that_the_fork_lacks_is_made_there(answer: httpx2.Response) -> None:
    talk = Talk(ok(repo("you/it"), 202), ok({}), ok(repo("you/it")), answer, ok({}, 201))
    talk.github.update_fork("release/2", SHA)
    assert talk.asked[-1] == "POST /repos/you/it/git/refs"
    assert talk.server.body() == {"ref": "refs/heads/release/2", "sha": SHA}

    talk.server.answers = [answer, no(422, "Object does not exist")]
    with pytest.raises(
        ForgeError, match=r"Branch not found|No such branch"
    ):  # the first reason counts
        talk.github.update_fork("release/2", SHA)

    talk.server.answers = [no(401)]
    with pytest.raises(ForgeDenied, match="the token is refused"):
        talk.github.update_fork("release/2", SHA)
    assert talk.asked[-1] == "POST /repos/you/it/merge-upstream"


@pytest.mark.parametrize("token", ["github_pat_x", "ghs_x", "ghu_x"])
def test_a_kind_of_token_that_has_no_scopes_needs_none(token: str) -> None:
    server = Talk(ok(repo(), x_oauth_scopes="")).server
    github = GitHub("me", "it", SecretStr(token), API, lambda _: None, transport=server)

    assert github.repository().may_push
