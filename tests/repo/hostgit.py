"""Our git, and the pieces of a run around it, for tests of the repository's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tests.fakes import FolderSandbox
from tiny_backspace.events import Emit
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base, Mirror, mirror_of
from tiny_backspace.repo.origin import LocalRepository, local_base, open_local
from tiny_backspace.repo.source import Local


def quiet(_: object) -> None:
    pass


def host_git(folder: Path, emit: Emit = quiet, environment: Mapping[str, str] | None = None) -> Git:
    home = folder / "home-of-git"
    home.mkdir(exist_ok=True)
    return Git({"PATH": os.environ["PATH"]} if environment is None else environment, home, emit)


def opened(repository: Path, folder: Path) -> LocalRepository:
    return open_local(Local(str(repository)), host_git(folder))


def mirrored(repository: Path, folder: Path, wanted: str | None = None) -> tuple[Mirror, Base]:
    """The cache of this repository in `folder`, with the base in it."""
    local = opened(repository, folder)
    base = local_base(local, wanted)
    mirror = mirror_of(folder / "cache", local.url, local.git)
    mirror.fetch(local.url, base, quiet)
    return mirror, base


def checked_out(mirror: Mirror, base: Base, folder: Path) -> FolderSandbox:
    folder.mkdir(parents=True)
    sandbox = FolderSandbox(folder)
    mirror.bring_in(sandbox, base)
    return sandbox
