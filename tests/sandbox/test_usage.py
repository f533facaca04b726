from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.fakes import FakeSandbox
from tiny_backspace.events import Event, Resources, ThoughtDelta, ToolFinished, Warned
from tiny_backspace.sandbox.attest import USAGE
from tiny_backspace.sandbox.interface import ExecResult
from tiny_backspace.sandbox.usage import measured, sampling

CGROUP = "/sys/fs/cgroup"
KERNEL = (
    f"{CGROUP}/memory.current:1000\n{CGROUP}/memory.peak:2000\n"
    f"{CGROUP}/cpu.stat:usage_usec 2500000\n{CGROUP}/pids.current:4\nend:\n"
)
TOOL = ToolFinished(id="1", tool="bash", ok=True, exit_code=0, duration_ms=1.0, size=0, excerpt="")
OTHER = Warned(message="something else")
DELTA = ThoughtDelta(text="a piece")
SAMPLE = Resources(memory=1000, memory_peak=2000, cpu_s=2.5, pids=4, workspace=4096)


def container(kernel: str = KERNEL, workspace: str = "   4096\n") -> FakeSandbox:
    def run(argv: Sequence[str], stdin: bytes) -> ExecResult:
        return ExecResult(0, (kernel if tuple(argv) == USAGE else workspace).encode())

    return FakeSandbox(run=run)


def test_use_is_what_the_kernel_and_the_work_tree_tell() -> None:
    assert measured(container()) == SAMPLE


@pytest.mark.parametrize("workspace", ["", "df: command not found", "-1"])
def test_what_is_not_told_is_unknown(workspace: str) -> None:
    found = measured(container(kernel="garbage", workspace=workspace))
    assert found == Resources(memory=None, memory_peak=None, cpu_s=None, pids=None)


def told(*steps: tuple[float, Event | ThoughtDelta]) -> list[Event | ThoughtDelta]:
    """What comes out when these events come in, at these times of a clock that starts at 0."""
    clock = [0.0]
    events: list[Event | ThoughtDelta] = []
    emit = sampling(container(), events.append, lambda: clock[-1])
    for now, event in steps:
        clock.append(now)
        emit(event)
    return events


def test_a_sample_follows_a_tool_call_when_the_last_one_is_two_seconds_old() -> None:
    assert told((1.9, TOOL), (2.0, TOOL), (2.1, TOOL), (3.9, TOOL), (4.0, TOOL)) == [
        TOOL,
        TOOL,
        SAMPLE,
        TOOL,
        TOOL,
        TOOL,
        SAMPLE,
    ]


def test_nothing_but_a_tool_call_is_followed_by_a_sample() -> None:
    assert told((10.0, OTHER), (20.0, DELTA), (30.0, SAMPLE)) == [OTHER, DELTA, SAMPLE]
