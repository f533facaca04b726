"""What a Prometheus server is told: a few numbers, for which its text format needs no package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tiny_backspace import __version__

if TYPE_CHECKING:
    from tiny_backspace.server.service import Service

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def text(served: Service, now: float) -> str:
    """In the text format, version 0.0.4."""
    return "".join(f"{line}\n" for line in _lines(served, now))


def _lines(served: Service, now: float) -> Iterator[str]:
    limits, counted = served.settings.server, served.counted
    yield from _one("info", "gauge", "The version.", {f'{{version="{__version__}"}}': 1})
    yield from _one("uptime_seconds", "gauge", "Since the service began.", {"": now - served.begun})
    yield from _one("runs", "gauge", "Runs of the service.", {
        '{state="waiting"}': served.queue.waiting, '{state="running"}': served.queue.running,
    })  # fmt: skip
    yield from _one("workers", "gauge", "Runs that can go on at once.", {"": limits.workers})
    yield from _one("queue_size", "gauge", "Runs that can wait.", {"": limits.queue})
    yield from _one("streams", "gauge", "Clients that follow a run.", {"": served.streams})
    yield from _one("runs_taken_total", "counter", "Runs taken on.", {"": counted["taken"]})
    yield from _one("runs_refused_total", "counter", "Runs not taken on.", {
        f'{{reason="{why}"}}': counted[f"refused_{why}"] for why in ("full", "draining")
    })  # fmt: skip
    yield from _one("runs_ended_total", "counter", "Runs that ended.", {
        f'{{result="{how}"}}': counted[f"ended_{how}"] for how in ("success", "failure", "nothing")
    })  # fmt: skip


def _one(name: str, kind: str, about: str, values: dict[str, float]) -> Iterator[str]:
    full = f"tiny_backspace_{name}"
    yield f"# HELP {full} {about}"
    yield f"# TYPE {full} {kind}"
    for labels, value in values.items():
        yield f"{full}{labels} {value:g}"
