"""What a setup depends on: the repository, the base's own word of its dependencies, and what is to be done."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.program import git, make_repository
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base, Mirror, mirror_of
from tiny_backspace.setup.keys import Wanted, dependencies, key
from tiny_backspace.setup.places import Place
from tiny_backspace.setup.registries import Registries

FILES = {
    "requirements-dev.txt": "a\n", "sub/package-lock.json": "{}\n", "src/pyproject.toml": "\n", "uv.lock": "x\n",
    "a.py": "1\n", "deps/pinned": "x\n", "tools/setup.sh": "x\n", "my requirements": "x\n",
}  # fmt: skip
WANTED = Wanted(("pip install -r deps/pinned", "bash ./tools/setup.sh"), Registries(), 600, 1 << 30)
ABOUT = {"url": "u", "owner": "o", "image": "i"}


@pytest.fixture
def base(tmp_path: Path) -> tuple[Mirror, Base]:
    repository = make_repository(tmp_path / "r", FILES)
    (tmp_path / "home").mkdir()
    tool = Git({"PATH": os.environ["PATH"]}, tmp_path / "home", lambda _: None, ("file",))
    found = Base(git(repository, "rev-parse", "HEAD"), "main")
    mirror = mirror_of(tmp_path / "cache", str(repository), tool)
    mirror.fetch(str(repository), found, lambda _: None)
    return mirror, found


def test_the_files_are_those_that_name_dependencies_and_those_that_a_command_names(
    base: tuple[Mirror, Base],
) -> None:
    assert set(dependencies(*base, WANTED.commands)) == {
        "requirements-dev.txt", "sub/package-lock.json", "src/pyproject.toml", "uv.lock",
        "deps/pinned", "tools/setup.sh",
    }  # fmt: skip


def test_all_of_it_counts(base: tuple[Mirror, Base]) -> None:
    place = Place("a.example", own=True)
    others = [
        (replace(WANTED, commands=("other",)), ABOUT),
        (replace(WANTED, commands=WANTED.commands[::-1]), ABOUT),
        (replace(WANTED, registries=Registries((place,))), ABOUT),
        (replace(WANTED, registries=Registries((replace(place, port=8443),))), ABOUT),
        (replace(WANTED, registries=Registries((), {"PIP_INDEX_URL": "x"})), ABOUT),
        *((WANTED, ABOUT | {name: "other"}) for name in ABOUT),
    ]
    found = {key(wanted, base[0], base[1], **about) for wanted, about in [(WANTED, ABOUT), *others]}
    assert len(found) == 1 + len(others)
    assert all(len(one) == 20 for one in found)


def test_time_room_and_certificates_do_not_count(base: tuple[Mirror, Base]) -> None:
    same = replace(WANTED, seconds=1, disk=1, registries=Registries(certificates="x"))
    assert key(same, base[0], base[1], **ABOUT) == key(WANTED, base[0], base[1], **ABOUT)
