"""The bench: what it keeps, what it tells, and that a signal between any two of its steps loses nothing."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes import FakeSandbox
from tiny_backspace.bench import Bench
from tiny_backspace.cli.signals import stopping
from tiny_backspace.conversation import Message, Text, User
from tiny_backspace.errors import AgentError, Stopped
from tiny_backspace.events import Event, ThoughtDelta, Warned, WorkSaved
from tiny_backspace.repo.mirror import Base
from tiny_backspace.sandbox.interface import ExecResult
from tiny_backspace.telemetry.turns import Checkpoint

BASE = Base("b" * 40, "main")
TALK: tuple[Message, ...] = (User((Text("do it"),)),)
Said = list[Event | ThoughtDelta]


@dataclass
class Kept:
    """A journal in memory."""

    turns: list[tuple[Checkpoint, bool]] = field(default_factory=list)
    broken: bool = False

    def keep(self, work: Checkpoint, *, changed: bool) -> None:
        if self.broken:
            raise AgentError("database is locked")
        self.turns.append((work, changed))


class Tree:
    """A sandbox whose change is `patch`; without one it cannot say what it is."""

    def __init__(self, patch: bytes | None = b"") -> None:
        self.patch = patch
        self.left_out = ""
        self.taken = 0
        self.gate = threading.Event()
        self.gate.set()
        self.sandbox = FakeSandbox(run=self._run)

    def _run(self, argv: Sequence[str], stdin: bytes) -> ExecResult:
        self.gate.wait(5)
        self.taken += 1
        if self.patch is None:
            return ExecResult(128, stderr=b"fatal: not a git repository")
        tree = f"{hash(self.patch) & 0xFFFF:040x}"
        return ExecResult(0, self.patch, f"left out: {self.left_out}\n{tree}".encode())


def bench(tree: Tree, folder: Path, kept: Kept, said: Said) -> Bench:
    return Bench(tree.sandbox, BASE, folder / "change.patch", kept, said.append)


def saved(said: Said) -> list[str | None]:
    return [event.patch for event in said if isinstance(event, WorkSaved)]


def warned(said: Said) -> list[str]:
    return [event.message for event in said if isinstance(event, Warned)]


def test_a_turn_is_kept_with_its_change_and_taken_out_once(tmp_path: Path) -> None:
    tree, kept, said = Tree(b"one"), Kept(), Said()
    work = bench(tree, tmp_path, kept, said)

    work.settle()
    work.completed(TALK, acted=True)
    patch = work.latest()

    assert (patch.path.read_bytes(), tree.taken) == (b"one", 1)
    assert [(w.conversation, w.patch, changed) for w, changed in kept.turns] == [
        (TALK, b"one", True)
    ]
    assert saved(said) == [str(tmp_path / "change.patch")]


def test_a_turn_that_only_looked_is_kept_without_taking_anything_out(tmp_path: Path) -> None:
    tree, kept, said = Tree(b"one"), Kept(), Said()
    work = bench(tree, tmp_path, kept, said)
    work.completed(TALK, acted=True)

    work.completed((*TALK, *TALK), acted=False)
    work.latest()

    assert tree.taken == 1
    assert [changed for _, changed in kept.turns] == [True, False]


def test_what_came_out_before_is_told_when_the_last_does_not_come_out(tmp_path: Path) -> None:
    tree, said = Tree(b"one"), Said()
    work = bench(tree, tmp_path, Kept(), said)
    work.completed(TALK, acted=True)
    work.settle()
    tree.patch = None

    with pytest.raises(AgentError, match="not a git repository"):
        work.latest()

    assert saved(said) == [str(tmp_path / "change.patch")]
    assert (tmp_path / "change.patch").read_bytes() == b"one"


def test_an_interrupted_run_says_that_its_patch_is_of_an_earlier_turn(tmp_path: Path) -> None:
    tree, said = Tree(b"one"), Said()
    work = bench(tree, tmp_path, Kept(), said)
    work.completed(TALK, acted=True)
    work.settle()
    tree.patch = None

    work.rescue()

    assert saved(said) == [str(tmp_path / "change.patch")]
    assert warned(said)[-1].endswith("the patch is of an earlier turn")


def test_that_turns_cannot_be_kept_is_said_once_and_other_warnings_still_are(
    tmp_path: Path,
) -> None:
    tree, said = Tree(b"one"), Said()
    work = bench(tree, tmp_path, Kept(broken=True), said)
    for n in range(3):
        work.settle()
        tree.patch = b"%d" % n
        work.completed(TALK, acted=True)
    work.settle()
    tree.left_out = "error: secret.key: Permission denied"
    work.latest()

    said_of_it = warned(said)
    assert [m for m in said_of_it if "could not be kept" in m] == [said_of_it[0]]
    assert "Permission denied" in said_of_it[-1]


def test_a_change_too_large_to_keep_does_not_go_on_without_its_patch(tmp_path: Path) -> None:
    tree, kept, said = Tree(b"x" * (21 << 20)), Kept(), Said()
    work = bench(tree, tmp_path, kept, said)

    work.completed(TALK, acted=True)
    work.latest()

    assert kept.turns == []
    assert "larger than 20 MiB" in warned(said)[0]


@contextmanager
def stopped(after: float) -> Iterator[None]:
    """A signal comes after so many seconds, wherever the program is by then."""
    with stopping() as signals:
        signal.signal(signal.SIGALRM, lambda _, frame: signals.stop(signal.SIGTERM, frame))
        signal.setitimer(signal.ITIMER_REAL, after)
        yield


def test_a_signal_between_any_two_steps_loses_nothing_and_hangs_nothing(tmp_path: Path) -> None:
    chance, hit = random.Random(1), 0
    for n in range(150):
        tree, said = Tree(b"one"), Said()
        work = bench(tree, tmp_path / str(n), Kept(), said)
        (tmp_path / str(n)).mkdir()
        try:
            with stopped(chance.uniform(0.00002, 0.002)):
                for _ in range(100):
                    work.settle()
                    work.completed(TALK, acted=True)
        except Stopped:
            hit += 1
        work.rescue()
        assert saved(said)[-1] == str(tmp_path / str(n) / "change.patch"), warned(said)
        assert (tmp_path / str(n) / "change.patch").read_bytes() == b"one"
    assert hit > 100
