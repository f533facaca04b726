"""What a batch does in a minute and takes on the host, by its jobs; and what one of Dask's schedulers can hold."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING

from tests.batch.dask import Cluster, children, cluster
from tests.bench import repositories
from tests.bench.measuring import Row, Series
from tests.bench.place import Place
from tiny_backspace.batch.working import Ended, Job

if TYPE_CHECKING:
    from distributed import Client

_TASKS, _JOBS = 16, (1, 2, 4, 8)
_HELD = 10_000
_RECORDS, _LINE = 20_000, 700  # records, bytes of each
_PROMPT = "replace 'helo' with 'hello' in README.md"


def rows(place: Place) -> Iterator[Row]:
    made = [repositories.small(place.fresh() / "r", place.environment) for _ in range(_TASKS)]
    for jobs in _JOBS:
        rate, memory = zip(*(_batch(place, made, jobs) for _ in range(min(place.rounds, 3))), strict=True)  # fmt: skip
        yield Row(f"batch of {_TASKS}, {jobs} at a time", "/min", Series(rate))
        yield Row(f"its memory on the host, {jobs} at a time", "MB", Series(memory))
    yield from _scheduler(place)


def _batch(place: Place, made: list[Path], jobs: int) -> tuple[float, float]:
    """Runs a second, and bytes at most: of the batch and all that it started, what is shared counted once."""
    tasks = place.fresh() / "tasks.jsonl"
    lines = ({"repo": str(each), "prompt": _PROMPT, "agents": "dummy"} for each in made)
    tasks.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ("batch", str(tasks), "--jobs", str(jobs), "--again", "-o", "plain")
    start, peak = perf_counter(), 0
    with subprocess.Popen(
        [*place.program, *words], env=place.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as batch:  # fmt: skip
        while batch.poll() is None:
            peak = max(peak, sum(map(_own, _family(batch.pid))))
            sleep(0.1)
    if batch.returncode:
        raise subprocess.CalledProcessError(batch.returncode, words)
    return len(made) / (perf_counter() - start), float(peak)


def _family(process: int) -> Iterator[int]:
    yield process
    for child in children(process):
        yield from _family(child)


def _own(process: int) -> int:
    """Its proportional set size, in bytes; 0 if it has just ended."""
    try:
        told = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) << 10 for line in told.splitlines() if line[:4] == "Pss:")


def held(job: Job) -> Ended:
    """A task of our shape that does nothing."""
    return Ended(job.key, 0, "0a1b2c3d", "Pull request created successfully!", "b" * 60, "h" * 60)


def say(topic: str, number: int) -> None:
    """As many records as a long run has."""
    from distributed import get_worker

    worker = get_worker()
    for _ in range(number):
        worker.log_event(topic, {"key": "0" * 16, "record": "x" * _LINE})


def _scheduler(place: Place) -> Iterator[Row]:
    from distributed import Client

    environment = {**place.environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    with cluster(place.fresh() / "dask", environment, workers=2, threads=4) as made:
        client = Client(made.address, set_as_default=False)
        with client:
            rate, each = _hold(client, made)
            yield Row(f"scheduler, {_HELD:,} tasks given at once", "/s", Series((rate,)))
            yield Row("its memory for each of them", "kB", Series((each,)))
            yield Row("records that come back", "/s", Series((_told(client),)))


def _hold(client: Client, made: Cluster) -> tuple[float, float]:
    """Tasks a second, and bytes of the scheduler for each."""
    before = _own(made.scheduler.pid)
    jobs = [Job(f"{n:016x}", ("run", "https://github.com/o/n.git", "-", *["--flag=value"] * 5), "p" * 300)
            for n in range(_HELD)]  # fmt: skip
    start = perf_counter()
    futures = client.map(held, jobs, pure=False)
    memory = 0
    while any(future.status == "pending" for future in futures):
        memory = max(memory, _own(made.scheduler.pid))
        sleep(0.2)
    took = perf_counter() - start
    client.gather(futures[:1])
    return _HELD / took, (memory - before) / _HELD


def _told(client: Client) -> float:
    """Records a second, from a task to whoever started the batch."""
    heard: list[object] = []
    topic = client.id
    client.subscribe_topic(topic, lambda event: heard.append(event[1]))
    start = perf_counter()
    futures = client.map(say, [topic] * 8, [_RECORDS // 8] * 8, pure=False)
    while sum(isinstance(each, dict) and "record" in each for each in heard) < _RECORDS:
        sleep(0.1)
    took = perf_counter() - start
    client.gather(futures)
    return _RECORDS / took
