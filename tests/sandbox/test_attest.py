from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.sandbox.attest import Expected, Usage, parse, parse_usage, problems
from tiny_backspace.sandbox.mounts import Kept

HERE = Path(__file__).parent
V1 = (HERE / "attest-v1.txt").read_text()  # from a container on Docker 20.10, cgroup version 1
V2 = (HERE / "attest-v2.txt").read_text()  # the same as version 2 and a virtual machine have it
EXPECTED = Expected(10001, 10001, 512 << 20, 1.5, 512, ("/workspace", "/tmp"))
CGROUP = "/sys/fs/cgroup"
BIND = "/proc/self/mountinfo:95 73 254:0 {root} {path} {mode},relatime - {fs} /dev/vda rw\n"


def found_in(text: str) -> tuple[str, ...]:
    return problems(parse(text.encode()), EXPECTED)


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def without(text: str, prefix: str) -> str:
    lines = text.splitlines(keepends=True)
    assert any(line.startswith(prefix) for line in lines)
    return "".join(line for line in lines if not line.startswith(prefix))


def with_mount(path: str, fs: str = "ext4", mode: str = "rw", root: str = "/home") -> str:
    return replaced(V1, "end:\n", BIND.format(path=path, fs=fs, mode=mode, root=root) + "end:\n")


@pytest.mark.parametrize("text", [V1, V2])
def test_a_locked_down_container_has_no_problems(text: str) -> None:
    assert found_in(text) == ()


def test_the_facts_are_read_alike_from_both_versions_of_cgroups() -> None:
    one, two = parse(V1.encode()), parse(V2.encode())
    assert (one.uid, one.gid, one.groups) == (10001, 10001, (10001,))
    assert (one.capabilities, one.no_new_privs, one.seccomp) == ("0" * 16, True, 2)
    assert (one.memory, one.swap, one.cpus, one.pids) == (512 << 20, 0, 1.5, 512)
    assert (two.memory, two.swap, two.cpus, two.pids) == (512 << 20, 0, 1.5, 512)
    assert (one.interfaces, one.dormant, one.routes) == (("lo",), (), ())
    assert (two.interfaces, two.dormant) == (("lo", "tunl0", "ip6tnl0"), ("tunl0", "ip6tnl0"))
    assert one.root_read_only
    assert {m.path: m.size for m in one.writable if m.path in EXPECTED.writable} == {
        "/workspace": 256 << 20,
        "/tmp": 128 << 20,
    }


