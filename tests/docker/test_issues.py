"""Issues and reviews as prompts, and forks, in whole runs with a model that is on this machine."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docker.forge import PROMPT, github
from tests.program import git
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
