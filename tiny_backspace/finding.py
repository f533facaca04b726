"""One thing that `doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`failed`: no run could work so; `fix` says what to do about it."""

    name: str
    status: Status
    found: str
    fix: str = ""
