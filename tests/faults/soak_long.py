"""Every fault at every phase, and those that take their time: `make soak`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults import engine, oracles
from tests.faults import test_containers as containers
from tests.faults import test_signals as signals
from tests.faults.proxy import Fault, engine_proxy
from tests.faults.scene import Scene, scene
from tests.faults.second import SecondEngine
from tests.faults.soak_second_engine import KILL, TERM, gone, lost, staged

pytestmark = pytest.mark.timeout(600)
PHASES = ("created", "clone", "analysis", "ai_processing", "model", "tool_call", "pr_creation")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("soak")) as made:
        yield made


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, SecondEngine]]:
    with staged(tmp_path_factory.mktemp("second")) as made:
        yield made


def test_an_engine_that_keeps_its_containers(tmp_path: Path) -> None:
    with staged(tmp_path, "--live-restore") as (made, other):
        for number in (TERM, KILL):
            lost(made, "tool_call", partial(other.again, number))


@pytest.mark.parametrize(("phase", "name"), signals.EVERY)
def test_every_signal_at_every_phase(stage: Scene, phase: str, name: str) -> None:
    signals.ended_by(stage, phase, name)


@pytest.mark.parametrize(("fault", "phase"), containers.EVERY)
def test_a_container_that_is_lost_at_any_phase(
    stage: Scene, fault: containers.Fault, phase: str
) -> None:
    containers.lost(stage, fault, phase)


@pytest.mark.parametrize("phase", ["tool_call", "ai_processing"])
def test_a_frozen_container_ends_with_the_commands_time(stage: Scene, phase: str) -> None:
    was = oracles.before(stage)

    done = stage.disturbed(
        phase,
        lambda running: containers.befalls(engine.paused, running, phase),
        "--command-timeout",
        "2",
    )

    assert done.exit_code == 4, done.lines[-1]
    containers.ended(stage, was, phase, done)


@pytest.mark.parametrize("number", [TERM, KILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("phase", PHASES)
def test_an_engine_that_ends_at_any_phase(
    second: tuple[Scene, SecondEngine], phase: str, number: signal.Signals
) -> None:
    gone(*second, phase, number)


@pytest.mark.parametrize("phase", ["model", "tool_call"])
def test_an_engine_that_comes_again_at_once(second: tuple[Scene, SecondEngine], phase: str) -> None:
    made, other = second
    lost(made, phase, lambda: other.again(KILL))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("stall", "GET", r"/exec/\w+/json$"),
        Fault("stall", "POST", r"/exec/\w+/start$"),
        Fault("stall", "DELETE", r"/containers/\w+$", times=1),
    ],
    ids=lambda fault: f"{fault.method} {fault.path}",
)
def test_an_engine_that_says_nothing_is_not_waited_for_without_end(
    tmp_path_factory: pytest.TempPathFactory, fault: Fault
) -> None:
    folder = tmp_path_factory.mktemp("stall")
    with (
        engine_proxy(folder / "sock") as proxy,
        scene(folder, {"DOCKER_HOST": proxy.host}) as made,
    ):
        was = oracles.before(made)
        with proxy.having(fault, at_once=False):
            done = made.disturbed("model", lambda _: proxy.arm(fault))

        assert done.exit_code == (0 if fault.method == "DELETE" else 4), done.lines[-1]
        oracles.told(made, was, done)
        oracles.proposed(made, oracles.before(made), made.run())
