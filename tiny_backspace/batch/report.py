"""A batch when it is over: as a table, as JSON, as Markdown. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from tiny_backspace.batch.outcome import Outcome, counts
from tiny_backspace.batch.standing import result, short
from tiny_backspace.forges.markdown import code_cell, phrase
from tiny_backspace.redact import clean_line
from tiny_backspace.views.figures import clock, counted, money, took

_ROWS = 200  # of a table for people; JSON has all
_NAME, _RESULT = 32, 100  # characters


@dataclass(frozen=True, slots=True)
class Report:
    """`outcomes` in the order of the file; `cost` is of this batch, not of what was done before."""

    outcomes: Sequence[Outcome]
    cost: float
    took: timedelta
    exit_code: int


def as_table(report: Report) -> str:
    """What failed stands last, where it is seen."""
    lines = [_row(outcome) for outcome in _shown(report)]
    widths = [min(max((len(line[n]) for line in lines), default=0), _NAME) for n in range(4)]
    told = ["  ".join((*map(str.ljust, line, widths), line[4])).rstrip() for line in lines]
    if (more := len(report.outcomes) - len(lines)) > 0:
        told.append(f"… and {counted(more, 'more task')} (--summary json has all of them)")
    return "\n".join((*told, _in_short(report))) + "\n"


def as_json(report: Report) -> str:
    """One object: totals, and every task with its key and how it ended."""
    tasks = [
        {"line": o.task.line, "repo": o.task.repo, "key": o.task.key, "status": o.status}
        | ({k: v for k, v in asdict(o.ended).items() if k != "key"} if o.ended else {})
        for o in report.outcomes
    ]
    told = {
        "exit_code": report.exit_code,
        "counts": counts(report.outcomes),
        "cost_usd": round(report.cost, 6),
        "duration_s": round(report.took.total_seconds(), 3),
        "tasks": tasks,
    }
    return json.dumps(told, indent=2) + "\n"


def as_markdown(report: Report) -> str:
    """For a job's summary: all of others' text is escaped."""
    good = not report.exit_code
    lines = [f"### {'✅' if good else '❌'} {_in_short(report)}", ""]
    lines += ["| repository | status | cost | took | result |", "|:--|:--|--:|--:|:--|"]
    for outcome in _shown(report):
        ended = outcome.ended
        name, status, cost, spent, _ = _row(outcome)
        if ended is not None and ended.pr_url:  # the forge's own answer, checked when it came
            told = f"<{ended.pr_url}>"
        elif ended is not None and ended.done and ended.branch:
            told = code_cell(ended.branch)
        else:
            told = phrase(result(ended)[:300]).replace("|", "\\|") if ended else ""
        lines.append(f"| {code_cell(name)} | {status} | {cost} | {spent} | {told} |")
    if (more := len(report.outcomes) - _ROWS) > 0:
        lines.append(f"\n… and {counted(more, 'more task')}.")
    return "\n".join(lines) + "\n"


def _shown(report: Report) -> list[Outcome]:
    """The most telling ones, the worst last, and otherwise as in the file."""
    rank = {"skipped": 0, "done": 1, "not started": 2, "cancelled": 3, "failed": 4}
    return sorted(report.outcomes, key=lambda outcome: rank[outcome.status])[-_ROWS:]


def _row(outcome: Outcome) -> tuple[str, str, str, str, str]:
    ended = outcome.ended
    name = short(outcome.task.repo)
    name = name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"
    if ended is None:
        return name, outcome.status, "", "", ""
    status = f"exit {ended.exit_code}" if outcome.status == "failed" else outcome.status
    told = clean_line(result(ended))
    if not (ended.done and told in {ended.pr_url, ended.branch, ended.patch}):
        told = told if len(told) <= _RESULT else f"{told[: _RESULT - 1]}…"
    if ended.run_id is None:  # there was no run
        return name, status, "", "", told
    return name, status, money(ended.cost_usd), took(ended.duration_ms), told


def _in_short(report: Report) -> str:
    words = {"skipped": "done before"}
    told = [
        f"{n} {words.get(status, status)}" for status, n in counts(report.outcomes).items() if n
    ]
    tasks = counted(len(report.outcomes), "task")
    return f"{tasks}: {', '.join(told)}; {money(report.cost)}, {clock(report.took)}"
