"""The user's own check, in a sandbox of its own each time, told as it was."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes import FakeSandbox, FolderSandbox
from tiny_backspace.errors import SandboxError, SandboxLost
from tiny_backspace.events import Event, ThoughtDelta, Verified, Warned
from tiny_backspace.repo.quarantine import Patch
from tiny_backspace.sandbox.interface import ExecResult, Sandbox
from tiny_backspace.verification import Subject, Verification, complaint, verifying

NOTHING = Patch(Path("none"), 0, "0" * 40)


@dataclass
class Rooms:
    """Opens the same sandbox for whatever is to be verified, and knows what is open."""

    sandbox: Sandbox
    opened: list[Subject] = field(default_factory=list)
    closed: list[Subject] = field(default_factory=list)
    said: list[Event | ThoughtDelta] = field(default_factory=list)

    @contextmanager
    def __call__(self, subject: Subject) -> Generator[Sandbox]:
        self.opened.append(subject)
        try:
            yield self.sandbox
        finally:
            self.closed.append(subject)

    def verified(self, wanted: Verification, attempt: int = 1) -> Verified:
        with verifying(wanted, self, self.said.append) as verifier:
            verdict = verifier.verify(NOTHING, attempt)
            verifier.before()
        assert self.opened == self.closed or sorted(self.opened) == sorted(self.closed)
        return verdict

    @property
    def verdicts(self) -> list[Verified]:
        return [event for event in self.said if isinstance(event, Verified)]


def tried(folder: Path, command: str, timeout: float = 20, attempt: int = 1) -> Verified:
    rooms = Rooms(FolderSandbox(folder))
    verdict = rooms.verified(Verification(command, 2, timeout, on_base=False), attempt)
    assert rooms.verdicts == [verdict]
    assert rooms.said[-1] == verdict
    assert rooms.closed == ["change"]
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
    late = Rooms(FakeSandbox(run=lambda _, __: ExecResult(0, b"half", timed_out=True)))
    verdict = late.verified(Verification("slow", 1, 0.2, on_base=False))

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


def test_a_container_that_is_lost_in_it_has_failed_it() -> None:
    def lost(argv: Sequence[str], stdin: bytes) -> ExecResult:
        raise SandboxLost("gone")

    verdict = Rooms(FakeSandbox(run=lost)).verified(Verification("x", 1, 1, on_base=False))

    assert (verdict.ok, verdict.exit_code) == (False, -1)
    assert verdict.output == "[its container was lost: gone]"


def test_the_base_is_verified_beside_it_and_both_are_told(tmp_path: Path) -> None:
    rooms = Rooms(FolderSandbox(tmp_path))

    rooms.verified(Verification("echo same; exit 4", 1, 20), attempt=1)

    told = sorted((v.on, v.ok, v.exit_code, v.output) for v in rooms.verdicts)
    assert told == [("base", False, 4, "same"), ("change", False, 4, "same")]
    assert sorted(rooms.closed) == ["base", "change"]


def test_a_base_that_cannot_be_verified_is_a_warning() -> None:
    @contextmanager
    def room(subject: Subject) -> Generator[Sandbox]:
        if subject == "base":
            raise SandboxError("no room")
        yield FakeSandbox()

    said: list[Event | ThoughtDelta] = []
    with verifying(Verification("x", 1, 1), room, said.append) as verifier:
        assert verifier.verify(NOTHING, 1).ok
        assert verifier.before() is None

    warned = [event.message for event in said if isinstance(event, Warned)]
    assert warned == ["The base could not be verified: no room"]


def test_a_run_that_ends_does_not_wait_for_the_base() -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(argv: Sequence[str], stdin: bytes) -> ExecResult:
        begun.set()
        ended.wait()
        raise SandboxLost("gone")

    @contextmanager
    def room(subject: Subject) -> Generator[Sandbox]:
        try:
            yield FakeSandbox(run=endless)
        finally:  # as an exec ends when its container is removed
            ended.set()

    said: list[Event | ThoughtDelta] = []
    with verifying(Verification("x", 1, 1), room, said.append):
        begun.wait()

    assert ended.is_set()
    assert not any(isinstance(event, Warned) for event in said)


def test_the_agent_is_told_what_ran_and_what_it_said(tmp_path: Path) -> None:
    verdict = tried(tmp_path, "echo three tests fail; exit 3")
    told = complaint(verdict, None)

    assert "`echo three tests fail; exit 3`" in told
    assert "ended with exit code 3. Its output" in told
    assert "\n\n| three tests fail\n\n" in told


@pytest.mark.parametrize(
    ("ok", "word"), [(True, "it passed."), (False, "it failed with exit code 3.")]
)
def test_the_agent_is_told_what_the_base_did(tmp_path: Path, ok: bool, word: str) -> None:
    verdict = tried(tmp_path, "exit 3")
    before = verdict.model_copy(update={"on": "base", "ok": ok})

    assert f"as it was before your change {word} Its output" in complaint(verdict, before)
