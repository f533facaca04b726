"""What `monitor` costs while twenty runs of other processes go on: on a real pty, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import pexpect

from tests.bench.measuring import Row, interleaved
from tests.bench.place import ROOT, Place
from tiny_backspace import events as ev
from tiny_backspace.events import Emit
from tiny_backspace.recorder import Recorder
from tiny_backspace.statedir import hold
from tiny_backspace.telemetry.store import History

_RUNS = 20
_WARM = 2.0  # seconds until it has caught up
_SECONDS = 6.0
_TICK = os.sysconf("SC_CLK_TCK")


def rows(place: Place) -> Iterator[Row]:
    took = interleaved(min(place.rounds, 3), {"monitor": partial(_share, place)})
    yield Row(f"monitor, {_RUNS} active runs: share of a core", "%", took["monitor"], 3)


def _share(place: Place) -> float:
    state = place.fresh() / "tiny-backspace"
    state.mkdir(mode=0o700)
    environment = {
        **place.environment,
        "XDG_STATE_HOME": str(state.parent),
        "TERM": "xterm-256color",
    }
    argv = [sys.executable, "-m", "tests.bench.monitoring", str(state)]
    with subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as telling:
        assert telling.stdout
        telling.stdout.readline()  # all runs have begun
        child: pexpect.spawn[bytes] = pexpect.spawn(
            sys.executable, ["-m", "tiny_backspace", "monitor"], dimensions=(24, 80), env=environment,
            cwd=str(ROOT),
        )  # fmt: skip
        try:
            _drain(child, _WARM)
            pid = int(child.pid or 0)
            before, start = _used(pid), monotonic()
            _drain(child, _SECONDS)
            return (_used(pid) - before) / (monotonic() - start)
        finally:
            child.close(force=True)
            telling.terminate()


def _drain(child: pexpect.spawn[bytes], seconds: float) -> None:
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        with suppress(pexpect.TIMEOUT):
            child.read_nonblocking(1 << 16, timeout=left)


def _used(pid: int) -> float:
    """Seconds of processor time (proc(5), stat: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def tell(state: Path) -> None:
    """Twenty runs, each of which says something every half second, until somebody ends this."""
    with ExitStack() as stack:
        history = stack.enter_context(History(state / "history.db"))
        emits = [_begun(state, f"{n:08x}", history, stack) for n in range(_RUNS)]
        print("ready", flush=True)
        for turn in range(1, 1000):
            for emit in emits:
                emit(
                    ev.AgentThought(step="planning", message=f"In turn {turn} I look at the tests.")
                )
                if turn % 3 == 0:
                    emit(_turn(turn))
                emit(ev.Resources(memory=100 << 20, memory_peak=None, cpu_s=turn / 2, pids=3))
            sleep(0.5)


def _begun(state: Path, run: str, history: History, stack: ExitStack) -> Emit:
    stack.enter_context(hold(state, run))
    emit = Recorder(run, [history], clock=lambda: datetime.now(UTC), redact=str)
    emit(ev.RunStarted(repo=f"acme/{run}", prompt="p", base="b", agents=(), limits={}, version="1"))
    emit(ev.StepStarted.at(ev.Step.AI_PROCESSING, "Generating code improvements..."))
    return emit


def _turn(number: int) -> ev.ModelTurn:
    return ev.ModelTurn(
        provider="claude", model="m", turn=number, stop="tool_use", input_tokens=900, output_tokens=90,
        cached_tokens=0, cost_usd=0.01, duration_ms=2000,
    )  # fmt: skip


if __name__ == "__main__":
    tell(Path(sys.argv[1]))
