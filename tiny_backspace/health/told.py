"""The health report as JSON-like data, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tiny_backspace.health.facts import Facts
from tiny_backspace.health.rules import Verdict, budget


def told(found: Facts, verdict: Verdict) -> dict[str, Any]:
    """Score, deductions and numbers. Times are `datetime`."""
    return {
        "score": verdict.score,
        "verdict": verdict.word,
        "deductions": [asdict(each) for each in verdict.deductions],
        **asdict(found),
        "operations": [{**asdict(op), "budget": budget(op.name)} for op in found.operations],
        "providers": [
            {**asdict(each), "success": round(each.success, 4)} for each in found.providers
        ],
    }
