"""The product on Podman (docs/security.md, "Engines"): `make podman`. Not part of `make test`, as it needs Podman."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.docker import test_hostile as hostile
from tests.docker import test_pump as pump
from tests.docker import test_sandbox as usual
from tests.docker.conftest import SMALL
from tests.podman.service import service
from tests.program import Program, git, make_repository
from tests.sandbox import check_sandbox as contract
from tiny_backspace.errors import SandboxLost
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import Engine, connect
from tiny_backspace.sandbox.opening import open_sandbox

PROMPT = "replace 'helo' with 'hello' in README.md"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with service(tmp_path_factory.mktemp("podman")) as socket:
        yield socket


@pytest.fixture(scope="module")
def engine(host: str) -> Iterator[Engine]:
    connected = connect(host)
    with closing(connected.api):
        assert connected.is_podman()
        yield connected
        assert connected.api.containers(all=True) == []


@pytest.fixture(scope="module")
def sandbox(engine: Engine) -> Iterator[DockerSandbox]:
    with open_sandbox(engine, SMALL, "podman01", "test", lambda _: None) as opened:
        yield opened


@pytest.fixture
def program(host: str, tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home", {"DOCKER_HOST": host})


def test_every_control_holds_but_the_one_that_podman_lacks(program: Program) -> None:
    done = program.run("doctor", "--sandbox", "--json")

    found = {line["name"]: line for line in done.lines}
    assert done.exit_code == 0, done.stdout + done.stderr
    assert found["sandbox"]["status"] == "ok", found["sandbox"]
    not_ok = {name: line["found"] for name, line in found.items() if line["status"] != "ok"}
    assert not_ok.pop("Files in the work tree") == "open"


def test_a_sentence_becomes_a_verified_branch(program: Program, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "project", {"README.md": "helo world\n"})
    verify = "git diff --stat HEAD; grep hello README.md"

    done = program.run("run", str(repository), PROMPT, "--verify", verify, "-o", "jsonl")

    assert done.exit_code == 0, done.stdout[-2000:] + done.stderr
    branch = done.lines[-1]["branch"]
    assert git(repository, "show", f"{branch}:README.md") == "hello world"
    assert {(line["on"], line["ok"]) for line in done.of("verification")} == {
        ("base", False),
        ("change", True),
    }


def test_the_contract_is_kept(sandbox: DockerSandbox) -> None:
    """Save for what a command has said that leaves some of its input unread: Podman may lose it."""
    for verb in (sandbox.exec, sandbox.call):
        contract.outcomes(verb)
        contract.output_is_handed_over(verb)
        contract.time_is_up(verb)
    contract.input_arrives(sandbox.call)
    contract.reading(sandbox)
    contract.what_cannot_be_read(sandbox)
    contract.writing(sandbox)
    contract.modes_and_links(sandbox)
    contract.what_cannot_be_written(sandbox)


@pytest.mark.parametrize("name", ["exec", "call"])
def test_streams_are_whole(sandbox: DockerSandbox, name: str) -> None:
    run = pump.verb(sandbox, name)
    pump.test_a_hundred_megabytes_go_in_and_come_out_exact_in_little_memory(sandbox, name)
    usual.test_of_a_long_output_the_two_ends_are_kept(run)
    usual.test_trouble_on_the_host_is_raised_as_it_is_and_the_next_call_is_a_new_one(run)


def test_what_does_not_want_to_end_ends(sandbox: DockerSandbox) -> None:
    usual.test_a_flood_is_ended_at_the_cap(sandbox, "")
    pump.test_a_command_that_stops_its_own_clock_is_ended_by_ours(sandbox)
    hostile.test_what_a_command_leaves_running_is_swept(sandbox, "sleep 61 & echo said")
    hostile.test_processes_that_fork_on_and_ignore_their_end_are_swept(sandbox)
    hostile.test_a_fork_bomb_ends_and_the_next_command_works(sandbox)
    hostile.test_the_first_process_is_out_of_reach(sandbox, "kill -STOP 1")
    hostile.test_the_first_process_is_out_of_reach(sandbox, "cat /proc/1/environ")


def test_a_sandbox_that_cannot_be_swept_or_was_removed_is_lost(engine: Engine) -> None:
    with (
        open_sandbox(engine, SMALL, "podman02", "test", lambda _: None) as spoilt,
        pytest.raises(SandboxLost),
    ):
        spoilt.exec(["python3", "-c", hostile.KILLER], timeout=2)
    with (
        open_sandbox(engine, SMALL, "podman03", "test", lambda _: None) as removed,
        pytest.raises(SandboxLost),
    ):
        removed.exec(
            ["sh", "-c", "echo now; sleep 61"],
            on_output=lambda _: engine.api.remove_container(removed._id, force=True),
        )
