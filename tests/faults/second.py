"""A second Docker engine, which may be stopped, killed and filled up: in network and mount namespaces of its own.

Without them it would remove the bridge of the first one. Its images and containers are in a tmpfs.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from tests.faults.engine import docker
from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.engine import connect

_SIZE = "1600m"  # what the image takes, and as much again while it is loaded
_PATIENCE = 100.0  # seconds; a loaded machine takes its time for the image


@dataclass
class SecondEngine:
    """`folder` is short: the path of a socket has at most 107 bytes."""

    folder: Path
    holder: subprocess.Popen[bytes]  # of the namespaces
    options: tuple[str, ...] = ()
    _process: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/sock"

    @property
    def image(self) -> str:
        return f"{self._repository}:sandbox"

    @property
    def _repository(self) -> str:
        # a name ends with a letter or a digit, which the folder's random one need not
        return f"{self.folder.name.lower()}0"

    @property
    def data(self) -> Path:
        """Its disk, seen from here."""
        return Path(f"/proc/{self.holder.pid}/root{self.folder}/data")

    @property
    def runs(self) -> bool:
        return bool(self._process)

    def start(self) -> None:
        options = [
            f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid",
            f"--host={self.host}", "--bridge=none", "--iptables=false", "--ip6tables=false", *self.options,
        ]  # fmt: skip
        # where nobody reaps what was killed, the daemon takes a dead containerd for a living one
        for stale in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / stale).unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            # in the same ones each time: its containerd and its mounts outlive a SIGKILL
            inside = ["nsenter", "-n", "-m", "-t", str(self.holder.pid)]
            started = subprocess.Popen([*inside, "dockerd", *options], stdout=log, stderr=log)
        self._process.append(started)
        until = monotonic() + _PATIENCE
        while not docker("version", "--format", "{{.Server.Version}}", host=self.host, check=False):
            assert started.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert monotonic() < until, "the second engine does not answer"
            sleep(0.05)

    def end(self, number: signal.Signals) -> None:
        """The daemon and its containerd, which the kernel ends with it; the containers may go on."""
        process = self._process.pop()
        process.send_signal(number)
        process.wait(_PATIENCE)
        until = monotonic() + _PATIENCE
        while _processes(self.folder, "containerd"):
            assert monotonic() < until, "containerd goes on"
            sleep(0.05)

    def stop(self) -> None:
        """With its containers and its containerd, in whatever state it is."""
        with suppress(AssertionError):
            if not self.runs:
                self.start()
            docker(
                "rm",
                "-f",
                *docker("ps", "-aq", host=self.host).split(),
                host=self.host,
                check=False,
            )
            self.end(signal.SIGTERM)
        for pid in _processes(self.folder, "dockerd", "containerd", "shim-runc-v2"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._process:
            process.wait(_PATIENCE)

    def again(self, number: signal.Signals) -> None:
        self.end(number)
        self.start()

    def load(self) -> None:
        """The sandbox image of the first one, by another name: its own says that its base is here too."""
        with closing(connect(None).api) as first:
            found = image.ensure(first, emit=lambda _: None)
            first.tag(found, self._repository, tag="sandbox")
        try:
            self._loaded()
        finally:
            docker("rmi", self.image)

    def _loaded(self) -> None:
        with subprocess.Popen(["docker", "save", self.image], stdout=subprocess.PIPE) as save:
            subprocess.run(
                ["docker", "-H", self.host, "load", "-q"],
                stdin=save.stdout, stdout=subprocess.DEVNULL, check=True, timeout=_PATIENCE,
            )  # fmt: skip
        assert save.returncode == 0


@contextmanager
def second_engine(folder: Path, *options: str) -> Generator[SecondEngine]:
    """With the sandbox image in it. It is gone after the block, and all that it ran."""
    (folder / "data").mkdir()
    mount = f'mount -t tmpfs -o size={_SIZE} tmpfs "$1" && echo ready && exec sleep infinity'
    holder = subprocess.Popen(
        ["unshare", "-n", "-m", "sh", "-c", mount, "sh", str(folder / "data")],
        stdout=subprocess.PIPE,
    )
    engine = SecondEngine(folder, holder, options)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        engine.start()
        engine.load()
        yield engine
    finally:
        engine.stop()
        with holder:
            holder.kill()


def _processes(folder: Path, *programs: str) -> list[int]:
    """Those of an engine with this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (process / "cmdline").read_text(errors="replace").split("\0")
            if argv[0].endswith(programs) and any(str(folder) in each for each in argv):
                found.append(int(process.name))
    return found
