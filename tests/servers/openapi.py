"""GitHub's published description of its REST API: where it is, and what of it a request asks for.

npm installs it; it is read where it is installed, once in a session, and never copied.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

from typing_extensions import override

Json: TypeAlias = dict[str, Any]

_PACKAGE = "node_modules/@octokit/openapi"
_INSTALLED = Path(__file__).parents[2] / ".venv/npm"
_PINNED = Path(__file__).parent / "npm/package-lock.json"


class Misfit(Exception):
    """A request that the description has no place for; its text is a sentence, `status` the answer."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and a path of the API, and the arguments that a request's path gives to it."""

    method: str
    template: str
    arguments: Mapping[str, str]

    @property
    def described(self) -> Json:
        found: Json = description()["paths"][self.template][self.method.lower()]
        return found

    @property
    def documentation(self) -> str:
        return str(self.described["externalDocs"]["url"])

    @override
    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def place(self) -> str:
        """Where it is described, as a reference."""
        template = self.template.replace("~", "~0").replace("/", "~1")
        return f"#/paths/{quote(template, safe='~')}/{self.method.lower()}"


def read_description(installed: Path, pinned: Path) -> Json:
    """The description in the folder that npm installed into.

    Raises:
        RuntimeError: it is not there, or not the version that the lock file names.
    """
    version = json.loads(pinned.read_text())["packages"][_PACKAGE]["version"]
    try:
        there = json.loads((installed / _PACKAGE / "package.json").read_text())["version"]
        text = (installed / _PACKAGE / "generated/api.github.com.json").read_bytes()
    except FileNotFoundError as missing:
        raise RuntimeError(
            "GitHub's description of its API is not installed; run: make test"
        ) from missing
    if there != version:
        raise RuntimeError(
            f"GitHub's description of its API is {there} and should be {version}; run: make test"
        )
    whole: Json = json.loads(text)
    return whole


@functools.cache
def description() -> Json:
    return read_description(_INSTALLED, _PINNED)


def find(method: str, path: str) -> Operation:
    """What a request asks for; `path` is as it came, without the query.

    Raises:
        Misfit: there is no such path, or not with this method.
    """
    segments = path.removeprefix("/").split("/")
    if {"", ".", ".."} & {unquote(segment) for segment in segments}:
        raise Misfit(f"{path} has a segment that is empty or dots.", 404)
    others = []
    for template, pattern in _templates():
        if found := pattern.fullmatch(path):
            names = re.findall("{([^}]+)}", template)
            arguments = dict(zip(names, map(unquote, found.groups()), strict=True))
            if method.lower() in description()["paths"][template]:
                return Operation(method, template, arguments)
            others.append(template)
    if others:
        raise Misfit(f"{others[0]} does not take {method}.", 404)
    raise Misfit(f"There is no path like {path}.", 404)


@functools.cache
def _templates() -> Sequence[tuple[str, re.Pattern[str]]]:
    """Those that say more first: a word stands before what could be anything."""
    paths = description()["paths"]
    in_order = sorted(paths, key=lambda template: (template.count("{"), -template.count("/")))
    return [(each, _pattern(each, paths[each])) for each in in_order]


def _pattern(template: str, methods: Json) -> re.Pattern[str]:
    forms = {}
    for operation in methods.values():
        for parameter in map(resolved, operation.get("parameters", [])):
            if parameter.get("x-multi-segment"):
                forms[parameter["name"]] = ".+"
            elif parameter["schema"].get("type") == "integer":
                forms[parameter["name"]] = "[0-9]+"
    pieces = re.split(r"\{([^}]+)\}", template)
    return re.compile(
        "".join(
            f"({forms.get(piece, '[^/]+')})" if number % 2 else re.escape(piece)
            for number, piece in enumerate(pieces)
        )
    )


def resolved(described: Json) -> Json:
    """What is meant where something is described by a reference."""
    while "$ref" in described:
        found: Any = description()
        for piece in described["$ref"].removeprefix("#/").split("/"):
            found = found[piece]
        described = found
    return described


@functools.cache
def example(name: str) -> str:
    """The vendor's example of that name, as JSON; the first of them where it is a list."""
    value = description()["components"]["examples"][name]["value"]
    return json.dumps(value[0] if isinstance(value, list) else value)
