"""Made-up runs, and what `health` says of them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from tiny_backspace import events as ev
from tiny_backspace.cli import app
from tiny_backspace.events import Event
from tiny_backspace.health.facts import Facts, Provider
from tiny_backspace.health.rules import judge
from tiny_backspace.recorder import Recorder
from tiny_backspace.telemetry.store import History

NOW = datetime.now(UTC)
SINCE = NOW - timedelta(days=1)
WELL = Facts(SINCE, NOW, runs=10, succeeded=10, disk_free=1 << 40)
BAD = replace(
    WELL, runs=10, succeeded=5, errors={"provider": 5}, cost_usd=9.0, providers=(Provider("claude", 1, 1),)
)  # fmt: skip
VERDICT = judge(BAD)


def turn(provider: str, took: float) -> Event:
    return ev.ModelTurn(
        provider=provider, model="m", turn=1, stop="x", input_tokens=1, output_tokens=1, cached_tokens=0,
        cost_usd=0.25, duration_ms=took,
    )  # fmt: skip


def failed(kind: str) -> Event:
    return ev.RunFailed(error=kind, message="m", exit_code=1)


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
    env = {"XDG_STATE_HOME": str(state.parent), "XDG_CONFIG_HOME": str(home)}
    return CliRunner().invoke(app, ["health", *args], env=env)


def command(folder: Path, code: int = 0) -> tuple[str, ...]:
    """A program that writes down what it was told."""
    script = f"import sys; open({str(folder / 'told')!r}, 'a').write(sys.stdin.read() + '\\n'); sys.exit({code})"
    return (sys.executable, "-c", script)


def heard(folder: Path) -> list[dict[str, Any]]:
    file = folder / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
