"""Taking numbers side by side, and the table they end up in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Literal, TypeAlias

Contestant: TypeAlias = Callable[[], float]  # does the thing once and says what it cost
Unit: TypeAlias = Literal["ms", "µs", "MB", "%", "/min", "/s", "kB"]

_SCALE: Mapping[Unit, float] = {
    "ms": 1e3,
    "µs": 1e6,
    "MB": 1e-6,
    "%": 1e2,
    "/min": 60,
    "/s": 1,
    "kB": 1e-3,
}
_FRACTION = 0.1  # ratios below are shown as 1/n


@dataclass(frozen=True, slots=True)
class Series:
    """What one contestant cost, round by round: seconds, bytes or a share; or how many a second there were."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def p95(self) -> float:
        """The smallest value that is not below 95 % of them."""
        return sorted(self.values)[max(0, -(-len(self.values) * 95 // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. `target` is what the ratio, or without `theirs` the number itself, may be at most."""

    name: str
    unit: Unit
    ours: Series
    target: float | None = None
    beside: str = ""
    theirs: Series | None = None

    @property
    def ratio(self) -> float | None:
        """Of the medians."""
        return self.ours.median / self.theirs.median if self.theirs else None

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        value = self.ours.median * _SCALE[self.unit] if self.ratio is None else self.ratio
        return "PASS" if value <= self.target else "MISS"

    def cells(self) -> tuple[str, ...]:
        ratio, target = self.ratio, self.target
        limit = "" if target is None else f"<= {_times(target) if self.theirs else f'{target:g}'}"
        return (
            self.name,
            _amount(self.ours, self.unit),
            self.beside,
            _amount(self.theirs, self.unit) if self.theirs else "",
            "" if ratio is None else _times(ratio),
            limit,
            self.verdict,
            str(len(self.ours.values)),
        )


HEAD = ("what", "ours (p95)", "beside", "theirs (p95)", "ratio", "target", "verdict", "n")


def timed(work: Callable[[], object]) -> float:
    """Seconds that it took."""
    start = perf_counter()
    work()
    return perf_counter() - start


def interleaved(rounds: int, contestants: Mapping[str, Contestant]) -> dict[str, Series]:
    """Everybody once per round, each round begun by another; a first round is not counted.

    A machine that is busy for a while is so for all of them, and nobody always follows the same one.
    """
    names = list(contestants)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            cost = contestants[name]()
            if number:
                taken[name].append(cost)
    return {name: Series(tuple(values)) for name, values in taken.items()}


def table(rows: Iterable[Sequence[str]], *, markdown: bool) -> str:
    """Aligned columns, the first row being their heads."""
    lines = [list(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    if markdown:
        lines.insert(1, ["-" * width for width in widths])
    edge, between = ("| ", " | ") if markdown else ("", "  ")
    return "\n".join(
        (edge + between.join(map(str.ljust, line, widths)) + edge[::-1]).rstrip() for line in lines
    )


def _amount(series: Series, unit: Unit) -> str:
    scale = _SCALE[unit]
    return f"{_digits(series.median * scale)} ({_digits(series.p95 * scale)}) {unit}"


def _digits(value: float) -> str:
    """Three of them, but whole numbers from 100 on."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio >= _FRACTION else f"1/{1 / ratio:.0f}"
