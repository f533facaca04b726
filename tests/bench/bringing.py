"""A repository in, a change out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter

from tests.bench.measuring import Row, interleaved, timed
from tests.bench.place import Place, ignore
from tiny_backspace.delivery import Delivery, Finding, deliver
from tiny_backspace.destinations import UsersRepository
from tiny_backspace.redact import redactor
from tiny_backspace.repo.mirror import Base, Mirror, mirror_of
from tiny_backspace.repo.origin import LocalRepository, local_base, open_local
from tiny_backspace.repo.policy import Policy
from tiny_backspace.repo.quarantine import Quarantine, quarantine, take_out
from tiny_backspace.repo.source import Local
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.views.state import RunState

# Argument: a number, so that each change is another one. Five files edited, a new one, a binary one.
_CHANGE = """
set -e
for file in $(git ls-files '*.py' | head -5); do echo "changed $1" >> "$file"; done
seq "$1" "$(($1 + 199))" > new.txt
head -c 4096 /dev/urandom > new.bin
"""


@dataclass(frozen=True, slots=True)
class _Stage:
    """One sandbox, one repository; each contestant takes its turn."""

    place: Place
    sandbox: DockerSandbox
    container: str
    origin: LocalRepository
    base: Base
    warm: Mirror
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def clone(self) -> float:
        target = self.place.fresh()
        url = f"file://{self.origin.url}"
        took = timed(
            partial(self.place.run, "git", "clone", "-q", "--depth", "1", url, str(target))
        )
        shutil.rmtree(target)
        return took

    def bring(self, mirror: Mirror) -> float:
        """Seconds for fetch and check-out, into an empty work tree."""
        self.empty()
        start = perf_counter()
        mirror.fetch(self.origin.url, self.base, ignore)
        mirror.bring_in(self.sandbox, self.base)
        return perf_counter() - start

    def cold(self) -> float:
        cache = self.place.fresh()
        took = self.bring(mirror_of(cache, self.origin.url, self.origin.git))
        shutil.rmtree(cache)
        return took

    def empty(self) -> None:
        assert self.sandbox.call(["find", ".", "-mindepth", "1", "-delete"]).ok

    def out(self, *, whole: bool) -> float:
        """Seconds for the patch, and with `whole` for everything up to the branch."""
        number, folder = next(self.numbers), self.place.fresh()
        assert self.sandbox.call(["sh", "-c", _CHANGE, "sh", str(number)]).ok
        with quarantine(
            folder / "q.git", self.warm, self.base
        ) as cage:  # made while a sandbox starts
            return self._out(cage, number, folder / "change.patch", whole=whole)

    def _out(self, cage: Quarantine, number: int, target: Path, *, whole: bool) -> float:
        start = perf_counter()
        patch = take_out(self.sandbox, self.base, target)
        if whole:
            identity = {k: v for k, v in self.place.environment.items() if k.startswith("GIT_")}
            delivery = Delivery(
                run_id=f"{number:08x}",
                prompt=f"change {number}",
                policy=Policy(),
                identity=identity,
                redact=redactor(()),
            )
            finding = Finding(patch, "Changed.", None)
            deliver(delivery, UsersRepository(self.origin), cage, finding, RunState, ignore)
        took = perf_counter() - start
        assert patch.size
        return took

    def docker_exec(self) -> float:
        return timed(partial(self.place.run, "docker", "exec", self.container, "true"))


def rows(place: Place) -> Iterator[Row]:
    origin = open_local(Local(str(place.large)), place.git())
    base = local_base(origin, None)
    warm = mirror_of(place.fresh(), origin.url, origin.git)
    with place.sandbox() as (sandbox, container):
        stage = _Stage(place, sandbox, container, origin, base, warm)
        yield from _in(stage)
        stage.bring(warm)
        yield from _out(stage)


def _in(stage: _Stage) -> Iterator[Row]:
    took = interleaved(
        stage.place.rounds,
        {
            "clone": stage.clone,
            "cold": stage.cold,
            "warm": partial(stage.bring, stage.warm),
        },
    )
    clone = f"git clone --depth 1 to {_kind(stage.place.folder)}"
    yield Row("5,000 files in, first time", "ms", took["cold"], 1.3, clone, took["clone"])
    yield Row("5,000 files in, known base", "ms", took["warm"], 0.4, clone, took["clone"])


def _out(stage: _Stage) -> Iterator[Row]:
    took = interleaved(
        stage.place.rounds,
        {
            "exec": stage.docker_exec,
            "patch": partial(stage.out, whole=False),
            "branch": partial(stage.out, whole=True),
        },
    )
    plain = "docker exec true"
    yield Row("change out, to the branch", "ms", took["branch"], 2, plain, took["exec"])
    yield Row("change out, the patch alone", "ms", took["patch"], 2, plain, took["exec"])


def _kind(folder: Path) -> str:
    return "memory" if folder.is_relative_to("/dev/shm") else "disk"
