"""A sentence becomes a pull request on GitHub, or says why not: whole runs, real git, a real engine."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from random import Random
from secrets import token_hex
from signal import SIGINT
from string import ascii_letters, digits

import pytest

from tests.docker.forge import FILES, PROMPT, Watch, github
from tests.program import git
from tests.servers import github_faults as faults
from tests.servers.git_faults import Cut, Fault, Held, Words, either, hook, on
from tests.servers.github_faults import STALL, Asked, failing, in_turn, only, refusing
from tests.servers.github_state import CLASSIC, FINE_GRAINED, Repo, Token
from tiny_backspace.redact import MASK

NAME = r"tiny-backspace/replace-helo-with-hello-in-readme-md-[0-9a-f]{8}"
PULLS = "POST /repos/owner/project/pulls"
NO_TOKEN = {"GITHUB_TOKEN": ""}
WORKFLOW = "create .github/workflows/ci.yml with content 'on: push'"


def drawn(length: int) -> str:
    """Part of a key, so that none stands in this file."""
    return "".join(Random(7).choices(ascii_letters + digits, k=length))


def test_a_sentence_becomes_a_pull_request_and_its_address_alone_is_the_output(
    tmp_path: Path,
) -> None:
    with github(tmp_path) as place:
        done = place.run("run", "owner/project", PROMPT)

        (branch,), pull = place.new, place.pull
        assert done.exit_code == 0, done.stderr
        assert done.stdout == f"{place.git.url}/owner/project/pull/1\n"
        assert re.fullmatch(NAME, branch)
        assert place.packs == 1
        assert place.calls == [
            "GET /repos/owner/project",
            PULLS,
            "POST /repos/owner/project/issues/1/labels",
        ]
        assert place.api.refused == []
    assert (pull.base, pull.head, pull.head_sha) == ("main", branch, git(place.bare, "rev-parse", branch))  # fmt: skip
    assert (pull.draft, pull.labels) == (True, ["tiny-backspace", "needs-verification"])
    assert pull.title == PROMPT
    assert "No model was used" in pull.body
    assert git(place.bare, "diff", "--name-status", f"main...{branch}") == "M\tREADME.md"
    assert place.at(branch, "README.md") == "hello! A small project."
    assert git(place.bare, "rev-list", "--count", f"main..{branch}") == "1"
    assert git(place.bare, "for-each-ref", "--format=%(refname)").count("\n") == 1
    assert git(place.bare, "fsck", "--strict") == ""


def test_git_is_asked_for_the_right_to_push_while_github_is_asked(tmp_path: Path) -> None:
    held, together = Held(), list[bool]()

    def wait_for_git(asked: Asked) -> None:
        if asked.path == "/repos/owner/project":
            together.append(held.reached.wait(20))
            held.go_on.set()

    with github(tmp_path, fault=on("GET", "git-receive-pack", held)) as place:
        place.api.faults = wait_for_git
        done = place.asked()

        assert (done.exit_code, together) == (0, [True])
        asked = [each for each in place.git.asked if each.path.endswith("=git-receive-pack")]
        assert len(asked) == 2  # once before anything is spent, once by the push


def test_a_second_run_asks_for_no_objects_again(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        first, second = place.asked(), place.asked()

        fetched = [
            any("in the cache already" in each["output"] for each in run.of("git_operation"))
            for run in (first, second)
        ]
        assert fetched == [False, True]
        assert (len(place.new), len(place.repo.pulls)) == (2, 2)
    assert second.lines[-1]["pr_url"].endswith("/owner/project/pull/2")


def test_the_token_is_seen_nowhere_but_in_the_environment_of_gits_that_need_it(
    tmp_path: Path,
) -> None:
    token = Token(f"github_pat_{token_hex(20)}")
    watch = Watch(token, (tmp_path / "home", tmp_path / "tmp"), tmp_path / "gits")
    (tmp_path / "tmp").mkdir()
    echo = " ".join(watch.forms)
    with github(
        tmp_path,
        token=token,
        environment={"TMPDIR": str(tmp_path / "tmp")},
        fault=either(watch.at_git, on("GET", "git-receive-pack", None, None, None, None, Words(403, echo))),
    ) as place:  # fmt: skip
        watch.stand_before_git(tmp_path / "bin")
        place.api.faults = watch.at_api
        told = place.asked("--verify", "env; cat /proc/self/environ /proc/mounts")
        plain = place.run("run", "owner/project", PROMPT, "--verbose", "--publish", "branch")
        echoed = place.run("run", "owner/project", PROMPT, "--verbose")
        place.api.faults = only("POST", "/pulls", in_turn(refusing(422, f"No {echo}")))
        refused = place.asked()
        watch.look()

    assert [run.exit_code for run in (told, plain, echoed, refused)] == [0, 0, 7, 7]
    assert watch.seen == []
    assert watch.children > 0
    assert watch.containers > 0
    assert len(list(watch.gits.iterdir())) > 40
    assert MASK not in told.of("verification")[0]["output"]
    assert MASK in echoed.stderr
    for run in (told, plain, echoed, refused):
        assert not watch.holds((run.stdout + run.stderr).encode())
    assert not watch.holds(git(place.bare, "log", "--all", "-p").encode())
    assert not any(watch.holds(pull.body.encode()) for pull in place.repo.pulls)


def test_a_dry_run_shows_the_pull_request_and_its_diff_and_makes_nothing(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        done = place.run("run", "owner/project", PROMPT, "--dry-run")

        assert (done.exit_code, place.new, place.repo.pulls, place.packs) == (0, [], [], 0)
        assert place.calls == ["GET /repos/owner/project"]
    assert done.stdout.startswith(f"# {PROMPT}\n\n## What and why\n")
    assert "\n-helo! A small project.\n+hello! A small project.\n" in done.stdout
    (tmp_path / "shown").write_text(done.stdout)
    git(place.work, "apply", "--check", str(tmp_path / "shown"))


def test_a_branch_or_a_patch_is_all_there_is_where_that_is_wanted(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        branch = place.run("run", "owner/project", PROMPT, "--publish", "branch")
        pushed, packs = place.new, place.packs
        patch = place.run("run", "owner/project", PROMPT, "--publish", "patch")

        assert (branch.exit_code, pushed, packs) == (0, branch.stdout.split(), 1)
        assert (patch.exit_code, place.new, place.packs) == (0, pushed, 1)
        assert place.repo.pulls == []
        assert PULLS not in place.calls
    git(place.work, "apply", "--check", patch.stdout.strip())


def test_a_clone_of_the_users_becomes_a_pull_request_and_is_not_touched(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        before = git(place.work, "for-each-ref"), git(place.work, "rev-list", "--all", "--objects")

        done = place.asked("--publish", "pr", repo=".")

        assert done.exit_code == 0, done.lines[-1]
        assert (place.pull.base, place.pull.head) == ("main", place.new[0])
        assert place.at(place.new[0], "README.md") == "hello! A small project."
    assert (git(place.work, "for-each-ref"), git(place.work, "rev-list", "--all", "--objects")) == before  # fmt: skip


def test_a_commit_that_was_not_pushed_is_no_base_and_that_costs_nothing(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        git(place.work, "commit", "-q", "--allow-empty", "-m", "mine alone")

        done = place.asked("--publish", "pr", repo=".")

        assert (done.exit_code, place.new, done.of("model_turn")) == (2, [], [])
    assert "is not at http" in done.lines[-1]["message"]
    assert "git push origin main" in done.lines[-1]["hint"]


def test_without_a_token_it_is_a_patch_and_that_is_said_first(tmp_path: Path) -> None:
    with github(tmp_path, environment=NO_TOKEN, public=True) as place:
        done = place.asked()

        assert (done.exit_code, place.new, place.calls) == (0, [], [])
    (warning,) = done.of("warning")
    assert "no GitHub token: the change will be a patch" in warning["message"]
    assert "gh auth login" in warning["message"]
    assert warning["seq"] < done.of("model_turn")[0]["seq"]
    git(place.work, "apply", "--check", done.lines[-1]["patch"])


@pytest.mark.parametrize("flags", [("--publish", "pr"), ("--publish", "branch")])
def test_without_a_token_nothing_begins_where_one_is_needed(
    tmp_path: Path, flags: tuple[str, str]
) -> None:
    with github(tmp_path, environment=NO_TOKEN, public=True) as place:
        done = place.asked(*flags)

        assert (done.exit_code, done.of("model_turn"), place.new) == (7, [], [])
    assert "GITHUB_TOKEN" in done.lines[-1]["hint"]


def test_a_token_that_is_refused_ends_the_run_before_the_agent(tmp_path: Path) -> None:
    with github(tmp_path, environment={"GITHUB_TOKEN": f"ghp_{drawn(36)}"}) as place:
        done = place.asked()

        assert (done.exit_code, done.of("model_turn"), place.new) == (7, [], [])
    closing = done.lines[-1]
    assert closing["error"] == "forge_denied"
    assert "the token is refused" in closing["message"]
    assert "expired or revoked" in closing["hint"]


@pytest.mark.parametrize("who", ["owner", "token"])
def test_a_token_that_may_only_read_ends_the_run_before_the_agent(tmp_path: Path, who: str) -> None:
    """GitHub tells what the token's owner may do; what a fine-grained token may not, only git finds out."""
    with github(tmp_path, reads=True) as place:
        place.repo.push = who == "token"

        done = place.asked()

        assert (done.exit_code, done.of("model_turn"), place.new) == (7, [], [])
    assert done.lines[-1]["error"] == "forge_denied"
    assert "may not push to" in done.lines[-1]["message"]
    assert "contents: write" in done.lines[-1]["hint"]