CHANGES = {
    "root": (V1, "Uid:\t10001\t10001\t10001\t10001", "Uid:\t0\t0\t0\t0", "commands run as uid 0,"),
    "a saved uid of root": (V1, "Uid:\t10001\t10001\t10001", "Uid:\t10001\t10001\t0", "as uid unknown"),
    "another gid": (V1, "Gid:\t10001\t10001\t10001\t10001", "Gid:\t5\t5\t5\t5", "as gid 5, not 10001"),
    "another group": (V1, "Groups:\t10001 ", "Groups:\t10001 27 ", "groups besides 10001: 10001 27"),
    "bounding capabilities": (
        V1,
        "CapBnd:\t0000000000000000",
        "CapBnd:\t00000000a80425fb",
        "commands can come by capabilities: 00000000a80425fb",
    ),
    "ambient capabilities": (V1, "CapAmb:\t0000000000000000", "CapAmb:\t0000000000000400", "capabilities"),
    "new privileges": (V1, "NoNewPrivs:\t1", "NoNewPrivs:\t0", "no_new_privs is not set"),
    "no filter": (V1, "Seccomp:\t2", "Seccomp:\t0", "no seccomp filter is in force: mode 0"),
    "the host's cgroups": (V1, ":memory:/\n", ":memory:/docker/3f\n", "cgroup namespace"),
    "no memory limit, 1": (V1, "memory.limit_in_bytes:536870912", "memory.limit_in_bytes:9223372036854771712", "unknown or none"),
    "no memory limit, 2": (V2, "memory.max:536870912", "memory.max:max", "memory limit is unknown or none"),
    "more memory": (V2, "memory.max:536870912", "memory.max:536875008", "limit is 536875008, not 536870912"),
    "swap, 1": (V1, "memsw.limit_in_bytes:536870912", "memsw.limit_in_bytes:1073741824", "beside the memory: 536870912 bytes"),
    "swap, 2": (V2, "swap.max:0", "swap.max:max", "swap may be used"),
    "no CPU limit, 1": (V1, "cpu.cfs_quota_us:150000", "cpu.cfs_quota_us:-1", "the CPU limit is unknown or none, not 1.5"),
    "no CPU limit, 2": (V2, "cpu.max:150000 100000", "cpu.max:max 100000", "the CPU limit is unknown or none"),
    "more CPU": (V2, "cpu.max:150000 100000", "cpu.max:200000 100000", "the CPU limit is 2.0, not 1.5"),
    "no limit of processes": (V1, "pids.max:512", "pids.max:max", "processes is unknown or none, not 512"),
    "a network": (V1, "/proc/net/dev:    lo:", "/proc/net/dev:  eth0: 0\n/proc/net/dev:    lo:", "loopback: eth0"),
    "a tunnel that is up": (V2, "tunl0/flags:0x80", "tunl0/flags:0x81", "besides the loopback: tunl0"),
    "a tunnel of unknown state": (V2, "tunl0/flags:0x80", "tunl0/flags:?", "besides the loopback: tunl0"),
    "another interface that is down": (V2, "tunl0", "wg0", "besides the loopback: wg0"),
    "a route": (V1, "IRTT", "IRTT\n/proc/net/route:eth0\t000011AC\t00000000", "network route: eth0 000011AC"),
    "an IPv6 route": (V1, "00200200       lo", "00200200     eth0", "network route: eth0 0000"),
    "the host's processes": (V1, "pid:[402653", "pid:[4026531836]\n/dev/null:", "the pid namespace"),
    "a writable root": (V1, " / / ro,", " / / rw,", "the root file system is writable"),
    "open settings": (V1, " /proc/sys ro,", " /proc/sys rw,", "/proc/sys "),
    "a work tree without a limit": (V1, "rw,size=262144k", "rw", "/workspace has no size limit"),
    "a work tree with devices": (V1, " /workspace rw,nosuid,nodev", " /workspace rw,nosuid", "/workspace is mounted without nodev"),
    "a work tree of the host's": (V1, "- tmpfs tmpfs rw,size=262144k", "- ext4 /dev/vda rw", "/workspace is a mount of ext4"),
    "a work tree that is read-only": (V1, " /workspace rw", " /workspace ro", "/workspace is not writable"),
    "the host's shared memory": (V1, "- tmpfs shm rw,size=65536k", "- tmpfs tmpfs rw", "/dev/shm is a writable tmpfs"),
    "the host's devices": (V1, "/dev rw,nosuid - tmpfs", "/dev rw,nosuid - devtmpfs", "/dev is a writable devtmpfs mount"),
    "writable cgroups": (V2, "/sys/fs/cgroup ro", "/sys/fs/cgroup rw", "/sys/fs/cgroup is a writable cgroup2"),
    "a name service": (V1, " /etc/hostname ro", " /etc/hostname rw", "/etc/hostname is a writable ext4 mount"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_control_that_is_off_is_named_and_nothing_else_is(change: str) -> None:
    text, old, new, sentence = CHANGES[change]
    found = found_in(replaced(text, old, new))
    assert found
    assert [each for each in found if sentence not in each] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (with_mount("/mnt/host"), "/mnt/host is a writable ext4 mount that was not asked for"),
        (with_mount("/mnt/host", mode="ro"), "/mnt/host is a read-only ext4 mount that was not"),
        (with_mount("/run/docker.sock", fs="tmpfs", root="/docker.sock"), "/run/docker.sock is a"),
        (with_mount("/run", fs="tmpfs", root="/"), "/run is a writable tmpfs mount"),
        (with_mount("/run", fs="tmpfs", root="/", mode="ro"), "/run is a read-only tmpfs mount"),
        (with_mount("/run/podman-init"), "/run/podman-init is a writable ext4 mount"),
        (with_mount("/dev/null", fs="devtmpfs", root="/vda"), "/dev/null is a writable devtmpfs"),
        (with_mount("/dev/vda", fs="devtmpfs", root="/vda"), "/dev/vda is a writable devtmpfs"),
        (
            with_mount("/host/proc", fs="proc", mode="ro", root="/"),
            "/host/proc is a read-only proc",
        ),
        (with_mount("/workspace", root="/home/user"), "/workspace is a mount of ext4, not a tmpfs"),
        (with_mount("/", root="/"), "the root file system is writable"),
        (with_mount("/proc/sys", fs="proc", root="/sys"), "/proc/sys are not protected"),
    ],
)
def test_a_mount_nobody_asked_for_is_a_problem(text: str, sentence: str) -> None:
    assert any(sentence in each for each in found_in(text))


