"""The main job as a user does it, on the real engine: every item of it, seen from outside."""

from __future__ import annotations

import re
import signal
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from tests.program import Program, git, make_repository, snapshot
from tests.servers.git_http import git_server

PROMPT = "replace 'helo' with 'hello' in README.md"
FILES: dict[str, str | bytes] = {
    "README.md": "helo world\nhelo again\n",
    "src/a.py": "x = 1\n",
    ".gitignore": "__pycache__/\n",
}
NEW = (".git/objects", ".git/refs/heads/tiny-backspace", ".git/logs/refs/heads/tiny-backspace")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "home", {})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return make_repository(tmp_path / "project", FILES)


def containers(program: Program) -> list[str]:
    """Containers that this program's runs left, by the owner id of its state folder."""
    if not (program.state / "id").exists():
        return []  # without an owner's id no container was ever asked for
    owner = (program.state / "id").read_text().strip()
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label=tiny-backspace.owner={owner}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return listed.stdout.split()


def test_a_sentence_becomes_a_branch_and_nothing_else_changes(
    program: Program, repository: Path
) -> None:
    before = snapshot(repository, leaving_out=NEW)

    done = program.run("run", ".", PROMPT, cwd=repository)

    branch = done.stdout.strip()
    assert done.exit_code == 0, done.stderr
    assert re.fullmatch(r"tiny-backspace/replace-helo-with-hello-in-readme-md-[0-9a-f]{8}", branch)
    assert git(repository, "show", f"{branch}:README.md") == "hello world\nhello again"
    assert git(repository, "diff", "--name-only", f"main...{branch}") == "README.md"
    assert git(repository, "rev-list", "--count", f"main..{branch}") == "1"
    assert snapshot(repository, leaving_out=NEW) == before
    assert "No model was used" in git(repository, "log", "-1", "--format=%B", branch)
    assert git(repository, "fsck", "--strict", "--no-dangling") == ""
    assert containers(program) == []


def test_a_dirty_tree_is_fine_and_said(program: Program, repository: Path) -> None:
    (repository / "README.md").write_text("changed by hand\n")
    (repository / "new.txt").write_text("untracked\n")

    done = program.run("run", ".", PROMPT, "-o", "jsonl", cwd=repository)

    assert done.exit_code == 0
    assert any("2 uncommitted or untracked" in w["message"] for w in done.of("warning"))
    branch = done.lines[-1]["branch"]
    assert git(repository, "show", f"{branch}:README.md") == "hello world\nhello again"
    assert (repository / "README.md").read_text() == "changed by hand\n"


def test_a_worktree_a_subfolder_and_a_detached_head_are_repositories_too(
    program: Program, repository: Path, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "other"))

    inside = program.run("run", "src", PROMPT, "-q", cwd=repository)
    other = program.run("run", str(tmp_path / "other"), "delete src/a.py", "-o", "jsonl")

    assert (inside.exit_code, other.exit_code) == (0, 0)
    assert other.of("repository")[0]["branch"] is None
    branch = other.lines[-1]["branch"]
    assert git(repository, "diff", "--name-status", f"main...{branch}") == "D\tsrc/a.py"


def test_the_lines_are_the_contract(program: Program, repository: Path) -> None:
    done = program.run("run", str(repository), PROMPT, "--output", "jsonl")

    lines = done.lines
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert len({line["run_id"] for line in lines}) == 1
    assert [line["type"] for line in lines].count("success") == 1
    assert lines[-1]["type"] == "success"
    assert (lines[-1]["exit_code"], lines[-1]["progress"]) == (0, 100)
    progress = [line["progress"] for line in lines if line["type"] in ("info", "success")]
    assert progress == sorted(progress) == [10, 20, 30, 50, 70, 90, 100]
    assert done.of("sandbox")[0]["ok"] is True
    assert done.of("sandbox")[0]["interfaces"] == ["lo"]
    edit = done.of("file_edit")
    assert [(e["filepath"], e["operation"]) for e in edit] == [("README.md", "modify")]
    assert done.of("resources")[-1]["memory_peak"] > 0


def test_the_history_keeps_what_the_run_said(program: Program, repository: Path) -> None:
    done = program.run("run", str(repository), PROMPT, "-o", "jsonl")
    run_id = done.lines[0]["run_id"]

    shown = program.run("show", run_id, "--json")
    listed = program.run("runs", "--json")
    replayed = program.run("replay", "last", "--speed", "1000", "-o", "jsonl")

    assert shown.stdout == done.stdout
    assert replayed.stdout == done.stdout
    assert [(r["run_id"], r["status"]) for r in listed.lines] == [(run_id, "succeeded")]


