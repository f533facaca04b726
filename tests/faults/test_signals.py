"""Signals at every phase of a run (R1 to R7): it ends in order, and the next one finds nothing in its way."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import oracles
from tests.faults.engine import docker
from tests.faults.scene import BEFORE_CONTAINER, PHASES, SAVED, Running, Scene, scene
from tests.program import Finished

ENDS = {
    "SIGINT": ((signal.SIGINT,), 130, "interrupted"),
    "SIGINT twice": ((signal.SIGINT, signal.SIGINT), 130, "interrupted"),
    "SIGTERM": ((signal.SIGTERM,), 143, "terminated"),
    "SIGHUP": ((signal.SIGHUP,), 129, "stopped"),
    "SIGKILL": ((signal.SIGKILL,), -9, ""),
}
# each of them and most phases here, every pair in `make soak`
HERE = [
    ("validation", "SIGINT"),
    ("sandbox_init", "SIGKILL"),
    ("created", "SIGTERM"),
    ("clone", "SIGINT twice"),
    ("ai_processing", "SIGHUP"),
    ("tool_call", "SIGKILL"),
    ("verification", "SIGINT twice"),
    ("push", "SIGTERM"),
    ("pull_request", "SIGINT"),
]
EVERY = [(phase, name) for phase in PHASES for name in ENDS]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("signals")) as made:
        yield made


@pytest.mark.parametrize(("phase", "name"), HERE)
def test_a_signal_ends_a_run_in_order_and_the_next_one_succeeds(
    stage: Scene, phase: str, name: str
) -> None:
    ended_by(stage, phase, name)


def ended_by(stage: Scene, phase: str, name: str) -> None:
    numbers, code, kind = ENDS[name]
    was = oracles.before(stage)

    def send(running: Running) -> None:
        for number in numbers:
            running.process.send_signal(number)

    done = stage.disturbed(phase, send)

    assert (done.exit_code, done.stderr) == (code, "")
    if name == "SIGKILL":
        killed(stage, was, phase, done)
    else:
        said_what_is_left(stage, was, phase, kind, done)
        oracles.hold(stage, was, done)
    was = oracles.before(stage)
    oracles.proposed(stage, was, stage.run())


def said_what_is_left(
    stage: Scene, was: oracles.Before, phase: str, kind: str, done: Finished
) -> None:
    closing = done.lines[-1]
    assert (closing["type"], closing["error"]) == ("error", kind)
    new = set(stage.place.branches) - was.branches
    assert {closing["branch"]} - {None} == new
    if new:
        assert f"The branch {closing['branch']} was pushed to http" in closing["hint"]
    elif phase in SAVED:
        assert "The work so far is in the patch" in closing["hint"]
        assert "+hello!" in Path(closing["patch"]).read_text()
    assert closing["pr_url"] is None


def killed(stage: Scene, was: oracles.Before, phase: str, done: Finished) -> None:
    """Its containers end by themselves, `clean` ends them before; what is told is the run so far."""
    assert all(line["type"] not in {"success", "error"} for line in done.lines)
    left = stage.containers(done.lines[0]["run_id"])
    assert left or phase in BEFORE_CONTAINER
    for inspected in json.loads(docker("inspect", *left)) if left else []:
        seconds = inspected["Config"]["Labels"]["tiny-backspace.deadline"]
        assert inspected["Config"]["Cmd"] == ["sleep", seconds]
        assert inspected["HostConfig"]["AutoRemove"] is True
        assert inspected["Config"]["User"] == "10000:10000"
    oracles.children_gone(stage, 45)  # a push to a server that says nothing ends by git's own 30 s
    assert stage.place.run("clean").exit_code == 0
    oracles.no_container(stage)
    assert oracles.leftovers(stage) == []
    assert oracles.locked(stage.home) == []
    oracles.untouched(stage, was)
    oracles.whole(stage)
    oracles.nothing_told(stage, done)