def test_where_only_the_pull_request_fails_the_branch_stays_and_one_command_finishes(
    tmp_path: Path,
) -> None:
    token = Token(FINE_GRAINED.value, lacks=frozenset({"pull_requests"}))
    with github(tmp_path, token=token) as place:
        done = place.asked()

        (branch,), closing = place.new, done.lines[-1]
        assert (done.exit_code, closing["error"], place.repo.pulls) == (7, "forge_denied", [])
        assert place.at(branch, "README.md") == "hello! A small project."
    assert (closing["branch"], closing["pr_url"]) == (branch, None)
    assert f"the branch {branch} is pushed, and no pull request could be opened" in closing["message"]  # fmt: skip
    assert "pull_requests=write" in closing["hint"]
    command = shlex.split(closing["hint"].partition("To finish: ")[2].partition(" To go on")[0])
    host = place.git.url.removeprefix("http://")
    assert command[:3] == ["gh", "pr", "create"]
    assert {f"--repo={host}/owner/project", "--base=main", f"--head={branch}"} < set(command)
    (text,) = (part for part in command if part.startswith("--body-file="))
    assert Path(text.partition("=")[2]).read_text().startswith("## What and why\n")


@pytest.mark.parametrize("status", [502, 504])
def test_a_pull_request_that_was_opened_without_an_answer_is_found_and_never_doubled(
    tmp_path: Path, status: int
) -> None:
    with github(tmp_path) as place:
        place.api.faults = only("POST", "/pulls", in_turn(failing(status, done=True)))

        done = place.asked()

        assert (done.exit_code, place.calls.count(PULLS), len(place.new)) == (0, 1, 1)
        assert done.lines[-1]["pr_url"].endswith(f"/pull/{place.pull.number}")
        assert place.pull.labels == ["tiny-backspace", "needs-verification"]


