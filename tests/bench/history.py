"""How long `runs`, `show` and `health` take on a long history, as a user calls them.

10,000 runs with 100 records each; TB_BENCH_RUNS=100000 makes it the ten million records of the target.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from tests.bench.measuring import Row, interleaved, timed
from tests.bench.place import Place
from tiny_backspace import events as ev
from tiny_backspace.events import Event, Record
from tiny_backspace.telemetry.database import create_database, open_database, transaction
from tiny_backspace.telemetry.upkeep import change, first, timing, utc_text

_RUNS = int(os.environ.get("TB_BENCH_RUNS", "10000"))
_RECORDS = 100
_SPREAD = timedelta(days=60)
_TARGET = 1000  # ms
_KILLED = 7  # of fifty


def rows(place: Place) -> Iterator[Row]:
    folder = (
        Path(place.environment["HOME"]) / "long"
        if _RUNS <= 10_000
        else Path("/var/tmp") / f"tb-bench-{os.getpid()}"
    )
    state = folder / "tiny-backspace"
    state.mkdir(parents=True, mode=0o700)
    try:
        fill(state / "history.db", _RUNS)
        environment = {**place.environment, "XDG_STATE_HOME": str(folder)}
        middle = f"{_RUNS // 2:08x}"
        asked = (
            ("runs",), ("runs", "--status", "crashed"), ("runs", "--repo", "nobody"),
            ("show", middle), ("health",), ("health", "--since", "90d"),
        )  # fmt: skip
        took = interleaved(
            min(place.rounds, 5),
            {" ".join(args): partial(_seconds, place, environment, args) for args in asked},
        )
        what = f"{_RUNS:,} runs, {_RUNS * _RECORDS:,} records"
        for name, series in took.items():
            yield Row(f"{name}, {what}", "ms", series, _TARGET)
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def _seconds(place: Place, environment: dict[str, str], args: tuple[str, ...]) -> float:
    argv = [*place.program, *args]
    return timed(partial(subprocess.run, argv, env=environment, capture_output=True, check=True))


def fill(path: Path, runs: int) -> None:
    """Runs of a hundred records each, spread over two months, a tenth failed, a fiftieth killed.

    By the statements that a run itself keeps them with.
    """
    create_database(path)
    start = datetime.now(UTC) - _SPREAD
    with closing(open_database(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for begin in range(0, runs, 500):
            with transaction(db):
                for n in range(begin, min(begin + 500, runs)):
                    _keep(db, f"{n:08x}", start + _SPREAD * n / runs, n)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _keep(db: sqlite3.Connection, run: str, at: datetime, number: int) -> None:
    lines = []
    for seq, event in enumerate(_events(number), 1):
        record = Record.model_construct(
            v=1, seq=seq, at=at + timedelta(seconds=seq), run_id=run, event=event
        )
        row = first(record) if seq == 1 else None
        for statement in (row, change(record), timing(record)):
            if statement is not None:
                db.execute(*statement)
        lines.append((run, seq, event.type, utc_text(record.at), _LINES[event.type]))
    db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", lines)


def _events(number: int) -> Iterator[Event]:
    yield _BEGUN
    for n in range(_RECORDS - 2):
        yield _MIDDLE[n % len(_MIDDLE)]
    if number % 50 != _KILLED:
        yield _FAILED if number % 10 == 0 else _DONE


_BEGUN = ev.RunStarted(
    repo="https://github.com/acme/api",
    prompt="Fix the typo",
    base="main",
    agents=("claude:m",),
    limits={},
    version="1",
)
_MIDDLE: tuple[Event, ...] = (
    ev.AgentThought(message="I look at the tests first, and then at what they test.", step="planning"),
    ev.ToolCalled(id="1", tool="bash", arguments={"command": "pytest -q"}),
    ev.ToolFinished(id="1", tool="bash", ok=True, exit_code=0, duration_ms=900, size=100, excerpt="1 passed"),
    ev.ModelTurn(provider="claude", model="m", turn=1, stop="tool_use", input_tokens=9000, output_tokens=300,
                 cached_tokens=0, cost_usd=0.01, duration_ms=2500),
    ev.HostCommand(argv=("git", "diff-tree", "-r", "-z"), exit_code=0, duration_ms=3),
    ev.Timed(operation="pack_out", duration_ms=40),
)  # fmt: skip
_DONE = ev.RunSucceeded(
    message="Pull request created successfully!", pr_url="https://github.com/acme/api/pull/1"
)
_FAILED = ev.RunFailed(error="verification_failed", message="no", exit_code=9)
_LINES = {
    event.type: Record(
        seq=1, at=datetime.now(UTC), run_id="00000000", event=event
    ).model_dump_json()
    for event in (_BEGUN, *_MIDDLE, _DONE, _FAILED)
}
