"""A batch on a cluster of three worker processes on this machine, some of which are lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.batch.dask import Cluster, children, cluster
from tests.docker.forge import PROMPT, Place, github
from tests.docker.test_main_job import containers

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with github(tmp_path) as made:
        yield made


def tasks(place: Place, *prompts: str, **options: object) -> str:
    path = place.folder / "tasks.jsonl"
    lines = ({"repo": "owner/project", "prompt": prompt, **options} for prompt in prompts)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def until_gone(place: Place) -> None:
    """The runs of a lost worker end by themselves."""
    end = monotonic() + 30
    while containers(place.program):
        assert monotonic() < end
        sleep(0.1)


def test_a_lost_workers_task_ends_elsewhere_and_has_one_pull_request(
    place: Place, tmp_path: Path
) -> None:
    wanted = tasks(place, PROMPT, "delete app.py", verify="sleep 4", verify_base=False)
    with cluster(tmp_path / "dask", place.program.env, workers=3) as workers:
        words = ("batch", wanted, "--scheduler", workers.address, "-o", "jsonl")
        with place.program.start(*words) as batch:
            records, killed = followed(batch.stdout, workers)
            assert batch.wait() == 0, batch.stderr and batch.stderr.read()
        until_gone(place)

    assert killed is not None
    assert not Path(f"/proc/{killed}").exists()
    begun = {r["run_id"]: r["prompt"] for r in records if r["type"] == "run_started"}
    done = {r["run_id"] for r in records if r["type"] == "success"}
    assert (len(begun), len(done)) == (3, 2)
    assert {begun[run] for run in done} == {PROMPT, "delete app.py"}
    assert len(place.new) == len(place.repo.pulls) == 2
    assert {pull.head for pull in place.repo.pulls} == set(place.new)

    with cluster(tmp_path / "later", place.program.env, workers=1) as workers:
        again = place.run("batch", wanted, "--scheduler", workers.address, "--summary", "json")
    assert json.loads(again.stdout)["counts"]["skipped"] == 2
    assert len(place.repo.pulls) == 2


def followed(lines: Any, workers: Cluster) -> tuple[list[dict[str, Any]], int | None]:
    """The records, and the run whose worker was killed when it had changed something."""
    records, killed = [], None
    for line in lines:
        records.append(json.loads(line))
        if killed is None and records[-1]["type"] == "work_saved":
            lost = workers.busy()[0]
            (killed,) = children(lost.pid)
            lost.kill()
    return records, killed


def test_without_the_ledger_what_is_done_is_found_where_it_was_left(
    place: Place, tmp_path: Path
) -> None:
    wanted = tasks(place, PROMPT)
    with cluster(tmp_path / "dask", place.program.env, workers=1) as workers:
        words = ("batch", wanted, "--scheduler", workers.address, "--summary", "json")
        first = json.loads(place.run(*words).stdout)["tasks"][0]
        (place.program.state / "batch" / "ledger.jsonl").unlink()
        second = json.loads(place.run(*words).stdout)["tasks"][0]

    assert (first["status"], second["status"]) == ("done", "done")
    assert first["pr_url"] == second["pr_url"]
    assert "is there already" in second["message"]
    assert (len(place.new), len(place.repo.pulls)) == (1, 1)


def test_a_signal_ends_the_runs_on_all_workers(place: Place, tmp_path: Path) -> None:
    wanted = tasks(place, PROMPT, "delete app.py", "delete README.md", verify="sleep 60")
    with cluster(tmp_path / "dask", place.program.env, workers=2) as workers:
        end = tmp_path / "end.json"
        words = ("batch", wanted, "--scheduler", workers.address, "-o", "jsonl")
        with place.program.start(*words, "--summary=json", f"--summary-file={end}") as batch:
            assert batch.stdout
            for line in batch.stdout:
                if json.loads(line)["type"] == "work_saved":
                    batch.send_signal(signal.SIGINT)
                    break
            batch.stdout.read()
            assert batch.wait() == 130
        assert workers.busy() == []
    counts = json.loads(end.read_text())["counts"]
    assert counts | {"cancelled": 2, "not started": 1} == counts
    assert place.new == []
    assert containers(place.program) == []


def test_when_the_scheduler_is_lost_the_batch_ends_and_can_be_started_again(
    place: Place, tmp_path: Path
) -> None:
    wanted = tasks(place, PROMPT, "delete app.py", verify="sleep 3", verify_base=False)
    with cluster(tmp_path / "dask", place.program.env, workers=1) as workers:
        words = ("batch", wanted, "--scheduler", workers.address, "-o", "jsonl")
        end = tmp_path / "end.json"
        with place.program.start(*words, "--summary=json", f"--summary-file={end}") as batch:
            assert batch.stdout
            next(line for line in batch.stdout if json.loads(line)["type"] == "work_saved")
            workers.scheduler.kill()
            batch.stdout.read()
            assert batch.wait() == 4
            assert batch.stderr
            assert batch.stderr.read() == ""
    told = json.loads(end.read_text())
    assert {task["status"] for task in told["tasks"]} == {"failed", "not started"}
    assert told["tasks"][0]["message"] == "the scheduler has gone"
    until_gone(place)

    done = place.run("batch", wanted, "--summary", "json")
    assert json.loads(done.stdout)["counts"]["done"] == 2
    assert len(place.new) == len(place.repo.pulls) == 2


def test_a_scheduler_that_is_not_there_is_said(place: Place) -> None:
    refused = place.run("batch", tasks(place, PROMPT), "--scheduler", "tcp://127.0.0.1:9")
    assert refused.exit_code == 2
    assert "no scheduler answers" in refused.stderr
    assert place.run("batch", tasks(place, PROMPT), "--scheduler", "here").exit_code == 2
