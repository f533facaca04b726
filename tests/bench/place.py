"""Where it is measured: a folder, an environment and a label of this bench's own, all gone afterwards."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from time import sleep
from typing import IO

from tests.bench import repositories
from tiny_backspace.events import Event, SandboxAttested, ThoughtDelta
from tiny_backspace.repo.git import Git
from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.container import Wish
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import OWNER_LABEL, connect
from tiny_backspace.sandbox.opening import open_sandbox
from tiny_backspace.statedir import owner_id, private_dir, state_dir

ROOT = Path(__file__).parents[2]
LABEL = "tiny-backspace.bench"
_MEMORY = Path("/dev/shm")
_INHERITED = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT")
_IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "Bench"), ("EMAIL", "bench@localhost"))
}
_SECONDS = 300


def ignore(_: Event | ThoughtDelta) -> None:
    """For producers whose events are not what is measured."""


@dataclass(frozen=True)
class Place:
    """`program` is the argv of our command line, `image` the one that everybody uses."""

    folder: Path
    environment: Mapping[str, str]
    program: tuple[str, ...]
    image: str
    label: str
    rounds: int

    def run(self, *argv: str, stdin: IO[bytes] | None = None, cwd: Path = ROOT) -> str:
        """What it said on standard output.

        Raises:
            subprocess.SubprocessError: it failed, or took minutes.
        """
        done = subprocess.run(
            argv, stdin=stdin or subprocess.DEVNULL, capture_output=True, check=True,
            timeout=_SECONDS, cwd=cwd, env=self.environment,
        )  # fmt: skip
        return done.stdout.decode(errors="replace").strip()

    def docker_run(self) -> str:
        """A container as everybody starts one; its id."""
        return self.run("docker", "run", "-d", "--label", self.label, self.image, "sleep", "600")

    def docker_remove(self, container: str) -> None:
        self.run("docker", "rm", "-f", container)

    def fresh(self) -> Path:
        """A new, empty folder."""
        return Path(mkdtemp(dir=self.folder))

    def git(self) -> Git:
        """The host's git as a run has it."""
        return Git(environment=self.environment, home=self.fresh(), emit=ignore)

    @cached_property
    def large(self) -> Path:
        """A bare repository of 5,000 files."""
        return repositories.large(self.fresh() / "large.git", self.environment)

    @cached_property
    def large_work_tree(self) -> Path:
        """A clone of it, checked out, and looked at once: git reads files as new as its index again each time."""
        tree = self.fresh() / "large"
        self.run("git", "clone", "-q", f"file://{self.large}", str(tree))
        sleep(1.1)  # git compares whole seconds
        self.run("git", "-C", str(tree), "status")
        return tree

    @cached_property
    def small(self) -> Path:
        """A repository of five files, checked out."""
        return repositories.small(self.fresh() / "small", self.environment)

    @contextmanager
    def sandbox(self) -> Generator[tuple[DockerSandbox, str]]:
        """One of ours and its container's id."""
        told: list[Event | ThoughtDelta] = []
        engine = connect(self.environment.get("DOCKER_HOST"))
        run_id, owner = secrets.token_hex(4), owner_id(state_dir(self.environment))
        with open_sandbox(engine, Wish(), run_id, owner, told.append) as sandbox:
            yield (
                sandbox,
                next(event.container for event in told if isinstance(event, SandboxAttested)),
            )


@contextmanager
def place(rounds: int, folder: Path | None) -> Generator[Place]:
    """Set up, and tidied away in any case: containers by their labels, then the folder.

    Raises:
        LookupError: the sandbox image has not been built yet.
    """
    where = folder or (_MEMORY if os.access(_MEMORY, os.W_OK) else None)
    root = Path(mkdtemp(prefix="tiny-backspace-bench-", dir=where))
    try:
        environment = _environment(root)
        here = Place(root, environment, _program(), _image(environment), _label(), rounds)
        try:
            yield here
        finally:
            _remove_containers(here)
    finally:
        shutil.rmtree(root)


def _environment(root: Path) -> dict[str, str]:
    """Nothing of the user's settings, keys or git configuration; folders of our own."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    folders = {
        f"XDG_{name}_HOME": str(root / name.lower()) for name in ("STATE", "CACHE", "CONFIG")
    }
    git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    environment = {**kept, **folders, **git, **_IDENTITY, "LANG": "C.UTF-8", "TERM": "xterm"}
    private_dir(state_dir(environment))
    return environment


def _program() -> tuple[str, ...]:
    """The console script, as users start it; without an installed package the module."""
    script = Path(sys.executable).with_name("tiny-backspace")
    return (str(script),) if script.exists() else (sys.executable, "-m", "tiny_backspace")


def _image(environment: Mapping[str, str]) -> str:
    api = connect(environment.get("DOCKER_HOST")).api
    tag = image.content_tag(image.default_base(api), image.context_dir())
    if image.find(api, tag) is None:
        raise LookupError(f"there is no sandbox image {tag}: build it with `make image`")
    return tag


def _label() -> str:
    return f"{LABEL}={secrets.token_hex(8)}"


def _remove_containers(here: Place) -> None:
    ours = f"{OWNER_LABEL}={owner_id(state_dir(here.environment))}"
    for label in (here.label, ours):
        found = _containers(here, label)
        if found:
            here.run("docker", "rm", "-f", *found)


def _containers(here: Place, label: str) -> Sequence[str]:
    return here.run("docker", "ps", "-aq", "--filter", f"label={label}").split()
