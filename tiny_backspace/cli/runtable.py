"""Runs of the history as people read them: a table of many, the facts of one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import typer

from tiny_backspace.cli.output import print_lines
from tiny_backspace.redact import clean_line
from tiny_backspace.views.figures import counted, money, took

if TYPE_CHECKING:
    from rich.table import Table

    from tiny_backspace.telemetry.store import RunRow

COLUMNS = ("RUN", "WHEN", "STATUS", "REPO", "PROMPT", "CHANGES", "PROVIDER", "COST", "TOOK")
_NARROW = (0, 1, 2, 3, 4, 5)  # what there is room for on 80 columns
_WIDE = 110
_REPO, _PROMPT = 28, 40
_COLOURS = {"succeeded": "green", "failed": "red", "crashed": "magenta", "running": "cyan"}
_UNKNOWN = "-"


def cells(row: RunRow, now: datetime) -> tuple[str, ...]:
    """What stands in the COLUMNS, clean, each on one line."""
    prompt = next((line for line in (row.prompt or "").splitlines() if line.strip()), "")
    return tuple(
        clean_line(text) or _UNKNOWN
        for text in (
            row.run_id,
            ago(now - row.started_at),
            row.status,
            clipped(short_repo(row.repo or ""), _REPO),
            prompt,
            counted(row.files_changed, "file") if row.files_changed else "",
            _provider(row),
            money(row.cost_usd).removeprefix("cost "),
            _took(row, now),
        )
    )


def print_runs(rows: Sequence[RunRow], now: datetime, *, as_json: bool) -> None:
    """On standard output: JSON lines, a table, or plain lines where nobody looks."""
    if as_json:
        print_lines(json.dumps(asdict(row), default=datetime.isoformat) for row in rows)
    elif sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        console.print(rich_table(rows, now, console.width))
        if console.width < _WIDE:
            without = ", ".join(COLUMNS[len(_NARROW) :]).lower()
            told = f"Without {without}: --json has them, or a terminal of {_WIDE} columns."
            typer.echo(told, err=True)
    else:
        print_lines(plain_table(rows, now))


def plain_table(rows: Sequence[RunRow], now: datetime) -> list[str]:
    """Aligned lines under a heading, for pipes and files."""
    table = [COLUMNS, *(tuple(clipped(text, _PROMPT) for text in cells(row, now)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def rich_table(rows: Sequence[RunRow], now: datetime, width: int) -> Table:
    """One line a run at any width: the prompt takes the room there is."""
    from rich.table import Table
    from rich.text import Text

    shown = range(len(COLUMNS)) if width >= _WIDE else _NARROW
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    for n in shown:
        name = COLUMNS[n]
        table.add_column(
            name.lower(),
            no_wrap=True,
            ratio=1 if name == "PROMPT" else None,
            max_width=16 if name == "REPO" and width < _WIDE else None,
        )
    for row in rows:
        texts = cells(row, now)
        colours = {2: _COLOURS[row.status]}
        table.add_row(
            *(Text(texts[n], style=colours.get(n, ""), overflow="ellipsis") for n in shown)
        )
    return table


def facts(row: RunRow, now: datetime) -> list[str]:
    """What is known of a run, a line each."""
    code = "" if row.exit_code is None else f", exit code {row.exit_code}"
    unfinished = row.status in {"running", "crashed"}
    known = {
        "run": row.run_id,
        "status": f"{row.status}{code}",
        "started": f"{row.started_at:%Y-%m-%d %H:%M:%S} UTC, {ago(now - row.started_at)}",
        "took": _took(row, now),
        "last step": f"{row.last_step}: {row.last_message}" if unfinished and row.last_step else "",
        "repo": row.repo,
        "prompt": row.prompt,
        "branch": row.branch,
        "patch": row.patch,
        "request": row.pr_url,
        "changes": counted(row.files_changed, "file"),
        "resumes": row.resumes,
        "provider": _provider(row),
        "model": row.model,
        "tokens": f"{row.input_tokens:,} in, {row.output_tokens:,} out",
        "cost": money(row.cost_usd),
        "version": row.version,
    }
    lines = ((name, clean_line(text or "")) for name, text in known.items())
    return [f"{name:<9}  {text}" for name, text in lines if text]


def ago(span: timedelta) -> str:
    """12 s ago, 5 min ago, 3 h ago, 2 d ago."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def short_repo(repo: str) -> str:
    """owner/name of an address, the last folder of a path."""
    parts = [
        part for part in re.split(r"[/:]+", repo.removesuffix("/").removesuffix(".git")) if part
    ]
    is_address = "://" in repo or re.match(r"[\w.-]+@[\w.-]+:", repo) is not None
    return "/".join(parts[-2:] if is_address else parts[-1:])


def clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _provider(row: RunRow) -> str:
    replaced = f" ({counted(row.fallbacks, 'fallback')})" if row.fallbacks else ""
    return f"{row.provider or ''}{replaced}"


def _took(row: RunRow, now: datetime) -> str:
    if row.duration_ms is not None:
        return took(row.duration_ms)
    return took((now - row.started_at).total_seconds() * 1000) if row.status == "running" else ""
