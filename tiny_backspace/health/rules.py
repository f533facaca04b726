"""From the facts to a score: every rule is a row, and takes away points with its own advice. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tiny_backspace.health.facts import Facts, Operation

# How heavy a failed run weighs, by its kind (errors.py), if it is not 1; what only the user can have caused weighs nothing.
WEIGHTS: Mapping[str, float] = {
    "usage": 0.0, "interrupted": 0.0, "terminated": 0.0, "stopped": 0.0, "repository": 0.5, "policy_refused": 0.5,
    "verification_failed": 0.5, "limit_reached": 0.5, "repetition": 0.5, "refused": 0.5, "bug": 2.0,
}  # fmt: skip
# p95 in milliseconds from which on an operation is slow; by its name, or by the first word of it.
BUDGETS: Mapping[str, float] = {
    "model": 30_000, "tool": 1_000, "tool read": 100, "tool bash": 60_000, "github": 5_000,
    "sandbox.start": 2_000, "sandbox.attest": 2_000, "sandbox.remove": 5_000,
    "fetch": 30_000, "pack_in": 10_000, "analysis": 5_000, "pack_out": 5_000, "judge": 5_000,
    "push": 30_000, "pull_request": 15_000,
}  # fmt: skip
_SLOW_RESPONSE = 5_000.0  # milliseconds
_LEAST_SUCCESS, _MOST_FALLBACKS = 0.95, 0.10
_ROOM, _LARGE = 2 << 30, 20 << 30
_LIMITS = ("limit_reached", "repetition")
_SANDBOX = ("sandbox", "sandbox_lost", "sandbox_unverified")


@dataclass(frozen=True, slots=True)
class Rule:
    """`points` says how many the facts cost, never more than `most`."""

    name: str
    what: str
    most: float
    points: Callable[[Facts], float]
    advice: str


@dataclass(frozen=True, slots=True)
class Deduction:
    rule: str
    points: int
    advice: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """0 to 100; the deductions, the heaviest first."""

    score: int
    deductions: Sequence[Deduction]

    @property
    def advice(self) -> Sequence[str]:
        return [each.advice for each in self.deductions]

    @property
    def word(self) -> str:
        return next(
            word for least, word in ((80, "good"), (50, "fair"), (0, "poor")) if self.score >= least
        )


def _errors(facts: Facts) -> float:
    return 5 * sum(count * WEIGHTS.get(kind, 1.0) for kind, count in facts.errors.items())


def _slow_response(facts: Facts) -> float:
    return 20 if facts.response_ms is not None and facts.response_ms > _SLOW_RESPONSE else 0


def _providers(facts: Facts) -> float:
    short = [_LEAST_SUCCESS - p.success for p in facts.providers if p.success < _LEAST_SUCCESS]
    return sum(5 + 10 * each for each in short)


def _fallbacks(facts: Facts) -> float:
    return 10 if facts.runs and facts.fallbacks / facts.runs > _MOST_FALLBACKS else 0


def _of_kinds(kinds: Sequence[str], each: float) -> Callable[[Facts], float]:
    return lambda facts: each * sum(facts.errors.get(kind, 0) for kind in kinds)


def budget(operation: str) -> float | None:
    """Milliseconds; None where there is none."""
    return BUDGETS.get(operation, BUDGETS.get(re.split(r"[ .]", operation, maxsplit=1)[0]))


def over_budget(operation: Operation) -> bool:
    return operation.p95 > (budget(operation.name) or math.inf)


def _budgets(facts: Facts) -> float:
    return 2 * sum(map(over_budget, facts.operations))


def _disk(facts: Facts) -> float:
    full = facts.disk_free is not None and facts.disk_free < _ROOM
    return 10 if full or facts.disk_used > _LARGE else 0


RULES: tuple[Rule, ...] = (
    Rule("errors", "5 points for each failed run, by the weight of its kind", 30, _errors,
         "Look at what failed: tiny-backspace logs --category errors --since 1d"),
    Rule("response", "the mean of all answers is over 5 s", 20, _slow_response,
         "Answers are slow: a smaller model, less effort, or another provider first in --agents."),
    Rule("unfinished", "5 points for each run that was killed", 15, lambda facts: 5.0 * facts.crashed,
         "Runs were killed: tiny-backspace resume goes on with one. Was there too little memory?"),
    Rule("providers", "a provider answers less than 95 % at the first try", 15, _providers,
         "A provider fails often: its limits, its key, its status page."),
    Rule("fallbacks", "in more than 10 % of runs another provider took over", 10, _fallbacks,
         "Put the provider that answers first in --agents."),
    Rule("sandbox", "5 points for each run that ended with the sandbox", 15, _of_kinds(_SANDBOX, 5),
         "The sandbox fails: tiny-backspace doctor --sandbox"),
    Rule("limits", "2 points for each run that reached a limit", 10, _of_kinds(_LIMITS, 2),
         "Limits are reached: --max-turns, --max-cost, --timeout; or smaller tasks."),
    Rule("budgets", "2 points for each operation whose p95 is over its budget", 10, _budgets,
         "Something is slow: tiny-backspace show last --timings"),
    Rule("history", "the history is damaged, or cannot be read", 60, lambda facts: 60.0 if facts.problem else 0.0,
         "Runs are not kept, and not counted here: what is wrong stands below."),
    Rule("disk", "less than 2 GiB are free where runs are kept, or history and logs take over 20 GiB", 10, _disk,
         "Make room: tiny-backspace prune --older-than 30d"),
)  # fmt: skip


def judge(facts: Facts) -> Verdict:
    found = [
        Deduction(rule.name, round(min(points, rule.most)), rule.advice)
        for rule in RULES
        if (points := rule.points(facts)) > 0
    ]
    found = sorted((each for each in found if each.points), key=lambda each: -each.points)
    return Verdict(max(0, 100 - sum(each.points for each in found)), tuple(found))
