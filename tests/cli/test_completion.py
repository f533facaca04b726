"""Tab, in each shell: commands, and the ids of runs; asked as the shells' own scripts ask."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.program import Program
from tiny_backspace import events as ev
from tiny_backspace.recorder import Recorder
from tiny_backspace.telemetry.store import History


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path, {})
    program.state.mkdir(parents=True, mode=0o700)
    for run, prompt in (
        ("0a1b2c3d", "fix: the\ttypo"),
        ("0aff0000", "add a flag"),
        ("ffff0000", "x"),
    ):
        with History(program.state / "history.db") as history:
            emit = Recorder(run, [history], clock=lambda: datetime.now(UTC), redact=str)
            emit(
                ev.RunStarted(repo="r", prompt=prompt, base="b", agents=(), limits={}, version="1")
            )
    return program


def said(program: Program, environment: dict[str, str]) -> str:
    """What the installed command says: it is asked by its own name."""
    command = Path(sys.executable).with_name("tiny-backspace")
    env = {**program.env, **environment}
    return subprocess.run([command], env=env, capture_output=True, text=True, check=False).stdout


def offered(program: Program, shell: str, typed: str) -> str:
    """What is offered for the last word."""
    words = typed.split(" ")
    environment = {
        "_TINY_BACKSPACE_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1],
        "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1),
    }  # fmt: skip
    return said(program, environment)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_ids_of_runs_are_offered(program: Program, shell: str) -> None:
    assert "replay" in offered(program, shell, "tiny-backspace re")
    told = ""
    for typed in ("show 0a", "resume 0a", "replay 0a", "logs --run 0a"):
        told = offered(program, shell, f"tiny-backspace {typed}")
        assert "0a1b2c3d" in told
        assert "0aff0000" in told
        assert "ffff0000" not in told
        assert "Traceback" not in told
    if shell != "bash":
        assert "fix the typo" in told.replace("\t", " ").replace("  ", " ")


def test_without_a_history_there_is_nothing_to_offer_but_last(tmp_path: Path) -> None:
    told = offered(Program(tmp_path, {}), "bash", "tiny-backspace show ")
    assert told.split() == ["last"]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_to_install(program: Program, shell: str) -> None:
    environment = {"_TINY_BACKSPACE_COMPLETE": f"source_{shell}"}
    assert "_TINY_BACKSPACE_COMPLETE=complete_" in said(program, environment)
