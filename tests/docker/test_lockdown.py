"""What the container is: seen from inside, from the engine, and in our own source (docs/security.md)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from tests.docker.conftest import SMALL, Opener, containers_of
from tiny_backspace.errors import SandboxLost, SandboxUnverified
from tiny_backspace.events import Event, SandboxAttested, ThoughtDelta
from tiny_backspace.sandbox import container, image, opening
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import (
    DEADLINE_LABEL,
    OWNER_LABEL,
    RUN_LABEL,
    Engine,
    connect,
)
from tiny_backspace.sandbox.opening import open_sandbox

ENVIRONMENT = {"HOME", "HOSTNAME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE"}


def said(sandbox: DockerSandbox, script: str) -> str:
    return sandbox.exec(["sh", "-c", script]).stdout.decode().strip()


def inspected(engine: Engine, sandbox: DockerSandbox) -> dict[str, Any]:
    facts: dict[str, Any] = engine.api.inspect_container(sandbox._id)
    return facts


def test_commands_are_the_agents_without_rights(sandbox: DockerSandbox) -> None:
    assert said(sandbox, "id -u; id -g; id -G").split() == ["10001"] * 3
    status = said(sandbox, "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status").split("\n")
    assert dict(line.split(":\t") for line in status) == {
        "CapInh": "0" * 16,
        "CapPrm": "0" * 16,
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "CapAmb": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_quick_calls_and_files_are_the_same_users(sandbox: DockerSandbox) -> None:
    sandbox.write("mine", b"")
    assert sandbox.call(["id", "-u"]).stdout == b"10001\n"
    assert sandbox.call(["stat", "-c", "%u:%g", "mine"]).stdout == b"10001:10001\n"


def test_there_is_no_network(sandbox: DockerSandbox) -> None:
    assert said(sandbox, "tail -n +3 /proc/net/dev | cut -d: -f1").split() == ["lo"]
    assert said(sandbox, "tail -n +2 /proc/net/route") == ""
    reach = "import socket; socket.create_connection(('1.1.1.1', 53), 5)"
    assert b"unreachable" in sandbox.exec(["python3", "-c", reach]).stderr


def test_nothing_of_the_hosts_environment_goes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    proxy = {"httpProxy": "http://user:canary@proxy.invalid:3128", "noProxy": "canary.invalid"}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": proxy}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN", "https_proxy"):
        monkeypatch.setenv(name, "canary")
    engine = connect(None)

    with (
        closing(engine.api),
        open_sandbox(engine, SMALL, token_hex(4), owner, lambda _: None) as sandbox,
    ):
        assert "canary" in repr(vars(engine.api)["_proxy_configs"])  # docker-py would hand it on
        inside = sandbox.exec(["env", "-0"]).stdout + sandbox.call(["env", "-0"]).stdout
        asked = json.dumps(inspected(engine, sandbox))

    names = {line.partition(b"=")[0].decode() for line in inside.split(b"\0") if line}
    assert names <= ENVIRONMENT | {"PWD", "LC_CTYPE"}
    assert b"canary" not in inside
    assert "canary" not in asked


def test_the_engine_was_asked_for_every_control(engine: Engine, sandbox: DockerSandbox) -> None:
    facts = inspected(engine, sandbox)
    host, config = facts["HostConfig"], facts["Config"]

    assert (host["NetworkMode"], config["NetworkDisabled"]) == ("none", True)
    assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False)
    assert host["ReadonlyRootfs"]
    assert (host["Binds"], host["Devices"] or [], facts["Mounts"]) == (None, [], [])
    assert host["SecurityOpt"][0] == "no-new-privileges"
    assert host["SecurityOpt"][1].startswith('seccomp={"')
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (1 << 30, 1 << 30, 512)
    assert (host["IpcMode"], host["CgroupnsMode"], host["PidMode"]) == ("private", "private", "")
    assert (host["LogConfig"]["Type"], host["AutoRemove"], host["Init"]) == ("none", True, True)
    assert config["User"] == "10000:10000"
    assert config["Cmd"] == ["sleep", str(int(SMALL.seconds) + 120)]


def test_labels_say_whose_it_is_and_when_it_ends(
    engine: Engine, sandbox: DockerSandbox, owner: str
) -> None:
    labels = inspected(engine, sandbox)["Config"]["Labels"]
    assert labels[OWNER_LABEL] == owner
    assert labels[DEADLINE_LABEL] == str(int(SMALL.seconds) + 120)
    assert len(labels[RUN_LABEL]) == 8


def test_a_container_ends_by_itself_when_nobody_ends_it(engine: Engine, owner: str) -> None:
    wish = replace(SMALL, seconds=3 - 120)  # the deadline is two minutes after the run's own

    with open_sandbox(engine, wish, token_hex(4), owner, lambda _: None) as sandbox:
        engine.api.wait(sandbox._id, timeout=20)
        with pytest.raises(SandboxLost):
            sandbox.exec(["true"])


DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "memory": ({"memory": 2 << 30}, "the memory limit is 1073741824, not 2147483648"),
    "processes": ({"pids": 64}, "the limit of processes is 512, not 64"),
    "CPU": ({"cpus": 0.25}, "the CPU limit is "),
}


@pytest.mark.parametrize("limit", DIFFERENT)
def test_a_limit_that_is_not_the_one_asked_for_is_refused(
    engine: Engine, sandbox: DockerSandbox, limit: str
) -> None:
    events: list[Event | ThoughtDelta] = []
    info = engine.api.info()
    real = container.limits(SMALL, engine_memory=info["MemTotal"], engine_cpus=info["NCPU"])
    changes, sentence = DIFFERENT[limit]

    with pytest.raises(SandboxUnverified, match=sentence):
        opening._attest(
            sandbox, "agent", sandbox._id, "sha256:0", replace(real, **changes), events.append
        )

    (event,) = events
    assert isinstance(event, SandboxAttested)
    assert not event.ok
    (problem,) = event.problems
    assert problem.startswith(sentence)


@pytest.fixture
def with_a_volume(engine: Engine) -> Iterator[str]:
    """An image that brings a writable folder of the host's disk with it."""
    usual = image.ensure(engine.api, emit=lambda _: None)
    name = f"tiny-backspace-test:{token_hex(6)}"
    dockerfile = f"FROM {usual}\nVOLUME /data\n".encode()
    said = [*engine.api.build(fileobj=io.BytesIO(dockerfile), tag=name, rm=True, decode=True)]
    assert not [line for line in said if "error" in line]
    yield name
    engine.api.remove_image(name)


def test_an_image_that_opens_a_way_out_is_refused_and_its_container_removed(
    engine: Engine, opener: Opener, with_a_volume: str, owner: str
) -> None:
    before = containers_of(engine, owner)
    events: list[Event | ThoughtDelta] = []

    with (
        pytest.raises(SandboxUnverified, match="/data is a writable"),
        opener(replace(SMALL, image=with_a_volume), events),
    ):
        pytest.fail("nothing may run in it")

    (event,) = [event for event in events if isinstance(event, SandboxAttested)]
    assert not event.ok
    assert containers_of(engine, owner) == before
