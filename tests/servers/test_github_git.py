"""With a real repository behind it, the GitHub of the tests looks heads and bases up there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.github import github_server
from tests.servers.github_client import ask, proposal
from tests.servers.github_state import CLASSIC, Repo
from tests.servers.test_git_http import git

MINE = f"/repos/{CLASSIC.login}/hello"
PULLS = "/repos/octo/hello/pulls"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work tree with one commit, cloned to `served/octo/hello.git`."""
    folder = tmp_path / "work"
    git("init", "-q", "-b", "main", folder)
    commit(folder, "first")
    git("clone", "-q", "--bare", folder, tmp_path / "served/octo/hello.git")
    return folder


@pytest.fixture
def repo(work: Path, tmp_path: Path) -> Repo:
    return Repo("octo/hello", git_folder=tmp_path / "served/octo/hello.git")


def commit(work: Path, name: str) -> str:
    (work / name).write_text(name)
    git("-C", work, "add", ".")
    git("-C", work, "commit", "-q", "-m", name)
    return git("-C", work, "rev-parse", "HEAD").stdout.strip()


def push(work: Path, repository: str, branch: str) -> None:
    folder = work.parent / f"served/{repository}.git"
    git("-C", work, "push", "-q", folder, f"HEAD:refs/heads/{branch}")


def test_a_branch_is_proposed_once_it_is_pushed_with_commits(work: Path, repo: Repo) -> None:
    with github_server([repo]) as server:
        absent = ask(server, "POST", PULLS, proposal())
        push(work, "octo/hello", "tb/x")
        without = ask(server, "POST", PULLS, proposal())
        sha = commit(work, "second")
        push(work, "octo/hello", "tb/x")
        opened = ask(server, "POST", PULLS, proposal())
        later = commit(work, "third")
        push(work, "octo/hello", "tb/x")
        shown = ask(server, "GET", f"{PULLS}/1")
        branch = ask(server, "GET", "/repos/octo/hello/branches/tb/x")
    assert absent.errors == [{"resource": "PullRequest", "code": "invalid", "field": "head"}]
    assert without.errors[0]["message"] == "No commits between main and tb/x"
    assert (opened.status, opened.body["head"]["sha"]) == (201, sha)
    assert opened.body["base"]["sha"] == git("-C", work, "rev-parse", "HEAD~2").stdout.strip()
    assert shown.body["head"]["sha"] == branch.body["commit"]["sha"] == later


def test_a_fork_gets_its_branches_after_some_polls(work: Path, repo: Repo) -> None:
    repo.push, repo.fork_polls = False, 2
    with github_server([repo]) as server:
        forked = ask(server, "POST", "/repos/octo/hello/forks", {"default_branch_only": True})
        again = ask(server, "POST", "/repos/octo/hello/forks", {})
        there = ask(server, "GET", MINE)
        polls = [ask(server, "GET", f"{MINE}/branches/main").status for _ in range(3)]
        sha = commit(work, "second")
        push(work, "octocat/hello", "tb/x")
        sent = proposal("octocat:tb/x", maintainer_can_modify=True)
        opened = ask(server, "POST", PULLS, sent)
        found = ask(server, "GET", f"{PULLS}?head=octocat:tb/x")
    assert (forked.status, again.status) == (202, 202)
    assert forked.body["full_name"] == again.body["full_name"] == "octocat/hello"
    assert forked.body["parent"]["full_name"] == "octo/hello"
    assert there.body["size"] == 0
    assert polls == [404, 200, 200]  # that for the repository was the first
    assert (opened.status, opened.body["head"]["repo"]["full_name"]) == (201, "octocat/hello")
    assert (opened.body["head"]["label"], opened.body["head"]["sha"]) == ("octocat:tb/x", sha)
    assert [each["number"] for each in found.body] == [1]
    assert len(server.repositories) == 2
    assert server.refused == []


def test_a_fork_that_is_behind_is_brought_forward(work: Path, repo: Repo) -> None:
    with github_server([repo]) as server:
        ask(server, "POST", "/repos/octo/hello/forks", {})
        sync = f"{MINE}/merge-upstream"
        at_first = ask(server, "POST", sync, {"branch": "main"})
        sha = commit(work, "second")
        push(work, "octo/hello", "main")
        behind = ask(server, "POST", sync, {"branch": "main"})
        now = ask(server, "GET", f"{MINE}/branches/main")
        git("-C", work, "checkout", "-q", "HEAD~1")
        commit(work, "other")
        git("-C", work, "push", "-qf", work.parent / "served/octocat/hello.git", "HEAD:main")
        diverged = ask(server, "POST", sync, {"branch": "main"})
        absent = ask(server, "POST", sync, {"branch": "other"})
        no_fork = ask(server, "POST", "/repos/octo/hello/merge-upstream", {"branch": "main"})
    assert [at_first.body["merge_type"], behind.body["merge_type"]] == ["none", "fast-forward"]
    assert now.body["commit"]["sha"] == sha
    assert [diverged.status, absent.status, no_fork.status] == [409, 404, 422]


def test_an_empty_repository_has_no_branch_and_cannot_be_forked(tmp_path: Path) -> None:
    folder = tmp_path / "served/octo/hello.git"
    git("init", "-q", "--bare", folder)
    with github_server([Repo("octo/hello", git_folder=folder)]) as server:
        told = ask(server, "GET", "/repos/octo/hello")
        branch = ask(server, "GET", "/repos/octo/hello/branches/main")
        fork = ask(server, "POST", "/repos/octo/hello/forks", {})
        pull = ask(server, "POST", PULLS, proposal("main"))
    assert told.body["size"] == 0
    assert (branch.status, branch.message) == (404, "Branch not found")
    assert fork.status == 403
    assert pull.errors[0]["field"] == "head"


def test_a_fork_that_was_deleted_leaves_its_pull_request(work: Path, repo: Repo) -> None:
    with github_server([repo]) as server:
        ask(server, "POST", "/repos/octo/hello/forks", {})
        sha = commit(work, "second")
        push(work, "octocat/hello", "tb/x")
        ask(server, "POST", PULLS, proposal("octocat:tb/x"))
        server.repositories.pop()
        shown, listed = ask(server, "GET", f"{PULLS}/1"), ask(server, "GET", PULLS)
    assert shown.body["head"]["repo"] is listed.body[0]["head"]["repo"] is None
    assert shown.body["head"]["sha"] == sha


def test_somebody_elses_fork_is_not_opened_to_maintainers(work: Path, repo: Repo) -> None:
    theirs = Repo("anna/hello", fork_of="octo/hello", branches={"tb/x": "2" * 40})
    with github_server([repo, theirs]) as server:
        sent = proposal("anna:tb/x", maintainer_can_modify=True)
        reply = ask(server, "POST", PULLS, sent)
    assert reply.errors[0]["field"] == "fork_collab"
