"""Nobody listens, or it is an odd terminal (R5, R8, R49): the run goes on, the result is said somewhere."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import termios
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import oracles
from tests.faults.scene import DONE, Scene, scene
from tests.program import COMMAND, Finished, git

# what a terminal may get of us: printable text, line ends, colours, and the moves of the live view
_MOVES = re.compile(r"\x1b\[[0-9;]*[mAKJHGB]|\x1b\[\?(25|7|1049|2026)[lh]|\r|\n|\t")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("output")) as made:
        yield made


def shell(made: Scene, script: str, *flags: str, **environment: str) -> Finished:
    """The run as "$@" of a shell script: what is redirected there, the shell redirects."""
    done = subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND, *made.arguments(*flags)],
        env=made.place.program.env | environment, cwd=made.place.work, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("script", ['"$@" >&-', '"$@" | head -n 1; exit ${PIPESTATUS[0]}'])
def test_a_run_whose_lines_nobody_takes_comes_to_its_end(stage: Scene, script: str) -> None:
    """Lines that cannot be written are another matter: `test_lines_that_could_not_all_be_written_are_no_success`."""
    pulls = len(stage.place.repo.pulls)

    done = shell(stage, script)

    assert (done.exit_code, done.stderr) == (0, "")
    assert len(stage.place.repo.pulls) == pulls + 1
    oracles.no_container(stage)
    oracles.whole(stage)


@pytest.mark.parametrize(
    ("script", "code", "hint"),
    [
        ('"$@" -o plain >/dev/full', 2, "The result is http"),
        ('"$@" -o plain >&-', 2, "The result is http"),
        ('"$@" -o plain 2>&-', 0, ""),
    ],
)
def test_a_result_that_cannot_be_written_is_said_elsewhere(
    stage: Scene, script: str, code: int, hint: str
) -> None:
    pulls = len(stage.place.repo.pulls)

    done = shell(stage, script)

    assert done.exit_code == code, done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert len(stage.place.repo.pulls) == pulls + 1
    if not code:
        assert done.stdout.startswith("http")


def test_lines_are_utf8_whatever_the_language(stage: Scene) -> None:
    title = "Grüße, 世界"

    done = shell(stage, '"$@"', "--title", title, LC_ALL="C", PYTHONIOENCODING="ascii")

    assert done.exit_code == 0, done.stderr
    assert stage.place.repo.pulls[-1].title == title
    assert all(json.loads(line)["v"] == 1 for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("mode", "environment"),
    [
        ("live", {"TERM": "xterm-256color", "LC_ALL": "C"}),
        ("plain", {"TERM": "xterm", "NO_COLOR": "1"}),
    ],
)
def test_a_narrow_terminal_gets_what_it_understands(
    stage: Scene, mode: str, environment: dict[str, str]
) -> None:
    process, terminal = in_a_terminal(stage, mode, environment)
    shown = b"".join(iter(lambda: read(terminal), b"")).decode(errors="replace")

    assert process.wait(60) == 0
    os.close(terminal)
    assert "/pull/" in re.sub(r"\s", "", shown)
    rest = (
        _MOVES.sub("", shown) if mode == "live" else shown.replace("\r\n", "\n").replace("\n", "")
    )
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", rest), re.findall(
        r"[\x00-\x1f\x7f-\x9f].{9}", rest
    )


def test_a_terminal_that_is_closed_ends_the_run_in_order(stage: Scene) -> None:
    was = oracles.before(stage)
    stage.at = "model"
    stage.reached.clear()
    stage.acted.clear()
    process, terminal = in_a_terminal(stage, "live", {"TERM": "xterm"})
    try:
        assert stage.reached.wait(60)
        os.close(terminal)
        assert process.wait(60) == 128 + signal.SIGHUP
    finally:
        stage.acted.set()
        stage.at = ""
    oracles.no_container(stage)
    assert oracles.children(stage) == []
    assert oracles.leftovers(stage) == []
    oracles.untouched(stage, was)
    oracles.whole(stage)
    oracles.proposed(stage, oracles.before(stage), stage.run())


def in_a_terminal(
    made: Scene, mode: str, environment: dict[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    """A run at a terminal of twenty columns, whose other side this is."""
    terminal, side = os.openpty()
    termios.tcsetwinsize(side, (24, 20))
    process = subprocess.Popen(
        ["setsid", "--ctty", *COMMAND, *made.arguments("-o", mode)],
        env=made.place.program.env | environment, cwd=made.place.work,
        stdin=side, stdout=side, stderr=side,
    )  # fmt: skip
    os.close(side)
    return process, terminal


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError as error:
        if error.errno != errno.EIO:  # which is the end of a terminal
            raise
        return b""


def test_an_engine_that_is_not_there_is_one_sentence(stage: Scene, tmp_path: Path) -> None:
    was = oracles.before(stage)
    program = replace(
        stage.place.program,
        environment={**stage.place.program.environment, "DOCKER_HOST": f"unix://{tmp_path}/none"},
    )

    done = program.run(*stage.arguments(), cwd=stage.place.work)

    assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox")
    assert done.lines[-1]["message"] == f"no Docker engine answers at unix://{tmp_path}/none"
    assert "Start Docker" in done.lines[-1]["hint"]
    assert done.of("model_turn") == []
    oracles.hold(stage, was, done)
    assert git(stage.place.work, "status", "--porcelain") == ""
    assert DONE not in (stage.place.work / "README.md").read_text()
