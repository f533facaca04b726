"""All runs of a machine on one screen: rows of text of an exact width. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from rich.text import Text

from tiny_backspace.monitor.watching import Overview, Used
from tiny_backspace.redact import clean_line
from tiny_backspace.views.drawing import (
    ACCENT,
    BAD,
    DIM,
    GOOD,
    WARN,
    joined,
    line,
    row,
    rule,
    sized,
)
from tiny_backspace.views.figures import clock, counted, money, size, took
from tiny_backspace.views.panels import NAMES
from tiny_backspace.views.state import RunState, elapsed

_SPARKS = "▁▂▃▄▅▆▇█"
_SAID = 3  # rows of a notice
_GOOD_SCORE, _FAIR_SCORE = 80, 50
_KEYS, _OPENED_KEYS = "↑ ↓ choose   Enter open   q quit", "Esc or q back to all runs"


class Health(Protocol):
    """The score of the health report, and its advice, the weightiest first."""

    @property
    def score(self) -> int: ...

    @property
    def advice(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What is on the screen: `chosen` counts the active runs; `memory` (bytes) and `up` are the monitor's own.

    `notice` is why the history could not be read; the rest is then as it was before.
    """

    overview: Overview
    up: timedelta
    memory: int | None
    health: Health | None = None
    chosen: int = 0
    notice: str = ""


def dashboard(seen: Seen, width: int, height: int) -> list[Text]:
    """Exactly `height` rows. Active runs get the room that the rest leaves."""
    top = [*_head(seen, width), *_problem(seen, width), *_figures(seen, width)]
    below = [*_providers(seen, width), *_errors(seen, width), *_advice(seen, width)]
    below = below[: max(height - len(top) - 4, 0)]
    runs = list(_runs(seen, width, max(height - len(top) - len(below) - 1, 2)))
    foot = row(width, Text(_KEYS, DIM))
    return [*sized([*top, *runs, *below], width, height - 1), foot]


def opened_keys(width: int) -> Text:
    """The row below the view of one run."""
    return row(width, Text(_OPENED_KEYS, DIM))


def sparkline(counts: Sequence[int], width: int) -> str:
    """The last counts, as bars from nothing to the highest."""
    shown = counts[-width:]
    highest = max(shown, default=0)
    if not highest:
        return _SPARKS[0] * len(shown)
    return "".join(_SPARKS[min(-(-count * 7 // highest), 7)] for count in shown)


def _head(seen: Seen, width: int) -> Iterator[Text]:
    busy = bool(seen.overview.active)
    status = Text("● at work" if busy else "● idle", GOOD if busy else DIM)
    memory = "" if seen.memory is None else size(seen.memory)
    own = f"up {clock(seen.up)}  {memory}  {seen.overview.now.astimezone():%H:%M:%S}"
    title = joined(Text("tiny-backspace monitor", f"bold {ACCENT}"), status, _score(seen.health))
    yield row(width, title, Text(own, DIM))


def _problem(seen: Seen, width: int) -> Iterator[Text]:
    said = textwrap.wrap(clean_line(seen.notice), max(width, 1), break_on_hyphens=False)
    yield from (row(width, line(each, BAD)) for each in said[:_SAID])


def _score(health: Health | None) -> Text:
    if health is None:
        return Text()
    style = GOOD if health.score >= _GOOD_SCORE else WARN if health.score >= _FAIR_SCORE else BAD
    return Text(f"health {health.score}", style)


def _figures(seen: Seen, width: int) -> Iterator[Text]:
    told = seen.overview
    room = max(min((width - 44) // 2, 30), 6)
    runs = Text.assemble(
        "runs/min ",
        (sparkline(told.started_by_minute, room), ACCENT),
        f" {_last(told.started_by_minute)}",
    )
    errors = Text.assemble(
        "errors/min ",
        (sparkline(told.failed_by_minute, room), BAD),
        f" {_last(told.failed_by_minute)}",
    )
    yield row(width, joined(runs, errors, by="   "))
    mean = "-" if told.response_mean is None else took(told.response_mean)
    p95 = "-" if told.response_p95 is None else took(told.response_p95)
    cpu = "-" if told.cpu is None else f"{told.cpu * 100:.0f}%"
    memory = "-" if told.memory is None else size(told.memory)
    answers = Text(f"response {mean}, p95 {p95}")
    boxes = Text(f"sandboxes {len(told.active)}, CPU {cpu}, memory {memory}")
    hour = Text(f"1 h: {told.finished} done, {told.failed} failed, {money(told.cost_usd)}", DIM)
    yield row(width, joined(answers, boxes, by="   "), hour if width >= 110 else None)  # noqa: PLR2004 - columns
    if width < 110:  # noqa: PLR2004
        yield row(width, hour)


def _last(counts: Sequence[int]) -> int:
    return counts[-1] if counts else 0


def _runs(seen: Seen, width: int, height: int) -> Iterator[Text]:
    active = seen.overview.active
    yield rule(width, "active runs", Text(str(len(active)), DIM))
    if not active and seen.notice:
        yield Text("Not known.", DIM)
        return
    if not active:
        yield Text('None. Start one: tiny-backspace run <repo> "<what to change>"', DIM)
        return
    room = height - 1
    first = max(0, min(seen.chosen - room + 1, len(active) - room))
    for n, state in enumerate(active[first : first + room], first):
        yield _run(state, seen, width, chosen=n == seen.chosen)


def _run(state: RunState, seen: Seen, width: int, *, chosen: bool) -> Text:
    repo = clean_line(state.repo).rstrip("/").removesuffix(".git")
    thought = state.thoughts[-1].message if state.thoughts else state.message
    left = joined(
        Text(
            f"{'▶' if chosen else ' '} {clean_line(state.run_id)[:8]:<8}",
            f"bold {ACCENT}" if chosen else "",
        ),
        Text(f"{NAMES[state.step]:<8}"),
        Text(f"{clean_line(state.provider or '-')[:8]:<8}", ACCENT),
        Text(f"{clock(elapsed(state, seen.overview.now)):>7}"),
        Text(f"{money(state.cost_usd):>8}"),
        Text("/".join(repo.split("/")[-2:])[:20]),
        line(thought, DIM),
    )
    return row(width, left)


def _providers(seen: Seen, width: int) -> Iterator[Text]:
    used = seen.overview.providers
    if used:
        yield rule(width, "providers, 1 h")
        yield row(width, joined(*(_provider(each) for each in used), by="   "))


def _provider(used: Used) -> Text:
    rate = 100 * used.turns // (used.turns + used.failures) if used.turns + used.failures else 0
    style = GOOD if rate >= 95 else WARN if rate >= 50 else BAD  # noqa: PLR2004 - per cent
    return Text.assemble(
        (clean_line(used.name), "bold"), f" {counted(used.turns, 'turn')} ", (f"{rate}% ok", style)
    )


def _errors(seen: Seen, width: int) -> Iterator[Text]:
    if seen.overview.errors:
        yield rule(width, "recent errors")
    for at, run, message in seen.overview.errors[:3]:
        yield row(
            width,
            joined(
                Text(f"{at.astimezone():%H:%M:%S} {clean_line(run)[:8]}", DIM), line(message, BAD)
            ),
        )


def _advice(seen: Seen, width: int) -> Iterator[Text]:
    if seen.health is not None and seen.health.advice:
        yield rule(width, "recommendations")
        for advice in seen.health.advice[:3]:
            yield row(width, line(f"• {advice}", WARN))
