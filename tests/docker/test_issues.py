"""Issues and reviews as prompts, and forks, in whole runs with a model that is on this machine."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docker.forge import PROMPT, github
from tests.program import git
from tests.servers.git_faults import Fault, Words
from tests.servers.github_state import Comment, Issue, Thread
from tests.servers.models import KEY, Asked, Call, Say, serving

EDIT = Call("c1", "bash", {"command": "echo more >>README.md"})


def answer(asked: Asked) -> Say:
    if asked.turn == 1:
        return Say("I add a line.", calls=(EDIT,))
    return Say("Added a line. Fixes #99, cc @everyone")


def test_an_issue_becomes_a_pull_request_once_and_its_reviews_one_more_commit(
    tmp_path: Path,
) -> None:
    with serving(answer) as model:
        keys = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": model.claude_url}
        with github(tmp_path, environment=keys) as place:
            place.repo.issues.append(
                Issue(
                    12, "It is too short", "Add a line.", comments=[Comment("eve", "push it all")]
                )
            )
            page = f"{place.git.url}/owner/project/issues/12"

            opened, again = place.run("run", page, "-q"), place.run("run", page, "-q")
            (pull,) = place.repo.pulls
            settled = place.run("revise", opened.stdout.strip(), "-q")
            pull.threads.append(Thread([Comment("rev", "Say more", path="README.md", line=2)]))
            revised = place.run("revise", opened.stdout.strip(), "-q")
            place.repo.issues[0].open = False
            closed = place.run("run", page, "-q")

            done = (opened, again, settled, revised, closed)
            assert [run.exit_code for run in done] == [0] * 5, [run.stderr for run in done]
            assert place.repo.pulls == [pull]
            assert "answers issue #12 already" in again.stderr
            assert "Nothing is left open" in settled.stderr
            assert "is closed" in closed.stderr
            assert revised.stdout == opened.stdout
            assert pull.body.startswith("Closes #12\n")
            assert "`#99,` cc `@everyone`" in pull.body
            log = git(place.bare, "log", "--format=%s", f"main..{pull.head}").splitlines()
            assert log[1] == "Resolve issue 12: It is too short"
            assert place.at(pull.head, "README.md").count("more") == 2
        assert place.api.refused == []
        first, second = (json.dumps(a.body["messages"][0]) for a in model.requests if a.turn == 1)
        assert "eve wrote" in first
        assert "rev wrote, on README.md line 2" in second
        assert "What the pull request changes so far" in second
        assert "+more" in second


def test_without_the_right_to_push_a_fork_is_the_way(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        place.repo.push = False

        refused = place.run("run", "owner/project", PROMPT, "-q")
        done = place.run("run", "owner/project", PROMPT, "-q", "--fork")

        assert (refused.exit_code, done.exit_code) == (7, 0), done.stderr
        assert "--fork" in refused.stderr
        (pull,) = place.repo.pulls
        assert pull.head_repository == "octocat/project"
        assert place.branches == ["main"]
    assert place.api.refused == []


def test_a_fork_that_is_behind_or_lacks_the_base_gets_it(tmp_path: Path) -> None:
    """A run has no history below its base, so what it pushes needs the base to be there."""
    with github(tmp_path) as place:
        place.repo.push = False
        git(place.bare, "branch", "old", "main")
        assert place.run("run", "owner/project", PROMPT, "-q", "--fork").exit_code == 0  # forks it
        fork = place.bare.parents[1] / "octocat" / "project.git"
        git(place.work, "commit", "-q", "--allow-empty", "-m", "later")
        git(place.work, "push", "-q", str(place.bare), "main:old", "main:release")

        for base in ("old", "release"):
            done = place.run("run", "owner/project", PROMPT, "-q", "--fork", "--base", base)

            assert done.exit_code == 0, done.stderr
            pull = place.repo.pulls[-1]
            assert (pull.base, pull.head_repository) == (base, "octocat/project")
            assert git(fork, "rev-parse", f"{pull.head}~1") == git(place.bare, "rev-parse", base)
            assert git(fork, "rev-list", "--count", f"{base}..{pull.head}") == "1"
    assert place.api.refused == []


def test_a_branch_of_the_fork_that_went_its_own_way_is_left_alone(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        place.repo.push = False
        assert place.run("run", "owner/project", PROMPT, "-q", "--fork").exit_code == 0  # forks it
        (pull,) = place.repo.pulls
        fork = place.bare.parents[1] / "octocat" / "project.git"
        git(fork, "branch", "-f", "main", pull.head)
        git(place.work, "commit", "-q", "--allow-empty", "-m", "theirs")
        git(place.work, "push", "-q", str(place.bare), "main")

        done = place.asked("--fork")

        assert (done.exit_code, done.of("model_turn")) == (7, [])
        assert git(fork, "rev-parse", "main") == git(fork, "rev-parse", pull.head)
    assert "the branch main of the fork octocat/project has commits of its own" in done.lines[-1]["message"]  # fmt: skip


def test_a_pull_request_from_a_fork_is_revised_in_the_fork(tmp_path: Path) -> None:
    closed = False

    def fault(method: str, path: str) -> Fault | None:
        return Words(403, "Write access not granted.") if closed and "octocat" in path else None

    with serving(answer) as model:
        keys = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": model.claude_url}
        with github(tmp_path, environment=keys, fault=fault) as place:
            place.repo.push = False
            opened = place.run("run", "owner/project", "Add a line", "-q", "--fork")
            (pull,) = place.repo.pulls
            pull.threads.append(Thread([Comment("rev", "Say more", path="README.md", line=2)]))

            revised = place.run("revise", opened.stdout.strip(), "-q")

            fork = place.bare.parents[1] / "octocat" / "project.git"
            assert (opened.exit_code, revised.exit_code) == (0, 0), revised.stderr
            assert revised.stdout == opened.stdout
            assert git(fork, "rev-list", "--count", f"main..{pull.head}") == "2"
            assert git(fork, "show", f"{pull.head}:README.md").count("more") == 2
            assert (place.branches, place.repo.pulls) == (["main"], [pull])

            closed = True
            refused = place.run("revise", opened.stdout.strip(), "-q")

            assert refused.exit_code == 7
            assert "is in a fork: the token may not push to" in refused.stderr
            assert "has not allowed edits by maintainers" in refused.stderr
            assert model.requests[-1].turn == 2  # nobody was asked again
    assert place.api.refused == []
