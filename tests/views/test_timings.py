"""Where the time of a run went: bars at a fixed width, and a picture that needs nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from tests.views.records import failing, long, successful
from tiny_backspace import events as ev
from tiny_backspace.events import Event, Record
from tiny_backspace.views.picture import svg
from tiny_backspace.views.timings import Span, spans, waterfall

START = datetime(2026, 11, 26, 12, tzinfo=UTC)


def records(*told: tuple[int, Event]) -> list[Record]:
    """Events with the milliseconds after the beginning at which they were told."""
    return [
        Record(seq=n, at=START + timedelta(milliseconds=at), run_id="0a1b2c3d", event=event)
        for n, (at, event) in enumerate(told, 1)
    ]


def turn(took: float, first: float | None) -> Event:
    return ev.ModelTurn(
        provider="claude", model="m", turn=1, stop="end", input_tokens=1, output_tokens=1,
        cached_tokens=0, cost_usd=0.0, duration_ms=took, first_token_ms=first,
    )  # fmt: skip


RUN = records(
    (0, ev.StepStarted.at(ev.Step.VALIDATION, "go")),
    (100, ev.Timed(operation="fetch", duration_ms=100)),
    (900, turn(800, 400)),
    (1000, ev.Timed(operation="push", duration_ms=100, ok=False)),
)


def test_each_operation_is_a_bar_where_it_was() -> None:
    assert [line.plain.rstrip() for line in waterfall(spans(RUN), 61)] == [
        "fetch                      ██                          100 ms",
        "turn 1, claude               ────────████████▉         800 ms",
        "push                                         ███       100 ms",
        "                           0               1.0 s",
    ]


def test_what_failed_is_seen() -> None:
    fetch, _, push = spans(RUN)
    assert (fetch.ok, push.ok) == (True, False)
    lines = list(waterfall((fetch, push), 60))
    assert "red" in str(lines[1].style)
    assert "red" not in str(lines[0].style)


def test_a_run_without_records_has_no_bars() -> None:
    assert spans([]) == ()
    assert len(list(waterfall((), 80))) == 1


@given(
    st.lists(
        st.builds(
            Span, st.text(max_size=60).filter(str.isprintable), st.floats(0, 1e7), st.floats(0, 1e7),
            st.booleans(), st.none() | st.floats(0, 1e7),
        ),
        max_size=8,
    ),
    st.integers(20, 300),
)  # fmt: skip
def test_no_line_is_wider_than_it_may_be(found: list[Span], width: int) -> None:
    for line in waterfall(tuple(found), width):
        assert len(line.plain) <= max(width, 60)


def test_every_recorded_run_can_be_drawn() -> None:
    for run in (successful(), failing(), long()):
        assert list(waterfall(spans(run), 80))


def test_a_picture_needs_nothing_from_elsewhere() -> None:
    drawn = svg("run <0a1b2c3d>", *waterfall(spans(RUN), 80))

    ET.fromstring(drawn)
    assert "fetch" in drawn
    assert "@font-face" not in drawn
    assert re.findall(r'(?:href|src)="([^"#]*)"|url\((?!#)([^)]*)\)', drawn) == []
