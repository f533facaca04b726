"""The ledger: whoever adds to it, and however they end, what is written stays readable."""

from __future__ import annotations

import multiprocessing
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tiny_backspace.batch.ledger import Ledger
from tiny_backspace.batch.working import Ended
from tiny_backspace.errors import UsageError

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def test_the_last_end_counts_and_branches_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "batch")
    assert ledger.read() == {}
    failed = Ended("a" * 16, 9, "run1", "it failed", branch="x")
    done = Ended("a" * 16, 0, "run2", "done", branch="x-2", pr_url="https://…", cost_usd=0.5)
    other = Ended("b" * 16, 2, message="\x1b[31mno\n")
    for ended in (failed, other, done):
        ledger.add(ended, NOW)

    known = ledger.read()
    assert (known["a" * 16].ended, known["a" * 16].branches) == (done, 2)
    assert (known["b" * 16].ended, known["b" * 16].branches) == (other, 0)
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "batch")
    ledger.add(Ended("a", 0), NOW)
    ledger.add(Ended("b", 0), NOW)
    ledger.path.write_bytes(ledger.path.read_bytes()[:-20])
    ledger.add(Ended("c", 0), NOW)
    assert set(ledger.read()) == {"a", "c"}


def add(folder: Path, name: str) -> None:
    ledger = Ledger(folder)
    for n in range(100):
        ledger.add(Ended(f"{name}{n}", 0, message="m" * 5000), NOW)


def test_many_processes_may_add_at_the_same_time(tmp_path: Path) -> None:
    start = multiprocessing.get_context("spawn")
    processes = [start.Process(target=add, args=(tmp_path / "batch", n)) for n in "abcd"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(Ledger(tmp_path / "batch").read()) == 400


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "batch")
    (tmp_path / "elsewhere").write_text("theirs\n")
    ledger.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="cannot be used"):
        ledger.add(Ended("a", 0), NOW)
    assert (tmp_path / "elsewhere").read_text() == "theirs\n"
