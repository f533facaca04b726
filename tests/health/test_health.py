"""The score with its reasons, out of real histories; the rules against their page; alerts to a command and an address."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result
from typing_extensions import override

from tiny_backspace import events as ev
from tiny_backspace.cli import app
from tiny_backspace.events import Event
from tiny_backspace.health.alerts import passed, raise_alerts
from tiny_backspace.health.facts import Facts, Operation, Provider, measure
from tiny_backspace.health.rules import RULES, Verdict, judge
from tiny_backspace.recorder import Recorder
from tiny_backspace.telemetry.database import MIGRATIONS
from tiny_backspace.telemetry.store import History
from tiny_backspace.thresholds import AlertSettings

NOW = datetime.now(UTC)
SINCE = NOW - timedelta(days=1)
WELL = Facts(SINCE, NOW, runs=10, succeeded=10, disk_free=1 << 40)


def turn(provider: str, took: float) -> Event:
    return ev.ModelTurn(
        provider=provider, model="m", turn=1, stop="x", input_tokens=1, output_tokens=1, cached_tokens=0,
        cost_usd=0.25, duration_ms=took,
    )  # fmt: skip


def failed(kind: str) -> Event:
    return ev.RunFailed(error=kind, message="m", exit_code=1)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "tiny-backspace"
    state.mkdir(mode=0o700)
    return state


def told(state: Path, run: str, *events: Event, ago: timedelta = timedelta(hours=1)) -> None:
    with History(state / "history.db") as history:
        emit = Recorder(run, [history], clock=lambda: NOW - ago, redact=str)
        emit(ev.RunStarted(repo="r", prompt="p", base="b", agents=(), limits={}, version="1"))
        for event in events:
            emit(event)


def asked(state: Path, *args: str, config: str = "") -> Result:
    home = state.parent / "config"
    (home / "tiny-backspace").mkdir(parents=True, exist_ok=True)
    (home / "tiny-backspace" / "config.toml").write_text(config)
    env = {"XDG_STATE_HOME": str(state.parent), "XDG_CONFIG_HOME": str(home), "NO_COLOR": "1"}
    return CliRunner().invoke(app, ["health", *args], env=env)


def test_the_page_has_every_rule_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "health.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\d+) \|$", page, re.MULTILINE)
    assert rows == [(rule.name, rule.what, f"{rule.most:g}") for rule in RULES]
    assert len({rule.advice for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("facts", "rule", "points"),
    [
        (replace(WELL, errors={"provider": 1}), "errors", 5),
        (replace(WELL, errors={"provider": 9}), "errors", 30),
        (replace(WELL, errors={"bug": 1}), "errors", 10),
        (replace(WELL, response_ms=5_001), "response", 20),
        (replace(WELL, crashed=2), "unfinished", 10),
        (replace(WELL, crashed=9), "unfinished", 15),
        (replace(WELL, providers=(Provider("a", 90, 10),)), "providers", 5),
        (replace(WELL, fallbacks=2), "fallbacks", 10),
        (replace(WELL, disk_free=1 << 30), "disk", 10),
        (replace(WELL, operations=(Operation("fetch", 3, 1, 1, 31_000, 1),)), "budgets", 2),
    ],
)
def test_each_rule_takes_its_points(facts: Facts, rule: str, points: int) -> None:
    verdict = judge(facts)
    assert [(each.rule, each.points) for each in verdict.deductions] == [(rule, points)]
    assert verdict.score == 100 - points


@pytest.mark.parametrize(
    "facts",
    [
        WELL, Facts(SINCE, NOW), replace(WELL, errors={"usage": 50, "interrupted": 9}), replace(WELL, response_ms=5_000),
        replace(WELL, fallbacks=1), replace(WELL, providers=(Provider("a", 95, 5),)), replace(WELL, disk_free=None),
    ],
)  # fmt: skip
def test_what_is_well_or_the_users_own_costs_nothing(facts: Facts) -> None:
    assert judge(facts) == Verdict(100, ())


@given(
    st.builds(
        Facts, st.just(SINCE), st.just(NOW), runs=st.integers(0, 99), crashed=st.integers(0, 99),
        fallbacks=st.integers(0, 99), errors=st.dictionaries(st.text(), st.integers(0, 99)),
        providers=st.lists(st.builds(Provider, st.text(), st.integers(0, 9), st.integers(1, 9))),
        response_ms=st.none() | st.floats(0, 1e9), disk_free=st.none() | st.integers(0, 1 << 40),
    )
)  # fmt: skip
def test_a_score_is_what_its_deductions_leave(facts: Facts) -> None:
    verdict = judge(facts)
    assert 0 <= verdict.score <= 100
    assert verdict.score == max(0, 100 - sum(each.points for each in verdict.deductions))
    assert [d.points for d in verdict.deductions] == sorted(
        (d.points for d in verdict.deductions), reverse=True
    )


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
    assert facts.providers == (Provider("claude", 100, 1), Provider("openai", 1, 1))
    assert facts.response_ms == pytest.approx((505_000 + 900) / 101)


def test_without_a_history_all_is_well_and_a_damaged_one_is_a_sentence(state: Path) -> None:
    assert asked(state).stdout.startswith("health 100 of 100: good\n0 runs in 24 h")
    assert asked(state, "--json").exit_code == 0
    (state / "history.db").write_bytes(b"no database" * 999)
    (state / "history.db").chmod(0o600)
    assert "is damaged" in str(getattr(asked(state).exception, "hint", ""))


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


def test_people_see_the_reasons_and_programs_one_object(state: Path) -> None:
    told(state, "a", turn("claude", 8_000), failed("provider"))
    text = asked(state).stdout

    assert text.splitlines()[0] == "health 75 of 100: fair"
    assert re.search(r"^  -20  response    Answers are slow", text, re.MULTILINE)
    assert re.search(r"^  -5   errors      Look at what failed", text, re.MULTILINE)
    assert re.search(r"^model claude +1 +8\.0 s +8\.0 s +8\.0 s +8\.0 s$", text, re.MULTILINE)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120
    data = json.loads(asked(state, "--json").stdout)
    assert (data["score"], data["verdict"], data["errors"]) == (75, "fair", {"provider": 1})
    assert [each["rule"] for each in data["deductions"]] == ["response", "errors"]


def test_questions_of_health_use_an_index(state: Path) -> None:
    told(state, "a", turn("claude", 1))
    with sqlite3.connect(state / "history.db") as db:
        for query in (
            "SELECT run_id, status, error, fallbacks, cost_usd FROM runs WHERE started_at >= ?",
            "SELECT operation, duration_ms, ok FROM timings WHERE at >= ? ORDER BY at DESC LIMIT 5",
            "SELECT seq, line FROM records WHERE run_id = ? AND seq > 1 ORDER BY seq LIMIT 5",
        ):
            plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", ("x",)))
            assert re.search(r"USING (COVERING )?(INDEX|PRIMARY KEY)", plan), plan
            assert "SCAN" not in plan


# Alerts.

BAD = replace(
    WELL, runs=10, succeeded=5, errors={"provider": 5}, cost_usd=9.0, providers=(Provider("claude", 1, 1),)
)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"error_rate": 0.4}, "error_rate"), ({"cost_per_day": 8.9}, "cost_per_day"),
        ({"provider_success": 0.6}, "provider_success"), ({"health_below": 90}, "health_below"),
    ],
)  # fmt: skip
def test_a_threshold_that_is_passed_is_said(settings: dict[str, Any], name: str) -> None:
    alerts = AlertSettings.model_validate(settings)
    assert list(passed(alerts, BAD, judge(BAD))) == [name]
    assert passed(alerts, WELL, judge(WELL)) == {}
    assert passed(AlertSettings(), BAD, judge(BAD)) == {}


def command(folder: Path, code: int = 0) -> tuple[str, ...]:
    """A program that writes down what it was told."""
    script = f"import sys; open({str(folder / 'told')!r}, 'a').write(sys.stdin.read() + '\\n'); sys.exit({code})"
    return (sys.executable, "-c", script)


def test_each_reason_is_told_once_in_its_time_and_again_when_it_comes_back(
    state: Path, tmp_path: Path
) -> None:
    alerts = AlertSettings(health_below=90, every=3600, command=command(tmp_path))
    verdict = judge(BAD)
    found = passed(alerts, BAD, verdict)

    assert list(raise_alerts(alerts, found, verdict, state)) == ["health_below"]
    assert raise_alerts(alerts, found, verdict, state) == {}
    assert raise_alerts(alerts, {}, verdict, state) == {}  # it is well again …
    assert list(raise_alerts(alerts, found, verdict, state)) == [
        "health_below"
    ]  # … and ill once more
    lines = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert len(lines) == 2
    assert lines[0]["health"] == verdict.score
    assert "is wanted" in lines[0]["alerts"]["health_below"]
    assert (state / "alerts.json").stat().st_mode & 0o777 == 0o600


def test_one_that_could_not_be_told_is_told_the_next_time(state: Path, tmp_path: Path) -> None:
    told(state, "a", failed("provider"), ago=timedelta(hours=1))
    config = f"[alerts]\nerror_rate = 0.1\ncommand = {json.dumps(command(tmp_path, 3))}\n"
    refused = asked(state, "--alert", config=config)
    assert "ended with exit code 3" in str(refused.exception)

    config = f"[alerts]\nerror_rate = 0.1\ncommand = {json.dumps(command(tmp_path))}\n"
    done = asked(state, "--alert", config=config)
    assert (done.exit_code, done.stdout) == (1, "error_rate: 100% of 1 runs failed; 10% may\n")
    again = asked(state, "--alert", config=config)
    assert (again.exit_code, again.stdout) == (0, "")


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]], list[int]]]:
    """An address, what came there, and the statuses it will answer with."""
    came: list[dict[str, Any]] = []
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", came, statuses
        server.shutdown()
        thread.join()


def test_an_address_is_told_and_no_redirect_is_followed(
    state: Path, hook: tuple[str, list[dict[str, Any]], list[int]]
) -> None:
    url, came, statuses = hook
    told(state, "a", failed("bug"))
    config = f'[alerts]\nhealth_below = 95\nurl = "{url}"\n'
    statuses.append(302)
    assert "status 302" in str(asked(state, "--alert", config=config).exception)
    assert asked(state, "--alert", config=config).exit_code == 1
    assert [each["alerts"].keys() for each in came] == [{"health_below": 0}.keys()] * 2


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://x", "https://a b"])
def test_an_address_that_others_could_read_is_none(state: Path, url: str) -> None:
    refused = asked(state, "--alert", config=f'[alerts]\nurl = "{url}"\n')
    assert "alerts" in str(refused.exception)
