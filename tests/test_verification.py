"""The user's own check, told as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes import FakeSandbox, FolderSandbox
from tiny_backspace.errors import SandboxLost
from tiny_backspace.events import Event, ThoughtDelta, Verified
from tiny_backspace.sandbox.interface import ExecResult
from tiny_backspace.verification import Verification, complaint, verify

Said = list[Event | ThoughtDelta]


def tried(folder: Path, command: str, timeout: float = 20, attempt: int = 1) -> Verified:
    said: Said = []
    verdict = verify(Verification(command, 2, timeout), attempt, FolderSandbox(folder), said.append)
    assert [event for event in said if isinstance(event, Verified)] == [verdict]
    assert said[-1] == verdict
    return verdict


def test_a_command_that_ends_well_is_a_success_with_its_output(tmp_path: Path) -> None:
    verdict = tried(tmp_path, "echo out; echo err >&2", attempt=2)

    assert (verdict.ok, verdict.exit_code, verdict.attempt) == (True, 0, 2)
    assert verdict.output == "out\nerr"


@pytest.mark.parametrize("code", [1, 7, 126, 255])
def test_a_command_that_fails_is_told_with_its_own_code(tmp_path: Path, code: int) -> None:
    verdict = tried(tmp_path, f"exit {code}")

    assert (verdict.ok, verdict.exit_code) == (False, code)


def test_a_command_that_takes_too_long_failed_whatever_its_code(tmp_path: Path) -> None:
    late = FakeSandbox(run=lambda _, __: ExecResult(0, b"half", timed_out=True))
    verdict = verify(Verification("slow", 1, 0.2), 1, late, lambda _: None)

    assert not verdict.ok
    assert verdict.output == "half\n[ended after 0.2 s]"
    assert not tried(tmp_path, "sleep 30", timeout=0.1).ok


def test_it_is_bash_in_the_work_tree_with_nothing_expanded_by_us(tmp_path: Path) -> None:
    (tmp_path / "a b").write_text("")

    assert tried(tmp_path, 'x=(1 2 3); echo "${x[1]}" *').output == "2 a b"


def test_bytes_that_are_no_text_and_endless_output_are_told_within_bounds(tmp_path: Path) -> None:
    verdict = tried(tmp_path, "printf '\\377\\n'; seq 100000; echo the end")

    assert verdict.ok
    assert verdict.output.startswith("\ufffd\n1\n")
    assert verdict.output.endswith("the end")
    assert len(verdict.output.encode()) <= 4000


def test_a_lost_sandbox_is_no_failed_verification() -> None:
    def lost(argv: Sequence[str], stdin: bytes) -> ExecResult:
        raise SandboxLost("gone")

    said: Said = []
    with pytest.raises(SandboxLost):
        verify(Verification("x", 1, 1), 1, FakeSandbox(run=lost), said.append)

    assert [event for event in said if isinstance(event, Verified)] == []


def test_the_agent_is_told_what_ran_and_what_it_said(tmp_path: Path) -> None:
    told = complaint(tried(tmp_path, "echo three tests fail; exit 3"))

    assert "`echo three tests fail; exit 3` ended with exit code 3" in told
    assert "\n\n| three tests fail\n\n" in told
