"""Settings as the words of a command line, for runs that we start ourselves."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args

from tiny_backspace.cli import options


def kinds(names: frozenset[str]) -> dict[str, type]:
    """The type of each of these options: list, str, bool, int or float."""
    return {name: _kind(name) for name in names}


def words(given: Mapping[str, Any]) -> list[str]:
    """`{"max_turns": 5, "label": ["a", "b"]}` as `--max-turns=5 --label=a --label=b`.

    A value is in one word with its name, so that none is taken for an option.
    """
    return [word for name, value in sorted(given.items()) for word in _words(name, value)]


def _words(name: str, value: Any) -> list[str]:  # noqa: ANN401 - whatever the option is
    yes, no = _flags(name)
    if isinstance(value, bool):
        return [yes] if value else [no] if no else []
    if isinstance(value, list | tuple):
        return [f"{yes}={each}" for each in value]
    return [f"{yes}={value}"]


def _flags(name: str) -> tuple[str, str | None]:
    """What switches it on, or comes before its value, and what switches it off."""
    option = _alias(name)[1]
    declarations = (
        option.default,
        *(option.param_decls or ()),
    )  # in an annotation the first is there
    declared = next((d for d in declarations if str(d).startswith("--")), None)
    yes, _, no = (declared or f"--{name.replace('_', '-')}").partition("/")
    return yes, no or None


def _kind(name: str) -> type:
    declared = _alias(name)[0]
    first = get_args(declared)[0] if isinstance(declared, UnionType) else declared
    found: type = getattr(first, "__origin__", None) or first
    return found


def _alias(name: str) -> tuple[Any, Any]:
    """The type and the option of an annotation in `options`."""
    kind, option, *_ = get_args(getattr(options, name.title().replace("_", "")))
    return kind, option
