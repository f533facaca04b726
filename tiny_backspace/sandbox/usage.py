"""What the sandbox uses: sampled while the agent works, and once at the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from tiny_backspace.errors import SandboxError
from tiny_backspace.events import Emit, Event, Resources, ThoughtDelta, ToolFinished
from tiny_backspace.sandbox.attest import USAGE, parse_usage
from tiny_backspace.sandbox.interface import Sandbox

_EVERY = 2.0  # seconds, at the least, between two samples

_WORKSPACE = ("sh", "-c", "df -B1 --output=used . | tail -n 1")


def measured(sandbox: Sandbox) -> Resources:
    """The use so far, by the container's own control group and file system."""
    usage = parse_usage(sandbox.call(USAGE, timeout=10).stdout)
    used = sandbox.call(_WORKSPACE, timeout=10).stdout.strip()
    return Resources(
        memory=usage.memory,
        memory_peak=usage.memory_peak,
        cpu_s=usage.cpu_s,
        pids=usage.pids,
        workspace=int(used) if used.isdigit() else None,
    )


def sampling(sandbox: Sandbox, emit: Emit, clock: Callable[[], float] = monotonic) -> Emit:
    """An `emit` that adds a sample after a tool call, where the last one is some time ago."""
    last = clock()

    def emit_and_sample(event: Event | ThoughtDelta) -> None:
        nonlocal last
        emit(event)
        if isinstance(event, ToolFinished) and clock() - last >= _EVERY:
            with suppress(SandboxError):  # a figure; whoever needs the sandbox will notice
                emit(measured(sandbox))
            last = clock()

    return emit_and_sample
