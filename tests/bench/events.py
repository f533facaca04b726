"""What it costs to tell an event."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

from tests.bench.measuring import Row, interleaved, timed
from tests.bench.place import Place
from tiny_backspace.events import ToolFinished
from tiny_backspace.recorder import Recorder, Subscriber
from tiny_backspace.redact import redactor
from tiny_backspace.telemetry.store import History
from tiny_backspace.views.lines import JsonLines
from tiny_backspace.wiring import Folded

_EVENTS = 1000
_EVENT = ToolFinished(
    id="call-17", tool="bash", ok=True, exit_code=0, duration_ms=12.345, size=500,
    excerpt="tests/test_app.py::test_one PASSED\n" * 14,
)  # fmt: skip


def rows(place: Place) -> Iterator[Row]:
    with ExitStack() as stack:
        lines = JsonLines(stack.enter_context((place.fresh() / "lines").open("w")))
        history = stack.enter_context(History(place.fresh() / "history.db"))
        took = interleaved(
            place.rounds,
            {
                "lines": partial(_each, (lines,)),
                "all": lambda: _each((Folded(), history, lines)),
            },
        )
        # a recorder drops a subscriber that fails: make sure that all of it was measured
        assert all(len(list(history.lines(r))) == _EVENTS for r in _stored(history))
    yield Row("an event: recorder, JSON lines", "µs", took["lines"], 10)
    yield Row("an event: recorder, fold, history, JSON lines", "µs", took["all"])


def _stored(history: History) -> list[str]:
    runs = [row.run_id for row in history.runs(is_live=lambda _: True, limit=1000)]
    assert runs
    return runs


def _each(subscribers: tuple[Subscriber, ...]) -> float:
    """Seconds for one of many, of a run of its own."""
    now = partial(datetime.now, UTC)
    run_id = secrets.token_hex(4)
    recorder = Recorder(run_id, subscribers, clock=now, redact=redactor(("a-secret-value",)))

    def tell() -> None:
        for _ in range(_EVENTS):
            recorder(_EVENT)

    return timed(tell) / _EVENTS
