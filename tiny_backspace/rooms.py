"""The sandboxes of a run: opened as the settings say, and with what the user's setup has installed."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tiny_backspace.errors import UsageError
from tiny_backspace.events import Emit, SandboxUse
from tiny_backspace.repo.mirror import Base, Mirror
from tiny_backspace.run import OpenSandbox
from tiny_backspace.sandbox.container import Volume, Wish
from tiny_backspace.sandbox.interface import Sandbox
from tiny_backspace.sandbox.known import IMAGES
from tiny_backspace.settings import Settings
from tiny_backspace.setup import environment as variables
from tiny_backspace.setup.keys import Wanted, key
from tiny_backspace.setup.registries import User, known
from tiny_backspace.statedir import is_live, owner_id

_LONGEST = 100_000  # bytes of a script: one argument has at most 128 KiB
_AROUND = 600.0  # seconds that a setup's container may take besides the commands


def wanted(settings: Settings, environment: Mapping[str, str]) -> Wanted | None:
    """The setup that the user asks for, if any; what it may reach, from the user's own configuration.

    Raises:
        UsageError: its script cannot be read, or a registry cannot be used.
    """
    commands = (*settings.setup, *_script(settings.setup_file))
    if not commands:
        return None
    home = Path(environment.get("HOME") or Path.home())
    registries = known(User(environment, home), settings.setup_registry, settings.setup_host)
    return Wanted(commands, registries, settings.setup_timeout, settings.setup_disk)


def _script(named: str | None) -> tuple[str, ...]:
    if named is None:
        return ()
    try:
        with Path(named).expanduser().open("rb") as file:
            text = file.read(_LONGEST + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the setup's script cannot be read: {error}") from error
    if len(text) > _LONGEST or "\0" in text:
        raise UsageError(f"the setup's script {named} is no text of at most {_LONGEST} bytes")
    return (text,) if text.strip() else ()


@dataclass(frozen=True, slots=True)
class Rooms:
    """`state` and `cache` are this user's folders."""

    settings: Settings
    setup: Wanted | None
    state: Path
    cache: Path
    run_id: str

    @contextmanager
    def open(self, use: SandboxUse, emit: Emit, volume: str | None = None) -> Generator[Sandbox]:
        """A sandbox, with the setup's result if there is one."""
        from tiny_backspace.sandbox.engine import connect, remove_leftovers
        from tiny_backspace.sandbox.opening import open_sandbox
        from tiny_backspace.setup.installing import link

        engine, owner = connect(self.settings.docker_host), owner_id(self.state)
        if use == "agent":
            remove_leftovers(engine, owner, lambda other: is_live(self.state, other))
        wish = self._wish(None if use == "agent" else self.settings.verify_timeout)
        mounted = Volume(volume) if volume else None
        lasting = variables.LASTING if volume else None
        with open_sandbox(engine, wish, self.run_id, owner, emit, use, mounted, lasting) as sandbox:
            if volume:
                link(sandbox)
            yield sandbox

    @contextmanager
    def furnished(self, url: str, mirror: Mirror, base: Base, emit: Emit) -> Generator[OpenSandbox]:
        """How sandboxes are opened once the setup is done: now, or it was for an earlier run.

        Raises:
            SetupFailed: a command of it failed.
            SandboxError: there is no container for it.
        """
        from tiny_backspace.sandbox import image
        from tiny_backspace.sandbox.engine import connect, remove_leftovers
        from tiny_backspace.sandbox.opening import open_sandbox
        from tiny_backspace.setup.installing import install
        from tiny_backspace.setup.shelf import SETUPS, Shelf

        assert self.setup is not None
        asked, settings = self.setup, self.settings
        engine, owner = connect(settings.docker_host), owner_id(self.state)
        remove_leftovers(engine, owner, lambda other: is_live(self.state, other))
        image_id = image.ensure(
            engine.api, wanted=settings.image, base=settings.base_image, emit=emit,
            known=self.state / IMAGES,
        )  # fmt: skip
        name = key(asked, mirror, base, url=url, owner=owner, image=image_id)

        def make(volume: str) -> int:
            wish = self._wish(asked.seconds + _AROUND)
            told = variables.during(asked.registries)
            with open_sandbox(
                engine, wish, self.run_id, owner, emit, "setup", Volume(volume, writable=True), told
            ) as box:
                return install(box, mirror, base, asked, emit)

        shelf = Shelf(engine, self.cache / SETUPS, owner, settings.setup_cache)
        with shelf.setup(name, make, emit) as volume:
            yield lambda use, to: self.open(use, to, volume)

    def _wish(self, seconds: float | None) -> Wish:
        settings = self.settings
        wish = Wish(
            image=settings.image,
            base=settings.base_image,
            memory=settings.memory,
            disk=settings.disk,
            cpus=settings.cpus,
            pids=settings.pids,
            # the run's time is looked at between commands; the one that is going on then may end
            seconds=settings.timeout + settings.command_timeout,
            runtime=settings.runtime,
            known=self.state / IMAGES,
        )
        return wish if seconds is None else replace(wish, seconds=seconds)
