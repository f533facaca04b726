"""What Podman is asked otherwise than Docker, whose API it speaks: docs/security.md, "Engines". Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiny_backspace.sandbox import seccomp
from tiny_backspace.sandbox.container import AGENT_UID, INIT_UID

EMPTY = 1 << 16  # bytes of a tmpfs that nothing is written to

# With a read-only root it mounts a writable tmpfs, without a limit, wherever none is asked for.
ITS_OWN = ("/run", "/var/tmp")  # noqa: S108 - the container's own
LACKS = {"files": "Podman limits no tmpfs in its files. They count as memory, which is limited."}
"""What cannot hold there, by the name of the control (probes.py), and what stands in for it."""

_REFUSED = ("nr_inodes", "uid", "gid", "mode")


def host_config(usual: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of docker-py's `create_host_config`.

    The text of a seccomp option is taken for the name of a file. A tmpfs has no limit of inodes, and belongs
    to the container's user (U), who is PID 1's: so the agent's group gets at it.
    """
    security = [each for each in usual["security_opt"] if not each.startswith("seccomp=")]
    folders = {path: _tmpfs(options) for path, options in usual["tmpfs"].items()}
    nothing = f"ro,nosuid,nodev,noexec,notmpcopyup,size={EMPTY},mode=0755"
    return {
        **usual,
        "security_opt": [*security, f"seccomp={seccomp.DATA}"],
        "tmpfs": folders | dict.fromkeys(ITS_OWN, nothing),
    }


def container(usual: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `create_container`. git takes the work tree's owner for somebody else, and is told."""
    trusted = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    return {
        **usual,
        "user": f"{INIT_UID}:{AGENT_UID}",
        "environment": usual["environment"] | trusted,
    }


def _tmpfs(options: str) -> str:
    kept = [each for each in options.split(",") if each.partition("=")[0] not in _REFUSED]
    mode = "1777" if "mode=1777" in options else "0770"
    return ",".join((*kept, "notmpcopyup", "U", f"mode={mode}"))
