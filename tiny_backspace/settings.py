"""What a run may be told: flags over environment over the settings file over defaults.

The settings file is `$XDG_CONFIG_HOME/tiny-backspace/config.toml`. Nothing is ever read from the
target repository or the current folder, and a `.env` file only where it is named (--env-file): a
repository could otherwise send the run, and its keys, wherever it likes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from tiny_backspace.errors import UsageError

PREFIX = "TINY_BACKSPACE_"
PROMPT_LIMIT = 100_000  # bytes

# Settings that have a usual name of their own in the environment.
_USUAL_NAMES = {
    "anthropic_api_key": "ANTHROPIC_API_KEY",
    "openai_api_key": "OPENAI_API_KEY",
    "docker_host": "DOCKER_HOST",
}
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|_PAT$", re.IGNORECASE)
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


def _names(value: object) -> object:
    return [n.strip() for n in value.split(",") if n.strip()] if isinstance(value, str) else value


Size: TypeAlias = Annotated[int, BeforeValidator(size), Field(gt=0)]
Seconds: TypeAlias = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_names)]


class Settings(BaseModel):
    """Sizes in bytes, times in seconds. None: what fits the engine, or nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: Names = ("claude", "openai", "dummy")
    publish: Literal["branch", "patch"] | None = None
    allow_path: Names = ()
    verify: str | None = None
    verify_attempts: int = Field(2, ge=1, le=10)
    verify_timeout: Seconds = Field(600, le=7200)

    image: str | None = None
    base_image: str | None = None
    runtime: str | None = None
    memory: Size | None = None
    disk: Size | None = None
    cpus: float | None = Field(None, gt=0, allow_inf_nan=False)
    pids: int = Field(512, ge=16, le=4096)
    timeout: Seconds = Field(1800, le=7200)
    command_timeout: Seconds = Field(120, le=600)

    max_turns: int = Field(60, ge=1)
    max_tool_calls: int = Field(200, ge=1)

    author_name: str = "Tiny Backspace"
    author_email: str = "tiny-backspace@localhost"

    docker_host: str | None = None
    anthropic_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None

    @field_validator("author_name", "author_email")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.strip() or re.search(r"[\x00-\x1f<>]", value):
            raise ValueError("must be one line without < and >")
        return value


def config_file(environment: Mapping[str, str]) -> Path:
    """Where the settings file is, whether or not there is one."""
    home = environment.get("XDG_CONFIG_HOME", "")
    folder = (
        Path(home)
        if home.startswith("/")
        else Path(environment.get("HOME") or Path.home()) / ".config"
    )
    return folder / "tiny-backspace" / "config.toml"


def load(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    config: Path,
    env_file: Path | None = None,
) -> Settings:
    """The effective settings. Flags that are None were not given.

    Raises:
        UsageError: a value is wrong, or unknown; the sentence names it and where it came from.
    """
    origins: dict[str, str] = {}
    merged: dict[str, Any] = {}
    named = _from_environment(_env_file(env_file), str(env_file)) if env_file else {}
    for layer in (
        _from_file(config),
        named,
        _from_environment(environment, "the environment"),
        {k: (v, f"--{k.replace('_', '-')}") for k, v in flags.items() if v not in (None, ())},
    ):
        for key, (value, origin) in layer.items():
            merged[key], origins[key] = value, origin
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = str(first["loc"][0])
        problem = first["msg"].removeprefix("Value error, ")
        unknown = first["type"] == "extra_forbidden"
        raise UsageError(
            f"{origins.get(key, 'the settings')}: "
            + (f"there is no setting {key!r}" if unknown else problem),
            hint="`tiny-backspace run --help` lists the settings." if unknown else None,
        ) from None


def docker_host(environment: Mapping[str, str]) -> str | None:
    """The engine that runs use, for the commands that are no run."""
    return load({}, environment, config_file(environment)).docker_host


def secrets(environment: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    """Values that must never be shown: our keys, and whatever the environment calls a secret."""
    ours = [v.get_secret_value() for _, v in settings if isinstance(v, SecretStr)]
    theirs = [v for k, v in environment.items() if _SECRET_NAME.search(k)]
    return tuple(v for v in (*ours, *theirs) if v)


def _from_environment(environment: Mapping[str, str], origin: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for field in Settings.model_fields:
        for name in (_USUAL_NAMES.get(field), PREFIX + field.upper()):
            if name and environment.get(name):
                found[field] = (environment[name], f"{name} in {origin}")
    return found


def _from_file(config: Path) -> dict[str, tuple[Any, str]]:
    try:
        text = config.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings file {config} cannot be read: {error}") from error
    try:
        return {k: (v, f"{k} in {config}") for k, v in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the settings file {config} is not TOML: {error}") from error


def _env_file(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="--env-file names a file of NAME=value.")
    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file {path} cannot be read: {error}") from error
    return {name: value for name, value in values.items() if value is not None}
