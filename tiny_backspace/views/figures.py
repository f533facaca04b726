"""How numbers and short facts are written, the same in every view."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

_KIBI = 1024
_KILO = 1000


def title(arguments: Mapping[str, Any]) -> str:
    """What a tool call is about, in a few words: the command, the path, the pattern. Not cleaned."""
    match arguments:
        case {"command": str(command)}:
            return command
        case {"pattern": str(pattern), "path": str(path)} if path not in {"", "."}:
            return f"'{pattern}' in {path}"
        case {"pattern": str(pattern)}:
            return f"'{pattern}'"
        case {"path": str(path)}:
            return path
        case _:
            return json.dumps(dict(arguments), ensure_ascii=False, default=str)


def changes(diff: str) -> tuple[int, int]:
    """Lines added and removed by a unified diff; what stands before its first hunk is not counted."""
    body = hunks(diff)
    return sum(line[:1] == "+" for line in body), sum(line[:1] == "-" for line in body)


def hunks(diff: str) -> list[str]:
    """The lines of a unified diff from its first hunk on: none if it has none."""
    lines = diff.split("\n")
    start = next((n for n, line in enumerate(lines) if line.startswith("@@")), len(lines))
    return lines[start:-1] if lines[-1] == "" else lines[start:]


def count(number: int) -> str:
    """932, 12.3k, 4.1M."""
    if abs(number) < _KILO:
        return str(number)
    thousands = number / _KILO
    return f"{thousands:.1f}k" if abs(thousands) < _KILO else f"{thousands / _KILO:.1f}M"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: int) -> str:
    """Bytes as 932 B, 61 MiB, 1.5 GiB."""
    value, units = float(number), ["KiB", "MiB", "GiB", "TiB"]
    if value < _KIBI:
        return f"{number} B"
    unit = ""
    while value >= _KIBI and units:
        value, unit = value / _KIBI, units.pop(0)
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def money(usd: float | None) -> str:
    """$0 where nothing was paid; four digits below a dollar, as turns cost fractions of a cent."""
    if usd is None:
        return "cost unknown"
    if usd == 0:
        return "$0"
    return f"${usd:.2f}" if abs(usd) >= 1 else f"${usd:.4f}"


def took(milliseconds: float) -> str:
    """12 ms, 1.2 s, 2 min 05 s."""
    if not math.isfinite(milliseconds):
        return "?"
    if milliseconds < _KILO:
        return f"{milliseconds:.0f} ms"
    if (seconds := milliseconds / _KILO) < 59.95:  # noqa: PLR2004 - from here on it would read 60.0 s
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def clock(span: timedelta) -> str:
    """0:42, 12:05, 1:02:03."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
