"""`[alerts]` in the settings file."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tiny_backspace.quantities import Seconds

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class AlertSettings(BaseModel):
    """What is worth an alert, and who hears of it. None: never, nobody.

    Rates are shares from 0 to 1. `command` is a program and its arguments, without a shell; it gets the
    alert as JSON on its standard input.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    error_rate: float | None = Field(None, ge=0, le=1)
    cost_per_day: float | None = Field(None, ge=0, allow_inf_nan=False)
    provider_success: float | None = Field(None, ge=0, le=1)
    health_below: int | None = Field(None, ge=0, le=100)
    every: Seconds = 3600
    command: tuple[str, ...] = ()
    url: str | None = None

    @property
    def thresholds(self) -> int:
        """How many are set."""
        rates = (self.error_rate, self.cost_per_day, self.provider_success, self.health_below)
        return sum(each is not None for each in rates)

    @field_validator("command")
    @classmethod
    def _has_a_program(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value and (not value[0] or any("\0" in part for part in value)):
            raise ValueError("is no program and its arguments")
        return value

    @field_validator("url")
    @classmethod
    def _is_private(cls, value: str | None) -> str | None:
        if value is not None and not (is_loopback(value) or _is_https(value)):
            raise ValueError("is no https address (plain http only to this machine)")
        return value


def is_loopback(url: str) -> bool:
    """Plain http to this machine. A name before an @ is a user, and no machine."""
    parts = _parts(url)
    return parts is not None and parts[0] == "http" and parts[1] in _LOOPBACK and "@" not in url


def _is_https(url: str) -> bool:
    parts = _parts(url)
    return parts is not None and parts[0] == "https" and bool(parts[1])


def _parts(url: str) -> tuple[str, str] | None:
    """Scheme and host; None where readers of addresses might not agree on them."""
    if re.search(r"[\s\x00-\x20\x7f\\]", url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is none
    except ValueError:
        return None
    return parts.scheme, parts.hostname or ""
