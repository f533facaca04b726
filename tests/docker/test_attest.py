from pathlib import Path
from typing import Any

import pytest

from tests.docker.locked import MEMORY, NO_NEW_PRIVILEGES, TMP, WORK, locked
from tiny_backspace.sandbox.attest import SCRIPT as ATTEST
from tiny_backspace.sandbox.attest import USAGE, Expected, parse, parse_usage, problems
from tiny_backspace.sandbox.seccomp import text

EXPECTED = Expected(10001, 10001, MEMORY, 1.5, 512, ("/workspace", "/tmp"))
FILTER = "seccomp=" + text()


def problems_of(**changes: Any) -> tuple[str, ...]:
    with locked(**changes) as box:
        code, answer = box.run(ATTEST)
    assert code == 0
    return problems(parse(answer), EXPECTED)


def test_a_container_with_everything_locked_down_attests_that_it_is() -> None:
    assert problems_of() == ()


def test_the_files_an_engine_adds_for_a_network_of_none_are_no_problem() -> None:
    assert problems_of(network_disabled=False) == ()


MUTANTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a network": (
        {"network_mode": "bridge", "network_disabled": False},
        {"there is a network interface besides the loopback: eth0", "there is a network route: eth0"},
    ),
    "root": (
        {"exec_user": "0:0", "tmpfs": {"/workspace": WORK.replace("10001", "0"), "/tmp": TMP}},
        {"commands run as uid 0, not 10001", "commands run as gid 0, not 10001", "commands have groups"},
    ),
    "capabilities kept": ({"cap_drop": []}, {"commands can come by capabilities: 00000000a80425fb"}),
    "a capability added": ({"cap_add": ["NET_RAW"]}, {"commands can come by capabilities: 0000000000002000"}),
    "new privileges": ({"security_opt": [FILTER]}, {"setuid programs may give privileges"}),
    "no filter": (
        {"security_opt": [NO_NEW_PRIVILEGES, "seccomp=unconfined"]},
        {"no seccomp filter is in force: mode 0"},
    ),
    "a writable root": ({"read_only": False}, {"the root file system is writable", "/etc/hostname is a writable"}),
    "no memory limit": (
        {"mem_limit": None, "memswap_limit": None},
        {"the memory limit is unknown or none", "swap may be used"},
    ),
    "swap": ({"memswap_limit": MEMORY * 2}, {f"swap may be used beside the memory: {MEMORY} bytes"}),
    "no CPU limit": ({"nano_cpus": None}, {"the CPU limit is unknown or none, not 1.5"}),
    "another CPU limit": ({"nano_cpus": 1_000_000_000}, {"the CPU limit is 1.0, not 1.5"}),
    "no limit of processes": ({"pids_limit": None}, {"the limit of processes is unknown or none"}),
    "the host's cgroups": ({"cgroupns": "host"}, {"the cgroup namespace is not the container's own"}),
    "the host's IPC": ({"ipc_mode": "host", "shm_size": None}, {"the ipc namespace is not the container's own"}),
    "the host's processes": ({"pid_mode": "host"}, {"the pid namespace is not the container's own"}),
    "the host's name": ({"uts_mode": "host"}, {"the uts namespace is not the container's own"}),
    "a work tree without a limit": (
        {"tmpfs": {"/workspace": WORK.replace("size=256m,", ""), "/tmp": TMP}},
        {"/workspace has no size limit"},
    ),
    "a work tree with setuid": (
        {"tmpfs": {"/workspace": WORK.replace("nosuid", "suid"), "/tmp": TMP}},
        {"/workspace is mounted without nosuid"},
    ),
    "another folder to write to": (
        {"tmpfs": {"/workspace": WORK, "/tmp": TMP, "/run": "rw,size=1m"}},
        {"/run is a writable tmpfs mount that was not asked for"},
    ),
    "the engine's socket": (
        {"volumes": ["/var/run/docker.sock:/mnt/docker.sock:ro"]},
        {"/mnt/docker.sock is a read-only "},
    ),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_control_that_is_off_is_seen_from_inside(mutant: str) -> None:
    changes, sentences = MUTANTS[mutant]
    found = problems_of(**changes)
    assert {
        start for start in sentences if any(each.startswith(start) for each in found)
    } == sentences
    assert [each for each in found if not any(map(each.startswith, sentences))] == []


@pytest.mark.parametrize("mode", ["rw", "ro"])
def test_a_folder_of_the_host_is_seen_from_inside(tmp_path: Path, mode: str) -> None:
    kind = {"rw": "writable", "ro": "read-only"}[mode]
    (sentence,) = problems_of(volumes=[f"{tmp_path}:/mnt/host:{mode}"])
    assert sentence.startswith(f"/mnt/host is a {kind} ")


def test_a_work_tree_that_is_a_folder_of_the_host_is_seen_from_inside(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    found = problems_of(tmpfs={"/tmp": TMP}, volumes=[f"{tmp_path}:/workspace"])
    assert any(each.startswith("/workspace is a mount of ") for each in found)


def test_usage_grows_with_what_a_command_takes() -> None:
    with locked() as box:
        before = parse_usage(box.run(USAGE)[1])
        code, _ = box.python("b = bytearray(100 << 20); sum(range(3_000_000))")
        after = parse_usage(box.run(USAGE)[1])
    assert code == 0
    assert before.memory_peak is not None
    assert after.memory_peak is not None
    assert before.cpu_s is not None
    assert after.cpu_s is not None
    assert after.memory_peak > max(before.memory_peak, 100 << 20)
    assert after.cpu_s > before.cpu_s > 0
    assert after.pids is not None
    assert after.pids >= 2
