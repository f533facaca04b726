"""What can be done to a container of a run from outside, as somebody else on the machine may do it."""

from __future__ import annotations

import subprocess
from contextlib import closing
from time import monotonic, sleep

from tiny_backspace.sandbox.engine import connect

FIRST = "unix:///var/run/docker.sock"
_PATIENCE = 30.0
_ROOM = 1 << 18  # bytes


def docker(*args: str, host: str = FIRST, check: bool = True) -> str:
    told = subprocess.run(
        ["docker", "-H", host, *args], capture_output=True, text=True, check=False, timeout=60
    )
    assert not check or told.returncode == 0, told.stderr
    return told.stdout


def until_it_runs(container: str, command: str, host: str = FIRST) -> None:
    """The engine tells of no exec's beginning but by its processes."""
    until = monotonic() + _PATIENCE
    while command not in docker("top", container, "-eo", "pid,args", host=host, check=False):
        assert monotonic() < until, f"{command} never ran in {container}"
        sleep(0.02)


def killed(container: str) -> None:
    docker("kill", container)


def removed(container: str) -> None:
    docker("rm", "-f", container)


def bricked(container: str) -> None:
    """No room for another process: whatever is started in there is ended by the kernel at once."""
    with closing(connect(None).api) as api:
        used = api.stats(container, stream=False, one_shot=True)["memory_stats"]["usage"]
        limit = max(used + _ROOM, 6 << 20)
        api.update_container(container, mem_limit=limit, memswap_limit=limit)


def paused(container: str) -> None:
    docker("pause", container)
