"""`init` and `config`: the settings file, and what holds."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiny_backspace.cli import options
from tiny_backspace.cli.output import print_lines
from tiny_backspace.errors import UsageError

if TYPE_CHECKING:
    from tiny_backspace.settings import Settings

_HEAD = """\
# Settings of tiny-backspace. Flags and TINY_BACKSPACE_… variables win over them.
# What is commented out is the default; "" says that there is none. Keys and tokens are never here: they come from the environment.
"""
_TAIL = """
# [providers.local]
# base_url = "http://127.0.0.1:8000/v1"
# model = "qwen3-coder:30b"

# [github]
# url = "https://github.example.org"
"""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(init)
    app.command()(config)


def init(
    show: Annotated[bool, typer.Option("--print", help="Print it instead of writing it.")] = False,
) -> None:
    """Write a settings file with every setting in it, commented out. One that is there stays.

    \b
    Examples:
      tiny-backspace init
      tiny-backspace init --print | less
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.settings import config_file
    from tiny_backspace.statedir import claim_private, private_dir, temporary_file

    text = commented()
    if show:
        typer.echo(text, nl=False)
        return
    path = config_file(os.environ)
    made = not path.exists() and claim_private(
        path, temporary_file(private_dir(path.parent) / path.name, text.encode())
    )
    if not made:
        raise UsageError(f"there is {path} already", hint="--print shows what a new one would be.")
    typer.echo(str(path))


def commented() -> str:
    """The file: each setting with what it is for."""
    from tiny_backspace.cli.reference import entries

    parts = [
        f"\n# {entry.help}\n# {entry.name} = {entry.default or chr(34) * 2}"
        for entry in entries()
        if not entry.table
    ]
    return _HEAD + "\n".join(parts) + "\n" + _TAIL


def config(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    env_file: options.EnvFile = None,
) -> None:
    """Show every setting that holds, and where it came from. Keys and tokens are not shown.

    \b
    Examples:
      tiny-backspace config
      tiny-backspace config --json | jq .max_cost
      TINY_BACKSPACE_MAX_COST=2 tiny-backspace config | grep max_cost
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.redact import clean
    from tiny_backspace.settings import config_file, explained

    environment = dict(os.environ)
    path = config_file(environment)
    effective, origins = explained({}, environment, path, env_file)
    values = _shown(effective)
    if as_json:
        told = {n: {"value": v, "from": _origin(n, origins)} for n, v in values.items()}
        typer.echo(json.dumps(told, ensure_ascii=False, default=str))
        return
    from tiny_backspace.cli.reference import toml

    there = "" if path.exists() else " (which is not there)"
    lines = [f"# {path}{there}"]
    width = max(map(len, values))
    for name, value in values.items():
        text = "(none)" if value is None else toml(value)
        lines.append(f"{name:<{width}} = {text}  # {_origin(name, origins)}")
    print_lines(clean(line).replace("\n", " ") for line in lines)


def _origin(name: str, origins: dict[str, str]) -> str:
    """Of a part of a table where the table came from, if it is not known more closely."""
    return origins.get(name) or origins.get(name.partition(".")[0]) or "default"


def _shown(settings: Settings) -> dict[str, Any]:
    """The values, flat; of a secret whether there is one."""
    flat: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "github":
            flat |= {"github.url": value.url, "github.api_url": value.api}
            flat["github.token"] = "(set)" if value.token else None
        elif name == "providers":
            for provider, entry in value.items():
                told = entry.model_dump(exclude={"name", "key"}, exclude_none=True)
                flat |= {
                    f"providers.{provider}.{k}": v
                    for k, v in told.items()
                    if not isinstance(v, dict)
                }
                if entry.key_variable:
                    flat[f"providers.{provider}.key"] = "(set)" if entry.key else None
        elif name == "alerts":
            flat |= {f"alerts.{k}": v for k, v in value.model_dump().items()}
            flat["alerts.url"] = "(set)" if value.url else None  # who knows it can post there
        elif name == "server":
            flat |= {f"server.{k}": v for k, v in value.model_dump().items()}
            flat["server.tokens"] = list(value.tokens)
        else:
            flat[name] = value
    return flat
