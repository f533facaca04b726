"""What a setup depends on, as one name: another one of any of it, another setup. Pure but for one `git ls-tree`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tiny_backspace.repo.mirror import Base, Mirror
from tiny_backspace.setup.registries import Registries

_VERSION = 1  # of how a setup is made; another one makes all of them anew
_DEPENDENCIES = (
    "requirements*.txt", "requirements*.in", "constraints*.txt", "pyproject.toml", "setup.py", "setup.cfg",
    "poetry.lock", "pdm.lock", "uv.lock", "pylock*.toml", "Pipfile", "Pipfile.lock", "environment.yml", "tox.ini",
    "package.json", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", "yarn.lock",
    ".npmrc", "Gemfile", "Gemfile.lock", "go.mod", "go.sum", "Cargo.toml", "Cargo.lock", "composer.json",
    "composer.lock",
)  # fmt: skip
_WORD = re.compile(r"[^\s'\"`;&|<>()=,]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants to be set up. Seconds and bytes."""

    commands: tuple[str, ...]
    registries: Registries
    seconds: float
    disk: int


def key(wanted: Wanted, mirror: Mirror, base: Base, *, url: str, owner: str, image: str) -> str:
    """20 hex digits. `url` is the repository, which shares its setups with no other; so does `owner`."""
    files = dependencies(mirror, base, wanted.commands)
    whole = {
        "version": _VERSION,
        "owner": owner,
        "image": image,
        "repository": url,
        "commands": wanted.commands,
        "places": [[p.host, p.port, p.tls] for p in wanted.registries.places],
        "variables": dict(wanted.registries.variables),
        "files": dict(files),
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def dependencies(mirror: Mirror, base: Base, commands: tuple[str, ...]) -> Mapping[str, str]:
    """Path to blob of the base's files that say what it depends on, and of those that a command names."""
    listed = mirror.git.must(
        "ls-tree",
        "-r",
        "-z",
        "--full-tree",
        base.sha,
        git_dir=mirror.path,
        doing="reading the base",
    )
    named = {word.removeprefix("./") for command in commands for word in _WORD.findall(command)}
    found = {}
    for entry in listed.stdout.decode("utf-8", "surrogateescape").split("\0"):
        about, is_entry, path = entry.partition("\t")
        name = path.rpartition("/")[2]
        if is_entry and (path in named or any(fnmatchcase(name, p) for p in _DEPENDENCIES)):
            found[path] = about.split()[2]
    return found
