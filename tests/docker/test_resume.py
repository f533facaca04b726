"""SIGKILL, then `resume`, as a user does it: the real program, a real container, a model on loopback."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.docker.forge import Place, github
from tests.program import Finished, Program, git, make_repository
from tests.servers.github_faults import in_turn, only, refusing
from tests.servers.models import KEY, Asked, Call, Fault, ModelServer, Say, serving

FILES = {"a.py": "x = 1\n", "b.txt": "one\ntwo\n", "old.txt": "bye\n"}
WHY = {"description": "as asked"}
SCRIPT = (
    Say(
        "I look.", "Hm.", (Call("1", "read", {"path": "a.py"}), Call("2", "glob", {"pattern": "*"}))
    ),
    Say("I write.", "", (Call("3", "write", {"path": "n/ä.txt", "content": "neu\n", **WHY}),)),
    Say(
        "I edit.",
        "Now the text.",
        (
            Call("4", "edit", {"path": "b.txt", "old": "two", "new": "zwei", **WHY}),
            Call("5", "bash", {"command": "rm old.txt; chmod +x a.py"}),
        ),
    ),
    Say("I test.", "", (Call("6", "bash", {"command": "python3 a.py"}),)),
    Say("All is done.", "That was it."),
)


def answer(asked: Asked) -> Say | Fault:
    return SCRIPT[asked.turn - 1]


def program(home: Path, server: ModelServer) -> Program:
    home.mkdir()
    return Program(home, {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.claude_url})


def killed(tb: Program, repository: Path, kind: str, count: int) -> None:
    """Run until that many events of that kind have come, then SIGKILL."""
    process = tb.start("run", str(repository), "do it", "--agents", "claude", "-o", "jsonl")
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stdout, process.stderr:
        for line in process.stdout:
            count -= json.loads(line)["type"] == kind
            if not count:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


def tree(repository: Path, done: Finished) -> str:
    assert done.exit_code == 0, done.stderr + done.stdout[-2000:]
    branch = done.lines[-1]["branch"]
    found = git(repository, "rev-parse", f"{branch}^{{tree}}")
    git(repository, "branch", "-D", branch)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository, and the tree that an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("whole")
    repository = make_repository(folder / "r", FILES)
    with serving(answer) as server:
        tb = program(folder / "home", server)
        done = tb.run("run", str(repository), "do it", "--agents", "claude", "-o", "jsonl")
    return repository, tree(repository, done)


@pytest.mark.parametrize(
    ("kind", "count"),
    [("repository", 1), ("tool_call", 5), ("model_turn", 4), ("model_turn", 5), ("work_saved", 1)],
)
def test_a_run_that_was_killed_comes_to_the_same_tree(
    whole: tuple[Path, str], tmp_path: Path, kind: str, count: int
) -> None:
    repository, wanted = whole
    with serving(answer) as server:
        tb = program(tmp_path / "home", server)
        killed(tb, repository, kind, count)
        for left in git(repository, "branch", "--list", "tiny-backspace/*").split():
            git(repository, "branch", "-D", left)

        done = tb.run("resume", "-o", "jsonl")

    assert server.refused == []
    assert tree(repository, done) == wanted
    (started,) = done.of("run_started")
    assert (len(started["resumes"]), started["prompt"]) == (8, "do it")


def test_what_no_model_made_stays_a_draft_however_often_it_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    tb = Program(tmp_path / "home", {})
    repository = make_repository(tmp_path / "r", FILES)
    first = ("run", str(repository), "append 'three' to b.txt")
    for words in (
        first,
        ("resume", "last"),
    ):  # the second goes on when nobody is to be asked any more
        with tb.start(*words, "--verify", "sleep 60", "-o", "jsonl") as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "Verifying with" in line:
                    process.send_signal(signal.SIGKILL)
                    break

    done = tb.run("resume", "last", "--verify", "true", "-o", "jsonl")

    assert done.exit_code == 0, done.stderr
    assert done.of("model_turn") == []
    assert "left as a draft" in done.lines[-1]["message"]
    message = git(repository, "log", "-1", "--format=%B", done.lines[-1]["branch"])
    assert "No model was used" in message


def test_a_resume_that_got_nowhere_is_passed_over_for_the_run_it_resumed(
    whole: tuple[Path, str], tmp_path: Path
) -> None:
    repository, wanted = whole
    with serving(answer) as server:
        tb = program(tmp_path / "home", server)
        limited = tb.run(
            "run", str(repository), "do it", "--agents", "claude", "--max-turns", "3", "-o", "jsonl"
        )
        git(repository, "branch", "-D", limited.lines[-1]["branch"])
        nowhere = tb.run("resume", "last", "--image", "no-such-image", "-o", "jsonl")
        asked = len(server.requests)

        done = tb.run("resume", "last", "--max-turns", "60", "-o", "jsonl")

    assert (limited.exit_code, nowhere.exit_code) == (6, 4)
    assert limited.lines[-1]["hint"].endswith(f"tiny-backspace resume {limited.lines[0]['run_id']}")
    assert tree(repository, done) == wanted
    assert done.of("run_started")[0]["resumes"] == limited.lines[0]["run_id"]
    assert len(server.requests) - asked == len(SCRIPT) - 3


@pytest.mark.parametrize("flags", [(), ("--branch", "mine")], ids=["our name", "the user's"])
def test_a_pull_request_that_failed_is_opened_from_the_branch_that_is_there(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    with github(tmp_path) as place:
        place.api.faults = only("POST", "/pulls", in_turn(refusing(403, "Not now.")))
        failed = place.asked(*flags)
        branch = failed.lines[-1]["branch"]
        assert (failed.exit_code, place.new, place.repo.pulls) == (7, [branch], [])

        again = place.run("resume", "last", "-o", "jsonl", cwd=place.work)

        assert again.exit_code == 0, again.lines[-1]
        assert (place.new, place.packs, place.pull.head) == ([branch], 1, branch)
        assert again.lines[-1]["pr_url"].endswith(f"/pull/{place.pull.number}")
        assert f"`{failed.lines[0]['run_id']}`" in place.pull.body


def test_a_branch_that_somebody_went_on_with_is_left_to_them(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        place.api.faults = only("POST", "/pulls", in_turn(refusing(403, "Not now.")))
        branch = place.asked().lines[-1]["branch"]
        git(place.bare, "update-ref", f"refs/heads/{branch}", "main")

        again = place.run("resume", "last", "-o", "jsonl", cwd=place.work)

        assert again.exit_code == 0, again.lines[-1]
        assert place.new == [branch, f"{branch}-2"]
        assert place.pull.head == f"{branch}-2"
        assert any("not as it was left" in each["message"] for each in again.of("warning"))
        assert git(place.bare, "rev-parse", branch) == git(place.bare, "rev-parse", "main")


def test_a_pull_request_that_a_limit_left_is_named_before_anything_is_spent(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        limited = place.asked("--max-turns", "1")
        url = limited.lines[-1]["pr_url"]
        assert (limited.exit_code, place.pull.draft) == (6, True)

        again = place.run("resume", "last", "--max-turns", "9", "-o", "jsonl", cwd=place.work)

        (told,) = (w for w in again.of("warning") if url in w["message"])
        assert told["message"].endswith(f"tiny-backspace revise {url}")
        assert told["seq"] < again.of("model_turn")[0]["seq"]
        assert (again.exit_code, len(place.repo.pulls)) == (0, 2)


def unfinished(place: Place) -> None:
    """A run that a limit ended, and that left a patch alone."""
    assert place.asked("--max-turns", "1", "--publish", "patch").exit_code == 6


def resumed(place: Place) -> Finished:
    return place.run(
        "resume", "last", "--max-turns", "9", "--publish", "pr", "-o", "jsonl", cwd=place.work
    )


def test_a_base_that_has_moved_on_meanwhile_is_told_and_gone_on_from(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        unfinished(place)
        git(place.work, "commit", "-q", "--allow-empty", "-m", "more")
        git(place.bare, "fetch", "-q", str(place.work), "+HEAD:refs/heads/main")

        again = resumed(place)

        assert (again.exit_code, place.pull.base) == (0, "main"), again.lines[-1]
        (told,) = (w for w in again.of("warning") if "main is at" in w["message"])
        assert told["seq"] < again.of("model_turn")[0]["seq"]


@pytest.mark.parametrize("gone", ["commit", "branch"])
def test_a_base_that_is_gone_is_refused_before_anything_is_spent(tmp_path: Path, gone: str) -> None:
    with github(tmp_path) as place:
        unfinished(place)
        if gone == "commit":
            git(place.work, "commit", "-q", "--amend", "-m", "other")
            git(place.bare, "fetch", "-q", str(place.work), "+HEAD:refs/heads/main")
            git(place.bare, "reflog", "expire", "--expire=all", "--all")
            git(place.bare, "gc", "-q", "--prune=now")
        else:
            git(place.bare, "branch", "-q", "-m", "main", "trunk")

        again = resumed(place)

        assert (again.exit_code, again.of("model_turn"), place.repo.pulls) == (3, [], [])
        told = {"commit": "any more", "branch": "has no branch"}[gone]
        assert told in again.lines[-1]["message"]
