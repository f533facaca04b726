"""One more commit on a pull request that is there, and never over what somebody else put there."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.program import git
from tests.repo.served import served
from tests.servers.git_faults import Decide, Fault, Words, no_fault, on
from tests.test_publishing import Job, remote
from tiny_backspace.errors import ForgeDenied, ForgeError
from tiny_backspace.forges.interface import PullRequest
from tiny_backspace.revising import OnPullRequest


@contextmanager
def revised(folder: Path, fault: Decide = no_fault) -> Generator[tuple[Job, OnPullRequest]]:
    """A run that starts from the branch `feature` of a pull request."""
    with served(folder, fault=fault) as place:
        git(place.bare, "branch", "feature", "main")
        with place.caged(place.git()) as cage:
            patch = folder / "change.patch"
            made = Job(place, cage, "feature", "x", "y", False, (), patch)
            theirs = PullRequest(7, "http://forge/o/n/pull/7", head="feature")
            yield made, OnPullRequest(remote(place), place.git(), theirs)


def test_a_pull_request_that_is_there_gets_one_more_commit(tmp_path: Path) -> None:
    with revised(tmp_path) as (ours, destination):
        destination.check(ours.cage.base, "feature")

        destination.take(ours.offer, ours.place.events.append)

        assert ours.place.branches["feature"] == ours.saved["commit"]
        assert sorted(ours.place.branches) == ["feature", "main"]
    assert git(ours.place.bare, "rev-list", "--count", "main..feature") == "1"
    assert ours.saved["pr_url"] == "http://forge/o/n/pull/7"


@pytest.mark.parametrize(
    ("meanwhile", "said", "left"),
    [
        (("update-ref", "refs/heads/feature", "main~1"), "it is [0-9a-f]{40} now", ["feature", "main"]),
        (("branch", "-D", "feature"), "it is gone now", ["main"]),
    ],
    ids=["moved", "deleted"],
)  # fmt: skip
def test_what_somebody_did_to_the_branch_meanwhile_stays(
    tmp_path: Path, meanwhile: tuple[str, ...], said: str, left: list[str]
) -> None:
    bare = tmp_path / "served" / "o" / "n.git"

    def somebody(method: str, path: str) -> Fault | None:
        if method == "POST" and path.endswith("git-receive-pack"):  # after all was looked at
            git(bare, *meanwhile)
        return None

    with revised(tmp_path, somebody) as (ours, destination):
        destination.check(ours.cage.base, "feature")

        with pytest.raises(ForgeError, match=f"somebody pushed to feature meanwhile: {said}"):
            destination.take(ours.offer, ours.place.events.append)

        assert sorted(ours.place.branches) == left
        assert ours.saved.get("commit") not in ours.place.branches.values()
    assert "branch" not in ours.saved


def test_a_branch_that_is_gone_is_known_before(tmp_path: Path) -> None:
    with revised(tmp_path) as (ours, destination):
        git(ours.place.bare, "branch", "-D", "feature")

        with pytest.raises(ForgeError, match="feature, is no longer at http") as raised:
            destination.check(ours.cage.base, "feature")

    assert "Restore it" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("from_fork", "allowed", "hint"),
    [
        (True, False, "Its author has not allowed edits by maintainers"),
        (True, True, "`contents: write`"),
        (False, False, "`contents: write`"),
    ],
)
def test_whoever_may_not_push_to_it_is_told_who_could_change_that(
    tmp_path: Path, hint: str, *, from_fork: bool, allowed: bool
) -> None:
    denied = on("GET", "git-receive-pack", Words(403, "Permission denied"))
    with revised(tmp_path, denied) as (ours, destination):
        theirs = replace(
            destination.pull_request, from_fork=from_fork, maintainer_can_modify=allowed
        )

        with pytest.raises(ForgeDenied, match="the token may not push to") as raised:
            replace(destination, pull_request=theirs).check(ours.cage.base, "feature")

    assert hint in str(raised.value.hint)
