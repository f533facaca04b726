"""Somebody ends, removes, starves or freezes the container of a run (R12, R13, R15, R6)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import engine, oracles
from tests.faults.scene import Running, Scene, scene
from tests.program import Finished

Fault = Callable[[str], None]
LOST = ("created", "clone", "analysis", "ai_processing", "model", "tool_call")
OVER = (
    "verification",
    "pr_creation",
)  # the work is out, and nothing more is asked of the agent's container
HERE: list[tuple[Fault, str]] = [
    (engine.bricked, "ai_processing"),
    (engine.killed, "tool_call"),
    (engine.removed, "pr_creation"),
]
EVERY = [(fault, phase) for fault in (engine.killed, engine.removed) for phase in (*LOST, *OVER)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("containers")) as made:
        yield made


@pytest.mark.parametrize(("fault", "phase"), HERE, ids=lambda each: getattr(each, "__name__", each))
def test_a_container_that_is_lost_ends_the_run_as_such_where_it_is_still_needed(
    stage: Scene, fault: Fault, phase: str
) -> None:
    lost(stage, fault, phase)


def test_a_machine_that_slept_beyond_the_deadline_finds_the_sandbox_lost(stage: Scene) -> None:
    """The deadline ends the container by its first process; that it comes is shown by `test_lockdown`."""
    was = oracles.before(stage)

    def sleeps(running: Running) -> None:
        engine.until_it_runs(running.containers[0], "sleep 300")
        running.process.send_signal(signal.SIGSTOP)
        engine.killed(running.containers[0])
        running.process.send_signal(signal.SIGCONT)

    done = stage.disturbed("tool_call", sleeps)

    assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox_lost"), done.lines[-1]
    ended(stage, was, "tool_call", done)


def lost(stage: Scene, fault: Fault, phase: str) -> None:
    was = oracles.before(stage)

    done = stage.disturbed(phase, lambda running: befalls(fault, running, phase))

    if phase in OVER:
        oracles.proposed(stage, was, done)
        return
    assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox_lost"), done.lines[-1]
    ended(stage, was, phase, done)


def befalls(fault: Fault, running: Running, phase: str) -> None:
    container = running.containers[0]
    if phase == "tool_call":
        engine.until_it_runs(container, "sleep 300")
    fault(container)


def ended(stage: Scene, was: oracles.Before, phase: str, done: Finished) -> None:
    """In order, with what had come out by then; the next run succeeds."""
    assert done.stderr == ""
    assert set(stage.place.branches) == was.branches
    if phase in ("model", "tool_call"):
        assert "+hello!" in Path(done.lines[-1]["patch"]).read_text()
    oracles.hold(stage, was, done)
    was = oracles.before(stage)
    oracles.proposed(stage, was, stage.run())
