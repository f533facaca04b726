"""Many runs, at once and one after the other, some of them killed: nothing is lost, nothing is left. `make soak`."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.faults import oracles
from tests.faults.engine import docker
from tests.faults.scene import Running, Scene, scene
from tests.program import Finished

pytestmark = pytest.mark.timeout(900)
AT_ONCE, IN_SEQUENCE = 8, 50
WHEN = ("tool_call", "created", "push", "analysis", "model", "verification", "clone", "tool_result", "sandbox_init", "pr_creation")  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def kept(made: Scene) -> dict[str, tuple[str, int]]:
    """Of each run that the history has: its status, and how many lines are told."""
    listed = made.place.run("runs", "--json", "--limit", "200").lines
    return {
        row["run_id"]: (row["status"], len(made.place.run("show", row["run_id"], "--json").lines))
        for row in listed
    }


def say(what: str, start: float) -> None:
    """Figures, for whoever asked for them (`pytest -s`)."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"\n{what}: {monotonic() - start:.1f} s, the largest process {largest} MiB")


def test_eight_runs_at_once(stage: Scene) -> None:
    was = oracles.before(stage)
    start = monotonic()
    processes = [
        stage.place.program.start(*stage.arguments(), cwd=stage.place.work) for _ in range(AT_ONCE)
    ]
    told = [process.communicate() for process in processes]
    say(f"{AT_ONCE} runs at once", start)

    runs = [Finished(p.returncode, *said) for p, said in zip(processes, told, strict=True)]
    assert [run.exit_code for run in runs] == [0] * AT_ONCE, [run.stdout[-500:] for run in runs]
    assert {run.lines[-1]["branch"] for run in runs} == set(stage.place.branches) - was.branches
    assert len(stage.place.repo.pulls) == AT_ONCE
    assert kept(stage) == {run.lines[0]["run_id"]: ("succeeded", len(run.lines)) for run in runs}
    nothing_is_left(stage, runs)


def test_fifty_runs_one_after_the_other_with_every_fifth_killed(stage: Scene) -> None:
    start = monotonic()
    runs = [one(stage, number) for number in range(1, IN_SEQUENCE + 1)]
    say(f"{IN_SEQUENCE} runs one after the other", start)
    stage.place.run("clean")

    whole = {
        run.lines[0]["run_id"]: ("succeeded", len(run.lines)) for run in runs if not run.exit_code
    }
    killed = {run.lines[0]["run_id"]: len(run.lines) for run in runs if run.exit_code == -9}
    assert (len(whole), len(killed)) == (IN_SEQUENCE * 4 // 5, IN_SEQUENCE // 5)
    found = kept(stage)
    assert {run: row for run, row in found.items() if run in whole} == whole
    for run, lines in killed.items():
        assert found[run][0] == "crashed"
        assert found[run][1] >= lines  # what was told was kept before
    assert len(found) == IN_SEQUENCE
    assert len(stage.place.repo.pulls) == len(whole)
    nothing_is_left(stage, runs)


def one(made: Scene, number: int) -> Finished:
    if number % 5:
        return made.run()
    return made.disturbed(WHEN[number // 5 % len(WHEN)], kill)


def kill(running: Running) -> None:
    running.process.kill()


def nothing_is_left(made: Scene, runs: list[Finished]) -> None:
    oracles.no_container(made)
    owner = f"label=tiny-backspace.owner={(made.state / 'id').read_text().strip()}"
    assert docker("network", "ls", "-q", "--filter", owner) == ""
    assert docker("volume", "ls", "-q", "--filter", owner) == ""
    oracles.children_gone(made, 10)
    assert oracles.leftovers(made) == []
    assert oracles.locked(made.home) == []
    oracles.whole(made)
    for run in runs:
        oracles.nothing_told(made, run)
