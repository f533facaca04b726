"""Commands that do not want to end, or want the sandbox to (docs/security.md: A14 to A16, A21, A22)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from time import monotonic

import pytest

from tests.docker.conftest import running
from tiny_backspace.errors import SandboxLost
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import Engine

One = Callable[[], AbstractContextManager[DockerSandbox]]

# A grandchild, so that nobody waits for it: it kills whatever of its user comes up, and never itself.
KILLER = """
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            try:
                os.kill(-1, 9)
            except ProcessLookupError:
                pass
    os._exit(0)
os.wait()
"""

# As many as there may be, trying for more; the pause spares the machine, not the limit.
FORKER = "while (1) { fork or select undef, undef, undef, 0.1 }"

# The server of the file session, by its command line: it lives, but does not answer any more.
STOPPER = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    if b"\\0-I\\0-S\\0-c\\0" in open(f"/proc/{pid}/cmdline", "rb").read():
        os.kill(int(pid), 19)
        print("stopped")
"""

# Children that ignore what can be ignored, and have children of their own in new sessions.
STUBBORN = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        os.fork()
        while True:
            time.sleep(0.01)
            if os.fork():
                os._exit(0)
"""


@pytest.mark.parametrize(
    "command",
    ["sleep 61 & echo said", "setsid nohup sleep 61 >/dev/null 2>&1 & echo said"],
    ids=["holds the output", "in a session of its own"],
)
def test_what_a_command_leaves_running_is_swept(sandbox: DockerSandbox, command: str) -> None:
    left = sandbox.exec(["sh", "-c", command], timeout=2)

    assert left.stdout == b"said\n"
    assert running(sandbox) == []
    assert sandbox.exec(["echo", "next"]).stdout == b"next\n"


def test_what_a_call_leaves_running_is_swept_with_the_next_command(sandbox: DockerSandbox) -> None:
    in_its_session = 'until [ "$(cut -d " " -f 6 /proc/$!/stat)" = $! ]; do :; done'
    sandbox.call(["sh", "-c", f"setsid sleep 61 >/dev/null 2>&1 & {in_its_session}"])
    assert running(sandbox) == ["sleep"]

    assert sandbox.exec(["true"]).ok

    assert running(sandbox) == []


def test_processes_that_fork_on_and_ignore_their_end_are_swept(sandbox: DockerSandbox) -> None:
    sandbox.exec(["python3", "-c", STUBBORN], timeout=0.5)

    assert running(sandbox) == []


def test_a_command_that_ignores_the_end_of_its_time_is_ended(sandbox: DockerSandbox) -> None:
    late = sandbox.exec(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], timeout=0.5)

    assert (late.exit_code, late.timed_out) == (137, True)
    assert sandbox.exec(["echo", "next"]).stdout == b"next\n"


def test_killing_everything_once_kills_the_command_only(sandbox: DockerSandbox) -> None:
    sandbox.write("kept", b"1")

    sandbox.exec(["sh", "-c", "kill -9 -1"], timeout=20)

    assert sandbox.read("kept") == b"1"
    assert sandbox.exec(["cat", "kept"]).stdout == b"1"


def test_a_command_that_stops_the_file_session_is_swept_with_it(sandbox: DockerSandbox) -> None:
    sandbox.write("kept", b"1")

    assert sandbox.exec(["python3", "-c", STOPPER]).stdout == b"stopped\n"

    assert sandbox.read("kept") == b"1"


def test_who_kills_faster_than_we_do_loses_the_sandbox(engine: Engine, another: One) -> None:
    with another() as sandbox:
        start = monotonic()
        with pytest.raises(SandboxLost):
            sandbox.exec(["python3", "-c", KILLER], timeout=2)
        took = monotonic() - start

    assert took < 2 + 15  # a bound that is promised, not a measure
    assert engine.api.containers(all=True, filters={"id": sandbox._id}) == []


def test_a_fork_bomb_ends_and_the_next_command_works(sandbox: DockerSandbox) -> None:
    limit = sandbox.exec(
        ["sh", "-c", "cat /sys/fs/cgroup/pids.max || cat /sys/fs/cgroup/pids/pids.max"]
    )
    assert 0 < int(limit.stdout) <= 512  # or the next lines would take the machine down
    bomb = sandbox.exec(["perl", "-e", FORKER], timeout=1)

    assert bomb.timed_out
    assert running(sandbox) == []
    assert sandbox.exec(["echo", "next"]).stdout == b"next\n"


@pytest.mark.parametrize(
    "command", ["kill -9 1", "kill -STOP 1", "kill -TERM 1", "cat /proc/1/environ"]
)
def test_the_first_process_is_out_of_reach(sandbox: DockerSandbox, command: str) -> None:
    refused = sandbox.exec(["sh", "-c", command])

    assert refused.exit_code != 0
    assert b"not permitted" in refused.stderr or b"Permission denied" in refused.stderr
    assert sandbox.exec(["true"]).ok


# Whoever has our uid can open the session's pipes; the words are those of toolserver.py.
FORGED = {
    "nonsense": "b'nonsense, and more of it'",
    "no JSON": "b'X' + (4).to_bytes(4, 'big') + b'none'",
    "another result": "b'X' + (2).to_bytes(4, 'big') + b'{}'",
    "no object": "b'X' + (2).to_bytes(4, 'big') + b'[]'",
    "strange errors": "b'X' + (14).to_bytes(4, 'big') + b'{\"errno\": \"x\"}'",
    "an immense frame": "b'1' + b'\\xff' * 4",
}
FORGER = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    if b"\\0-I\\0-S\\0-c\\0" in open(f"/proc/{{pid}}/cmdline", "rb").read():
        with open(f"/proc/{{pid}}/fd/1", "wb") as pipe:
            pipe.write({frame})
"""


@pytest.mark.parametrize("frame", FORGED)
def test_a_forged_answer_of_the_session_is_at_worst_a_lost_sandbox(
    another: One, frame: str
) -> None:
    with another() as sandbox:
        forge = FORGER.format(frame=FORGED[frame])
        for use in (
            lambda: sandbox.call(["python3", "-c", forge]),
            lambda: sandbox.exec(["python3", "-c", forge]),
            lambda: sandbox.read("file"),
        ):
            with suppress(SandboxLost, FileNotFoundError):
                use()
        assert sandbox.exec(["echo", "next"]).stdout == b"next\n"