VOLUME = Kept("/opt/setup", "tiny-backspace-setup-0f-1", writable=False)
VOLUMES = "/var/lib/docker/volumes"
RIGHT = f"{VOLUMES}/{VOLUME.name}/_data"


@pytest.mark.parametrize("writable", [False, True])
def test_the_one_volume_that_was_asked_for_is_no_problem(writable: bool) -> None:
    expected = replace(EXPECTED, kept=replace(VOLUME, writable=writable))
    text = with_mount("/opt/setup", mode="rw" if writable else "ro", root=RIGHT)
    assert problems(parse(text.encode()), expected) == ()
    assert any("not asked for" in each for each in found_in(text))  # of one that has no setup


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (V1, "/opt/setup is not a mount of its own"),
        (with_mount("/opt/setup", root=RIGHT), "/opt/setup is writable"),
        (with_mount("/opt/setup", mode="ro", root=f"{VOLUMES}/other/_data"), "not of the volume"),
        (with_mount("/opt/setup", mode="ro", root=f"{RIGHT}/venv"), "not of the volume"),
        (with_mount("/opt/setup", mode="ro", root="/home"), "a mount of /home, not of the volume"),
        (with_mount("/opt/setup", mode="ro", root=f"/x{VOLUME.name}/_data"), "not of the volume"),
        (with_mount("/opt/setup/venv", mode="ro", root=RIGHT), "/opt/setup/venv is a read-only ext4"),
        (with_mount("/opt", mode="ro", root=RIGHT), "/opt is a read-only ext4 mount"),
    ],
)  # fmt: skip
def test_another_volume_another_place_or_another_mode_is_a_problem(
    text: str, sentence: str
) -> None:
    found = problems(parse(text.encode()), replace(EXPECTED, kept=VOLUME))
    assert any(sentence in each for each in found)


def test_a_volume_that_a_setup_may_write_to_has_to_be_writable() -> None:
    text = with_mount("/opt/setup", mode="ro", root=RIGHT)
    expected = replace(EXPECTED, kept=replace(VOLUME, writable=True))
    assert problems(parse(text.encode()), expected) == ("/opt/setup is read-only",)


PODMANS = """\
/proc/self/mountinfo:313 311 0:128 / /run ro,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=64k
/proc/self/mountinfo:318 313 254:0 /usr/bin/catatonit /run/podman-init ro,relatime - ext4 /dev/vda rw
/proc/self/mountinfo:322 311 0:135 / /var/tmp ro,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=64k
"""
ROOTLESS = """\
/proc/self/mountinfo:320 315 0:6 /null /dev/null rw,nosuid,noexec - devtmpfs devtmpfs rw,mode=755
/proc/self/mountinfo:321 315 0:6 /urandom /dev/urandom rw,nosuid,noexec - devtmpfs devtmpfs rw,mode=755
"""


@pytest.mark.parametrize("more", [PODMANS, ROOTLESS])
def test_what_another_engine_mounts_by_nature_is_none(more: str) -> None:
    assert found_in(replaced(V2, "end:\n", f"{more}end:\n")) == ()


