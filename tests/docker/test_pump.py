"""What goes to a command and comes from it: whole, however it travels; or it is said that it did not (docs/security.md: F13, F14, R9 to R17)."""

from __future__ import annotations

import gc
import hashlib
import random
import subprocess
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.docker.conftest import running
from tests.docker.test_hostile import KILLER
from tests.docker.wire import Wire, wired
from tests.program import Program, git, make_repository
from tests.sandbox.check_sandbox import EVERY_BYTE, Verb
from tests.servers.models import KEY, Asked, Call, Fault, Say, serving
from tiny_backspace.errors import SandboxLost
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import Engine
from tiny_backspace.sandbox.interface import ExecResult

MIB = 1 << 20
ROUND = 100  # MiB
BOUND = 8 * MIB  # of memory, for a stream of any length
One = Callable[[], AbstractContextManager[DockerSandbox]]


def verb(sandbox: DockerSandbox, name: str) -> Verb:
    verbs: dict[str, Verb] = {"exec": sandbox.exec, "call": sandbox.call}
    return verbs[name]


@contextmanager
def behind(
    engine: Engine, sandbox: DockerSandbox, folder: Path, *,
    piece: int = MIB, half_close: bool = True, cut_at: int | None = None,
) -> Generator[tuple[DockerSandbox, Wire]]:  # fmt: skip
    """The same container, by way of a wire."""
    with wired(engine, folder, piece=piece, half_close=half_close, cut_at=cut_at) as (other, wire):
        there = DockerSandbox(other, sandbox._id, lambda _: None)
        try:
            yield there, wire
        finally:
            there.close_session()
            sandbox.close_session()  # it may have been swept from there


@pytest.mark.parametrize("name", ["exec", "call"])
def test_a_hundred_megabytes_go_in_and_come_out_exact_in_little_memory(
    sandbox: DockerSandbox, name: str
) -> None:
    source, sent, got, size = random.Random(7), hashlib.sha256(), hashlib.sha256(), 0

    def chunks() -> Iterator[bytes]:
        for _ in range(ROUND):
            chunk = source.randbytes(MIB)
            sent.update(chunk)
            yield chunk

    def take(data: bytes) -> None:
        nonlocal size
        size += len(data)
        got.update(data)

    tracemalloc.start()
    try:
        result = verb(sandbox, name)(["cat"], stdin=chunks(), on_output=take)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert result == ExecResult(0)
    assert (size, got.digest()) == (ROUND * MIB, sent.digest())
    assert peak < BOUND


@pytest.mark.parametrize("name", ["exec", "call"])
def test_a_byte_at_a_time_is_the_same(
    engine: Engine, sandbox: DockerSandbox, tmp_path: Path, name: str
) -> None:
    data = EVERY_BYTE[-20_000:]
    with behind(engine, sandbox, tmp_path, piece=1) as (slow, _):
        said = verb(slow, name)(["sh", "-c", "cat; echo err >&2; exit 3"], stdin=data)

    assert said == ExecResult(3, data, b"err\n")


def test_the_end_of_the_input_is_told_and_the_output_goes_on(
    engine: Engine, sandbox: DockerSandbox, tmp_path: Path
) -> None:
    with behind(engine, sandbox, tmp_path) as (other, _):
        said = other.exec(
            ["sh", "-c", "wc -c; head -c 3000000 /dev/zero | wc -c; sleep 0.2; echo end"],
            stdin=EVERY_BYTE,
        )

    assert said.stdout.split() == [str(len(EVERY_BYTE)).encode(), b"3000000", b"end"]


def test_who_closes_the_output_still_gets_all_of_the_input(sandbox: DockerSandbox) -> None:
    data = EVERY_BYTE * 20

    done = sandbox.exec(["sh", "-c", "exec >&- 2>&-; cat >got"], stdin=data)

    assert done == ExecResult(0)
    assert sandbox.read("got") == data


def test_an_end_of_the_input_that_is_lost_on_the_way_ends_with_the_time(
    engine: Engine, sandbox: DockerSandbox, tmp_path: Path
) -> None:
    with behind(engine, sandbox, tmp_path, half_close=False) as (other, _):
        late = other.exec(["cat"], stdin=b"some", timeout=0.5)

    assert (late.stdout, late.timed_out, late.ok) == (b"some", True, False)
    assert running(sandbox) == []


