"""Every control of the container holds, and its probe notices when only that control is gone.

The container is made of the product's own arguments, with one of them changed (docs/security.md).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep

import pytest
from docker.types import LogConfig

from tests.docker.controls import LIMITS, MUTANTS, Asked, Mutant, opened, set_host
from tests.fakes import FakeSandbox
from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import Engine, connect
from tiny_backspace.sandbox.interface import ExecResult
from tiny_backspace.sandbox.selftest import TITLES, tried


@pytest.fixture(scope="module")
def locked_down(engine: Engine) -> Iterator[DockerSandbox]:
    with opened(engine) as sandbox:
        yield sandbox


def test_every_control_has_a_probe_and_a_mutant() -> None:
    assert list(MUTANTS) == list(TITLES)
    assert len(set(TITLES.values())) == len(TITLES)


def test_all_controls_hold_at_once(locked_down: DockerSandbox) -> None:
    assert tried(locked_down, LIMITS) == dict.fromkeys(TITLES, "holds")


@pytest.mark.parametrize("name", MUTANTS)
def test_the_probe_notices_when_only_this_control_is_gone(engine: Engine, name: str) -> None:
    with opened(engine, MUTANTS[name]) as mutant:
        assert tried(mutant, LIMITS, [name]) == {name: "open"}


def test_a_probe_that_cannot_run_is_no_control_that_holds(locked_down: DockerSandbox) -> None:
    missing = FakeSandbox(run=lambda _, __: ExecResult(127, stderr=b"python3: not found"))

    assert set(tried(missing, LIMITS).values()) == {"not known: python3: not found"}
    assert tried(locked_down, LIMITS, ["unheard-of"])["unheard-of"].startswith("not known")


# What only the engine can tell.


def has_log(engine: Engine, sandbox: DockerSandbox) -> bool:
    return bool(engine.api.inspect_container(sandbox._id)["LogPath"])


def test_what_pid_1_says_is_written_nowhere(engine: Engine, locked_down: DockerSandbox) -> None:
    assert not has_log(engine, locked_down)
    with opened(engine, set_host(log_config=LogConfig(type="json-file"))) as mutant:
        assert has_log(engine, mutant)


def lives_on(engine: Engine, mutant: Mutant) -> bool:
    """Whether the engine still has a container whose PID 1 has ended."""

    def short(asked: Asked) -> None:
        asked.made["command"] = ["true"]
        mutant(asked)

    with opened(engine, short) as sandbox:
        until = monotonic() + 20
        while monotonic() < until:
            found = engine.api.containers(all=True, filters={"id": sandbox._id})
            if not found or found[0]["State"] == "exited":
                break
            sleep(0.05)
        sleep(0.3)  # one that removes itself is there as exited for a moment
        return bool(engine.api.containers(all=True, filters={"id": sandbox._id}))


def test_a_container_does_not_outlive_its_pid_1(engine: Engine) -> None:
    assert not lives_on(engine, lambda _: None)
    assert lives_on(engine, set_host(auto_remove=False))


def test_no_proxy_of_the_users_configuration_gets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"proxies": {"default": {"httpProxy": "http://user:canary@proxy.example"}}}
    (tmp_path / "config.json").write_text(json.dumps(proxies))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    other = connect("unix:///var/run/docker.sock")
    with closing(other.api):
        with opened(other) as sandbox:
            assert b"canary" not in sandbox.exec(["env"]).stdout
        with opened(other, lambda asked: asked.made.pop("use_config_proxy")) as mutant:
            assert b"canary" in mutant.exec(["env"]).stdout


def test_no_health_check_of_an_image_runs_beside_pid_1(engine: Engine) -> None:
    usual = image.ensure(engine.api, emit=lambda _: None)
    name = f"tiny-backspace-test:{token_hex(6)}"
    dockerfile = f"FROM {usual}\nHEALTHCHECK --interval=1s CMD true\n".encode()
    said = [*engine.api.build(fileobj=io.BytesIO(dockerfile), tag=name, rm=True, decode=True)]
    assert not any("error" in line for line in said)

    def checked(mutant: Mutant) -> bool:
        def of_that_image(asked: Asked) -> None:
            asked.made["image"] = name
            mutant(asked)

        with opened(engine, of_that_image) as sandbox:
            return "Health" in engine.api.inspect_container(sandbox._id)["State"]

    try:
        assert not checked(lambda _: None)
        assert checked(lambda asked: asked.made.pop("healthcheck"))
    finally:
        engine.api.remove_image(name)
