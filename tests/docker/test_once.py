"""What is done only once (`--once KEY`): whoever comes second finds it done, and makes no second one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.forge import PROMPT, Place, github
from tests.docker.test_main_job import containers
from tests.program import Program, git, make_repository
from tiny_backspace.forges.proposal import branch

FLAGS = ("--once", "weekly-12", "--branch", "tidy")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with github(tmp_path) as made:
        yield made


def test_a_second_run_opens_no_second_pull_request(place: Place) -> None:
    first = place.asked(*FLAGS)
    second = place.asked(*FLAGS)

    assert (first.exit_code, second.exit_code) == (0, 0), second.stdout[-800:] + second.stderr
    assert place.new == ["tidy"]
    assert second.lines[-1]["pr_url"] == first.lines[-1]["pr_url"]
    assert second.lines[-1]["branch"] == "tidy"
    assert "is there already" in second.lines[-1]["message"]
    assert second.of("model_turn") == []
    assert len(place.repo.pulls) == 1
    assert place.packs == 1
    assert containers(place.program) == []


def test_one_that_was_closed_is_not_opened_again(place: Place) -> None:
    place.asked(*FLAGS)
    place.pull.open = False

    assert "is there already" in place.asked(*FLAGS).lines[-1]["message"]
    assert len(place.repo.pulls) == 1


def test_where_the_first_ended_before_its_pull_request_the_second_opens_it(place: Place) -> None:
    place.asked(*FLAGS)
    made = place.pull
    place.repo.pulls.clear()

    second = place.asked(*FLAGS)

    assert second.exit_code == 0, second.stdout[-800:]
    assert (place.pull.head, place.pull.title) == ("tidy", made.title)
    assert "not made, verified or judged by the run that opened this one" in place.pull.body
    assert place.pull.draft
    assert place.packs == 1


def test_without_a_name_the_branch_has_the_key(place: Place) -> None:
    for key in ("nightly-2026-11-26", "nightly-2026-11-26", "nightly-2026-11-27"):
        assert place.asked("--once", key, "--publish", "branch").exit_code == 0
    assert set(place.new) == {
        branch(PROMPT, "", key) for key in ("nightly-2026-11-26", "nightly-2026-11-27")
    }


def test_what_a_stranger_pushed_with_the_key_is_not_said_to_be_ours(place: Place) -> None:
    """Expected: a draft that says so, and whose title orders nobody around."""
    message = "Fixes #1, cc @org/team [skip ci]\n\nTiny-Backspace-Once: weekly-12"
    git(place.work, "checkout", "-q", "-b", "tidy")
    git(place.work, "commit", "-q", "--allow-empty", "-m", message)
    git(place.work, "push", "-q", str(place.bare), "tidy")
    git(place.work, "checkout", "-q", "main")

    assert place.asked(*FLAGS).exit_code == 0
    assert place.pull.draft
    assert "not made, verified or judged" in place.pull.body
    assert "made by a machine" not in place.pull.body
    for order in ("Fixes #1", "@org", "[skip ci]"):
        assert order not in place.pull.title


def test_unfinished_work_is_not_taken_for_done(place: Place) -> None:
    first = place.asked(*FLAGS, "--verify", "false")
    second = place.asked(*FLAGS)

    assert (first.exit_code, second.exit_code) == (9, 6)
    assert "unfinished work at tidy" in second.lines[-1]["message"]
    assert second.lines[-1]["pr_url"] == first.lines[-1]["pr_url"]


def test_a_branch_of_somebody_else_is_not_taken_for_ours(place: Place) -> None:
    git(place.work, "push", "-q", str(place.bare), "main:tidy")

    refused = place.asked(*FLAGS)

    assert refused.exit_code == 2
    assert "has a branch tidy already" in refused.lines[-1]["message"]


def test_in_the_users_own_repository_too(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    program = Program(tmp_path / "home", {})
    repository = make_repository(tmp_path / "project", {"README.md": "helo\n"})
    for _ in range(2):
        done = program.run("run", str(repository), PROMPT, *FLAGS, "-o", "jsonl")
        assert (done.exit_code, done.lines[-1]["branch"]) == (0, "tidy"), done.stdout[-500:]
    assert git(repository, "rev-list", "--count", "main..tidy") == "1"
    trailers = git(repository, "log", "-1", "--format=%(trailers:key=Tiny-Backspace-Once)", "tidy")
    assert trailers == "Tiny-Backspace-Once: weekly-12"

    other = program.run("run", str(repository), PROMPT, "--once", "other", "--branch", "tidy")
    assert other.exit_code == 2


def test_of_two_at_the_very_same_time_one_makes_it_and_both_tell_of_it(place: Place) -> None:
    words = ("run", "owner/project", PROMPT, *FLAGS, "--verify", "sleep 3", "-o", "jsonl")
    started = [place.program.start(*words, cwd=place.work) for _ in range(2)]
    told = [process.communicate() for process in started]

    ends = [json.loads(said.splitlines()[-1]) for said, _ in told]
    assert [process.returncode for process in started] == [0, 0], ends
    assert place.new == ["tidy"]
    assert {end["pr_url"] for end in ends} == {f"{place.git.url}/owner/project/pull/1"}
    assert len(place.repo.pulls) == 1
