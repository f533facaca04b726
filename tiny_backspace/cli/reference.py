"""Every setting with its flag, its variable, its default and what it is for: for `config`, `init` and the docs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, get_args

from pydantic_core import PydanticUndefined

from tiny_backspace.cli import options
from tiny_backspace.settings import PREFIX, TABLES, Settings

# What has no option on the command line.
_MORE = {
    "alerts": "Table [alerts]: error_rate, cost_per_day, provider_success, health_below, every, command, url (docs/health.md).",
    "author_name": "Who the commits are by.",
    "author_email": "And their address.",
    "base_image": "What our image is built on, where it is not Debian's or the one that make-base.sh made.",
    "co_author": "`Name <address>` for a Co-authored-by line.",
    "docker_host": "The engine's socket: unix://…; DOCKER_HOST without it, or the docker command's context.",
    "github": "url and api_url of an Enterprise Server.",
    "mirror_limit": "Room for fetched repositories in the cache.",
    "server": "Table [server]: where and for whom `serve` listens, and how much it takes on (docs/service.md).",
    "setup_cache": "Room for what setups have installed, of all repositories together.",
    "providers": "Tables [providers.NAME]: dialect, base_url, model, key_variable, prices and more (docs/providers.md).",
}
_INTRODUCTION = """\
# Configuration

A flag wins over its variable, a variable over the settings file, that over the default. The file is `~/.config/tiny-backspace/config.toml`
(`XDG_CONFIG_HOME`); `tiny-backspace init` writes one with everything in it, commented out, and `tiny-backspace config` shows what holds and where it came
from. Nothing is read from the repository or the current folder, and a `.env` file only where `--env-file` names it.

Sizes are written as `512m` or `4g`, times as `90s` or `30m`, lists in variables with commas. Keys and tokens stand in no file: `ANTHROPIC_API_KEY`,
`OPENAI_API_KEY`, `GITHUB_TOKEN` (or `GH_TOKEN`, `GITHUB_PAT`), each also with `TINY_BACKSPACE_` before it.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting. `default` as it stands in the file; empty where there is none."""

    name: str
    flag: str
    variable: str
    default: str
    help: str
    table: bool


def entries() -> tuple[Entry, ...]:
    """In the order of the settings' own definition."""
    return tuple(_entry(name) for name in Settings.model_fields)


def _entry(name: str) -> Entry:
    option = _option(name)
    help_ = str(option.help) if option is not None else _MORE.get(name, "")
    return Entry(
        name=name,
        flag=_flag(name, option) if option is not None else "",
        variable="" if name in TABLES else PREFIX + name.upper(),
        default=_default(name),
        help=help_,
        table=name in TABLES,
    )


def _option(name: str) -> Any:  # noqa: ANN401 - typer's own
    alias = getattr(options, "".join(part.capitalize() for part in name.split("_")), None)
    return get_args(alias)[1] if alias is not None else None


def _flag(name: str, option: Any) -> str:  # noqa: ANN401 - typer's own
    given = [each for each in option.param_decls or () if each.startswith("--")]
    return given[0] if given else f"--{name.replace('_', '-')}"


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    return "" if value in (None, PydanticUndefined) or name in TABLES else toml(value)


def toml(value: object) -> str:
    """A value as it stands in the settings file."""
    match value:
        case bool():
            return "true" if value else "false"
        case tuple() | list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case float() if value == int(value):
            return str(int(value))
        case _:
            return str(value)


def markdown() -> str:
    """docs/configuration.md: `python -m tiny_backspace.cli.reference > docs/configuration.md`."""
    rows = [
        f"| `{entry.name}` | {_code(entry.flag)} | {_code(entry.variable)} | {_code(entry.default)} | {_cell(entry.help)} |"
        for entry in entries()
    ]
    head = "| setting | flag | variable | default | |\n|---|---|---|---|---|"
    return f"{_INTRODUCTION}\n{head}\n" + "\n".join(rows) + "\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
