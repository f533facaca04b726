"""The engine itself ends in the middle of a run, and comes again; or has no room (R9, R10, R11, R18)."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import oracles
from tests.faults.engine import until_it_runs
from tests.faults.scene import Running, Scene, scene
from tests.faults.second import SecondEngine, second_engine
from tests.program import Finished

TERM, KILL = signal.SIGTERM, signal.SIGKILL


@contextmanager
def staged(folder: Path, *options: str) -> Iterator[tuple[Scene, SecondEngine]]:
    short = Path(tempfile.mkdtemp(prefix="tb-"))
    try:
        with (
            second_engine(short, *options) as engine,
            scene(
                folder, {"DOCKER_HOST": engine.host, "TINY_BACKSPACE_IMAGE": engine.image}
            ) as made,
        ):
            yield made, engine
    finally:
        shutil.rmtree(short)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, SecondEngine]]:
    with staged(tmp_path_factory.mktemp("second")) as made:
        yield made


def test_an_engine_that_ends_while_a_command_runs_is_a_lost_sandbox(
    stage: tuple[Scene, SecondEngine],
) -> None:
    """By SIGTERM; by SIGKILL, and at other phases, in `make soak`."""
    gone(*stage, "tool_call", TERM)


def test_a_full_disk_of_the_engine_is_said_and_the_next_run_has_room(
    stage: tuple[Scene, SecondEngine],
) -> None:
    made, engine = stage
    was = oracles.before(made)
    filled = engine.data / "filled"
    with filled.open("wb") as file:
        free = os.statvfs(engine.data)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)

    done = made.run()

    filled.unlink()
    assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox"), done.lines[-1]
    assert "no space left on device" in done.lines[-1]["message"]
    oracles.hold(made, was, done)
    oracles.proposed(made, oracles.before(made), made.run())


def gone(made: Scene, engine: SecondEngine, phase: str, number: signal.Signals) -> None:
    """It comes again when the run is over. Where it is not needed any more, its end is a warning."""
    try:
        lost(made, phase, lambda: engine.end(number), engine.start)
    finally:
        if not engine.runs:
            engine.start()


def lost(
    made: Scene, phase: str, end: Callable[[], None], begin: Callable[[], None] = lambda: None
) -> None:
    was = oracles.before(made)

    def befalls(running: Running) -> None:
        if phase == "tool_call":
            until_it_runs(running.containers[0], "sleep 300", made.engine)
        end()

    done = made.disturbed(phase, befalls)

    begin()
    assert done.stderr == ""
    if phase == "pr_creation":
        assert done.exit_code == 0, done.lines[-1]
        assert any("could not" in w["message"] or "has gone" in w["message"] for w in done.of("warning"))  # fmt: skip
    else:
        assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox_lost"), done.lines[-1]
        assert set(made.place.branches) == was.branches
    if phase == "tool_call":
        assert "+hello!" in Path(done.lines[-1]["patch"]).read_text()
    settled(made, was, done)


def settled(made: Scene, was: oracles.Before, done: Finished) -> None:
    """The engine may have a container of it left when it comes again: the next run removes that."""
    oracles.told(made, was, done)
    oracles.proposed(made, oracles.before(made), made.run())
