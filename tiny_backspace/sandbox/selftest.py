"""Every control of a container, tried from inside it (probes.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from tiny_backspace.sandbox import probes
from tiny_backspace.sandbox.container import SHM, Limits
from tiny_backspace.sandbox.interface import Sandbox

TITLES: Mapping[str, str] = {each.__name__: str(each.__doc__) for each in probes.CONTROLS}
"""What each control is called by people, in order."""


def tried(sandbox: Sandbox, limits: Limits, names: Sequence[str] = ()) -> dict[str, str]:
    """For each control (or those of these names) `holds`, `open`, or why that is not known. Fills memory and work tree."""
    told = {
        "memory": limits.memory,
        "workspace": limits.workspace,
        "cpus": limits.cpus,
        "pids": limits.pids,
        "shm": SHM,
        "ipc": _own_ipc(),
    }
    source = files("tiny_backspace.sandbox").joinpath("probes.py").read_text("utf-8")
    done = sandbox.exec(["python3", "-c", source, json.dumps(told), *names], timeout=120)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = {}
    why = (done.stderr.decode(errors="replace").strip() or f"exit code {done.exit_code}")[-300:]
    wanted = names or TITLES
    return {name: str(found.get(name, f"not known: {why}")) for name in wanted}


def _own_ipc() -> str:
    """The host's namespace; where the engine is in a machine of its own (macOS) no container can share it."""
    namespace = Path("/proc/self/ns/ipc")
    return str(namespace.readlink()) if namespace.is_symlink() else ""
