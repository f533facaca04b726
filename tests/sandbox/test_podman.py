from __future__ import annotations

from pathlib import Path

from tiny_backspace.sandbox import podman, seccomp
from tiny_backspace.sandbox.container import MIB, Limits, container, host_config
from tiny_backspace.sandbox.selftest import TITLES

LIMITS = Limits(1024 * MIB, 400 * MIB, 80 * MIB, 40 * MIB, 1.5, 512)
USUAL = host_config(LIMITS, runtime=None)
ASKED = podman.host_config(USUAL)


def test_it_is_asked_for_the_same_but_for_the_profile_and_the_folders() -> None:
    assert {key for key in USUAL if USUAL[key] != ASKED[key]} == {"security_opt", "tmpfs"}
    assert USUAL.keys() == ASKED.keys()


def test_the_profile_is_a_file_with_the_same_content() -> None:
    first, profile = ASKED["security_opt"]
    assert first == "no-new-privileges"
    assert Path(profile.removeprefix("seccomp=")).read_text("ascii") == seccomp.text()


def test_the_work_folders_have_their_size_and_are_for_the_agents_group() -> None:
    common = "rw,exec,nosuid,nodev"
    assert {path: ASKED["tmpfs"][path] for path in USUAL["tmpfs"]} == {
        "/workspace": f"{common},size={400 * MIB},notmpcopyup,U,mode=0770",
        "/tmp": f"{common},size={80 * MIB},notmpcopyup,U,mode=1777",
        "/home/agent": f"{common},size={40 * MIB},notmpcopyup,U,mode=0770",
    }


def test_the_folders_that_it_would_make_writable_are_not() -> None:
    own = {path: ASKED["tmpfs"][path] for path in podman.ITS_OWN}
    assert own.keys() == {"/run", "/var/tmp"}
    assert all(options.split(",")[0] == "ro" for options in own.values())


def test_pid_1_is_another_user_of_the_agents_group_and_git_trusts_the_work_tree() -> None:
    usual = container("sha256:1", 60, {}, "name")
    asked = podman.container(usual)
    assert {key for key in usual if usual[key] != asked[key]} == {"user", "environment"}
    assert asked["user"] == "10000:10001"
    assert asked["environment"] == usual["environment"] | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }


def test_what_it_lacks_is_a_control_that_is_tried() -> None:
    assert podman.LACKS.keys() <= TITLES.keys()
