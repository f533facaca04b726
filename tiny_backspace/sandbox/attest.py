"""What a sandbox says of itself, read from inside, against what it must be.

`SCRIPT` prints kernel files, `parse` reads facts out of them, `problems` compares. It is asked before
anything foreign has come in, so the answer is the kernel's. A fact that is missing is a problem.
`USAGE` and `parse_usage` read in the same way what the sandbox has used so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tiny_backspace.sandbox.kernelfiles import (
    CGROUP,
    Files,
    fields,
    files,
    hexadecimal,
    limit,
    number,
    printing,
    value,
)
from tiny_backspace.sandbox.mounts import Kept, Mount, mount, mount_problems, root_read_only

_FILTERED = 2  # the status file's Seccomp: 0 off, 1 strict, 2 a filter
_PAGE = 1 << 16  # the largest page there is: the kernel rounds a memory limit down to whole ones
_CPU_STEP = 0.01  # systemd rounds a quota to whole hundredths
_IFF_UP = 1
_CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")

# Every new network namespace gets these where their modules are loaded (sysctl fb_tunnels_only_for_init_net).
# They are down, and without CAP_NET_ADMIN they stay down.
_FALLBACK_TUNNELS = frozenset(
    ("tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0")
)
# The machine's first namespaces have numbers fixed in the kernel (proc_ns.h): who is in one shares the host's.
_FIRST = {"ipc": 0xEFFF_FFFF, "uts": 0xEFFF_FFFE, "pid": 0xEFFF_FFFC}

SCRIPT = printing(
    "/proc/self/status /proc/self/mountinfo /proc/self/cgroup /proc/swaps",
    "/proc/net/dev /proc/net/route /proc/net/ipv6_route /sys/class/net/*/flags",
    f"{CGROUP}/memory/memory.limit_in_bytes {CGROUP}/memory/memory.memsw.limit_in_bytes",
    f"{CGROUP}/cpu/cpu.cfs_quota_us {CGROUP}/cpu/cpu.cfs_period_us {CGROUP}/pids/pids.max",
    f"{CGROUP}/memory.max {CGROUP}/memory.swap.max {CGROUP}/cpu.max {CGROUP}/pids.max",
    links="/proc/self/ns/*",
)
USAGE = printing(
    f"{CGROUP}/memory/memory.usage_in_bytes {CGROUP}/memory/memory.max_usage_in_bytes",
    f"{CGROUP}/cpuacct/cpuacct.usage {CGROUP}/pids/pids.current",
    f"{CGROUP}/memory.current {CGROUP}/memory.peak {CGROUP}/cpu.stat {CGROUP}/pids.current",
)


@dataclass(frozen=True, slots=True)
class Attestation:
    """Facts. None, or an empty tuple, where the answer does not tell; None for a limit that is not set, too.

    `capabilities` is the union of the five sets, 16 hex digits. `memory` and `swap` are bytes, `swap` being
    what may be used beside `memory`. `dormant` are the interfaces that are down; a route is "device target".
    `shared` are the namespaces that are the host's, or are not known to be others.
    """

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None
    capabilities: str | None
    no_new_privs: bool | None
    seccomp: int | None
    memory: int | None
    swap: int | None
    cpus: float | None
    pids: int | None
    interfaces: tuple[str, ...]
    dormant: tuple[str, ...]
    routes: tuple[str, ...] | None
    shared: tuple[str, ...]
    mounts: tuple[Mount, ...]

    @property
    def writable(self) -> tuple[Mount, ...]:
        return tuple(mount for mount in self.mounts if mount.writable)

    @property
    def root_read_only(self) -> bool:
        return root_read_only(self.mounts)


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be so: `memory` in bytes and no swap beside it; each path of `writable` a tmpfs of its own.

    `kept` is the one volume that has to be mounted, if any is.
    """

    uid: int
    gid: int
    memory: int
    cpus: float
    pids: int
    writable: tuple[str, ...]
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes and seconds so far; None where the kernel does not tell. A tmpfs counts as memory."""

    memory: int | None
    memory_peak: int | None
    cpu_s: float | None
    pids: int | None


def parse(output: bytes) -> Attestation:
    """The facts in what `SCRIPT` printed. Never raises: what cannot be read is a fact that is missing."""
    found = files(output)
    status = fields(found, "/proc/self/status")
    groups = [number([word]) for word in status.get("Groups", ["missing"])]
    privileges = number(status.get("NoNewPrivs"))
    return Attestation(
        uid=number(status.get("Uid")),
        gid=number(status.get("Gid")),
        groups=None if None in groups else tuple(group for group in groups if group is not None),
        capabilities=_capabilities(status),
        no_new_privs=None if privileges is None else privileges == 1,
        seccomp=number(status.get("Seccomp")),
        memory=limit(found, "memory.max", "memory/memory.limit_in_bytes"),
        swap=_swap(found),
        cpus=_cpus(found),
        pids=limit(found, "pids.max", "pids/pids.max"),
        interfaces=tuple(line.split(":")[0].strip() for line in found.get("/proc/net/dev", [])[2:]),
        dormant=_dormant(found),
        routes=_routes(found),
        shared=tuple(_shared(found)),
        mounts=tuple(map(mount, found.get("/proc/self/mountinfo", []))),
    )


def parse_usage(output: bytes) -> Usage:
    """What `USAGE` printed, as numbers."""
    found = files(output)
    micro = number(fields(found, f"{CGROUP}/cpu.stat").get("usage_usec"))
    nano = value(found, "cpuacct/cpuacct.usage")
    seconds = micro / 1e6 if micro is not None else None if nano is None else nano / 1e9
    return Usage(
        memory=value(found, "memory.current", "memory/memory.usage_in_bytes"),
        memory_peak=value(found, "memory.peak", "memory/memory.max_usage_in_bytes"),
        cpu_s=seconds,
        pids=value(found, "pids.current", "pids/pids.current"),
    )


def problems(found: Attestation, expected: Expected) -> tuple[str, ...]:
    """A sentence for everything that is not as it must be; empty when all is."""
    return (
        *_privileges(found, expected),
        *_limits(found, expected),
        *_network(found),
        *mount_problems(found.mounts, expected.writable, expected.kept),
    )


def _capabilities(status: dict[str, list[str]]) -> str | None:
    union = 0
    for name in _CAPABILITY_SETS:
        if (one := hexadecimal("".join(status.get(name, ())))) is None:
            return None
        union |= one
    return f"{union:016x}"


def _swap(found: Files) -> int | None:
    both = limit(found, "memory/memory.memsw.limit_in_bytes")
    memory = limit(found, "memory/memory.limit_in_bytes")
    if both is not None and memory is not None:
        return both - memory
    accounted = {f"{CGROUP}/memory.swap.max", f"{CGROUP}/memory/memory.memsw.limit_in_bytes"}
    if not accounted & found.keys() and len(found.get("/proc/swaps", [])) == 1:
        return 0  # the kernel does not count swap, and the machine has none
    return limit(found, "memory.swap.max")


def _cpus(found: Files) -> float | None:
    match found.get(f"{CGROUP}/cpu.max", [""])[0].split():
        case [first, second]:
            quota, period = number([first]), number([second])
        case _:
            quota = value(found, "cpu/cpu.cfs_quota_us")
            period = value(found, "cpu/cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _dormant(found: Files) -> tuple[str, ...]:
    flags = {
        path.split("/")[-2]: hexadecimal(lines[0])
        for path, lines in found.items()
        if path.startswith("/sys/class/net/")
    }
    return tuple(name for name, one in flags.items() if one is not None and not one & _IFF_UP)


def _routes(found: Files) -> tuple[str, ...] | None:
    match found.get("/proc/net/route"):
        case [head, *rows] if head.startswith("Iface"):
            routes = [" ".join(row.split()[:2]) for row in rows]
        case _:
            return None
    six = [row.split() for row in found.get("/proc/net/ipv6_route", [])]
    return (*routes, *(f"{row[-1]} {row[0]}" for row in six if row and row[-1] != "lo"))


def _shared(found: Files) -> Iterator[str]:
    for name, first in _FIRST.items():
        own = found.get(f"/proc/self/ns/{name}", [""])[0]
        if not own.startswith(f"{name}:[") or own == f"{name}:[{first}]":
            yield name
    if not all(line.endswith(":/") for line in found.get("/proc/self/cgroup", ["unknown"])):
        yield "cgroup"


def _privileges(found: Attestation, expected: Expected) -> Iterator[str]:
    if found.uid != expected.uid:
        yield f"commands run as uid {_known(found.uid)}, not {expected.uid}"
    if found.gid != expected.gid:
        yield f"commands run as gid {_known(found.gid)}, not {expected.gid}"
    if found.groups is None or set(found.groups) - {expected.gid}:
        groups = " ".join(map(str, found.groups)) if found.groups else "unknown"
        yield f"commands have groups besides {expected.gid}: {groups}"
    if found.capabilities is None or int(found.capabilities, 16):
        yield f"commands can come by capabilities: {_known(found.capabilities)}"
    if found.no_new_privs is not True:
        yield "setuid programs may give privileges: no_new_privs is not set"
    if found.seccomp != _FILTERED:
        yield f"no seccomp filter is in force: mode {_known(found.seccomp)}"
    for name in found.shared:
        yield f"the {name} namespace is not the container's own"


def _limits(found: Attestation, expected: Expected) -> Iterator[str]:
    memory, cpus = found.memory, found.cpus
    if memory is None or not expected.memory - _PAGE < memory <= expected.memory:
        yield f"the memory limit is {_known(memory)}, not {expected.memory} bytes"
    if found.swap != 0:
        yield f"swap may be used beside the memory: {_known(found.swap)} bytes"
    if cpus is None or abs(cpus - expected.cpus) > _CPU_STEP:
        yield f"the CPU limit is {_known(cpus)}, not {expected.cpus:g}"
    if found.pids != expected.pids:
        yield f"the limit of processes is {_known(found.pids)}, not {expected.pids}"


def _network(found: Attestation) -> Iterator[str]:
    if "lo" not in found.interfaces:
        yield "the network interfaces are unknown: not even the loopback shows"
    for name in found.interfaces:
        if name != "lo" and not (name in _FALLBACK_TUNNELS and name in found.dormant):
            yield f"there is a network interface besides the loopback: {name}"
    if found.routes is None:
        yield "the network routes are unknown"
    for route in found.routes or ():
        yield f"there is a network route: {route}"


def _known(fact: float | str | None) -> str:
    return "unknown or none" if fact is None else f"{fact}"