def test_verification_is_told_as_it_was(program: Program, repository: Path) -> None:
    good = program.run(
        "run", str(repository), PROMPT, "--verify", "grep -c hello README.md", "-o", "jsonl"
    )
    bad = program.run(
        "run", str(repository), PROMPT, "--verify", "echo no; exit 7", "--no-verify-base", "-o", "jsonl",
    )  # fmt: skip

    told = sorted((v["on"], v["ok"], v["exit_code"], v["output"]) for v in good.of("verification"))
    assert told == [("base", False, 1, "0"), ("change", True, 0, "2")]
    used = {s["use"]: s["container"] for s in good.of("sandbox") if s["ok"]}
    assert sorted(used) == ["agent", "base", "change"]
    assert len(set(used.values())) == 3
    assert bad.exit_code == 9
    assert [(v["on"], v["ok"], v["exit_code"], v["output"]) for v in bad.of("verification")] == [
        ("change", False, 7, "no")
    ]
    closing = bad.lines[-1]
    assert (closing["type"], closing["error"]) == ("error", "verification_failed")
    assert git(repository, "show", f"{closing['branch']}:README.md").startswith("hello")


def test_a_request_that_is_no_plain_edit_becomes_an_honest_proposal(
    program: Program, repository: Path
) -> None:
    done = program.run(
        "run", str(repository), "make the world greeting configurable", "-o", "jsonl"
    )

    (edit,) = done.of("file_edit")
    text = git(repository, "show", f"{done.lines[-1]['branch']}:{edit['filepath']}")
    assert edit["filepath"].startswith("PROPOSAL-")
    assert "No model was used" in text
    assert "README.md" in text
    assert "make the world greeting configurable" in text


def test_nothing_to_change_is_a_success_that_says_so(program: Program, repository: Path) -> None:
    done = program.run(
        "run", str(repository), "replace 'absent' with 'x' in README.md", "-o", "jsonl"
    )

    assert done.exit_code == 0
    assert "Nothing to change" in done.lines[-1]["message"]
    assert git(repository, "branch", "--list", "tiny-backspace/*") == ""


def test_a_refused_change_is_kept_as_a_patch(program: Program, repository: Path) -> None:
    wanted = "create .github/workflows/ci.yml with content 'on: push'"

    refused = program.run("run", str(repository), wanted, "-o", "jsonl")
    allowed = program.run(
        "run", str(repository), wanted, "--allow-path", ".github/workflows/*", "-q"
    )

    closing = refused.lines[-1]
    assert (refused.exit_code, closing["error"]) == (8, "policy_refused")
    assert "ci.yml" in Path(closing["patch"]).read_text()
    assert closing["branch"] is None
    assert allowed.exit_code == 0
    assert git(repository, "branch", "--list", "tiny-backspace/*").count("\n") == 0


def test_publish_patch_leaves_a_patch_that_applies(program: Program, repository: Path) -> None:
    done = program.run("run", str(repository), PROMPT, "--publish", "patch", "-q")

    assert git(repository, "branch", "--list", "tiny-backspace/*") == ""
    git(repository, "apply", "--check", done.stdout.strip())


