"""Workflow commands, as a runner reads them out of a log, and values in the files it names. Pure.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions (2026-11)
"""

from __future__ import annotations

_DATA = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_PROPERTY = (*_DATA, (":", "%3A"), (",", "%2C"))


def command(name: str, message: str = "", **properties: str | int | None) -> str:
    """`::name key=value::message`; nothing in the values can end it, or be another one."""
    told = ",".join(
        f"{key}={_escaped(str(value), _PROPERTY)}"
        for key, value in properties.items()
        if value is not None
    )
    return f"::{name}{' ' if told else ''}{told}::{_escaped(message, _DATA)}"


def output(name: str, value: str, delimiter: str) -> str:
    """A value for `$GITHUB_OUTPUT`. `delimiter` is nothing that anybody could have guessed."""
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _escaped(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for plain, coded in pairs:
        text = text.replace(plain, coded)
    return text
