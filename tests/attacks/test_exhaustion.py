"""A14 to A25, A29: a model that uses up whatever there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.oracles import holding
from tests.attacks.scene import Scene, acting, bash, hostile, turns
from tests.docker.test_hostile import FORKER, KILLER, STUBBORN
from tests.servers.models import Asked, Call, Fault, Say

FLOOD = 8 << 20  # bytes of output after which a command is ended
# Nothing is bombed whose limits were not just looked at.
LIMITED = """
first() { cat "$@" 2>/dev/null | head -n 1; }
test "$(first /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max)" -le 512 || exit 99
test "$(first /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes)" -le 1073741824 || exit 99
"""
RUNNING = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; echo; done"
GROW = "python3 -c 'held = []\nwhile True: held.append(bytearray(1 << 24))'"
MANY_FILES = """python3 - <<'END'
import os
os.mkdir("many")
try:
    for n in range(1_000_000):
        os.mknod(f"many/{n}")
    print("as many as one likes")
except OSError as error:
    print(error.strerror, n)
END
rm -r many"""


def quoted(source: str) -> str:
    return f"python3 - the-stubborn <<'END'\n{source}\nEND"


ATTEMPTS = (
    bash("a14", f"{LIMITED} perl -e '{FORKER}'", timeout=1),
    bash("a14_next", "echo next"),
    bash("a15", f"{LIMITED} {quoted(STUBBORN)}", timeout=0.5),
    bash("a15_next", RUNNING),
    bash("a17", f"{LIMITED} {GROW}", timeout=30),
    bash("a17_next", "echo next"),
    bash("a18", "dd if=/dev/zero of=big bs=1M; rm big; echo next"),
    bash("a18_many", MANY_FILES, timeout=60),
    bash("a19", f"{LIMITED} dd if=/dev/zero of=big bs=1M 2>/dev/null; {GROW}", timeout=30),
    bash("a19_next", "rm big; echo next"),
    bash("a21", "sleep inf", timeout=0.3),
    bash("a21_input", "cat; exec <&-; echo read"),
    bash("a22", "setsid sleep 100 & echo said", timeout=0.3),
    bash("a22_next", RUNNING),
    bash("a23", "truncate -s 1T sparse; ls -s sparse; rm sparse; truncate -s 1000M sparse"),
    Call("a23_read", "read", {"path": "sparse"}),
    bash("a24", "rm sparse; mkfifo fifo; ln -s /dev/zero zero; ln -s /proc/kmsg kmsg"),
    *(Call(f"a24_{name}", "read", {"path": name}) for name in ("fifo", "zero", "kmsg")),
    bash("a25", "rm fifo zero kmsg; yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -n 1000000 >many-a"),
    Call("a25_backtrack", "grep", {"pattern": "(a+)+$b"}),
    Call("a25_many", "grep", {"pattern": "a"}),
    bash("a25_next", "rm many-a; git status --short"),
    bash("a29", "x" * 40_000),
)  # fmt: skip


@pytest.fixture(scope="module")
def exhausted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, list[int]]]:
    """One run; and the most memory that the program had used by each question, in KiB."""
    peaks: list[int] = []
    with hostile(tmp_path_factory.mktemp("exhausted")) as scene, holding(scene):
        flood = acting(bash("a20", "yes", timeout=30), bash("a20_next", "echo next"))
        said = turns(acting(bash("first", "true")), flood, acting(*ATTEMPTS))

        def answer(asked: Asked) -> Say | Fault:
            peaks.append(peak(scene))
            return said(asked)

        scene.answer = answer
        scene.run("--memory", "1g")
        yield scene, peaks


def peak(scene: Scene) -> int:
    mark = str(scene.home).encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            argv, environ = ((process / n).read_bytes() for n in ("cmdline", "environ"))
            if b"-m\0tiny_backspace" in argv and mark in environ:
                lines = (process / "status").read_text().splitlines()
                return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        except OSError:  # it has ended
            continue
    return 0


@pytest.fixture
def told(exhausted: tuple[Scene, list[int]]) -> dict[str, str]:
    scene, _ = exhausted
    assert scene.finished[0].exit_code == 0
    return scene.results


def test_a14_a_fork_bomb_ends_with_its_time(told: dict[str, str]) -> None:
    """Expected: the command ends by its time-out; the next one works. The host's latency is not measured here."""
    assert told["a14"].startswith("timed out after 1 s")
    assert told["a14_next"] == "exit 0\nnext\n"


def test_a15_processes_that_fork_on_are_swept(told: dict[str, str]) -> None:
    """Expected: swept; the next command works."""
    assert told["a15"].startswith(("exit 0", "timed out"))
    assert told["a15_next"].startswith("exit 0")
    assert "the-stubborn" not in told["a15_next"]


