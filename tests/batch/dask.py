"""A Dask cluster on this machine: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

_PATIENCE = 60  # seconds


@dataclass(frozen=True)
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]

    def busy(self) -> list[subprocess.Popen[bytes]]:
        """The workers that have a run at work."""
        return [worker for worker in self.workers if children(worker.pid)]


def children(process: int) -> list[int]:
    """The living processes that this one has started, in whichever of its threads."""
    found: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:  # it has just ended
            continue
    return found


@contextmanager
def cluster(
    folder: Path, environment: Mapping[str, str], workers: int, threads: int = 1
) -> Generator[Cluster]:
    """The workers have this environment, and runs at work in as many threads each."""
    folder.mkdir()
    address = f"tcp://127.0.0.1:{_free()}"
    with ExitStack() as stack:

        def start(*words: str, name: str) -> subprocess.Popen[bytes]:
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:], "--no-dashboard"],
                env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            stack.callback(_end, process)
            return process

        scheduler = start(
            "scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], name="s"
        )
        one = ("worker", address, "--host", "127.0.0.1", "--no-nanny", "--nthreads", str(threads))
        started = tuple(
            start(*one, "--local-directory", str(folder / f"w{n}"), name=f"w{n}")
            for n in range(workers)
        )
        _wait(folder, workers)
        yield Cluster(address, scheduler, started)


def _wait(folder: Path, workers: int) -> None:
    until = monotonic() + _PATIENCE
    logs = [folder / f"w{n}.log" for n in range(workers)]
    while not all(b"Registered to" in log.read_bytes() for log in logs):
        assert monotonic() < until, "\n".join(log.read_text() for log in folder.glob("*.log"))
        sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
