"""Who can be asked: the providers of the settings, by name.

`[providers.NAME]` in the settings file makes a new one or changes one of those that are here already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tiny_backspace.errors import UsageError
from tiny_backspace.quantities import Seconds

Dialect: TypeAlias = Literal["claude", "openai", "chat"]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

_NAME = re.compile(r"(?!dummy\Z)[A-Za-z0-9_-]{1,64}")


class Prices(BaseModel):
    """USD per million tokens. What is not told is taken for `input`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(None, ge=0, allow_inf_nan=False)
    cache_write: float | None = Field(None, ge=0, allow_inf_nan=False)


class Entry(BaseModel):
    """One provider: how to speak to it, where, with which model.

    `dialect`: claude is the Messages API, openai the Responses API, chat the Chat Completions of
    compatible servers. `key_variable` names the variable that holds the key; None needs no key.
    `window` is the model's context in tokens, `idle_timeout` how long it may say nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    dialect: Dialect
    model: str | None = Field(None, min_length=1, max_length=200)
    base_url: str | None = Field(None, pattern=r"^https?://[^\s@]+$")
    base_url_variable: str | None = None
    key_variable: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    key: SecretStr | None = None
    effort: Effort | None = None
    max_output_tokens: int = Field(32_000, ge=256)
    window: int = Field(128_000, ge=2048)
    idle_timeout: Seconds = Field(90, le=3600)
    prices: Prices | None = None

    @field_validator("base_url")
    @classmethod
    def _has_a_host(cls, value: str | None) -> str | None:
        if value is not None and not _is_address(value):
            raise ValueError("is no address such as https://host:8000/v1")
        return value

    @property
    def model_name(self) -> str:
        """The model, which a chosen entry always has."""
        assert self.model is not None
        return self.model


FIELDS = tuple(
    name for name in Entry.model_fields if name not in ("name", "key", "base_url_variable")
)
"""What the settings file may say of one."""

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "claude": {
        "dialect": "claude",
        "model": "claude-sonnet-5-5",
        "base_url_variable": "ANTHROPIC_BASE_URL",
        "key_variable": "ANTHROPIC_API_KEY",
        "effort": "medium",
        "window": 1_000_000,
    },
    "openai": {
        "dialect": "openai",
        "model": "gpt-6.2-sol",
        "base_url_variable": "OPENAI_BASE_URL",
        "key_variable": "OPENAI_API_KEY",
        "effort": "medium",
        "window": 272_000,  # the model takes more, at twice the price
    },
    "ollama": {"dialect": "chat", "base_url": "http://127.0.0.1:11434/v1"},
    "vllm": {"dialect": "chat", "base_url": "http://127.0.0.1:8000/v1"},
    "lmstudio": {"dialect": "chat", "base_url": "http://127.0.0.1:1234/v1"},
}
_VENDORS = ("claude", "openai")  # whose adapters know where they are
_CHAT = {
    "window": 32_768,
    "max_output_tokens": 8192,
    "idle_timeout": 300,
}  # a model may have to be loaded first


def merged(given: object) -> object:
    """The built-in entries with the user's tables over them, field by field."""
    if not isinstance(given, Mapping):
        return given
    names = dict.fromkeys((*BUILT_IN, *given))
    return {name: _entry(name, given.get(name, {})) for name in names}


def _entry(name: str, given: object) -> object:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} can be no provider's name: letters, digits, - and _ make one, dummy is taken"
        )
    if not isinstance(given, Mapping):
        return given
    if "key" in given:
        raise ValueError(
            f"the key of {name} does not belong in a file: name its variable with key_variable"
        )
    if "name" in given:
        raise ValueError(f"the name of {name} is its table's: there is no setting 'name'")
    entry = {"dialect": "chat", **BUILT_IN.get(name, {}), **given, "name": name}
    return (_CHAT if entry["dialect"] == "chat" else {}) | entry


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def chosen(entries: Mapping[str, Entry], agent: str) -> Entry:
    """The entry for `name` or `name:model`. The prices of its own model are not those of another one.

    Raises:
        UsageError: there is none, or it has no model.
    """
    name, _, model = agent.partition(":")
    entry = entries.get(name)
    if entry is None:
        known = ", ".join((*entries, "dummy"))
        raise UsageError(
            f"there is no agent {name!r}",
            hint=f"--agents takes {known}, and what [providers.NAME] in the settings file adds.",
        )
    if model:
        same = entry.model in (None, model)
        prices = entry.prices if same else None
        entry = entry.model_copy(update={"model": model, "prices": prices})
    if entry.base_url is None and name not in _VENDORS:
        raise UsageError(
            f"where is {name}? It has no base_url", hint=f"Set it under [providers.{name}]."
        )
    if entry.model is None:
        raise UsageError(f"{name} has no model of its own", hint=f"Name one: --agents {name}:MODEL")
    return entry
