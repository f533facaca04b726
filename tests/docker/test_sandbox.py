"""The real sandbox: every byte in and out, ends that are ends, and the contract it shares with the fakes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from tests.docker.conftest import SMALL, Opener, running
from tests.sandbox.check_sandbox import Verb, check_sandbox
from tiny_backspace.errors import SandboxLost
from tiny_backspace.events import Event, SandboxAttested, ThoughtDelta, Timed, Warned
from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import Engine
from tiny_backspace.sandbox.interface import ExecResult
from tiny_backspace.sandbox.output import FLOOD, KEEP

MIB = 1 << 20
One = Callable[[], AbstractContextManager[DockerSandbox]]


@pytest.fixture(params=["exec", "call"])
def run(request: pytest.FixtureRequest, sandbox: DockerSandbox) -> Verb:
    verbs: dict[str, Verb] = {"exec": sandbox.exec, "call": sandbox.call}
    return verbs[request.param]


def test_the_container_keeps_the_contract(sandbox: DockerSandbox) -> None:
    check_sandbox(sandbox)


def test_an_image_without_python_keeps_the_contract_and_says_that_it_is_slow(
    engine: Engine, opener: Opener
) -> None:
    events: list[Event | ThoughtDelta] = []
    bare = replace(SMALL, image=image.default_base(engine.api))

    with opener(bare, events) as sandbox:
        check_sandbox(sandbox)
        flooded = sandbox.call(["yes"])
        assert (flooded.exit_code, flooded.clipped) == (137, True)
        assert sandbox.read("plain") == b"x\n"
        with ThreadPoolExecutor(4) as pool:
            said = pool.map(lambda n: sandbox.call(["echo", str(n)]).stdout, range(8))
            assert list(said) == [b"%d\n" % n for n in range(8)]

    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert "no python3" in warning.message


def test_twenty_megabytes_go_in_and_come_out_exact(run: Verb) -> None:
    data, got = os.urandom(20 * MIB), bytearray()

    result = run(
        ["cat"],
        stdin=(data[at : at + MIB] for at in range(0, len(data), MIB)),
        on_output=got.extend,
    )

    assert result.ok
    assert got == data


def test_a_file_of_twenty_megabytes_is_written_and_read_exact(sandbox: DockerSandbox) -> None:
    data = os.urandom(20 * MIB)
    sandbox.write("big", data)
    assert sandbox.read("big", limit=len(data) + 1) == data
    assert len(sandbox.read("big")) == 16 * MIB


def test_a_command_that_does_not_want_its_input_is_not_waited_for(run: Verb) -> None:
    assert run(["head", "-c1"], stdin=b"x" * (20 * MIB)).stdout == b"x"
    assert run(["true"], stdin=b"x" * (20 * MIB)).ok
    assert run(["echo", "next"]).stdout == b"next\n"


def test_input_is_pulled_no_faster_than_it_is_read(sandbox: DockerSandbox) -> None:
    pulled = 0

    def endless() -> Iterator[bytes]:
        nonlocal pulled
        while True:
            pulled += MIB
            yield b"x" * MIB

    assert sandbox.exec(["sleep", "60"], stdin=endless(), timeout=0.5).timed_out
    assert pulled <= 16 * MIB


def test_of_a_long_output_the_two_ends_are_kept(run: Verb) -> None:
    result = run(
        ["sh", "-c", "echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last"]
    )

    assert result.ok
    assert result.clipped
    assert result.stdout.startswith(b"first\nxxx")
    assert result.stdout.endswith(b"xxx\nlast\n")
    assert b"bytes left out ...]\n" in result.stdout
    assert KEEP <= len(result.stdout) <= KEEP + 100


@pytest.mark.parametrize("where", ["", " >&2"])
def test_a_flood_is_ended_at_the_cap(sandbox: DockerSandbox, where: str) -> None:
    flood = sandbox.exec(["sh", "-c", f"yes{where}"], timeout=60)

    assert (flood.exit_code, flood.timed_out, flood.clipped) == (137, False, True)
    assert KEEP <= len(flood.stdout + flood.stderr) <= KEEP + 100
    assert "yes" not in running(sandbox)


def test_who_takes_the_output_may_take_more_than_the_cap(run: Verb) -> None:
    size = 0

    def count(data: bytes) -> None:
        nonlocal size
        size += len(data)

    assert run(["head", "-c", str(FLOOD * 2), "/dev/zero"], on_output=count).ok
    assert size == FLOOD * 2


class TooMuchError(OSError):
    """As a full disk would be: an OSError, and the host's."""


def refuse(_: bytes) -> None:
    raise TooMuchError(28, "No space left on the host")


