"""Runs as processes of their own, as a batch and the service start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.docker.test_main_job import FILES, PROMPT, containers
from tests.program import Program, git, make_repository
from tiny_backspace.child import Child

LONG = "\n" * 200_000  # more than a pipe holds


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home", {})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", FILES)


def until(holds: Callable[[], bool]) -> None:
    end = monotonic() + 30
    while not holds():
        assert monotonic() < end
        sleep(0.05)


def test_it_is_heard_line_by_line(program: Program, repository: Path) -> None:
    with Child(["run", str(repository), "-", "--branch", "b"], PROMPT, program.env) as child:
        records = [json.loads(line) for line in child.lines()]

        assert child.wait() == 0
        assert child.complaint() == ""
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert records[-1]["type"] == "success"
    assert git(repository, "show", "b:README.md").startswith("hello world")


def test_one_that_is_cancelled_keeps_its_work_and_leaves_nothing(
    program: Program, repository: Path
) -> None:
    words = ["run", str(repository), "-", "--verify", "sleep 60"]
    with Child(words, PROMPT, program.env) as child:
        last = ""
        for line in child.lines():
            if json.loads(line)["type"] == "work_saved":
                child.cancel()
            last = json.loads(line)["type"]

        assert child.wait() == 143
        assert last == "error"
    assert containers(program) == []


def test_whoever_leaves_cancels_it(program: Program, repository: Path) -> None:
    words = ["run", str(repository), "-", "--verify", "sleep 60"]
    with Child(words, PROMPT, program.env) as child:
        next(child.lines())
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
    assert containers(program) == []


def test_what_is_no_run_is_told_by_its_complaint(program: Program) -> None:
    with Child(["run", "--no-such-option"], LONG, program.env) as child:
        assert list(child.lines()) == []
        assert child.wait() == 2
        assert "--no-such-option" in child.complaint()


def test_the_current_folder_is_not_where_the_program_is_looked_for(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny_backspace").mkdir()
    (tmp_path / "tiny_backspace" / "__main__.py").write_text("raise SystemExit(99)\n")
    (tmp_path / "tiny_backspace" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    with Child(["run", "--no-such-option"], "", program.env) as child:
        assert child.wait() == 2


def test_one_whose_parent_was_killed_ends_and_leaves_nothing(
    program: Program, repository: Path
) -> None:
    parent = (
        "import sys; from tiny_backspace.child import Child\n"
        "with Child(sys.argv[2:], sys.argv[1]) as child:\n"
        "    for line in child.lines():\n"
        "        if b'work_saved' in line: print(child.pid, flush=True)\n"
    )
    words = ["run", str(repository), "-", "--verify", "sleep 60"]
    with subprocess.Popen(
        [sys.executable, "-c", parent, PROMPT, *words], env=program.env, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout
        child = int(started.stdout.readline())
        started.kill()

    until(lambda: not Path(f"/proc/{child}").exists())
    assert containers(program) == []
    assert [row["status"] for row in program.run("runs", "--json").lines] == ["failed"]
