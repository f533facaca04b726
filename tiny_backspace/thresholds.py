"""`[alerts]` in the settings file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tiny_backspace.quantities import Seconds


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
    url: str | None = Field(
        None, pattern=r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])[^\s]+$"
    )
