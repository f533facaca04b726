"""What a history tells in numbers: within a time, of an older version, empty and damaged."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from tests.health.told import NOW, SINCE, asked, failed, told, turn
from tiny_backspace import events as ev
from tiny_backspace.health.facts import RUNS, TIMINGS, UNFINISHED, Provider, measure
from tiny_backspace.health.rules import judge
from tiny_backspace.telemetry.database import MIGRATIONS


def test_a_history_is_measured_within_its_time(state: Path) -> None:
    told(
        state,
        "a",
        *(turn("claude", 100.0 * n) for n in range(1, 101)),
        ev.RunSucceeded(message="m"),
    )
    told(
        state,
        "b",
        ev.Retry(provider="openai", reason="r", attempt=1, wait_s=1),
        turn("openai", 900),
        failed("provider"),
    )
    told(
        state,
        "c",
        ev.ProviderReplaced(failed="claude", next="openai", reason="r"),
        ev.Timed(operation="fetch", duration_ms=7),
    )
    told(state, "d")
    told(state, "old", turn("claude", 99_999), failed("bug"), ago=timedelta(days=3))
    facts = measure(state, SINCE, NOW, lambda run: run == "d")

    assert (facts.runs, facts.succeeded, facts.failed, facts.crashed, facts.running) == (
        4,
        1,
        1,
        1,
        1,
    )
    assert (facts.errors, facts.fallbacks) == ({"provider": 1}, 1)
    model = next(op for op in facts.operations if op.name == "model claude")
    assert (model.count, model.p50, model.p95, model.p99, model.mean) == (
        100,
        5_000,
        9_500,
        9_900,
        5_050,
    )
    assert facts.providers == (Provider("claude", 100, 1, replaced=1), Provider("openai", 1, 1))
    assert facts.response_ms == pytest.approx((505_000 + 900) / 101)


def test_without_a_history_all_is_well(state: Path) -> None:
    assert asked(state).stdout.startswith("health 100 of 100: good\n0 runs in 24 h")
    assert json.loads(asked(state, "--json").stdout)["score"] == 100
    state.rmdir()
    assert asked(state).exit_code == 0
    assert not state.exists()


@pytest.mark.parametrize("damage", [b"no database" * 999, b"SQLite format 3\0" * 99])
def test_a_history_that_cannot_be_read_is_the_heaviest_deduction(
    state: Path, damage: bytes
) -> None:
    (state / "history.db").write_bytes(damage)
    (state / "history.db").chmod(0o600)
    done = asked(state)
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "health 40 of 100: poor")
    assert "-60  history" in done.stdout
    assert "It is damaged. Move" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(str(state))  # a path is not broken
    data = json.loads(asked(state, "--json").stdout)
    assert data["score"] == 40
    assert "is damaged" in data["problem"]
    assert (state / "history.db").read_bytes() == damage


def test_what_a_damaged_history_still_tells_is_told(state: Path) -> None:
    told(state, "a", turn("claude", 100), failed("provider"))
    with sqlite3.connect(state / "history.db") as db:
        db.execute("DROP TABLE timings")
    facts = measure(state, SINCE, NOW, lambda _: False)
    assert (facts.errors, facts.operations) == ({"provider": 1}, ())
    assert facts.problem is not None
    assert "timings" in facts.problem


def test_values_of_the_wrong_kind_are_no_crash(state: Path) -> None:
    told(state, "a", turn("claude", 100), failed("provider"))
    with sqlite3.connect(state / "history.db") as db:
        db.execute("UPDATE runs SET cost_usd = 'x', fallbacks = 'y', error = X'ff00'")
        db.execute("UPDATE timings SET duration_ms = 'x', operation = X'ff', ok = 'z'")
    facts = measure(state, SINCE, NOW, lambda _: False)
    assert (facts.runs, facts.failed, facts.cost_usd, facts.problem) == (1, 1, 0.0, None)
    assert asked(state).exit_code == 0
    assert asked(state, "--json").exit_code == 0


def test_git_and_the_forge_are_asked_again_and_are_no_models(state: Path) -> None:
    again = (ev.Retry(provider=name, reason="r", attempt=1, wait_s=1) for name in ("git", "github"))
    told(state, "a", *again, ev.RunSucceeded(message="m"))
    facts = measure(state, SINCE, NOW, lambda _: False)
    assert facts.providers == ()
    assert {(op.name, op.count, op.failed) for op in facts.operations} == {
        ("retry git", 0, 1), ("retry github", 0, 1)
    }  # fmt: skip
    assert judge(facts).score == 100
    assert re.search(r"^retry git +0 +1 +- +- +- +-$", asked(state).stdout, re.MULTILINE)


def test_a_history_of_an_older_version_is_measured_too(state: Path) -> None:
    with sqlite3.connect(state / "history.db") as db:
        for statements in MIGRATIONS[:2]:
            for statement in statements:
                db.execute(statement)
        db.execute("PRAGMA user_version = 2")
        db.execute(
            "INSERT INTO runs (run_id, started_at, status) VALUES ('x', ?, 'failed')",
            ((NOW - timedelta(hours=1)).isoformat(),),
        )
    (state / "history.db").chmod(0o600)
    assert measure(state, SINCE, NOW, lambda _: False).errors == {"unknown": 1}


def test_questions_of_health_use_an_index(state: Path) -> None:
    told(state, "a", turn("claude", 1))
    with sqlite3.connect(state / "history.db") as db:
        for query, *values in ((RUNS, "x"), (UNFINISHED, "x"), (TIMINGS, "x", 5)):
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]
            assert re.match(r"SEARCH \w+ USING INDEX \w+ \(.*(at|started_at)>\?\)", plan[0]), plan
            assert not any("SCAN" in step for step in plan), plan