def broken() -> Iterator[bytes]:
    yield b"some"
    raise TooMuchError(5, "the host cannot read its own file")


def test_trouble_on_the_host_is_raised_as_it_is_and_the_next_call_is_a_new_one(run: Verb) -> None:
    with pytest.raises(TooMuchError):
        run(["head", "-c", "1000000", "/dev/zero"], on_output=refuse)
    with pytest.raises(TooMuchError):
        run(["cat"], stdin=broken())
    assert run(["echo", "next"]).stdout == b"next\n"


def test_two_sandboxes_do_not_see_each_other(sandbox: DockerSandbox, another: One) -> None:
    with another() as second:
        sandbox.write("mine", b"1")
        with pytest.raises(FileNotFoundError):
            second.read("mine")
        second.write("mine", b"2")
        assert sandbox.exec(["cat", "mine"]).stdout == b"1"
        assert second.exec(["cat", "mine"]).stdout == b"2"


def test_a_container_that_was_removed_is_a_lost_sandbox(engine: Engine, another: One) -> None:
    with another() as sandbox:
        assert sandbox.call(["true"]).ok
        engine.api.remove_container(sandbox._id, force=True)
        for use in (
            lambda: sandbox.exec(["true"]),
            lambda: sandbox.call(["true"]),
            lambda: sandbox.read("file"),
            lambda: sandbox.write("file", b""),
        ):
            with pytest.raises(SandboxLost):
                use()


def test_a_container_that_is_removed_while_a_command_runs_is_a_lost_sandbox(
    engine: Engine, another: One
) -> None:
    def gone(_: bytes) -> None:
        engine.api.remove_container(sandbox._id, force=True)

    with another() as sandbox, pytest.raises(SandboxLost):
        sandbox.exec(["sh", "-c", "echo now; sleep 60"], on_output=gone)


# Each leaves its own sign and waits for the other's: neither ends unless both run.
MEET = "touch {mine}; until [ -e {other} ]; do sleep 0.01; done"

WAIT = ": >begun; until [ -e sign ]; do sleep 0.01; done"


def until_there(sandbox: DockerSandbox, name: str) -> None:
    while not sandbox.call(["test", "-e", name]).ok:
        pass


def test_calls_of_several_threads_run_at_the_same_time(another: One) -> None:
    names = "abcd"

    def meet(n: int) -> ExecResult:
        script = MEET.format(mine=names[n], other=names[(n + 1) % len(names)])
        return sandbox.call(["sh", "-c", script], timeout=30)

    with another() as sandbox, ThreadPoolExecutor(len(names)) as pool:
        assert all(result.ok for result in pool.map(meet, range(len(names))))
        assert sandbox.exec(["true"]).ok
        assert running(sandbox) == ["python3"] * (len(names) - 1)  # kept: they are no leftovers


def test_a_file_is_read_and_written_while_a_call_runs(another: One) -> None:
    with another() as sandbox, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sandbox.call, ["sh", "-c", WAIT], timeout=30)
        until_there(sandbox, "begun")
        sandbox.write("sign", b"")
        assert waiting.result().ok


def test_a_command_that_leaves_something_ends_every_session_and_they_start_again(
    another: One,
) -> None:
    with another() as sandbox, ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            waiting = pool.submit(sandbox.call, ["sh", "-c", WAIT], timeout=30)
            until_there(sandbox, "begun")
            sandbox.write("sign", b"")
            assert waiting.result().ok

            assert sandbox.exec(["sh", "-c", "setsid sleep 61 >/dev/null 2>&1 & rm begun sign"]).ok

            assert running(sandbox) == []


def test_a_call_that_does_not_end_is_swept_with_what_a_command_left(another: One) -> None:
    with another() as sandbox, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sandbox.call, ["sh", "-c", WAIT])
        until_there(sandbox, "begun")

        assert sandbox.exec(["true"]).ok

        with pytest.raises(SandboxLost):
            waiting.result()
        assert running(sandbox) == []
        assert sandbox.read("begun") == b""


def test_what_opening_did_is_told(opener: Opener) -> None:
    events: list[Event | ThoughtDelta] = []

    with opener(SMALL, events) as sandbox:
        (attested,) = [event for event in events if isinstance(event, SandboxAttested)]
        assert attested.ok
        assert sandbox._id.startswith(attested.container)

    assert (attested.uid, attested.memory, attested.pids) == (10001, 1 << 30, 512)
    assert [event.operation for event in events if isinstance(event, Timed)] == [
        "sandbox.image",
        "sandbox.create",
        "sandbox.start",
        "sandbox.attest",
        "sandbox.remove",
    ]
