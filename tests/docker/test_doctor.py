"""`doctor` as a user runs it: on a real engine, beside a GitHub on this machine, and where things are missing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.docker.forge import github
from tests.program import Program
from tiny_backspace.sandbox.examination import _age
from tiny_backspace.sandbox.selftest import TITLES

KEY = "sk-canary-000000"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    home = tmp_path / "home"
    home.mkdir()
    return Program(home, {"ANTHROPIC_API_KEY": KEY, "GITHUB_TOKEN": "ghp_canary"})


def examined(program: Program, *flags: str, code: int = 0) -> dict[str, dict[str, Any]]:
    done = program.run("doctor", "--json", *flags)
    assert (done.exit_code, done.stderr) == (code, "")
    assert KEY not in done.stdout
    assert "canary" not in done.stdout
    return {finding["name"]: finding for finding in done.lines}


def test_all_that_a_run_needs_is_looked_at_and_nothing_secret_is_shown(program: Program) -> None:
    found = examined(program)

    assert {f["status"] for f in found.values()} <= {"ok", "warning"}
    assert "rootless" in found["engine"]["found"]
    assert {"python", "git", "state", "cache", "engine", "memory", "image", "sandbox"} <= set(found)
    assert (
        "uid 10001, capabilities 0000000000000000, seccomp on, interfaces lo"
        in found["sandbox"]["found"]
    )
    assert found["agent claude"]["status"] == "ok"
    assert "ANTHROPIC_API_KEY" in found["agent claude"]["found"]
    assert found["agent openai"]["status"] == "warning"
    assert found["github"]["status"] == "ok"
    assert all(f["fix"] for f in found.values() if f["status"] != "ok")


def test_every_control_is_tried_where_that_is_wanted(program: Program) -> None:
    found = examined(program, "--sandbox")

    assert {title: found[title]["found"] for title in TITLES.values()} == dict.fromkeys(
        TITLES.values(), "holds"
    )


def test_people_get_a_line_each_and_a_verdict(program: Program) -> None:
    done = program.run("doctor")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].startswith("✓ python")
    assert done.stdout.splitlines()[-1].startswith("A run can work here")
    assert "\x1b" not in done.stdout


def test_without_an_engine_a_run_cannot_work(program: Program, tmp_path: Path) -> None:
    lost = Program(program.home, {"DOCKER_HOST": f"unix://{tmp_path}/nowhere.sock"})
    found = examined(lost, code=1)

    assert found["engine"]["status"] == "failed"
    assert "no Docker engine answers" in found["engine"]["found"]
    assert "make install" in found["engine"]["fix"]
    assert "sandbox" not in found


def test_an_image_that_is_not_here_or_no_git_is_said_with_the_way_out(
    program: Program, tmp_path: Path
) -> None:
    found = examined(program, "--image", "no-such-image", code=1)
    assert found["image"]["status"] == "failed"
    assert "docker pull no-such-image" in found["image"]["fix"]

    (tmp_path / "bin").mkdir()
    found = examined(Program(program.home, {"PATH": str(tmp_path / "bin")}), code=1)
    assert (found["git"]["status"], found["git"]["found"]) == ("failed", "not found")


def test_where_nobody_can_answer_a_run_cannot_work(program: Program) -> None:
    found = examined(program, "--agents", "openai", code=1)
    assert (found["agents"]["status"], found["agents"]["found"]) == ("failed", "nobody can answer")
    assert examined(program, "--agents", "openai,dummy")["agents"]["status"] == "warning"


def test_an_image_of_ours_gets_old(program: Program) -> None:
    assert re.search(r"made (today|\d+ days ago)", examined(program)["image"]["found"])
    old = datetime.now(UTC) - timedelta(days=91)
    finding = _age("n", old, own=True)
    assert (finding.status, finding.found) == ("warning", "n, made 91 days ago")
    assert _age("n", old, own=False).status == "ok"


def test_a_state_folder_that_cannot_be_used_is_told(program: Program) -> None:
    program.home.joinpath("state").write_text("a file")
    found = examined(program, code=1)

    assert found["state"]["status"] == "failed"


@pytest.mark.parametrize("reads", [False, True])
def test_a_token_is_tried_on_the_repository_that_is_named(tmp_path: Path, reads: bool) -> None:
    with github(tmp_path, reads=reads) as place:
        done = place.run("doctor", "--json", "--repo", "owner/project")
    (finding,) = [json.loads(line) for line in done.stdout.splitlines() if '"github"' in line]

    assert done.exit_code == reads
    assert finding["status"] == ("failed" if reads else "ok")
    assert ("may not push" if reads else "may push to owner/project (1 branches)") in finding[
        "found"
    ]
    assert place.token.value not in done.stdout
    assert place.new == []
