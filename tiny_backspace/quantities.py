"""Sizes, times and lists of names as people write them, for settings."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE | re.ASCII)
_LARGEST = 1 << 60  # no machine has more, and a float no such number of digits
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)", re.IGNORECASE | re.ASCII)


def size(value: object) -> object:
    """`512m`, `4g` or a number of bytes, as bytes."""
    if not isinstance(value, str):
        return value
    if (found := _SIZE.fullmatch(value.strip())) is None:
        raise ValueError("is no size such as 512m or 4g")
    number, unit = found.groups()
    bytes_ = float(number) * 1024 ** " kmgt".index(unit.lower() or " ")
    if bytes_ > _LARGEST:
        raise ValueError("is more than any machine has")
    return int(bytes_)


def seconds(value: object) -> object:
    """`90s`, `30m`, `2h` or a number of seconds, as seconds."""
    if not isinstance(value, str):
        return value
    if (found := _TIME.fullmatch(value.strip())) is None:
        raise ValueError("is no time such as 90s or 30m")
    number, unit = found.groups()
    return float(number) * {"": 1, "s": 1, "m": 60, "h": 3600}[unit.lower()]


def _commands(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _names(value: object) -> object:
    return [n.strip() for n in value.split(",") if n.strip()] if isinstance(value, str) else value


Size: TypeAlias = Annotated[int, BeforeValidator(size), Field(gt=0)]
Seconds: TypeAlias = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Commands: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_commands)]
"""Shell commands; a text is one, whatever commas it has."""
Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_names)]