def test_a_run_that_is_stopped_while_it_asks_says_what_is_pushed_already(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        process = place.program.start("run", "owner/project", PROMPT, "-o", "jsonl")

        def stopped(asked: Asked) -> faults.Fault | None:
            if asked.method == "POST" and asked.path.endswith("/pulls"):
                process.send_signal(SIGINT)
                return STALL
            return None

        place.api.faults = stopped
        said, complaint = process.communicate()

        closing = json.loads(said.splitlines()[-1])
        assert (process.returncode, complaint, closing["error"]) == (130, "", "interrupted")
        assert [closing["branch"]] == place.new
    assert f"The branch {closing['branch']} was pushed to http" in closing["hint"]


def test_a_push_whose_answer_was_lost_counts(tmp_path: Path) -> None:
    with github(tmp_path, fault=on("POST", "git-receive-pack", Cut(done=True))) as place:
        done = place.asked()

        assert (done.exit_code, place.packs, len(place.new)) == (0, 1, 1)
        assert place.pull.head == place.new[0]


def test_a_name_that_somebody_takes_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    bare = tmp_path / "git" / "owner" / "project.git"

    def somebody(method: str, path: str) -> Fault | None:
        if method == "POST" and path.endswith("git-receive-pack"):
            git(bare, "branch", "--force", "mine", "main")
        return None

    with github(tmp_path, fault=somebody) as place:
        done = place.asked("--branch", "mine")

        assert (done.exit_code, place.new) == (0, ["mine", "mine-2"])
        assert (place.pull.head, done.lines[-1]["branch"]) == ("mine-2", "mine-2")
    assert git(place.bare, "rev-parse", "mine") == git(place.bare, "rev-parse", "main")


def test_a_renamed_repository_is_pushed_to_by_its_new_name(tmp_path: Path) -> None:
    with github(tmp_path, name="owner/now") as place:
        place.api.repositories.append(Repo("owner/project", renamed_to="owner/now"))

        done = place.asked()

        assert done.exit_code == 0, done.lines[-1]
        assert place.pull.head == place.new[0]
        old = [each for each in place.git.asked if "/owner/project" in each.path]
        assert all(each.method == "GET" and "upload-pack" in each.path for each in old)
    assert any("is called owner/now now" in each["message"] for each in done.of("warning"))
    assert done.lines[-1]["pr_url"] == f"{place.git.url}/owner/now/pull/1"


def test_what_cannot_be_pushed_to_is_found_before_the_agent(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        place.repo.archived = True
        archived = place.asked()
        place.repo.archived = False
        git(place.bare, "update-ref", "-d", "refs/heads/main")
        empty = place.asked()

        assert (place.packs, place.repo.pulls) == (0, [])
    assert [run.exit_code for run in (archived, empty)] == [7, 3]
    assert "is archived" in archived.lines[-1]["message"]
    assert "--publish patch" in archived.lines[-1]["hint"]
    assert "is empty" in empty.lines[-1]["message"]
    assert archived.of("model_turn") == empty.of("model_turn") == []


def test_a_rule_of_the_repository_keeps_the_change_as_a_patch(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        hook(place.bare, "pre-receive", "echo 'error: GH006: Protected branch update failed.'; exit 1")  # fmt: skip

        done = place.asked()

        assert (done.exit_code, place.new, place.packs, place.repo.pulls) == (7, [], 1, [])
    closing = done.lines[-1]
    assert "GH006: Protected branch update failed" in closing["message"]
    assert "another name" in closing["hint"]
    assert closing["branch"] is None
    git(place.work, "apply", "--check", closing["patch"])


@pytest.mark.parametrize(
    ("prompt", "rule"),
    [(WORKFLOW, "protected-path"), (f"create key.py with content 'K = \"ghp_{drawn(36)}\"'", "secret")],
    ids=["a workflow", "a secret"],
)  # fmt: skip
def test_what_may_not_leave_is_not_pushed(tmp_path: Path, prompt: str, rule: str) -> None:
    with github(tmp_path) as place:
        done = place.asked(prompt=prompt)

        assert (done.exit_code, place.new, place.packs, PULLS in place.calls) == (8, [], 0, False)
    assert rule in {each["rule"] for each in done.of("policy") if each["decision"] == "refuse"}
    assert Path(done.lines[-1]["patch"]).stat().st_size > 0


def test_a_workflow_that_was_permitted_is_proposed(tmp_path: Path) -> None:
    with github(tmp_path) as place:
        done = place.asked("--allow-path", ".github/workflows/*", prompt=WORKFLOW)

        assert done.exit_code == 0, done.lines[-1]
        assert place.at(place.pull.head, ".github/workflows/ci.yml") == "on: push"


def test_a_pull_request_is_as_the_user_wants_it(tmp_path: Path) -> None:
    with github(tmp_path, token=CLASSIC) as place:
        place.repo.collaborators |= {"ann", "bob"}

        done = place.asked(
            "--title", "Say hello", "--branch", "greeting", "--label", "bug", "--label", "greetings",
            "--reviewer", "ann", "--reviewer", "stranger", "--assignee", "bob", "--ready",
        )  # fmt: skip

        pull = place.pull
        assert place.api.refused == []
    assert done.exit_code == 0, done.lines[-1]
    assert (pull.title, pull.head, pull.draft) == ("Say hello", "greeting", False)
    assert pull.labels == ["tiny-backspace", "needs-verification", "bug", "greetings"]
    assert (pull.reviewers, pull.assignees) == (["ann"], ["bob"])
    assert git(place.bare, "log", "-1", "--format=%s", "greeting") == "Say hello"
    (warning,) = done.of("warning")
    assert "stranger" in warning["message"]
    assert place.at("greeting", "app.py") == FILES["app.py"].strip()


def test_a_default_branch_that_is_no_name_is_refused_before_anything_is_spent(
    tmp_path: Path,
) -> None:
    with github(tmp_path) as place:
        git(place.bare, "update-ref", "refs/heads/-x", "main")
        git(place.bare, "symbolic-ref", "HEAD", "refs/heads/-x")
        git(place.bare, "update-ref", "-d", "refs/heads/main")
        place.repo.default_branch = "-x"

        ran = place.asked()

        assert (ran.exit_code, place.branches) == (7, ["-x"])
        assert "the branch '-x'" in ran.lines[-1]["message"]
        assert ran.of("model_turn") == []
