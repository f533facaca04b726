"""The sandbox image as the engine has it, and how it is built."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from docker import APIClient
from docker.errors import ImageNotFound

from tiny_backspace.errors import SandboxError, Stopped
from tiny_backspace.events import Event, StepStarted, ThoughtDelta
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


@pytest.fixture
def base(api: APIClient, built: str) -> str:
    """A base that is here: the sandbox image was built on it."""
    assert built
    return image.default_base(api)


@pytest.fixture
def tag(api: APIClient) -> Iterator[str]:
    name = f"tiny-backspace-test:{uuid4().hex[:12]}"
    yield name
    if found := image.find(api, name):
        api.remove_image(found, force=True)


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


def context(folder: Path, *instructions: str) -> Path:
    text = "\n".join(["ARG BASE", "FROM ${BASE}", "USER 0:0", *instructions, ""])
    (folder / "Dockerfile").write_text(text)
    return folder


def containers_of(api: APIClient, marker: str) -> list[str]:
    return [c["Id"] for c in api.containers(all=True) if marker in c["Command"]]


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
    assert sorted(found) == ["/home/agent", "/tmp", "/var/tmp", "/workspace"]


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


def test_a_build_says_its_steps_and_leaves_the_named_image(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    said: list[Event | ThoughtDelta] = []
    folder = context(tmp_path, f"RUN echo {tag}")
    built = image.build(api, base=base, context=folder, tag=tag, emit=said.append)
    assert image.find(api, tag) == built
    steps = [event.message for event in said if isinstance(event, StepStarted)]
    assert steps[1] == "Building the sandbox image: step 2/5, FROM…"


def test_a_base_that_cannot_be_had_points_to_make_base(
    api: APIClient, tag: str, tmp_path: Path
) -> None:
    base = "registry.invalid/debian:none"
    with pytest.raises(SandboxError) as caught:
        image.build(api, base=base, context=context(tmp_path), tag=tag, emit=ignore)
    assert base in str(caught.value.hint)
    assert f"sudo bash {tmp_path / 'make-base.sh'}" in str(caught.value.hint)
    assert image.find(api, tag) is None


def test_a_failed_command_is_told_with_the_log_and_leaves_no_container(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    folder = context(tmp_path, f"RUN echo the disk said {tag}; exit 3")
    with pytest.raises(SandboxError, match=f"\n  the disk said {tag}") as caught:
        image.build(api, base=base, context=folder, tag=tag, emit=ignore)
    assert "non-zero code: 3" in str(caught.value)
    assert "image build" in str(caught.value.hint)
    assert containers_of(api, tag) == []
    assert image.find(api, tag) is None


def test_an_interrupted_build_leaves_no_container(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    folder = context(tmp_path, f"RUN echo {tag}; sleep 300")

    def interrupt(event: Event | ThoughtDelta) -> None:
        if isinstance(event, StepStarted) and "RUN" in event.message:
            while not containers_of(api, tag):
                time.sleep(0.05)
            raise Stopped(signal.SIGINT)

    client = connect(os.environ.get("DOCKER_HOST")).api
    with pytest.raises(Stopped):
        image.build(client, base=base, context=folder, tag=tag, emit=interrupt)
    client.close()
    while containers_of(api, tag):  # the test's own time limit ends it
        time.sleep(0.05)
    assert image.find(api, tag) is None


def test_two_builds_at_once_both_succeed(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    folder = context(tmp_path, f"RUN echo {tag}; sleep 1; date +%N > /made")

    def build(_: int) -> str:
        client = connect(os.environ.get("DOCKER_HOST")).api
        try:
            return image.build(client, base=base, context=folder, tag=tag, emit=ignore)
        finally:
            client.close()

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(build, range(2)))
    try:
        assert all(image.find(api, one) == one for one in both)
        assert image.find(api, tag) in both
    finally:
        for one in set(both) - {image.find(api, tag)}:
            api.remove_image(one, force=True)


def test_the_users_proxy_password_does_not_reach_a_build(
    base: str, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"default": {"httpProxy": "http://user:secret@proxy.invalid:1"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = connect(os.environ.get("DOCKER_HOST")).api
    folder = tmp_path / "context"
    folder.mkdir()
    context(folder, f'RUN echo {tag}; test -z "$http_proxy$HTTP_PROXY"')
    try:
        assert image.build(client, base=base, context=folder, tag=tag, emit=ignore)
    finally:
        client.close()


def test_a_build_afresh_is_not_the_one_of_before(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    folder = context(tmp_path, f"RUN echo {tag}; date +%N > /made")
    first = image.build(api, base=base, context=folder, tag=tag, emit=ignore)
    assert image.build(api, base=base, context=folder, tag=tag, emit=ignore) == first
    second = image.build(api, base=base, context=folder, tag=tag, emit=ignore, fresh=True)
    assert image.find(api, tag) == second != first
    api.remove_image(first, force=True)
    with pytest.raises(ImageNotFound):
        api.inspect_image(first)  # type: ignore[no-untyped-call] # the stubs skip it
