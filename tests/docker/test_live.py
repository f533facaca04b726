"""`run` in a terminal: the panels at three sizes, another size meanwhile, Ctrl-C, and a question before a branch."""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.conftest import containers_of
from tests.program import Program, git, make_repository
from tests.servers.models import KEY, Asked, Call, Fault, Say, serving
from tests.terminal import SIZES, terminal
from tiny_backspace.sandbox.engine import Engine

EDIT = Call(
    "1", "edit", {"path": "README.md", "old": "helo", "new": "hello", "description": "spelling"}
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", {"README.md": "helo\n"})


@pytest.fixture
def paused() -> Iterator[threading.Event]:
    """The model's second answer waits for this."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def program(tmp_path: Path, paused: threading.Event) -> Iterator[Program]:
    def answer(asked: Asked) -> Say:
        if asked.turn == 1:
            return Say("I correct the spelling.", "", (EDIT,))
        paused.wait()
        return Say("The spelling is right now.")

    home = tmp_path / "home"
    home.mkdir()
    with serving(answer) as models:
        yield Program(home, {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": models.claude_url})
        paused.set()


def working(text: str) -> bool:
    """The first edit is told, and the second answer is waited for."""
    return "README.md" in text and "hello" in text and "solve" in text


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_run_is_seen_at_work_and_ends_with_its_summary(
    program: Program, repository: Path, paused: threading.Event, size: tuple[int, int]
) -> None:
    args = ("run", str(repository), "correct it", "--agents", "claude")
    with terminal(*args, environment=program.env, size=size) as shown:
        screen = shown.until(working)
        assert "I correct the spelling." in screen
        assert all(len(line) <= size[0] for line in screen.splitlines())
        paused.set()
        screen = shown.until(lambda text: "next" in text and "took" in text)
        assert shown.ended() == 0
    (branch,) = git(repository, "branch", "--list", "tiny-*", "--format=%(refname:short)").split()
    assert f"branch        {branch}" in screen
    assert b"\x1b[?25h" in shown.written


def test_another_size_is_followed(
    program: Program, repository: Path, paused: threading.Event
) -> None:
    args = ("run", str(repository), "correct it", "--agents", "claude")
    with terminal(*args, environment=program.env, size=(140, 40)) as shown:
        shown.until(working)
        shown.resize(80, 24)
        shown.until(lambda text: text.count("╭─ tiny-backspace") == 1 and working(text))
        paused.set()
        shown.until(lambda text: "took" in text)
        assert shown.ended() == 0


def test_an_interrupt_keeps_the_work_and_gives_the_terminal_back(
    program: Program, repository: Path, engine: Engine
) -> None:
    args = ("run", str(repository), "correct it", "--agents", "claude")
    with terminal(*args, environment=program.env) as shown:
        shown.until(working)
        shown.child.sendintr()
        shown.until(lambda text: "exit 130" in text)
        assert shown.ended() == 130
    owner = (program.state / "id").read_text().strip()
    assert containers_of(engine, owner) == []
    assert b"\x1b[?25h" in shown.written
    assert b"Traceback" not in shown.written
    (patch,) = program.state.glob("runs/*/change.patch")
    assert "+hello" in patch.read_text()


@pytest.mark.parametrize(
    ("said", "made"), [("y", 1), ("n", 0), ("", 0)], ids=["yes", "no", "nothing"]
)
def test_a_change_is_shown_and_asked_about_before_it_goes_anywhere(
    program: Program, repository: Path, paused: threading.Event, said: str, made: int
) -> None:
    paused.set()
    args = ("run", str(repository), "correct it", "--agents", "claude", "--approve")
    with terminal(*args, environment=program.env, size=(120, 50)) as shown:
        screen = shown.until(lambda text: "Go on? [y/N]" in text)
        assert "+hello" in screen
        assert "## What and why" in screen
        assert git(repository, "branch", "--list", "tiny-*") == ""
        shown.child.sendline(said)
        assert shown.ended() == 0
    assert len(git(repository, "branch", "--list", "tiny-*").split()) == made


HOSTILE = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x1b]0;owned\x07\x9b31m\u202e\u2028[link=http://x]\r"
OURS = re.compile(rb"\x1b\[(?:[0-9;]*[mABCDGHJK]|\?(?:25|1049|2026)[hl])|\x1b\[\?2026\$p")


def test_nothing_hostile_reaches_the_terminal(repository: Path, tmp_path: Path) -> None:
    """Names, contents, what the model thinks, says and calls, what commands say, and the error at the end."""
    evil = HOSTILE.replace("\r", "")
    name = f"{evil}.txt".replace("/", "_")
    (repository / name).write_text(HOSTILE * 20)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", HOSTILE)
    told = json.dumps(HOSTILE)
    script = (
        Say(HOSTILE, HOSTILE, (Call("1", "bash", {"command": f"printf %s {told}; printf {told} >&2; ls; exit 3"}),)),
        Say("", HOSTILE, (Call("2", "read", {"path": name}), Call("3", HOSTILE, {"path": HOSTILE}))),
        Say("", "", (Call("4", "write", {"path": f"n{name}", "content": HOSTILE, "description": HOSTILE}),)),
        Fault("status", 401, message=HOSTILE),
    )  # fmt: skip

    def answer(asked: Asked) -> Say | Fault:
        return script[min(asked.turn, 4) - 1]

    home = tmp_path / "home"
    home.mkdir()
    with serving(answer) as models:
        program = Program(home, {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": models.claude_url})
        args = (
            "run",
            str(repository),
            f"do it {evil}",
            "--agents",
            "claude",
            "--verify",
            f"printf %s {told}; false",
        )
        with terminal(*args, environment=program.env, size=(120, 40)) as shown:
            assert shown.ended() in (5, 6, 8)
    rest = OURS.sub(b"", shown.written).decode()
    hidden = {c for c in rest if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}
    assert hidden <= {"\r", "\n"}
    assert "link=http" in rest  # it was shown, as the text that it is
