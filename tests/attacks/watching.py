"""What there was before an attack, and what is seen while it goes on."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from tests.attacks.scene import Scene
from tests.program import git, snapshot
from tests.servers.models import KEY
from tiny_backspace.repo.environment import Credential

_PROGRAM = (b"-m\0tiny_backspace", b"/bin/tiny-backspace\0")


@dataclass
class Before:
    """What there was before the attack; `seen` is filled in while it goes on, `looks` counts how often."""

    work: dict[str, bytes]
    canaries: dict[str, bytes]
    refs: dict[str, str]
    objects: frozenset[str]
    seen: list[str] = field(default_factory=list)
    looks: int = 0
    holders: int = 0

    @classmethod
    def of(cls, scene: Scene) -> Before:
        return cls(
            snapshot(scene.place.work),
            canaries(scene),
            refs(scene),
            frozenset(objects(scene.place.bare)),
        )


@contextmanager
def watching(scene: Scene, was: Before) -> Generator[None]:
    """Looks at every process whenever the run waits for a server: a token may be in the environment
    of a git that speaks to the repository's address, and in no argument of any."""
    forms = [form.encode() for form in token_forms(scene)]
    mark = str(scene.home).encode()

    def look() -> None:
        was.looks += 1
        for argv, environ in processes():
            if any(form in argv for form in (*forms, KEY.encode())):
                was.seen.append(f"the arguments of {argv!r}")
            if mark not in environ or any(name in argv for name in _PROGRAM):
                continue  # the program itself was given them so
            if scene.canary.encode() in environ or KEY.encode() in environ:
                was.seen.append(f"a secret in the environment of {argv!r}")
            if any(form in environ for form in forms):
                was.holders += 1

    scene.looks.append(look)
    try:
        yield
    finally:
        scene.looks.remove(look)


def objects(repository: Path) -> list[str]:
    """The ids of all that it holds, reachable or not."""
    listed = git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    return listed.split()


def canaries(scene: Scene) -> dict[str, bytes]:
    """What the home holds besides the folders that are the program's."""
    return snapshot(scene.home, leaving_out=("state/", "cache/"))


def refs(scene: Scene) -> dict[str, str]:
    lines = git(scene.place.bare, "for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    return {ref: sha for sha, ref in (line.split() for line in lines)}


def processes() -> Iterator[tuple[bytes, bytes]]:
    """Arguments and environment of all that run, besides this one."""
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            yield (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue


def token_forms(scene: Scene) -> tuple[str, ...]:
    return Credential("x/", SecretStr(scene.place.token.value)).forms