FACTS = [
    (V1, "/proc/self/status:Uid"),
    (V1, "/proc/self/status:Gid"),
    (V1, "/proc/self/status:Groups"),
    (V1, "/proc/self/status:CapInh"),
    (V1, "/proc/self/status:CapBnd"),
    (V1, "/proc/self/status:CapAmb"),
    (V1, "/proc/self/status:NoNewPrivs"),
    (V1, "/proc/self/status:Seccomp:"),
    (V1, "/proc/self/status"),
    (V1, "/proc/self/cgroup"),
    (V1, "/proc/self/ns/ipc"),
    (V1, "/proc/self/ns/pid"),
    (V1, "/proc/self/mountinfo"),
    (V1, "/proc/net/dev"),
    (V1, "/proc/net/route"),
    (V1, f"{CGROUP}/memory/memory.limit"),
    (V1, f"{CGROUP}/cpu/cpu.cfs_quota"),
    (V1, f"{CGROUP}/cpu/cpu.cfs_period"),
    (V1, f"{CGROUP}/pids"),
    (V2, f"{CGROUP}/memory.max"),
    (V2, f"{CGROUP}/memory.swap.max"),
    (V2, f"{CGROUP}/cpu.max"),
    (V2, f"{CGROUP}/pids.max"),
    (V2, "/sys/class/net/tunl0"),
    (V2, "end:"),
]


@pytest.mark.parametrize(("text", "fact"), FACTS)
def test_a_fact_that_is_missing_is_a_problem(text: str, fact: str) -> None:
    assert found_in(without(text, fact))


def test_swap_that_is_not_counted_is_none_where_the_machine_has_none() -> None:
    uncounted = without(V1, f"{CGROUP}/memory/memory.memsw")
    assert found_in(uncounted) == ()
    assert any("swap" in each for each in found_in(without(uncounted, "/proc/swaps")))


def test_a_memory_limit_may_be_rounded_down_to_whole_pages() -> None:
    expected = Expected(10001, 10001, (512 << 20) + 1000, 1.5, 512, EXPECTED.writable)
    assert problems(parse(V2.encode()), expected) == ()


@given(st.integers(min_value=0, max_value=len(V1) - 2))
def test_an_answer_that_was_cut_short_is_a_problem(length: int) -> None:
    assert found_in(V1[:length])


@given(st.binary() | st.binary().map(lambda data: data + b"\nend:\n"))
def test_any_answer_can_be_judged_and_none_but_the_right_one_passes(answer: bytes) -> None:
    assert problems(parse(answer), EXPECTED)


@given(st.data())
def test_a_line_of_nonsense_never_breaks_the_reading(data: st.DataObject) -> None:
    lines = V1.split("\n")
    number = data.draw(st.integers(0, len(lines) - 3))
    path = lines[number].partition(":")[0]
    lines[number] = f"{path}:" + data.draw(st.text(st.characters(exclude_characters="\n")))
    parse("\n".join(lines).encode("utf-8", "replace"))


def test_usage_is_read_from_both_versions_of_cgroups() -> None:
    one = (
        f"{CGROUP}/memory/memory.usage_in_bytes:1462272\n"
        f"{CGROUP}/memory/memory.max_usage_in_bytes:3297280\n"
        f"{CGROUP}/cpuacct/cpuacct.usage:62196498\n"
        f"{CGROUP}/pids/pids.current:4\nend:\n"
    )
    two = (
        f"{CGROUP}/memory.current:1462272\n{CGROUP}/cpu.stat:usage_usec 2500000\n"
        f"{CGROUP}/cpu.stat:user_usec 2000000\n{CGROUP}/pids.current:4\nend:\n"
    )
    assert parse_usage(one.encode()) == Usage(1462272, 3297280, 0.062196498, 4)
    assert parse_usage(two.encode()) == Usage(1462272, None, 2.5, 4)


@pytest.mark.parametrize(
    "answer", [b"", b"end:\n", b"garbage", f"{CGROUP}/pids.current:x\nend:\n".encode()]
)
def test_usage_that_cannot_be_read_is_unknown(answer: bytes) -> None:
    assert parse_usage(answer) == Usage(None, None, None, None)
