"""Podman's service on a socket of its own, with a storage of its own, and the sandbox image in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.engine import connect

_PATIENCE = 20.0

# What Podman takes for granted and this machine may lack. Its own limit of processes (1048576) takes
# CAP_SYS_RESOURCE where the present one is lower. And a cgroup namespace it gives on cgroup v2 only: here one is
# asked for in its place, so that all that follows can be seen on v1 too.
_RUNTIME = f"""#!{sys.executable}
import json, os, sys

path = ""
for name, value in zip(sys.argv, sys.argv[1:]):
    if name in ("--bundle", "-b"):
        path = value + "/config.json"
    if name in ("--process", "-p"):
        path = value
if path:
    with open(path) as file:
        told = json.load(file)
    process = told.get("process", told)
    process["rlimits"] = [each for each in process["rlimits"] if each["type"] != "RLIMIT_NPROC"]
    spaces = told.get("linux", {{}}).get("namespaces", [])
    if spaces and {{"type": "cgroup"}} not in spaces:
        spaces.append({{"type": "cgroup"}})
    with open(path, "w") as file:
        json.dump(told, file)
os.execvp("runc", ["runc", *sys.argv[1:]])
"""


@contextmanager
def service(folder: Path) -> Generator[str]:
    """What DOCKER_HOST is to be. Everything of it is gone afterwards."""
    runtime, root = folder / "runtime", folder / "root"
    runtime.write_text(_RUNTIME)
    runtime.chmod(0o755)
    podman = [
        "podman", f"--root={root}", f"--runroot={folder / 'run'}", f"--runtime={runtime}",
        "--cgroup-manager=cgroupfs", "--events-backend=file",
    ]  # fmt: skip
    try:
        _load(podman)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*podman, "system", "service", "--time=0", f"unix://{folder / 'socket'}"],
                stdout=log, stderr=log,
            )  # fmt: skip
            try:
                _wait(folder / "socket", process)
                yield f"unix://{folder / 'socket'}"
            finally:
                process.terminate()
                process.wait()
    finally:
        subprocess.run([*podman, "rm", "--all", "--force"], check=False, capture_output=True)
        _end_monitors(root)
        subprocess.run(["umount", root / "overlay"], check=False, capture_output=True)
        shutil.rmtree(root)


def _load(podman: list[str]) -> None:
    """The image that a run uses, from Docker, under the name that it looks for."""
    with closing(connect("unix:///var/run/docker.sock").api) as api:
        image.ensure(api, emit=lambda _: None)
        names = [image.name_of(api), image.default_base(api)]
    with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as saved:
        subprocess.run([*podman, "load", "--quiet"], stdin=saved.stdout, check=True)
    assert saved.returncode == 0


def _end_monitors(root: Path) -> None:
    """Each exec has one, which stays for minutes."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            told = (process / "cmdline").read_bytes()
            if b"conmon" in told.partition(b"\0")[0] and str(root).encode() in told:
                os.kill(int(process.name), signal.SIGKILL)


def _wait(socket: Path, process: subprocess.Popen[bytes]) -> None:
    until = monotonic() + _PATIENCE
    while not socket.exists():
        assert process.poll() is None, "podman's service has ended: see its log"
        assert monotonic() < until, "podman's service does not come up"
        sleep(0.05)
