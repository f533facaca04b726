"""Who asked the service for which run."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.telemetry.told import STARTED, records_of
from tiny_backspace.telemetry.database import HistoryError
from tiny_backspace.telemetry.pruning import prune
from tiny_backspace.telemetry.requests import Requests, Wanted
from tiny_backspace.telemetry.store import History

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
ONE = Wanted("1" * 32, "me", AT, "key", "hash")


@pytest.fixture
def requests(tmp_path: Path) -> Requests:
    return Requests(tmp_path / "history.db")


def keep_runs(path: Path, runs: Iterable[str]) -> None:
    with History(path) as history:
        for run in runs:
            for record in records_of(run, STARTED):
                history(record)


def nobody(_: str) -> bool:
    return False


def test_what_is_kept_is_found(requests: Requests) -> None:
    assert requests.find(ONE.run_id) is None
    assert requests.keep(ONE) is ONE
    assert requests.find(ONE.run_id) == ONE
    requests.failed(ONE.run_id, "why")
    assert requests.find(ONE.run_id) == replace(ONE, problem="why")
    requests.forget(ONE.run_id)
    assert requests.find(ONE.run_id) is None


def test_a_key_is_used_once_by_each_owner(requests: Requests) -> None:
    requests.keep(ONE)
    assert requests.keep(replace(ONE, run_id="2" * 32, asked="other")) == ONE
    others = replace(ONE, run_id="3" * 32, owner="you")
    without = [replace(ONE, run_id=str(n) * 32, key=None) for n in (4, 5)]
    for each in (others, *without):
        assert requests.keep(each) is each


def test_of_many_at_once_one_is_first(requests: Requests) -> None:
    wanted = [replace(ONE, run_id=f"{n:032x}") for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        kept = {each.run_id for each in pool.map(requests.keep, wanted)}
    assert len(kept) == 1


def test_the_history_lists_the_runs_of_one_owner(tmp_path: Path, requests: Requests) -> None:
    keep_runs(requests._path, ("1" * 32, "2" * 32, "3" * 32))
    requests.keep(ONE)
    requests.keep(replace(ONE, run_id="2" * 32, owner="you"))
    with History(requests._path) as history:
        for owner, runs in (("me", {"1"}), ("you", {"2"}), ("", set()), (None, {"1", "2", "3"})):
            found = history.runs(is_live=nobody, owner=owner)
            assert {row.run_id[0] for row in found} == runs


def test_they_go_with_their_runs_or_when_they_came_to_nothing(
    tmp_path: Path, requests: Requests
) -> None:
    keep_runs(requests._path, ("1" * 32,))
    nothing = replace(ONE, run_id="2" * 32, key=None)
    for each in (ONE, nothing):
        requests.keep(each)

    requests.tidy(AT)
    assert requests.find(nothing.run_id) == nothing
    requests.tidy(AT + timedelta(seconds=1))
    assert requests.find(nothing.run_id) is None
    assert requests.find(ONE.run_id) == ONE
    prune(tmp_path, AT, nobody, keep_work=False, really=True)
    assert requests.find(ONE.run_id) is None


def test_a_damaged_history_is_said_to_be(tmp_path: Path, requests: Requests) -> None:
    (tmp_path / "history.db").write_bytes(b"no database" * 1000)
    with pytest.raises(HistoryError):
        requests.keep(ONE)


def test_a_page_is_what_comes_after_a_record(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with History(path) as history:
        for record in records_of("a" * 32, *[STARTED] * 5):
            history(record)
        assert [line.seq for line in history.page("a" * 32, 0, 2)] == [1, 2]
        assert [line.seq for line in history.page("a" * 32, 3)] == [4, 5]
        assert history.page("a" * 32, 5) == []
        (last,) = history.page("a" * 32, 4)
        assert (last.type, last.text) == ("run_started", list(history.lines("a" * 32))[-1])
