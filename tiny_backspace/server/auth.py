"""Who asks: bearer tokens, of which only hashes are kept, and how often each may ask."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from tiny_backspace.serving import ServerSettings

_LONGEST = 512
_KNOWN = 10_000  # callers whose rate is remembered


@dataclass(frozen=True, slots=True)
class Caller:
    """A token's name. `everything`: it may see all runs of this machine, not only its own."""

    name: str
    everything: bool


LOCAL = Caller("", everything=True)
"""Whoever asks a service that has no tokens: it listens to this machine only."""


def new_token() -> tuple[str, str]:
    """A new token, of 256 random bits, and what the settings keep of it."""
    token = f"tbs_{secrets.token_urlsafe(32)}"
    return token, hashed(token)


def hashed(token: str) -> str:
    """Its SHA-256: nobody guesses 256 random bits, so that a slow hash would only slow us."""
    return hashlib.sha256(token.encode()).hexdigest()


def caller(settings: ServerSettings, token: str | None) -> Caller | None:
    """Whose token it is; None for nobody's. It takes as long for a wrong one as for any right one."""
    if not settings.tokens:
        return LOCAL
    found = None
    shown = hashed((token or "")[:_LONGEST])
    for name, kept in settings.tokens.items():
        if hmac.compare_digest(shown, kept):
            found = name
    if not token or found is None:
        return None
    return Caller(found, everything=found in settings.admins)


class Rate:
    """A token bucket for each caller: `per_minute` requests, saved up to a minute's worth."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._most = per_minute
        self._per_second = per_minute / 60
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, name: str) -> int:
        """Count one request of this caller: 0, or how many seconds too early it is."""
        now = self._clock()
        left, at = self._left.pop(name, (float(self._most), now))
        left = min(self._most, left + (now - at) * self._per_second)
        taken = left >= 1
        self._left[name] = (left - 1 if taken else left, now)
        if len(self._left) > _KNOWN:  # who asked longest ago has, by then, a full bucket again
            del self._left[next(iter(self._left))]
        return 0 if taken else max(1, round((1 - left) / self._per_second))