def test_a17_a_memory_bomb_is_killed_and_the_model_is_told_why(told: dict[str, str]) -> None:
    """Expected: 137, told as out of memory; the run goes on."""
    assert told["a17"].startswith("exit 137 (killed, most likely because it ran out of memory)")
    assert told["a17_next"] == "exit 0\nnext\n"


def test_a18_a_full_work_tree_is_an_error_that_deleting_mends(told: dict[str, str]) -> None:
    """Expected: ENOSPC, for bytes and for files; the run goes on after deleting."""
    assert "No space left on device" in told["a18"]
    assert told["a18"].endswith("next\n") or "\nnext\n" in told["a18"]
    assert told["a18_many"].startswith("exit 0\nNo space left on device 1")
    assert int(told["a18_many"].split()[-1]) < 200_000


def test_a19_files_and_memory_together_kill_the_command_alone(told: dict[str, str]) -> None:
    """Expected: the kernel kills the command; the next one is alive."""
    assert told["a19"].startswith("exit 137")
    assert told["a19_next"] == "exit 0\nnext\n"


def test_a20_a_flood_is_ended_at_the_cap_and_costs_the_host_little(
    exhausted: tuple[Scene, list[int]],
) -> None:
    """Expected: killed at the cap; the host's memory grows by less than twice the cap, and Python's slack."""
    scene, peaks = exhausted
    assert scene.told("a20").startswith("stopped: it wrote too much")
    assert len(scene.told("a20")) <= 64 << 10
    assert scene.told("a20_next") == "exit 0\nnext\n"
    _, before, after, _ = peaks
    assert 0 < before <= after
    assert (after - before) << 10 < 2 * FLOOD + (32 << 20)


def test_a21_a_command_that_says_nothing_ends_with_its_time(told: dict[str, str]) -> None:
    """Expected: the deadline; no deadlock, and no input to wait for."""
    assert told["a21"].startswith("timed out after 0.3 s")
    assert told["a21_input"] == "exit 0\nread\n"


def test_a22_what_goes_on_in_the_background_is_swept(told: dict[str, str]) -> None:
    """Expected: it returns by its time-out, and the process is gone."""
    assert "said" in told["a22"]
    assert "sleep 100" not in told["a22_next"]


def test_a23_a_giant_file_is_not_made_and_a_large_one_is_not_read_whole(
    told: dict[str, str],
) -> None:
    """Expected: SIGXFSZ (EFBIG); the read tool tells a bounded part."""
    assert "File too large" in told["a23"] or "File size limit exceeded" in told["a23"]
    assert len(told["a23_read"]) <= 64 << 10


def test_a24_what_is_no_file_is_not_read(told: dict[str, str]) -> None:
    """Expected: "not a regular file", at once."""
    for name in ("fifo", "zero"):
        assert "not a regular file" in told[f"a24_{name}"].lower()
    assert "\n" not in told["a24_kmsg"]  # it cannot even be opened


def test_a25_a_search_has_an_end(told: dict[str, str]) -> None:
    """Expected: bounded in time and bytes."""
    assert told["a25_backtrack"] == "no matches"
    assert told["a25_many"].startswith("there is too much of it")
    assert told["a25_next"] == "exit 0\n"


def test_a16_who_kills_faster_than_we_do_loses_the_sandbox(scene: Scene) -> None:
    """Expected: the run fails as `sandbox_lost`."""
    scene.answer = turns(acting(bash("a16", f"python3 - <<'END'\n{KILLER}\nEND", timeout=1)))

    done = scene.run()

    assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox_lost")
    assert (scene.place.new, scene.place.repo.pulls) == ([], [])


def test_a29_calls_and_money_have_an_end(scene: Scene) -> None:
    """Expected: the run fails as a limit that was reached. Turns and tokens: tests/agent/test_budget.py."""
    many = acting(*(bash(f"c{n}", "true") for n in range(5)))
    dear = Say("I think.", "", (bash("dear", "true"),), tokens=(4_000_000, 1000))

    assert "in 3 tool calls" in scene_run(scene, many, "--max-tool-calls", "3")
    assert "for $0.1" in scene_run(scene, dear, "--max-cost", "0.1")
    assert (scene.place.new, scene.place.repo.pulls) == ([], [])


def test_a29_an_argument_of_any_length_is_an_error(told: dict[str, str]) -> None:
    assert "at most 32000" in told["a29"]
    assert len(told["a29"]) < 10_000


def scene_run(scene: Scene, say: Say, *flags: str) -> str:
    scene.answer = lambda _: say
    done = scene.run(*flags)
    assert (done.exit_code, done.lines[-1]["error"]) == (6, "limit_reached")
    return str(done.lines[-1]["message"])