# Stops `timeout`, which would end it: only we are left to.
UNTIMED = "kill -STOP $PPID; echo said; sleep 61"


def test_a_command_that_stops_its_own_clock_is_ended_by_ours(sandbox: DockerSandbox) -> None:
    late = sandbox.exec(["sh", "-c", UNTIMED], timeout=0.2)

    assert (late.stdout, late.exit_code, late.timed_out) == (b"said\n", 137, True)
    assert running(sandbox) == []


# What it says is one frame: 8 bytes of its head, 32 that follow.
@pytest.mark.parametrize(
    ("cut_at", "then"),
    [(3, ""), (8, ""), (20, ""), (20, "; sleep 61"), (40, "; sleep 61")],
    ids=["in the head", "after the head", "in the middle", "in the middle, running", "running"],
)
def test_a_stream_that_is_cut_is_no_end(
    engine: Engine, sandbox: DockerSandbox, tmp_path: Path, cut_at: int, then: str
) -> None:
    with (
        behind(engine, sandbox, tmp_path, cut_at=cut_at) as (cut, _),
        pytest.raises(SandboxLost, match=r"broke off in the middle|did not confirm"),
    ):
        cut.exec(["sh", "-c", f"printf %032d 7{then}"])

    assert running(sandbox) == []


def test_a_session_that_is_cut_is_no_answer(
    engine: Engine, sandbox: DockerSandbox, tmp_path: Path
) -> None:
    with (
        behind(engine, sandbox, tmp_path, cut_at=MIB) as (cut, _),
        pytest.raises(SandboxLost, match=r"file session ended|broke off in the middle"),
    ):
        cut.call(["head", "-c", str(2 * MIB), "/dev/zero"])


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # docker-py's own, when refused
@pytest.mark.parametrize("name", ["exec", "call"])
def test_an_engine_that_dies_while_a_command_speaks_is_a_lost_sandbox(
    engine: Engine, sandbox: DockerSandbox, tmp_path: Path, name: str
) -> None:
    with behind(engine, sandbox, tmp_path) as (lost, wire):
        speaking = ["sh", "-c", "head -c 100000 /dev/zero; sleep 61"]
        with pytest.raises(SandboxLost) as first:
            verb(lost, name)(speaking, on_output=lambda _: wire.die())
        with pytest.raises(SandboxLost, match="the engine has gone") as second:
            lost.exec(["true"])

    assert sandbox.exec(["true"]).ok  # which ends what was left running
    assert running(sandbox) == []
    del first, second
    gc.collect()  # sockets are left in the errors' tracebacks: let them go while that is allowed


def test_a_killed_container_is_a_lost_sandbox(engine: Engine, another: One) -> None:
    with another() as sandbox, pytest.raises(SandboxLost):
        sandbox.exec(
            ["sh", "-c", "echo now; sleep 61"], on_output=lambda _: engine.api.kill(sandbox._id)
        )


SCRIPT = (
    Say("I write.", "", (Call("1", "write", {"path": "kept.txt", "content": "kept\n", "description": "as asked"}),)),
    Say("I spoil it.", "", (Call("2", "bash", {"command": f"python3 -c '{KILLER}'"}),)),
    Say("All is done.", "That was it."),
)  # fmt: skip


def answer(asked: Asked) -> Say | Fault:
    return SCRIPT[asked.turn - 1]


def test_a_run_whose_sandbox_cannot_be_swept_is_lost_and_keeps_its_work(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    (tmp_path / "home").mkdir()
    with serving(answer) as server:
        program = Program(
            tmp_path / "home", {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.claude_url}
        )
        done = program.run("run", str(repository), "do it", "--agents", "claude", "-o", "jsonl")

    closing = done.lines[-1]
    assert (done.exit_code, closing["type"], closing["error"]) == (4, "error", "sandbox_lost")
    git(repository, "apply", closing["patch"])
    assert (repository / "kept.txt").read_text() == "kept\n"
    assert len(server.requests) == 2  # a model is not asked about a sandbox that has gone
    owner = (program.state / "id").read_text().strip()
    left = ["docker", "ps", "-aq", "--filter", f"label=tiny-backspace.owner={owner}"]
    assert subprocess.run(left, capture_output=True, check=True).stdout == b""
