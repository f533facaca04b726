"""The sandbox image as the engine has it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from docker import APIClient

from tiny_backspace.errors import SandboxError
from tiny_backspace.events import Event, ThoughtDelta
from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.engine import connect

SCAN = """
import json, os, stat
found = {"set_id": [], "capable": [], "writable": []}
device = os.stat("/").st_dev
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.lstat(os.path.join(folder, f)).st_dev == device]
    for path in [folder, *(os.path.join(folder, f) for f in files)]:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode) or info.st_dev != device:
            continue
        if info.st_mode & 0o6000:
            found["set_id"].append(path)
        if info.st_mode & 0o002:
            found["writable"].append(path)
        if "security.capability" in os.listxattr(path, follow_symlinks=False):
            found["capable"].append(path)
print(json.dumps(found))
"""


def ignore(_: Event | ThoughtDelta) -> None:
    """For a caller who is not interested."""


@pytest.fixture(scope="module")
def api() -> Iterator[APIClient]:
    client = connect(os.environ.get("DOCKER_HOST")).api
    yield client
    client.close()


@pytest.fixture(scope="module")
def built(api: APIClient) -> str:
    return image.ensure(api, emit=ignore)


def inside(api: APIClient, built: str, *argv: str, user: str = "10001:10001") -> str:
    """What a command says in a container that has no network, as a run's has none."""
    config = api.create_host_config(network_mode="none")
    created = api.create_container(
        built,
        list(argv),
        user=user,
        hostname="sandbox",
        network_disabled=True,
        host_config=config,
        use_config_proxy=False,
    )
    try:
        api.start(created["Id"])
        code = api.wait(created["Id"])["StatusCode"]
        said = api.logs(created["Id"]).decode()
    finally:
        api.remove_container(created["Id"], force=True)
    assert code == 0, said
    return str(said)


def test_both_users_are_known_by_name(api: APIClient, built: str) -> None:
    assert inside(api, built, "getent", "passwd", "init", "agent").splitlines() == [
        "init:x:10000:10000::/nonexistent:/usr/sbin/nologin",
        "agent:x:10001:10001::/home/agent:/bin/bash",
    ]


def test_no_file_gives_rights_and_only_temporary_folders_are_open(
    api: APIClient, built: str
) -> None:
    found = json.loads(inside(api, built, "python3", "-c", SCAN, user="0:0"))
    temporary = found.pop("writable")
    assert found == {"set_id": [], "capable": []}
    assert sorted(temporary) == ["/tmp", "/var/tmp"]  # a run mounts a tmpfs over them


def test_the_agent_may_write_to_its_own_and_temporary_folders_only(
    api: APIClient, built: str
) -> None:
    script = "find / -xdev ! -type l -writable -not -path '/home/agent/*' 2>/dev/null || true"
    found = inside(api, built, "sh", "-c", script).split()
    assert sorted(found) == ["/home/agent", "/opt/setup", "/tmp", "/var/tmp", "/workspace"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("git --version", r"git version 2\.\d+"),
        ("rg --version", r"ripgrep 1[3-9]\."),
        ("python --version", r"Python 3\.1[1-9]"),
        ("pytest --version", r"pytest [7-9]\."),
        ("node --version", r"v(1[89]|[2-9]\d)\."),
        ("make --version", r"GNU Make 4"),
        ("patch --version", r"GNU patch 2"),
        ("jq --version", r"jq-1"),
        ("python3 -m venv /tmp/venv && /tmp/venv/bin/pip --version", r"pip \d+.* from /tmp/venv"),
    ],
)
def test_the_tools_are_there_and_run(api: APIClient, built: str, command: str, says: str) -> None:
    assert re.match(says, inside(api, built, "sh", "-c", command))


def test_localhost_has_a_name_without_a_network(api: APIClient, built: str) -> None:
    program = """
import socket
server = socket.create_server(("localhost", 0))
client = socket.create_connection(("localhost", server.getsockname()[1]))
print(sorted({i[4][0] for i in socket.getaddrinfo("localhost", 80)}))
"""
    said = inside(api, built, "python3", "-c", program)
    assert said == "['127.0.0.1', '::1']\n"


def test_git_works_in_a_work_tree_of_another_user(api: APIClient, built: str) -> None:
    script = "git init -q /workspace && git -C /workspace symbolic-ref HEAD"
    assert inside(api, built, "sh", "-c", script, user="0:0") == "refs/heads/main\n"


def test_the_image_is_small_and_set_up_for_the_first_user(api: APIClient, built: str) -> None:
    facts: dict[str, Any] = api.inspect_image(built)  # type: ignore[no-untyped-call] # the stubs skip it
    config = facts["Config"]
    assert facts["Size"] <= 450_000_000
    assert (config["User"], config["WorkingDir"]) == ("10000:10000", "/workspace")
    assert {"LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"} <= set(config["Env"])
    assert config["Labels"]["tiny-backspace.image"] == "1"


def test_what_exists_is_not_built_again(api: APIClient, built: str) -> None:
    said: list[Event | ThoughtDelta] = []
    assert image.ensure(api, emit=said.append) == built
    assert said == []


def test_an_image_named_by_the_user_is_taken_or_refused_never_pulled(
    api: APIClient, built: str
) -> None:
    assert image.ensure(api, wanted=built, emit=ignore) == built
    with pytest.raises(SandboxError, match="no image tiny-backspace-absent:1"):
        image.ensure(api, wanted="tiny-backspace-absent:1", emit=ignore)