def test_a_remote_repository_ends_as_a_patch_and_a_text(
    program: Program, repository: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "served" / "owner" / "name.git"
    git(repository, "clone", "-q", "--bare", str(repository), str(bare))
    with git_server(tmp_path / "served") as server:
        done = program.run("run", f"{server.url}/owner/name", PROMPT, "-o", "jsonl")

    closing = done.lines[-1]
    assert (done.exit_code, closing["branch"]) == (0, None)
    assert any("the change will be a patch" in w["message"] for w in done.of("warning"))
    git(repository, "apply", "--check", closing["patch"])
    text = Path(closing["patch"]).with_name("pull-request.md").read_text()
    assert "No model was used" in text


def test_odd_names_and_bytes_survive_the_journey(program: Program, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    files: dict[str, str | bytes] = {
        "crlf.txt": b"one\r\nhelo\r\nthree\r\n",
        "latin.txt": b"caf\xe9 helo",
        "b\u00e4r/\u65e5\u672c \u8a9e.txt": "helo\n",
        "binary.bin": bytes(range(256)) * 9,
        "tab\tname.txt": "helo\n",
    }
    repository = make_repository(tmp_path / "odd", files)
    (repository / "link").symlink_to("crlf.txt")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "link")

    done = program.run(
        "run", str(repository), "replace 'helo' with 'hello' in all files", "-o", "jsonl"
    )

    branch = done.lines[-1]["branch"]
    assert done.exit_code == 0, done.lines[-1]
    git(repository, "checkout", "-q", branch)
    assert (repository / "crlf.txt").read_bytes() == b"one\r\nhello\r\nthree\r\n"
    assert (repository / "latin.txt").read_bytes() == b"caf\xe9 hello"
    assert (repository / "b\u00e4r/\u65e5\u672c \u8a9e.txt").read_text() == "hello\n"
    assert (repository / "binary.bin").read_bytes() == bytes(range(256)) * 9
    assert (repository / "link").is_symlink()


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize(
    "until",
    [
        "run_started",
        "sandbox_init",
        '"operation":"sandbox.create"',
        '"clone"',
        '"type":"tool_call"',
        '"type":"tool_result"',
    ],
)
def test_a_stopped_run_leaves_no_container_and_loses_no_work(
    program: Program, repository: Path, number: signal.Signals, code: int, kind: str, until: str
) -> None:
    process = program.start("run", str(repository), PROMPT, "--verify", "sleep 50", "-o", "jsonl")
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        said = ""
        for line in process.stdout:
            said += line
            if until in line:
                break
        process.send_signal(number)
        said += process.stdout.read()
        complaint = process.stderr.read()

    assert process.returncode == code, complaint
    assert complaint == ""
    last = said.splitlines()[-1]
    assert f'"error":"{kind}"' in last
    assert containers(program) == []
    if "tool_result" in until:
        assert "change.patch" in last, said[-5000:]


def test_leftovers_of_a_killed_run_go_with_the_next_one(program: Program, repository: Path) -> None:
    process = program.start("run", str(repository), PROMPT, "--verify", "sleep 50", "-o", "jsonl")
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if "tool_result" in line:
                break
        process.kill()
    assert len(containers(program)) == 1
    assert [r["status"] for r in program.run("runs", "--json").lines] == ["crashed"]

    cleaned = program.run("clean")

    assert "Removed 1 container" in cleaned.stderr
    assert containers(program) == []


def test_a_run_never_removes_the_container_of_a_living_one(
    program: Program, repository: Path
) -> None:
    process = program.start("run", str(repository), PROMPT, "--verify", "sleep 20", "-o", "jsonl")
    assert process.stdout is not None
    with process:
        attested = (line for line in process.stdout if '"type":"sandbox"' in line)
        assert len(list(islice(attested, 3))) == 3  # the agent's, and two to verify in
        living = containers(program)

        program.run("clean")
        second = program.run("run", str(repository), "delete src/a.py", "-q")

        assert second.exit_code == 0
        assert len(living) == 3
        assert containers(program) == living
        process.terminate()


@pytest.mark.parametrize(
    ("repo", "prompt", "code", "said"),
    [
        ("ext::sh -c id", PROMPT, 2, "https"),
        ("https://user:secret-token@github.com/a/b", PROMPT, 2, "token"),
        ("http://example.org/a/b", PROMPT, 2, "https"),
        (".", "", 2, "empty"),
        (".", "@/nowhere", 2, "cannot be read"),
        ("/nowhere", PROMPT, 3, "no folder"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_an_exit_code(
    program: Program, repository: Path, repo: str, prompt: str, code: int, said: str
) -> None:
    done = program.run("run", repo, prompt, "-q", cwd=repository)

    assert done.exit_code == code
    assert said in done.stderr
    assert "secret-token" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_prompt_may_come_from_a_file_or_standard_input(
    program: Program, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "task.md").write_text(PROMPT)

    by_file = program.run("run", str(repository), f"@{tmp_path / 'task.md'}", "-q")
    by_stdin = program.run("run", str(repository), "-", "-q", stdin=PROMPT)

    assert (by_file.exit_code, by_stdin.exit_code) == (0, 0)
    assert git(repository, "diff", by_file.stdout.strip(), by_stdin.stdout.strip()) == ""


def test_no_key_reaches_any_output_or_the_container(repository: Path, tmp_path: Path) -> None:
    secret = "canary-5f0e6a1b9c"
    program = Program(tmp_path / "home", {"ANTHROPIC_API_KEY": secret, "SOME_TOKEN": secret})

    done = program.run(
        "run", str(repository), f"replace 'helo' with '{secret}' in README.md",
        "--verify", "env; cat /proc/1/environ; cat README.md", "-o", "jsonl",
    )  # fmt: skip

    kept = b"".join(
        p.read_bytes() for p in program.state.rglob("*") if p.name.startswith("history")
    )
    assert secret not in done.stdout + done.stderr
    assert secret.encode() not in kept
    assert git(repository, "show", f"{done.lines[-1]['branch']}:README.md").startswith(secret)


def test_files_of_the_state_are_private(program: Program, repository: Path) -> None:
    program.run("run", str(repository), PROMPT, "-q")

    open_to_others = [p for p in program.state.rglob("*") if p.stat().st_mode & 0o077]
    assert open_to_others == []
