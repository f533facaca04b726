"""What is mounted in a container, and what may be: its own kernel file systems, its work folders, nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tiny_backspace.sandbox.kernelfiles import CGROUP
from tiny_backspace.sandbox.podman import EMPTY, ITS_OWN

_SIZE = re.compile(r"(?:^|,)size=(\d+)k(?:,|$)")

# Writable in every container, and as what. /sys/fs/cgroup is the folder above version 1's controllers, root's own.
_OWN_MOUNTS = {
    "/proc": "proc",
    "/dev": "tmpfs",
    "/dev/pts": "devpts",
    "/dev/shm": "tmpfs",  # noqa: S108 - the container's own
    "/dev/mqueue": "mqueue",
    CGROUP: "tmpfs",
}
# In a user namespace nobody makes devices: the machine's own, which everybody may use, are shown instead.
_DEVICES = frozenset(
    f"/dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero")
)
# What engines lay over the image: read-only, as the root is.
_ENGINE_FILES = frozenset(
    (
        "/etc/hostname",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/sbin/docker-init",
        "/usr/sbin/docker-init",
        "/run/podman-init",
    )
)


@dataclass(frozen=True, slots=True)
class Mount:
    """`root` is the folder of the file system that shows; `size` the limit of a tmpfs in bytes, if it has one."""

    path: str
    root: str
    fs: str
    writable: bool
    options: frozenset[str]
    size: int | None


def mount(line: str) -> Mount:
    """A line of mountinfo: proc_pid_mountinfo(5). One that cannot be read is a writable mount of unknown kind."""
    front, _, back = line.partition(" - ")
    match front.split(), back.split():
        case [_, _, _, root, path, options, *_], [fs, _, of_fs]:
            words = frozenset(options.split(","))
            writable = "ro" not in words and "ro" not in of_fs.split(",")
            size = _SIZE.search(of_fs) if fs == "tmpfs" else None
            return Mount(path, root, fs, writable, words, int(size[1]) << 10 if size else None)
        case _:
            return Mount(line, "", "unknown", writable=True, options=frozenset(), size=None)


def root_read_only(mounts: Sequence[Mount]) -> bool:
    roots = [mount for mount in mounts if mount.path == "/"]
    return bool(roots) and not any(root.writable for root in roots)


@dataclass(frozen=True, slots=True)
class Kept:
    """A named volume that has to be there: the folder of that name among the engine's volumes."""

    path: str
    name: str
    writable: bool


def mount_problems(
    mounts: Sequence[Mount], work_folders: Collection[str], kept: Kept | None = None
) -> Iterator[str]:
    """A sentence for every mount that should not be there, and for what is wrong with those that should."""
    if not root_read_only(mounts):
        yield "the root file system is writable, or unknown"
    if [m.writable for m in mounts if m.path == "/proc/sys"][-1:] != [False]:
        yield "the kernel's settings in /proc/sys are not protected"
    for path in work_folders:
        if path not in {m.path for m in mounts}:
            yield f"{path} is not a mount of its own"
    if kept is not None and kept.path not in {m.path for m in mounts}:
        yield f"{kept.path} is not a mount of its own"
    for m in mounts:
        if m.path in work_folders:
            yield from _work_folder(m)
        elif kept is not None and m.path == kept.path:
            yield from _volume(m, kept)
        elif m.path != "/" and not _known_mount(m):
            kind = "writable" if m.writable else "read-only"
            yield f"{m.path} is a {kind} {m.fs} mount that was not asked for"


def _work_folder(m: Mount) -> Iterator[str]:
    if m.fs != "tmpfs" or m.root != "/":
        yield f"{m.path} is a mount of {m.fs}, not a tmpfs of its own"
    if m.fs == "tmpfs" and m.size is None:
        yield f"{m.path} has no size limit"
    if not m.writable:
        yield f"{m.path} is not writable"
    if missing := {"nosuid", "nodev"} - m.options:
        yield f"{m.path} is mounted without {' and '.join(sorted(missing))}"


def _volume(m: Mount, kept: Kept) -> Iterator[str]:
    if not m.root.endswith(f"/volumes/{kept.name}/_data"):
        yield f"{m.path} is a mount of {m.root or m.fs}, not of the volume {kept.name}"
    if m.writable != kept.writable:
        yield f"{m.path} is {'writable' if m.writable else 'read-only'}"


def _known_mount(m: Mount) -> bool:
    """Whether containers have this by nature."""
    kernel = m.path.startswith(("/proc/", "/sys/")) or m.path == "/sys"
    if _OWN_MOUNTS.get(m.path) == m.fs:
        return m.fs != "tmpfs" or m.size is not None or m.path == CGROUP
    if kernel and m.root == "/null" and m.fs in ("tmpfs", "devtmpfs"):
        return True  # a file the engine has masked with its /dev/null
    if m.path in _DEVICES and m.fs == "devtmpfs" and f"/dev{m.root}" == m.path:
        return True
    if m.writable:
        return False
    if m.path in ITS_OWN and m.fs == "tmpfs" and m.size == EMPTY:
        return True  # Podman's, which we have made one that stays empty
    return m.path in _ENGINE_FILES or (
        kernel and m.fs in ("proc", "sysfs", "cgroup", "cgroup2", "tmpfs")
    )
