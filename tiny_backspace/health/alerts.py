"""Telling somebody when a threshold is passed: a command, a POST, at most once per period for each reason."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.health.facts import Facts
from tiny_backspace.health.rules import Verdict
from tiny_backspace.statedir import write_private
from tiny_backspace.thresholds import AlertSettings, is_loopback

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
    """Tell each who is to hear of it what they were not told within the period; what was told.

    Where nobody is named it is only told here: to the caller.

    Raises:
        AlertError: somebody could not be told. They are told the next time, the others not again.
    """
    news: dict[str, str] = {}
    failures: list[str] = []
    with _told_before(state, alerts.every) as told:
        now = datetime.now(UTC).timestamp()
        for name, send in _ways(alerts):
            fresh = {why: said for why, said in found.items() if f"{why} {name}" not in told}
            try:
                if fresh:
                    send(_body(fresh, verdict))
            except AlertError as error:
                failures.append(str(error))
            else:
                told |= {f"{why} {name}": now for why in fresh}
                news |= fresh
    if failures:
        raise AlertError("; ".join(failures), hint="Look at [alerts] in the settings file.")
    return news


def _ways(alerts: AlertSettings) -> Sequence[tuple[str, Callable[[bytes], None]]]:
    ways: list[tuple[str, Callable[[bytes], None]]] = []
    if alerts.command:
        ways.append(("command", partial(_run, alerts.command)))
    if alerts.url:
        ways.append(("url", partial(_post, alerts.url)))
    return ways or [("output", lambda _: None)]


def _body(news: Mapping[str, str], verdict: Verdict) -> bytes:
    told = {
        "alerts": news,
        "health": verdict.score,
        "deductions": [asdict(each) for each in verdict.deductions],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(told).encode()


def _run(command: Sequence[str], body: bytes) -> None:
    """What it says on standard error is said where ours is."""
    try:
        done = subprocess.run(
            command, input=body, stdout=subprocess.DEVNULL, timeout=_SECONDS, check=False
        )
    except OSError as error:
        raise AlertError(f"the command {command[0]} did not start: {error.strerror}") from error
    except subprocess.TimeoutExpired:  # without its words: an argument may be a secret
        raise AlertError(f"the command {command[0]} took over {_SECONDS} s") from None
    if done.returncode:
        raise AlertError(f"the command {command[0]} ended with exit code {done.returncode}")


def _post(url: str, body: bytes) -> None:
    import httpx2

    headers = {"Content-Type": "application/json"}
    direct = is_loopback(url)  # a proxy is another machine, and would get it in plain text
    try:
        # What is answered is not read: only the status says something.
        with httpx2.stream(
            "POST", url, content=body, headers=headers, timeout=_SECONDS, trust_env=not direct
        ) as answer:
            status = answer.status_code
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:  # an address can be a secret
        raise AlertError(f"the address could not be reached: {type(error).__name__}") from None
    if not httpx2.codes.is_success(status):
        raise AlertError(f"the address answered with status {status}")


@contextmanager
def _told_before(state: Path, every: float) -> Iterator[dict[str, float]]:
    """When whom was told of what within the period; it is kept. Of several processes one at a time."""
    path = state / "alerts.json"
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(state / ".alerts.lock", flags, 0o600)
    except OSError as error:
        raise _unkept(error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = _read(path, every)
        told = dict(before)
        yield told
        if told != before:
            write_private(path, json.dumps(told).encode())
    except OSError as error:
        raise _unkept(error) from error
    finally:
        os.close(lock)


def _read(path: Path, every: float) -> dict[str, float]:
    """Nothing, if it is damaged: rather told twice than never. A time to come is none either."""
    now = datetime.now(UTC).timestamp()
    try:
        told = json.loads(path.read_text("utf-8"))
        return {str(why): float(at) for why, at in told.items() if 0 <= now - float(at) < every}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _unkept(error: OSError) -> AlertError:
    return AlertError(
        f"when who was told cannot be kept: {error.strerror}",
        hint=f"Is there room, and is {error.filename} yours?" if error.filename else None,
    )
