"""Telling somebody when a threshold is passed: a command, or a POST, at most once per period for each reason."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.health.facts import Facts
from tiny_backspace.health.rules import Verdict
from tiny_backspace.statedir import write_private
from tiny_backspace.thresholds import AlertSettings

_SECONDS = 30
_DAY = 86_400


class AlertError(TinyBackspaceError):
    """Nobody could be told."""

    exit_code = 2
    kind = "alert"


def passed(alerts: AlertSettings, facts: Facts, verdict: Verdict) -> dict[str, str]:
    """The thresholds that are passed, each with a sentence. Pure."""
    found = {}
    ended = facts.succeeded + facts.failed + facts.crashed
    rate = (facts.failed + facts.crashed) / ended if ended else 0.0
    if alerts.error_rate is not None and rate > alerts.error_rate:
        found["error_rate"] = f"{rate:.0%} of {ended} runs failed; {alerts.error_rate:.0%} may"
    days = max((facts.until - facts.since).total_seconds() / _DAY, 1.0)
    if alerts.cost_per_day is not None and facts.cost_usd / days > alerts.cost_per_day:
        found["cost_per_day"] = (
            f"${facts.cost_usd / days:.2f} a day; ${alerts.cost_per_day:.2f} may be"
        )
    low = [
        p
        for p in facts.providers
        if alerts.provider_success is not None and p.success < alerts.provider_success
    ]
    if low:
        told = ", ".join(f"{p.name} {p.success:.0%}" for p in low)
        found["provider_success"] = (
            f"{told} answered at the first try; {alerts.provider_success:.0%} are wanted"
        )
    if alerts.health_below is not None and verdict.score < alerts.health_below:
        found["health_below"] = f"the health is {verdict.score}; {alerts.health_below} is wanted"
    return found


def raise_alerts(
    alerts: AlertSettings, found: Mapping[str, str], verdict: Verdict, state: Path
) -> dict[str, str]:
    """Tell of what was not told within the period; what was told.

    Raises:
        AlertError: nobody could be told; it is tried again the next time.
    """
    with _told_before(state) as before:
        now = datetime.now(UTC).timestamp()
        news = {
            name: said
            for name, said in found.items()
            if now - before.get(name, 0.0) >= alerts.every
        }
        if news:
            _send(alerts, news, verdict)
        kept = {name: at for name, at in before.items() if name in found}
        write_private(state / "alerts.json", json.dumps(kept | dict.fromkeys(news, now)).encode())
    return news


def _send(alerts: AlertSettings, news: Mapping[str, str], verdict: Verdict) -> None:
    body = json.dumps(
        {
            "alerts": news,
            "health": verdict.score,
            "deductions": [asdict(each) for each in verdict.deductions],
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    ).encode()
    if alerts.command:
        _run(alerts.command, body)
    if alerts.url:
        _post(alerts.url, body)


def _run(command: Sequence[str], body: bytes) -> None:
    try:
        done = subprocess.run(
            command, input=body, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AlertError(f"the alert's command {command[0]} did not work: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise AlertError(
            f"the alert's command {command[0]} ended with exit code {done.returncode}: {said}"
        )


def _post(url: str, body: bytes) -> None:
    import httpx2

    headers = {"Content-Type": "application/json"}
    try:
        status = httpx2.post(
            url, content=body, headers=headers, timeout=_SECONDS, follow_redirects=False
        ).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise AlertError(
            f"the alert could not be sent: {type(error).__name__}", hint="Look at url in [alerts]."
        ) from error
    if not httpx2.codes.is_success(status):
        raise AlertError(
            f"the alert was answered with status {status}", hint="Look at url in [alerts]."
        )


@contextmanager
def _told_before(state: Path) -> Iterator[dict[str, float]]:
    """When which alert was told last; of several processes one at a time."""
    lock = os.open(
        state / ".alerts.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            told = json.loads((state / "alerts.json").read_text("utf-8"))
            before = {str(name): float(at) for name, at in told.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            before = {}
        yield before
    finally:
        os.close(lock)
