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
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from tiny_backspace import entries
from tiny_backspace.entries import Entry
from tiny_backspace.errors import UsageError
from tiny_backspace.quantities import Commands, Names, Seconds, Size
from tiny_backspace.redact import clean_line
from tiny_backspace.serving import ServerSettings
from tiny_backspace.thresholds import AlertSettings

PREFIX = "TINY_BACKSPACE_"
GITHUB = "https://github.com"
PROMPT_LIMIT = 100_000  # bytes
TABLES = frozenset(("providers", "github", "alerts", "server"))  # which no variable holds

# Settings that have a usual name of their own in the environment.
_USUAL_NAMES = {"docker_host": "DOCKER_HOST"}
_API = "https://api.github.com"
_TOKENS = ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_PAT")
_ADDRESS = re.compile(
    r"(https://[a-z0-9.-]+|http://(127\.0\.0\.1|localhost|\[::1\]))(:[0-9]{1,5})?(/[\w./-]*)?",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|_PAT$", re.IGNORECASE)


class GitHubSettings(BaseModel):
    """`url` is where people and git go, `api_url` where programs do; another one than github.com is an
    Enterprise Server. The token is never in the settings file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = GITHUB
    api_url: str = ""
    token: SecretStr | None = None

    @field_validator("url", "api_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError(
                "is no address such as https://github.example.org (plain http only on this machine)"
            )
        scheme, _, rest = value.rstrip("/").partition("://")
        host, slash, path = rest.partition("/")
        usual = {"https": ":443", "http": ":80"}.get(scheme.lower(), "")
        host = host.removesuffix(usual) if usual else host  # it is the same place
        return f"{scheme.lower()}://{host.lower()}{slash}{path}" if value else ""

    @property
    def api(self) -> str:
        """Where the API is, if nothing else is said: an Enterprise Server has it below its own address."""
        if self.api_url:
            return self.api_url
        return _API if self.url == GITHUB else f"{self.url}/api/v3"


class Settings(BaseModel):
    """Sizes in bytes, times in seconds. None: what fits the engine, or nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: Names = ("claude", "openai", "dummy")
    providers: Annotated[
        dict[str, Entry], BeforeValidator(entries.merged), Field(validate_default=True)
    ] = {}
    cache: bool = False
    publish: Literal["pr", "branch", "patch"] | None = None
    dry_run: bool = False
    approve: bool = False
    branch: str | None = Field(None, max_length=200)
    once: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    title: str | None = Field(None, max_length=240)
    label: Names = ()
    reviewer: Names = ()
    assignee: Names = ()
    draft: bool | None = None
    allow_path: Names = ()
    github: GitHubSettings = GitHubSettings()
    fork: bool = False
    force: bool = False
    history: Literal["shallow", "full"] = "shallow"
    mirror_limit: Size = 5 << 30
    verify: str | None = None
    verify_attempts: int = Field(2, ge=1, le=10)
    verify_timeout: Seconds = Field(600, le=7200)
    verify_base: bool = True
    setup: Commands = ()
    setup_file: str | None = None
    setup_registry: Names = ("python", "node", "debian")
    setup_host: Names = ()
    setup_timeout: Seconds = Field(600, le=7200)
    setup_disk: Size = 2 << 30
    setup_cache: Size = 10 << 30
    max_files: int = Field(100, ge=1)
    max_lines: int = Field(10_000, ge=1)
    max_file_size: Size = 5 << 20

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
    max_cost: float = Field(5.0, gt=0, allow_inf_nan=False)
    max_tokens: int = Field(10_000_000, ge=1)

    author_name: str = "Tiny Backspace"
    author_email: str = "tiny-backspace@localhost"
    co_author: str | None = Field(None, pattern=r"^[^<>\x00-\x1f]+ <[^<>\s@]+@[^<>\s@]+>$")

    docker_host: str | None = None
    alerts: AlertSettings = AlertSettings()
    server: ServerSettings = ServerSettings()

    @field_validator("branch")
    @classmethod
    def _is_branch(cls, value: str | None) -> str | None:
        """What `git check-ref-format --branch` takes, and a little less."""
        if value is not None and (
            value == "HEAD"
            or not re.fullmatch(r"[\w][\w./+@#=-]*", value)
            or re.search(r"\.\.|//|/\.|\.lock(/|$)|[./]$|@\{", value)
        ):
            raise ValueError("is no name for a branch")
        return value

    @field_validator("title")
    @classmethod
    def _is_title(cls, value: str | None) -> str | None:
        if value is not None and not clean_line(value):
            raise ValueError("is empty")
        return None if value is None else clean_line(value)

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
    return explained(flags, environment, config, env_file)[0]


def explained(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    config: Path,
    env_file: Path | None = None,
) -> tuple[Settings, dict[str, str]]:
    """The effective settings, and of those that somebody set, where."""
    origins: dict[str, str] = {}
    merged: dict[str, Any] = {}
    named = env_file_variables(env_file) if env_file else {}
    for layer in (
        _from_file(config),
        _from_environment(named, str(env_file)),
        _from_environment(environment, "the environment"),
        {k: (v, f"--{k.replace('_', '-')}") for k, v in flags.items() if v not in (None, ())},
    ):
        for key, (value, origin) in layer.items():
            merged[key], origins[key] = value, origin
    if isinstance(merged.get("github"), Mapping) and "token" in merged["github"]:
        raise UsageError(
            f"{origins['github']}: a token is never in the settings file", hint="Set GITHUB_TOKEN."
        )
    try:
        variables = {**named, **{k: v for k, v in environment.items() if v}}
        return _with_variables(Settings.model_validate(merged), variables, origins), origins
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key, *within = map(str, first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        unknown = first["type"] == "extra_forbidden"
        place = ".".join(within[: -1 if unknown else None])
        where = f"{origins.get(key, 'the settings')}{': ' if place else ''}{place}"
        if unknown and within:
            raise UsageError(
                f"{where}: there is no setting {within[-1]!r}",
                hint=f"A provider has {', '.join(entries.FIELDS)}." if key == "providers" else None,
            ) from None
        raise UsageError(
            f"{where}: " + (f"there is no setting {key!r}" if unknown else problem),
            hint="`tiny-backspace run --help` lists the settings." if unknown else None,
        ) from None


def _with_variables(
    settings: Settings, variables: Mapping[str, str], origins: dict[str, str]
) -> Settings:
    """Each provider with its key, and the usual variable for its address over the one in the file."""
    found = {}
    for name, entry in settings.providers.items():
        key = _variable(entry.key_variable, variables)
        if key:
            origins[f"providers.{name}.key"] = str(entry.key_variable)
        if named := _variable(entry.base_url_variable, variables):
            origins[f"providers.{name}.base_url"] = str(entry.base_url_variable)
        url = named or entry.base_url
        fields = entry.model_dump(exclude={"key"}) | {"base_url": url, "key": key}
        try:
            found[name] = Entry.model_validate(fields)
        except ValidationError:  # what the file has was validated: it is the variable
            raise UsageError(f"{entry.base_url_variable}: that is no http address") from None
    github = settings.github.model_dump()
    for field, usual in (("url", "GITHUB_SERVER_URL"), ("api_url", "GITHUB_API_URL")):
        own = f"GITHUB_{field.upper()}"
        for variable in (usual, PREFIX + own):
            if variables.get(variable):
                github[field], origins[f"github.{field}"] = variables[variable], variable
    token = next((name for name in _TOKENS if _variable(name, variables)), "")
    github["token"] = (_variable(token, variables) or "").strip() or None
    if github["token"]:
        origins["github.token"] = token
    try:
        return settings.model_copy(
            update={"providers": found, "github": GitHubSettings.model_validate(github)}
        )
    except ValidationError:  # what the file has was validated: it is a variable
        raise UsageError("GITHUB_SERVER_URL or GITHUB_API_URL: that is no https address") from None


def _variable(name: str | None, variables: Mapping[str, str]) -> str | None:
    """Its value; a variable of our own, with the prefix, wins over the usual one."""
    return (variables.get(PREFIX + name) or variables.get(name) or None) if name else None


def unknown(environment: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    """Variables with our prefix that are nothing of ours: misspelt, perhaps."""
    entries_ = settings.providers.values()
    usual = [*_TOKENS, "GITHUB_URL", "GITHUB_API_URL"]
    usual += [e.key_variable for e in entries_ if e.key_variable]
    usual += [e.base_url_variable for e in entries_ if e.base_url_variable]
    known = {PREFIX + name.upper() for name in (*Settings.model_fields, *usual)}
    return tuple(sorted(n for n in environment if n.startswith(PREFIX) and n not in known))


def docker_host(environment: Mapping[str, str]) -> str | None:
    """The engine that runs use, for the commands that are no run."""
    return load({}, environment, config_file(environment)).docker_host


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds one, by its name."""
    return _SECRET_NAME.search(name) is not None


def secrets(environment: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    """Values that must never be shown: our keys, and whatever the environment calls a secret."""
    ours = [e.key.get_secret_value() for e in settings.providers.values() if e.key is not None]
    if settings.github.token is not None:
        ours.append(settings.github.token.get_secret_value())
    theirs = [v for k, v in environment.items() if is_secret(k)]
    # keys for where traces go: `name=value,name=value` (OpenTelemetry's environment variables)
    headers = (
        v for k, v in environment.items() if k.startswith("OTEL_") and k.endswith("_HEADERS")
    )
    pairs = (pair.partition("=")[2].strip() for value in headers for pair in value.split(","))
    theirs += [part for pair in pairs for part in (pair, unquote(pair).removeprefix("Bearer "))]
    return tuple(dict.fromkeys(v for v in (*ours, *theirs) if v))


def _from_environment(environment: Mapping[str, str], origin: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for field in Settings.model_fields.keys() - TABLES:
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
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the settings file {config} is not TOML: {error}") from error
    if isinstance(table := found.get("setup"), dict):  # [setup] is another way to write these
        del found["setup"]
        found |= {"setup" if k == "commands" else f"setup_{k}": v for k, v in table.items()}
    return {k: (v, f"{k} in {config}") for k, v in found.items()}


def env_file_variables(path: Path) -> dict[str, str]:
    """What a file of NAME=value says.

    Raises:
        UsageError: it is not there, or cannot be read.
    """
    from dotenv import dotenv_values

    try:
        if not path.is_file():
            raise UsageError(
                f"there is no file {path}", hint="--env-file names a file of NAME=value."
            )
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file {path} cannot be read: {error}") from error
    return {name: value for name, value in values.items() if value is not None}
