"""Made-up runs for a history."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from tiny_backspace.events import (
    Event,
    ModelTurn,
    Record,
    RunStarted,
)
from tiny_backspace.telemetry.store import History

SPAWN = multiprocessing.get_context("spawn")
START = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = RunStarted(
    repo="https://example.com/acme/Simple-API",
    prompt="Add tests",
    base="main",
    agents=("claude:c-1", "dummy:d-1"),
    limits={"turns": 40},
    version="1.2.3",
)


def turn(cost: float | None) -> ModelTurn:
    return ModelTurn(
        provider="claude", model="c-1", turn=1, stop="end_turn", input_tokens=100,
        output_tokens=10, cached_tokens=50, cost_usd=cost, duration_ms=12.5,
    )  # fmt: skip


def records_of(run_id: str, *events: Event, start: datetime = START) -> list[Record]:
    return [
        Record(seq=n, at=start + timedelta(seconds=n), run_id=run_id, event=event)
        for n, event in enumerate(events, start=1)
    ]


def tell(history: History, records: Iterable[Record]) -> None:
    for record in records:
        history(record)


def dead(run_id: str) -> bool:
    return False


def alive(run_id: str) -> bool:
    return True
