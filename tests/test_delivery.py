"""From the patch to where the user wants it: judged, told, committed by us, and never lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from tests.fakes import ScriptedProvider
from tests.pipeline import Job, bash, says, write
from tests.program import git, make_repository
from tiny_backspace.agent.budget import Limits
from tiny_backspace.conversation import Reply
from tiny_backspace.events import Emit, FileEdited, PolicyDecided, RunFailed, WorkSaved
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.redact import escaped
from tiny_backspace.verification import Verification

SECRET = "hunter2-canary-0000"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "r", {"a.py": "x = 1\n", "b.py": "y\n", "c.py": "z\n"})


def branches(repository: Path) -> list[str]:
    return git(repository, "branch", "--list", "tiny-*", "--format=%(refname:short)").split()


def does(*commands: str) -> ScriptedProvider:
    return ScriptedProvider(*(says("go", bash(c)) for c in commands), says("All done."))


def test_what_commands_changed_is_told_once_and_what_tools_told_is_not_told_again(
    repository: Path, tmp_path: Path
) -> None:
    provider = ScriptedProvider(
        says("go", write("a.py", "x = 2\n", "a better x")),
        says("on", bash("rm b.py; mv c.py d.py; echo new >e.py; git commit -qm x 2>/dev/null; :")),
        says("done"),
    )

    ran = Job(repository, tmp_path, provider).go()

    told = [(e.filepath, e.operation, e.description) for e in ran.of(FileEdited)]
    assert told == [
        ("a.py", "modify", "a better x"),
        ("b.py", "delete", ""),
        ("d.py", "rename", ""),
        ("e.py", "create", ""),
    ]
    assert (ran.closing.files_changed, ran.closing.insertions, ran.closing.deletions) == (5, 3, 3)


def test_of_files_with_the_same_content_each_is_told_as_what_happened_to_it(
    repository: Path, tmp_path: Path
) -> None:
    provider = does("rm b.py; mv c.py d.py; cp d.py e.py; cp d.py f.py; rm a.py", "cp d.py b.py")

    ran = Job(repository, tmp_path, provider).go()

    told = [(e.filepath, e.operation, e.old_path) for e in ran.of(FileEdited)]
    assert told == [
        ("a.py", "delete", None),
        ("b.py", "modify", None),
        ("d.py", "rename", "c.py"),
        ("e.py", "create", None),
        ("f.py", "create", None),
    ]


def test_the_commit_is_ours_and_says_who_made_it(repository: Path, tmp_path: Path) -> None:
    job = Job(repository, tmp_path, does("echo 2 >a.py"), "Make x two. Really.")

    ran = job.go()

    (branch,) = branches(repository)
    shown = git(repository, "log", "-1", "--format=%an <%ae> %cn%n%B", branch).splitlines()
    assert shown[0] == "name@example.org <email@example.org> name@example.org"
    assert shown[1].startswith("Make x two")
    assert "All done." in shown
    assert "Made with scripted:script-1." in shown
    assert shown[-1] == "Tiny-Backspace-Run: 0a1b2c3d"
    saved = ran.of(WorkSaved)[-1]
    assert (saved.branch, saved.commit) == (branch, git(repository, "rev-parse", branch))


@pytest.mark.parametrize(
    ("command", "limit", "code", "said"),
    [
        ("echo 2 >a.py", 1, 6, "The work is not finished: the task was not done in 1 turn"),
        (
            "echo 2 >a.py",
            9,
            9,
            "Verification failed: `test -f ok` ended with exit code 1; before the change with 1.",
        ),
        ("echo ')' >a.py; touch ok", 9, 0, "These files cannot be parsed: a.py:1: "),
    ],
)
def test_what_is_not_finished_or_did_not_pass_is_a_draft_by_its_first_word(
    repository: Path, tmp_path: Path, command: str, limit: int, code: int, said: str
) -> None:
    verification = Verification("test -f ok", attempts=1, timeout=60)
    provider = ScriptedProvider(says("go", bash(command)), *(says("All done."),) * 3)

    ran = Job(
        repository, tmp_path, provider, verification=verification, limits=Limits(turns=limit)
    ).go()

    (branch,) = branches(repository)
    shown = git(repository, "log", "-1", "--format=%B", branch)
    assert (ran.code, shown.startswith("[draft] improve it")) == (code, True)
    assert said in " ".join(shown.split())


def test_a_refusal_leaves_no_branch_and_keeps_the_patch(repository: Path, tmp_path: Path) -> None:
    class Refusing(ScriptedProvider):
        def __init__(self) -> None:
            super().__init__(says("go", bash("echo 2 >a.py")), says("I will not."))

        @override
        def reply(self, request: ModelRequest, emit: Emit) -> Reply:
            reply = super().reply(request, emit)
            return reply if reply.message.tool_calls else replace(reply, stop="refusal")

    ran = Job(repository, tmp_path, Refusing()).go()

    assert isinstance(ran.closing, RunFailed)
    assert (ran.code, ran.closing.error, branches(repository)) == (6, "refused", [])
    assert ran.closing.patch is not None
    assert "+2" in Path(ran.closing.patch).read_text()


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("mkdir -p .github/workflows; echo on: push >.github/workflows/x.yml", "protected-path"),
        ("ln -s /etc/passwd link", "symlink-escape"),
        ("git init -q n; git -C n -c user.name=a -c user.email=b commit -q --allow-empty -m x", "submodule"),
        ("seq 20000 >lines", "too-many-lines"),
        ("for n in $(seq 101); do : >f$n; done", "too-many-files"),
        ("head -c 6000000 /dev/zero >big", "blob-too-large"),
        ("echo 1 >A.py", "case-collision"),
    ],
)  # fmt: skip
def test_a_change_that_may_not_leave_is_kept_as_a_patch(
    repository: Path, tmp_path: Path, command: str, rule: str
) -> None:
    ran = Job(repository, tmp_path, does(command)).go()

    assert isinstance(ran.closing, RunFailed)
    assert (ran.code, ran.closing.error, branches(repository)) == (8, "policy_refused", [])
    assert rule in {d.rule for d in ran.of(PolicyDecided) if d.decision == "refuse"}
    assert ran.closing.patch is not None
    git(repository, "apply", "--check", ran.closing.patch)
    assert not (ran.folder / "quarantine.git").exists()


def test_a_protected_path_that_was_permitted_leaves(repository: Path, tmp_path: Path) -> None:
    command = "mkdir -p .github/workflows; echo on: push >.github/workflows/x.yml"

    ran = Job(repository, tmp_path, does(command), allow=(".github/workflows/*",)).go()

    assert (ran.code, len(branches(repository))) == (0, 1)


def test_without_a_branch_the_patch_stays_and_a_text_beside_it(
    repository: Path, tmp_path: Path
) -> None:
    ran = Job(repository, tmp_path, does("echo 2 >a.py"), branch=False).go()

    assert (ran.code, branches(repository), ran.closing.branch) == (0, [], None)
    assert ran.closing.patch is not None
    git(repository, "apply", "--check", ran.closing.patch)
    (text,) = [Path(s.pull_request_text) for s in ran.of(WorkSaved) if s.pull_request_text]
    assert text.read_text().startswith("# improve it\n\n## What and why\n\nAll done.")
    assert text.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in ran.folder.iterdir()) == [
        "change.patch",
        "home",
        "pull-request.md",
    ]


@pytest.mark.parametrize("branch", [True, False])
def test_no_secret_is_in_a_branch_a_commit_or_a_text(
    repository: Path, tmp_path: Path, branch: bool
) -> None:
    provider = ScriptedProvider(
        says("go", bash(f"echo 2 >'{SECRET}.txt'")), says(f"I used {SECRET}, {SECRET.upper()}.")
    )
    verification = Verification(f"echo {SECRET}", 1, 20)
    job = Job(
        repository, tmp_path, provider, f"{SECRET} is the key", None, verification, branch,
        secrets=(SECRET, SECRET.upper()),
    )  # fmt: skip

    ran = job.go()

    said = "".join(r.model_dump_json() for r in ran.records)
    log = git(repository, "log", "--all", "--format=%D %an %B")
    text = "".join(p.read_text() for p in ran.folder.glob("*.md"))
    assert ran.code == 0
    assert bool(text) is not branch
    for shown in (said, log, text):
        assert SECRET not in shown.replace("-0000", "-0000")
        assert "hunter2" not in shown.lower()


def test_a_limit_counts_more_than_a_failed_verification_and_a_refusal_more_than_both(
    repository: Path, tmp_path: Path
) -> None:
    never = Verification("false", 9, 20)
    tries = [s for n in range(5) for s in (says("go", bash(f"echo {n} >a.py")), says("done"))]
    workflow = "mkdir -p .github/workflows; echo x >.github/workflows/x.yml"

    limited = Job(
        repository, tmp_path / "1", ScriptedProvider(*tries), verification=never, limits=Limits(turns=3)
    ).go()  # fmt: skip
    refused = Job(
        repository, tmp_path / "2", does(workflow, "true"), verification=never, limits=Limits(turns=1),
        run_id="2",
    ).go()  # fmt: skip

    assert (limited.code, limited.closing.branch is not None) == (6, True)
    assert (refused.code, refused.closing.branch) == (8, None)


def test_a_branch_in_the_way_is_found_before_anything_is_spent(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "branch", "tiny-backspace")  # no branch can be below another one's name
    provider = does("echo 2 >a.py")

    ran = Job(repository, tmp_path, provider).go()

    assert (ran.code, provider.asked) == (2, [])
    assert isinstance(ran.closing, RunFailed)
    assert "--branch" in str(ran.closing.hint)


def test_a_branch_that_comes_meanwhile_keeps_the_patch(repository: Path, tmp_path: Path) -> None:
    provider = does(f"git -C {repository} branch tiny-backspace; echo 2 >a.py")

    ran = Job(repository, tmp_path, provider).go()

    assert (ran.code, ran.closing.branch) == (3, None)
    assert ran.closing.patch is not None
    git(repository, "apply", "--check", ran.closing.patch)


def test_what_is_kept_and_shown_is_gits_own_difference_and_nothing_hides_in_it(
    repository: Path, tmp_path: Path
) -> None:
    ran = Job(
        repository, tmp_path, does("printf 'x\\033Py\\n' >a.py; echo 2 >b.py"), branch=False
    ).go()

    patch = Path(str(ran.closing.patch))
    shown = escaped(patch.read_text())
    assert "+x\\x1bPy" in shown
    assert "+2" in shown
    assert "\x1b" not in shown
    applied = git(repository, "apply", "--stat", str(patch))
    assert "a.py" in applied
    assert "b.py" in applied


def test_a_mode_of_a_large_file_switches_no_rule_off(tmp_path: Path) -> None:
    large = make_repository(tmp_path / "large", {"big": b"x" * (6 << 20), "a.py": "x\n"})
    token = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"

    ran = Job(large, tmp_path, does(f"chmod +x big; echo '{token}' >a.py")).go()

    assert ran.code == 8
    assert [d.rule for d in ran.of(PolicyDecided)] == ["secret"]
