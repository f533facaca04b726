"""Two hundred tasks over twenty repositories, here and on a cluster that loses a worker: each is done once. `make soak`."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.batch.dask import cluster
from tests.docker.test_main_job import containers
from tests.program import COMMAND, Program, git, make_repository

pytestmark = pytest.mark.timeout(1800)
REPOSITORIES, EACH = 20, 10
ALL = REPOSITORIES * EACH


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home", {})


@pytest.fixture
def repositories(tmp_path: Path) -> list[Path]:
    """And `tasks.jsonl` beside them: in each of them each file is to be corrected, on a branch of its own."""
    files: dict[str, str | bytes] = {f"f{n}.txt": f"helo {n}\n" for n in range(EACH)}
    made = [make_repository(tmp_path / f"r{n}", files) for n in range(REPOSITORIES)]
    tasks = [
        {"repo": str(repository), "prompt": f"replace 'helo' with 'hello' in f{n}.txt"}
        for n in range(EACH)
        for repository in made
    ]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    return made


def check_done_once(program: Program, repositories: list[Path]) -> None:
    for repository in repositories:
        listed = git(repository, "for-each-ref", "--format=%(refname)", "refs/heads/tiny-backspace")
        branches = listed.split()
        assert len(branches) == EACH
        changed = Counter(git(repository, "diff", "--name-only", f"main...{b}") for b in branches)
        assert changed == {f"f{n}.txt": 1 for n in range(EACH)}
        assert git(repository, "fsck", "--strict", "--no-dangling") == ""
    until = monotonic() + 30
    while containers(program):
        assert monotonic() < until
        sleep(0.1)
    assert list((program.state / "live").iterdir()) == []


def counts(program: Program, folder: Path, *words: str) -> dict[str, int]:
    argv = [*COMMAND, "batch", "tasks.jsonl", *words, "--summary", "json"]
    start = monotonic()
    done = subprocess.run(
        argv, cwd=folder, env=program.env, capture_output=True, text=True, check=False
    )
    print(f"\n{' '.join(words)}: {monotonic() - start:.1f} s")
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return {status: n for status, n in json.loads(done.stdout)["counts"].items() if n}


def test_two_hundred_tasks_on_this_machine(
    program: Program, repositories: list[Path], tmp_path: Path
) -> None:
    assert counts(program, tmp_path, "--jobs", "4") == {"done": ALL}
    check_done_once(program, repositories)
    assert counts(program, tmp_path, "--jobs", "4") == {"skipped": ALL}
    check_done_once(program, repositories)


def test_two_hundred_tasks_on_a_cluster_that_loses_a_worker(
    program: Program, repositories: list[Path], tmp_path: Path
) -> None:
    with cluster(tmp_path / "dask", program.env, workers=3, threads=2) as workers:
        words = ("--scheduler", workers.address)
        with program.start("batch", "tasks.jsonl", *words, "-o", "jsonl", cwd=tmp_path) as batch:
            ends = begun = killed = 0
            for kind in kinds(batch):
                ends += kind == "success"
                begun += kind == "run_started"
                if ends > ALL // 4 and not killed and (busy := workers.busy()):
                    busy[0].kill()
                    killed += 1
            assert batch.wait() == 0, batch.stderr and batch.stderr.read()
        print(f"\n{begun} runs began")
        assert killed == 1
        assert ALL <= begun <= ALL + 2  # of the lost ones those that had come so far
        check_done_once(program, repositories)
        assert counts(program, tmp_path, *words) == {"skipped": ALL}
        (program.state / "batch" / "ledger.jsonl").unlink()
        assert counts(program, tmp_path, *words) == {"done": ALL}  # found where it was left
    check_done_once(program, repositories)


def kinds(batch: subprocess.Popen[str]) -> Iterator[str]:
    assert batch.stdout
    for line in batch.stdout:
        yield json.loads(line)["type"]
