"""The pipeline from a request to a branch; nothing done is lost, however the work ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes import ScriptedProvider
from tests.pipeline import RUN, Job, Ran, bash, says, write
from tests.program import git, make_repository, snapshot
from tiny_backspace.agent.budget import Limits
from tiny_backspace.conversation import Assistant, Reply, Text, User
from tiny_backspace.errors import ProviderError, SandboxLost, Stopped
from tiny_backspace.events import (
    Emit,
    FileEdited,
    RepositoryAnalysed,
    Resources,
    RunFailed,
    RunStarted,
    RunSucceeded,
    StepStarted,
    Verified,
    Warned,
    WorkSaved,
)
from tiny_backspace.providers.dummy import Dummy
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.verification import Verification

NEW = (".git/objects", ".git/refs/heads/tiny-", ".git/logs/refs/heads/tiny-")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {"a.py": "x = 1\n", "README.md": "helo\n", ".gitignore": "*.log\n"}
    return make_repository(tmp_path / "r", files)


def branches(repository: Path) -> list[str]:
    return git(
        repository, "branch", "--list", "tiny-backspace/*", "--format=%(refname:short)"
    ).split()


def test_a_prompt_becomes_a_branch_on_the_base_and_nothing_else_changes(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "a.py").write_text("changed by hand\n")
    before = snapshot(repository, leaving_out=NEW)

    ran = Job(repository, tmp_path, Dummy(), "replace 'helo' with 'hello' in README.md").go()

    (branch,) = branches(repository)
    assert (ran.code, ran.closing.branch, ran.closing.duration_ms) == (0, branch, 1500.0)
    assert branch.endswith(RUN)
    assert git(repository, "diff", "--name-status", "main", branch) == "M\tREADME.md"
    assert git(repository, "show", f"{branch}:README.md") == "hello"
    assert snapshot(repository, leaving_out=NEW) == before
    assert any("1 uncommitted" in w.message for w in ran.of(Warned))
    progress = [e.progress for e in ran.of(StepStarted)]
    assert progress == [10, 20, 30, 50, 70, 90]
    assert ran.of(RunStarted)[0].agents == ("dummy:rules-1",)
    assert ran.of(RepositoryAnalysed)[0].files == 3
    assert len(ran.of(Resources)) >= 1
    assert [r.seq for r in ran.records] == list(range(1, len(ran.records) + 1))


def test_a_run_starts_from_the_base_that_was_asked_for(repository: Path, tmp_path: Path) -> None:
    git(repository, "branch", "old")
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    provider = ScriptedProvider(says("go", bash("cat .git/HEAD > seen")), says("done"))

    ran = Job(repository, tmp_path, provider, base="old").go()

    (branch,) = branches(repository)
    assert git(repository, "rev-parse", f"{branch}^") == git(repository, "rev-parse", "old")
    assert git(repository, "show", f"{branch}:seen") == "ref: refs/heads/old"
    assert ran.of(RepositoryAnalysed)[0].branch == "old"


def test_a_model_that_changes_nothing_is_a_success_that_says_so(
    repository: Path, tmp_path: Path
) -> None:
    ran = Job(repository, tmp_path, ScriptedProvider(says("All is well."))).go()

    assert (ran.code, branches(repository)) == (0, [])
    assert "Nothing to change" in ran.closing.message
    assert ran.closing.patch is None
    assert not (ran.folder / "change.patch").exists()


def test_a_limit_keeps_the_work_as_a_branch_and_is_still_a_failure(
    repository: Path, tmp_path: Path
) -> None:
    provider = ScriptedProvider(says("go", write("a.py", "x = 2\n")), says("on", bash("true")))

    ran = Job(repository, tmp_path, provider, limits=Limits(turns=1)).go()

    (branch,) = branches(repository)
    assert isinstance(ran.closing, RunFailed)
    assert (ran.code, ran.closing.error, ran.closing.branch) == (6, "limit_reached", branch)
    assert git(repository, "show", f"{branch}:a.py") == "x = 2"
    assert ran.closing.files_changed == 1


def test_when_nobody_answers_any_more_the_work_so_far_is_kept(
    repository: Path, tmp_path: Path
) -> None:
    provider = ScriptedProvider(says("go", write("a.py", "x = 2\n")), ProviderError("no credit"))

    ran = Job(repository, tmp_path, provider).go()

    assert (ran.code, len(branches(repository))) == (5, 1)
    assert ran.closing.message == "no credit"


def test_when_nobody_answers_at_all_there_is_no_branch(repository: Path, tmp_path: Path) -> None:
    ran = Job(repository, tmp_path, ScriptedProvider(ProviderError("no credit"))).go()

    assert (ran.code, branches(repository)) == (5, [])
    assert ran.of(WorkSaved) == []


@dataclass
class Ending:
    """Says one thing; when it is asked again, the run is ended from outside."""

    first: Assistant
    end: BaseException
    name: str = "ending"
    model: str = "m"

    window: int | None = None

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        if len(request.conversation) > 1:
            raise self.end
        return Reply(self.first, "tool_use", self.name, self.model)


def test_an_interrupted_run_leaves_a_patch_and_no_branch(repository: Path, tmp_path: Path) -> None:
    provider = Ending(says("go", write("a.py", "x = 2\n")), Stopped(2))

    ran = Job(repository, tmp_path, provider).go()

    assert isinstance(ran.closing, RunFailed)
    assert (ran.code, ran.closing.error, branches(repository)) == (130, "interrupted", [])
    assert ran.closing.patch is not None
    git(repository, "apply", ran.closing.patch)
    assert (repository / "a.py").read_text() == "x = 2\n"
    assert "in the patch" in (ran.closing.hint or "")


def test_an_interrupted_run_without_its_git_says_that_the_work_is_lost(
    repository: Path, tmp_path: Path
) -> None:
    ran = Job(repository, tmp_path, Ending(says("go", bash("rm -rf .git")), Stopped(2))).go()

    assert ran.code == 130
    assert any("could not be taken out" in w.message for w in ran.of(Warned))
    assert ran.closing.patch is None


def test_a_sandbox_that_is_lost_ends_the_run_with_its_own_code(
    repository: Path, tmp_path: Path
) -> None:
    provider = Ending(says("go", write("a.py", "x = 2\n")), SandboxLost("it has gone"))

    ran = Job(repository, tmp_path, provider).go()

    assert isinstance(ran.closing, RunFailed)
    assert (ran.code, ran.closing.error) == (4, "sandbox_lost")


def checks(attempts: int) -> Verification:
    return Verification("grep -q 'x = 3' a.py || { echo not yet; exit 4; }", attempts, 20)


def of_the_change(ran: Ran) -> list[tuple[int, bool, int]]:
    return [(v.attempt, v.ok, v.exit_code) for v in ran.of(Verified) if v.on == "change"]


def test_what_the_verification_finds_goes_back_to_the_agent(
    repository: Path, tmp_path: Path
) -> None:
    provider = ScriptedProvider(
        says("go", write("a.py", "x = 2\n")), says("done"),
        says("oh", write("a.py", "x = 3\n")), says("repaired"),
    )  # fmt: skip

    ran = Job(repository, tmp_path, provider, verification=checks(3)).go()

    assert of_the_change(ran) == [(1, False, 4), (2, True, 0)]
    (before,) = [v for v in ran.of(Verified) if v.on == "base"]
    assert (before.ok, before.exit_code) == (False, 4)
    told = provider.asked[2][-1]
    assert isinstance(told, User)
    assert isinstance(told.parts[0], Text)
    assert "before your change it failed with exit code 4. Its output" in told.parts[0].text
    assert "not yet" in told.parts[0].text
    assert ran.code == 0
    (branch,) = branches(repository)
    assert git(repository, "show", f"{branch}:a.py") == "x = 3"


def test_repairs_end_with_the_last_attempt_and_the_change_is_a_draft(
    repository: Path, tmp_path: Path
) -> None:
    provider = ScriptedProvider(
        *(s for n in range(5) for s in (says("go", write("a.py", f"y = {n}\n")), says("done")))
    )

    ran = Job(repository, tmp_path, provider, verification=checks(2)).go()

    assert isinstance(ran.closing, RunFailed)
    assert (ran.code, ran.closing.error) == (9, "verification_failed")
    assert len(of_the_change(ran)) == 2
    assert "with exit code 4; before the change with 4" in ran.closing.message
    assert ran.closing.branch == branches(repository)[0]
    assert "draft" in (ran.closing.hint or "")


def test_an_agent_that_tries_nothing_is_not_verified_again(
    repository: Path, tmp_path: Path
) -> None:
    provider = ScriptedProvider(
        says("go", write("a.py", "x = 2\n")), says("done"), says("I cannot repair this.")
    )

    ran = Job(repository, tmp_path, provider, verification=checks(9)).go()

    assert (ran.code, len(of_the_change(ran))) == (9, 1)


def test_the_turns_of_repairs_count_too(repository: Path, tmp_path: Path) -> None:
    provider = ScriptedProvider(
        says("go", write("a.py", "x = 2\n")), says("done"), says("on", bash("true")), says("x")
    )
    job = Job(repository, tmp_path, provider, verification=checks(9), limits=Limits(turns=3))

    ran = job.go()

    assert isinstance(ran.closing, RunFailed)
    assert (ran.code, ran.closing.error) == (6, "limit_reached")
    assert len(branches(repository)) == 1


def test_words_that_are_no_text_do_not_end_a_run(repository: Path, tmp_path: Path) -> None:
    odd = "add \udcff\ud800 and \x1b[31m\u202e to README.md"
    provider = ScriptedProvider(says(odd, write("b\u0301.txt", "x")), says(odd))

    ran = Job(repository, tmp_path, provider, odd).go()

    assert ran.code == 0, ran.closing
    (branch,) = branches(repository)
    assert "\x1b" not in git(repository, "log", "-1", "--format=%B", branch)
    assert [e.operation for e in ran.of(FileEdited)] == ["create"]
    assert isinstance(ran.closing, RunSucceeded)


@pytest.mark.parametrize(("place", "code"), [("absent", 3), ("empty", 3)])
def test_a_repository_that_cannot_be_taken_ends_the_run_at_once(
    tmp_path: Path, place: str, code: int
) -> None:
    (tmp_path / "empty").mkdir()
    provider = ScriptedProvider()

    ran = Job(tmp_path / place, tmp_path, provider).go()

    assert (ran.code, provider.asked) == (code, [])


def test_what_a_verification_writes_or_breaks_is_not_part_of_the_change(
    repository: Path, tmp_path: Path
) -> None:
    command = "echo junk >junk; git checkout -q a.py; rm -f new; test -e repaired"
    provider = ScriptedProvider(
        says("now", bash("echo b >a.py; echo n >new")),
        says("done"),
        says("again", bash("echo r >repaired")),
        says("repaired"),
    )

    ran = Job(
        repository, tmp_path, provider, verification=Verification(command, attempts=2, timeout=60)
    ).go()

    (branch,) = branches(repository)
    assert ran.code == 0
    assert git(repository, "show", f"{branch}:a.py") == "b"
    changed = git(repository, "diff", "--name-only", f"main...{branch}")
    assert changed.split() == ["a.py", "new", "repaired"]


def test_what_the_agent_left_beside_its_change_has_no_say_in_the_verification(
    repository: Path, tmp_path: Path
) -> None:
    command = "test ! -e x.log -a ! -e ../left -a -e new"
    verification = Verification(command, attempts=1, timeout=60)
    provider = ScriptedProvider(
        says("go", bash("echo x >x.log; echo >../left; echo >new")), says("done")
    )

    ran = Job(repository, tmp_path, provider, verification=verification).go()

    assert (ran.code, of_the_change(ran)) == (0, [(1, True, 0)])


def test_a_verification_that_fails_is_told_though_nothing_was_changed(
    repository: Path, tmp_path: Path
) -> None:
    verification = Verification("false", attempts=1, timeout=60)

    ran = Job(repository, tmp_path, ScriptedProvider(says("no")), verification=verification).go()

    assert (ran.code, branches(repository)) == (9, [])


def test_a_history_that_cannot_be_written_costs_the_resuming_and_nothing_else(
    repository: Path, tmp_path: Path
) -> None:
    job = Job(
        repository, tmp_path, ScriptedProvider(says("go", write("a.py", "x = 2\n")), says("ok"))
    )
    job.history.mkdir()

    ran = job.go()

    assert (ran.code, branches(repository)) == (0, [ran.closing.branch])
    warnings = [w.message for w in ran.of(Warned)]
    assert ["cannot be resumed" in w or "could not be kept" in w for w in warnings] == [True, True]
