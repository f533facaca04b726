"""What a container is asked to be: docs/security.md, 2a."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tiny_backspace.errors import UsageError
from tiny_backspace.sandbox.container import Limits, Volume, Wish, container, host_config, limits

MIB, GIB = 1 << 20, 1 << 30
LIMITS = Limits(
    memory=2 * GIB, workspace=800 * MIB, tmp=160 * MIB, home=80 * MIB, cpus=1.5, pids=512
)


def fitted(memory: int = 16 * GIB, cpus: int = 8, **wish: Any) -> Limits:
    return limits(Wish(**wish), engine_memory=memory, engine_cpus=cpus)


@pytest.mark.parametrize(
    ("engine", "memory"),
    [(64 * GIB, 4 * GIB), (8 * GIB, 4 * GIB), (6 * GIB, 3 * GIB), (2 * GIB, GIB)],
)
def test_memory_is_half_the_engines_and_no_more_than_enough(engine: int, memory: int) -> None:
    assert fitted(memory=engine).memory == memory


@pytest.mark.parametrize(("engine", "cpus"), [(64, 2.0), (4, 2.0), (3, 2.0), (2, 1.5), (1, 0.5)])
def test_a_small_machine_keeps_a_share_of_its_processors(engine: int, cpus: float) -> None:
    assert fitted(cpus=engine).cpus == cpus


@pytest.mark.parametrize("memory", [GIB, 2 * GIB, 3 * GIB + 1, 4 * GIB])
def test_full_folders_leave_room_to_run_in(memory: int) -> None:
    found = fitted(memory=memory * 2)
    assert found.workspace == memory * 40 // 100
    assert found.workspace + found.tmp + found.home + 64 * MIB <= memory * 0.6
    assert min(found.tmp, found.home) > 0


def test_a_wish_that_fits_is_granted() -> None:
    found = fitted(memory=4 * GIB, cpus=4, disk=500 * MIB, pids=100)
    granted = limits(
        Wish(memory=3 * GIB, disk=500 * MIB, cpus=3.5, pids=100),
        engine_memory=4 * GIB,
        engine_cpus=4,
    )
    assert (granted.memory, granted.workspace, granted.cpus, granted.pids) == (
        3 * GIB,
        500 * MIB,
        3.5,
        100,
    )
    assert (found.memory, found.workspace, found.pids) == (2 * GIB, 500 * MIB, 100)


@pytest.mark.parametrize(
    ("wish", "engine_memory", "said", "hint"),
    [
        (Wish(memory=GIB - 1), 16 * GIB, "1023 MiB of memory is too little", "--memory"),
        (Wish(), 2 * GIB - 2, "1023 MiB of memory is too little", "more memory"),
        (Wish(disk=GIB, memory=GIB), 16 * GIB, "1024 MiB does not fit 1024 MiB", "at most 427m"),
        (Wish(disk=428 * MIB, memory=GIB), 16 * GIB, "428 MiB does not fit", "at most 427m"),
        (Wish(cpus=4.5), 16 * GIB, "--cpus 4.5 is more than the engine's 4", ""),
    ],
)
def test_a_wish_that_does_not_fit_is_refused_with_what_would(
    wish: Wish, engine_memory: int, said: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        limits(wish, engine_memory=engine_memory, engine_cpus=4)
    assert hint in (refused.value.hint or "")


def test_the_largest_work_tree_the_hint_names_is_granted() -> None:
    assert fitted(memory=16 * GIB, disk=427 * MIB).workspace == 427 * MIB
    one = limits(Wish(memory=GIB, disk=427 * MIB), engine_memory=GIB, engine_cpus=1)
    assert one.workspace == 427 * MIB


def test_every_control_is_asked_for_and_nothing_besides() -> None:
    asked = host_config(LIMITS, runtime=None)
    ulimits = {(limit.name, limit.soft, limit.hard) for limit in asked.pop("ulimits")}
    log, security = asked.pop("log_config"), asked.pop("security_opt")
    folders = asked.pop("tmpfs")

    assert asked == {
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "read_only": True,
        "mem_limit": 2 * GIB,
        "memswap_limit": 2 * GIB,
        "nano_cpus": 1_500_000_000,
        "cpu_shares": 512,
        "pids_limit": 512,
        "ipc_mode": "private",
        "cgroupns": "private",
        "shm_size": 64 * MIB,
        "init": True,
        "auto_remove": True,
        "oom_score_adj": 500,
        "runtime": None,
    }
    assert ulimits == {
        ("nofile", 8192, 8192),
        ("fsize", GIB, GIB),
        ("core", 0, 0),
        ("memlock", 65536, 65536),
    }
    assert log.type == "none"
    no_new_privileges, profile = security
    assert no_new_privileges == "no-new-privileges"
    assert json.loads(profile.removeprefix("seccomp="))["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {path: folder(options) for path, options in folders.items()} == {
        "/workspace": (800 * MIB, "0700"),
        "/tmp": (160 * MIB, "1777"),
        "/home/agent": (80 * MIB, "0700"),
    }


@pytest.mark.parametrize("writable", [False, True])
def test_a_volume_is_mounted_at_one_place_and_read_only_unless_a_setup_fills_it(
    writable: bool,
) -> None:
    asked = host_config(LIMITS, runtime=None, volume=Volume("v", writable=writable))
    (mount,) = asked["mounts"]
    assert dict(mount) == {
        "Target": "/opt/setup",
        "Source": "v",
        "Type": "volume",
        "ReadOnly": not writable,
    }
    assert asked["network_mode"] == "none"


def folder(options: str) -> tuple[int, str]:
    """Size and mode of a folder in memory, which is the agent's own and gives no rights."""
    words = options.split(",")
    named = dict(word.split("=") for word in words if "=" in word)
    assert {word for word in words if "=" not in word} == {"rw", "exec", "nosuid", "nodev"}
    assert (named.pop("uid"), named.pop("gid"), named.pop("nr_inodes")) == (
        "10001",
        "10001",
        "200000",
    )
    size, mode = int(named.pop("size")), named.pop("mode")
    assert named == {}
    return size, mode


def test_another_runtime_changes_nothing_else() -> None:
    usual, other = host_config(LIMITS, runtime=None), host_config(LIMITS, runtime="runsc")
    assert {key for key in usual if usual[key] != other[key]} == {"runtime"}


def test_the_container_is_its_first_users_with_a_deadline_and_an_environment_of_its_own() -> None:
    assert container("sha256:1", 1920.5, {"a": "b"}, "name") == {
        "image": "sha256:1",
        "command": ["sleep", "1920"],
        "entrypoint": [],
        "name": "name",
        "hostname": "sandbox",
        "user": "10000:10000",
        "working_dir": "/workspace",
        "environment": {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/home/agent",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        "labels": {"a": "b"},
        "network_disabled": True,
        "use_config_proxy": False,
        "healthcheck": {"test": ["NONE"]},
        "stop_signal": "SIGKILL",
    }
