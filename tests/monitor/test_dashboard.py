"""The screen of all runs: golden text at three sizes, and nothing that anybody says gets out of its row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.events import AgentThought, Step
from tiny_backspace.monitor.dashboard import Seen, dashboard, sparkline
from tiny_backspace.monitor.watching import Overview, Used
from tiny_backspace.views.state import RunState

GOLDEN = Path(__file__).parents[1] / "golden"
NOW = datetime(2026, 11, 26, 12, 30, 30, tzinfo=UTC)
HOSTILE = "\x1b[2J\x1b]52;c;eA==\x07\u202e\nsecond\tthird 語"


def running(n: int, thought: str = "I look at the tests first.") -> RunState:
    return RunState(
        run_id=f"{n:08x}", started=NOW - timedelta(seconds=42 + n), last=NOW, step=Step.AI_PROCESSING,
        repo=f"https://github.com/acme/project-{n}.git", provider="claude", cost_usd=0.25,
        thoughts=(AgentThought(message=thought, step="planning"),),
    )  # fmt: skip


BUSY = Seen(
    Overview(
        now=NOW, active=tuple(map(running, range(4))), finished=7, failed=2,
        started_by_minute=(0,) * 27 + (1, 4, 2), failed_by_minute=(0,) * 29 + (1,),
        response_mean=2100.0, response_p95=5200.0,
        providers=(Used("claude", 40, 1), Used("openai", 3, 3)), cost_usd=1.5, cpu=1.25,
        memory=300 << 20, errors=((NOW, "0a1b2c3d", "no credit is left"),),
    ),
    up=timedelta(minutes=12), memory=38 << 20,
    health=SimpleNamespace(score=72, advice=("Raise the limit of openai.", "Make room.", "x", "y")),
    chosen=1,
)  # fmt: skip
IDLE = Seen(Overview(NOW), timedelta(0), None)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 50)], ids=str)
@pytest.mark.parametrize(("name", "seen"), [("busy", BUSY), ("idle", IDLE)], ids=["busy", "idle"])
def test_it_looks_as_it_did(name: str, seen: Seen, width: int, height: int) -> None:
    rows = [text.plain.rstrip() for text in dashboard(seen, width, height)]
    golden = GOLDEN / f"monitor-{name}-{width}x{height}.txt"
    assert "\n".join([*rows, ""]) == golden.read_text("utf-8")


def test_why_the_history_cannot_be_read_is_said_whole_and_nothing_is_claimed() -> None:
    notice = "The history /home/somebody/.local/state/tiny-backspace/history.db failed: no database. Move it away."
    text = "\n".join(row.plain.rstrip() for row in dashboard(replace(IDLE, notice=notice), 80, 24))

    assert notice in " ".join(text.split())
    assert "Start one" not in text


def test_the_chosen_run_is_on_the_screen_however_many_there_are() -> None:
    many = tuple(running(n) for n in range(60))
    for chosen in (0, 30, 59):
        seen = replace(BUSY, overview=replace(BUSY.overview, active=many), chosen=chosen)
        (row,) = [text.plain for text in dashboard(seen, 80, 24) if "▶" in text.plain]
        assert f"{chosen:08x}" in row


@given(st.integers(20, 250), st.integers(8, 70), st.integers(0, 30))
def test_every_size_is_kept(width: int, height: int, runs: int) -> None:
    active = tuple(running(n, HOSTILE) for n in range(runs))
    told = replace(
        BUSY.overview,
        active=active,
        errors=((NOW, HOSTILE, HOSTILE),),
        providers=(Used(HOSTILE, 1, 0),),
    )
    advice = SimpleNamespace(score=1, advice=(HOSTILE,))
    rows = dashboard(replace(BUSY, overview=told, health=advice, notice=HOSTILE), width, height)
    assert len(rows) == height
    for text in rows:
        assert text.cell_len <= width
        assert not {"\x1b", "\x07", "\n", "\u202e"} & set(text.plain)


def test_a_sparkline_shows_what_is_there() -> None:
    assert sparkline([0, 0, 0], 3) == "▁▁▁"
    assert sparkline([0, 1, 7], 3) == "▁▂█"
    assert sparkline([1, 2, 3, 4], 2) == "▇█"
    assert sparkline([], 5) == ""
