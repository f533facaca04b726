"""An engine that fails, answers in crumbs or breaks off (R14, R16, R17, R48)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from signal import SIGTERM
from time import monotonic, sleep

import pytest

from tests.faults import oracles
from tests.faults.proxy import Fault, Proxy, engine_proxy
from tests.faults.scene import Running, Scene, scene

INFO, CREATE, START = r"/info$", r"/containers/create$", r"/containers/\w+/start$"
EXEC, EXEC_START, INSPECT = r"/containers/\w+/exec$", r"/exec/\w+/start$", r"/exec/\w+/json$"
UPGRADED = 105  # bytes, more or less, of the head that comes before a stream
BEFORE = [
    Fault("500", "GET", INFO),
    Fault("500", "POST", CREATE),
    Fault("500", "POST", START),
]
AT_WORK = [
    Fault("500", "POST", EXEC),
    Fault("500", "POST", EXEC_START),
    Fault("500", "GET", INSPECT),
    Fault("cut", "POST", EXEC_START, at=UPGRADED + 12),
]
HARMLESS = [Fault("bytes", "POST", EXEC_START), Fault("half_close", "POST", EXEC_START)]


def armed(proxy: Proxy, fault: Fault, _: Running) -> None:
    proxy.arm(fault)


def named(fault: Fault) -> str:
    return f"{fault.kind} {fault.method} {fault.path}"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, Proxy]]:
    folder = tmp_path_factory.mktemp("proxy")
    with (
        engine_proxy(folder / "sock") as proxy,
        scene(folder, {"DOCKER_HOST": proxy.host}) as made,
    ):
        yield made, proxy


def test_an_engine_that_fails_before_the_work_leaves_nothing(stage: tuple[Scene, Proxy]) -> None:
    made, proxy = stage
    was = oracles.before(made)
    for fault in BEFORE:
        with proxy.having(fault):
            done = made.run()

        assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox"), done.lines[-1]
        assert "something broke in the engine" in done.lines[-1]["message"]
        assert done.of("model_turn") == []
        oracles.hold(made, was, done)
    oracles.proposed(made, was, made.run())


def test_an_engine_that_fails_at_a_command_ends_the_run_with_the_work_and_the_next_one_succeeds(
    stage: tuple[Scene, Proxy],
) -> None:
    made, proxy = stage
    for fault in AT_WORK:
        was, asked = oracles.before(made), len(proxy.asked)
        with proxy.having(fault, at_once=False):
            done = made.disturbed("model", partial(armed, proxy, fault))

        assert (done.exit_code, done.stderr) == (4, ""), done.lines[-1]
        assert "+hello!" in Path(done.lines[-1]["patch"]).read_text()
        started = [path for _, path in proxy.asked[asked:] if path.endswith("/start")]
        assert len(started) == len(set(started)), "what has an effect was asked for twice"
        oracles.hold(made, was, done)
    oracles.proposed(made, oracles.before(made), made.run())


@pytest.mark.parametrize("fault", HARMLESS, ids=named)
def test_an_answer_in_crumbs_is_an_answer(stage: tuple[Scene, Proxy], fault: Fault) -> None:
    made, proxy = stage
    was = oracles.before(made)

    with proxy.having(fault):
        done = made.run()

    oracles.proposed(made, was, done)


def test_a_container_that_cannot_be_removed_changes_nothing_but_is_said_and_goes_with_the_next_run(
    stage: tuple[Scene, Proxy],
) -> None:
    made, proxy = stage
    was = oracles.before(made)

    with proxy.having(Fault("500", "DELETE", r"/containers/\w+$")):
        done = made.run()

    assert done.exit_code == 0, done.lines[-1]
    left = made.containers(done.lines[0]["run_id"])
    assert len(left) == 3  # the agent's, and two that something was verified in
    assert sum("could not be removed" in w["message"] for w in done.of("warning")) == len(left)
    oracles.told(made, was, done)
    oracles.proposed(made, oracles.before(made), made.run())


@pytest.mark.parametrize("name", [r"-[0-9a-f]{8}", "-base", "-change"])
def test_a_run_that_is_ended_while_a_container_is_made_waits_for_it_and_removes_it(
    stage: tuple[Scene, Proxy], name: str
) -> None:
    """One that is made, and never started, has no deadline that would remove it."""
    made, proxy = stage
    with proxy.having(Fault("late", "POST", CREATE, f"name=[^&]*{name}(&|$)", at=3000)):
        process = made.place.program.start(*made.arguments(), cwd=made.place.work)
        until = monotonic() + 60
        while not proxy.met and monotonic() < until:
            sleep(0.02)
        process.send_signal(SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    oracles.no_container(made)
