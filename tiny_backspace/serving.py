"""`[server]` in the settings file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tiny_backspace.quantities import Names, Seconds, Size

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_REPOS = re.compile(r"([A-Za-z0-9.:-]+/)?[\w.*?-]+/[\w.*?-]+")


class ServerSettings(BaseModel):
    """Where the service listens, to whom, and how much it takes on.

    `tokens` are names with the SHA-256 of their tokens in hex; `admins` the names that see everybody's runs.
    `repos` are patterns such as `owner/*`, or `host/owner/*` for another host than the GitHub of the settings;
    without any, every repository of that GitHub. `rate` is requests per minute and token, `patience` how long a
    client may stand still, `drain` how long runs may go on when the service is told to end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8321, ge=0, le=65535)
    tokens: Mapping[str, str] = Field(default_factory=dict)
    admins: Names = ()
    hosts: Names = ()
    cors: Names = ()
    repos: Names = ()
    rate: int = Field(120, ge=1, le=100_000)
    workers: int = Field(2, ge=1, le=64)
    queue: int = Field(16, ge=0, le=10_000)
    streams: int = Field(256, ge=1, le=10_000)
    body_limit: Size = Field(512 << 10, le=16 << 20)
    drain: Seconds = Field(30, le=3600)
    patience: Seconds = Field(15, ge=0.1, le=600)

    @field_validator("tokens")
    @classmethod
    def _are_hashes(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name, told in value.items():
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} can be no token's name: letters, digits, - and _ make one"
                )
            if not _HASH.fullmatch(told):
                raise ValueError(
                    f"what {name} has is no SHA-256 in hex; `tiny-backspace serve --new-token {name}` makes one"
                )
        return value

    @field_validator("cors")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _ORIGIN.fullmatch(each):
                raise ValueError(f"{each!r} is no origin such as https://app.example.org")
        return value

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _HOST.fullmatch(each):
                raise ValueError(f"{each!r} is no host's name such as bot.example.org")
        return value

    @field_validator("repos")
    @classmethod
    def _are_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _REPOS.fullmatch(each):
                raise ValueError(f"{each!r} is no pattern such as owner/* or host/owner/name")
        return value

    def serves(self, host: str, repository: str, home: str) -> bool:
        """Whether `owner/name` at a host may be worked on; `home` is the host of the settings' GitHub."""
        at_home = host == home
        if not self.repos:
            return at_home
        full = f"{host}/{repository}".lower()
        return any(
            fnmatchcase(full, (each if each.count("/") > 1 else f"{home}/{each}").lower())
            for each in self.repos
        )
