"""Both vendors' models at work on the real engine: the command line to a branch, over the wire."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.program import Finished, Program, git
from tests.servers.fifteen import PROMPT, TURNS, Answer, Failing, done, make
from tests.servers.models import KEY, Fault, ModelServer, serving
from tests.servers.script import Dialect


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return make(tmp_path / "project")


def run(
    answered: Answer, agents: str, repository: Path, home: Path
) -> tuple[Finished, ModelServer, Program]:
    """The program with both keys, its vendors being on this machine."""
    with serving(answered) as server:
        environment = {
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": server.claude_url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": server.openai_url,
        }
        program = Program(home, environment)
        finished = program.run(
            "run", ".", PROMPT, "--agents", agents, "-o", "jsonl", cwd=repository
        )
    assert server.refused == []
    assert finished.exit_code == 0, finished.stdout[-2000:] + finished.stderr
    return finished, server, program


def left(program: Program) -> list[str]:
    """Containers of this program's runs."""
    owner = (program.state / "id").read_text().strip()
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label=tiny-backspace.owner={owner}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return listed.stdout.split()


def check_branch(finished: Finished, program: Program, repository: Path, folder: Path) -> None:
    """The work is there and whole, nothing else is, and the key is nowhere."""
    branch = finished.lines[-1]["branch"]
    assert git(repository, "rev-parse", f"{branch}^{{tree}}") == done(folder / "expected")
    assert git(repository, "status", "--porcelain") == ""
    assert left(program) == []
    assert KEY not in finished.stdout + finished.stderr
    for file in program.home.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes()


@pytest.mark.parametrize("dialect", ["claude", "openai"])
def test_a_model_uses_all_tools_in_the_sandbox_and_trips_once(
    dialect: Dialect, repository: Path, tmp_path: Path
) -> None:
    failing = Failing(once=(5, Fault("status", 529)))
    finished, server, program = run(failing, dialect, repository, tmp_path / "home")

    check_branch(finished, program, repository, tmp_path)
    expected = [*range(1, 6), *range(5, TURNS + 1)]
    assert [(a.dialect, a.turn) for a in server.requests] == [(dialect, n) for n in expected]
    assert [retry["provider"] for retry in finished.of("retry")] == [dialect]
    results = {line["id"]: line for line in finished.of("tool_result")}
    assert {line["tool"] for line in results.values()} == {
        "read", "write", "edit", "glob", "grep", "bash",
    }  # fmt: skip
    not_ok = {id_ for id_, line in results.items() if not line["ok"]}
    assert not_ok == {"call_7_1", "call_9_0"}  # the two that the script asks wrongly
    assert "src/words.py" in results["call_1_0"]["excerpt"]
    assert "README.md" in results["call_2_3"]["excerpt"]


def test_the_other_vendor_goes_on_in_the_same_sandbox(repository: Path, tmp_path: Path) -> None:
    failing = Failing(for_good=("claude", 8))
    finished, server, program = run(failing, "claude,openai,dummy", repository, tmp_path / "home")

    check_branch(finished, program, repository, tmp_path)
    asked = [("claude", n) for n in range(1, 9)] + [("openai", n) for n in range(8, TURNS + 1)]
    assert [(a.dialect, a.turn) for a in server.requests] == asked
    (replaced,) = finished.of("provider_fallback")
    assert (replaced["failed"], replaced["next"], replaced["turn"]) == ("claude", "openai", 8)
