"""`monitor` in a terminal: what stands on the screen, the keys, another size, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.terminal import SIZES, Terminal, terminal
from tiny_backspace import events as ev
from tiny_backspace.cli import app
from tiny_backspace.cli.monitor import _named
from tiny_backspace.recorder import Recorder
from tiny_backspace.statedir import hold
from tiny_backspace.telemetry.store import History


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Two runs that go on."""
    state = tmp_path / "tiny-backspace"
    state.mkdir(mode=0o700)
    with ExitStack() as stack:
        history = stack.enter_context(History(state / "history.db"))
        for name in ("0000aaaa", "0000bbbb"):
            stack.enter_context(hold(state, name))
            emit = Recorder(name, [history], clock=lambda: datetime.now(UTC), redact=str)
            emit(
                ev.RunStarted(
                    repo=f"https://github.com/acme/{name}", prompt=f"the prompt of {name}", base="b",
                    agents=("claude:m",), limits={}, version="1",
                )
            )  # fmt: skip
        yield state


def watched(state: Path, size: tuple[int, int]) -> AbstractContextManager[Terminal]:
    env = {
        "PATH": os.environ["PATH"], "HOME": str(state.parent), "XDG_STATE_HOME": str(state.parent), "TZ": "UTC",
    }  # fmt: skip
    return terminal("monitor", environment=env, size=size)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_runs_are_chosen_and_opened_with_keys(state: Path, size: tuple[int, int]) -> None:
    with watched(state, size) as shown:
        screen = shown.until(lambda text: "▶ 0000bbbb" in text and "q quit" in text)
        assert "acme/0000aaaa" in screen
        assert screen.splitlines()[0].startswith("tiny-backspace monitor  ● at work")
        shown.child.send("\x1b[B")
        shown.until(lambda text: "▶ 0000aaaa" in text)
        shown.child.send("\r")
        opened = shown.until(lambda text: "the prompt of 0000aaaa" in text and "Esc or q" in text)
        assert "thinking" in opened
        shown.child.send("\x1b")
        shown.until(lambda text: "▶ 0000aaaa" in text and "the prompt of" not in text)
        shown.child.send("q")
        assert shown.ended() == 0
    assert b"\x1b[?25h" in shown.written  # the cursor is back
    assert b"\x1b[?1049l" in shown.written  # and the screen as it was before


def test_it_fits_another_size_at_once(state: Path) -> None:
    with watched(state, (120, 40)) as shown:
        shown.until(lambda text: "q quit" in text)
        shown.resize(80, 24)

        def fits(text: str) -> bool:
            first, *_, last = text.split("\n")
            return first.startswith("tiny-backspace monitor") and last.startswith("↑ ↓ choose")

        screen = shown.until(fits)
        assert sum("q quit" in line for line in screen.splitlines()) == 1
        shown.child.send("q")
        assert shown.ended() == 0


def test_an_interrupt_gives_the_terminal_back(state: Path) -> None:
    with watched(state, (80, 24)) as shown:
        shown.until(lambda text: "q quit" in text)
        shown.child.sendintr()
        assert shown.ended() in (0, 130)
    assert b"Traceback" not in shown.written
    assert b"\x1b[?25h" in shown.written


def test_once_is_for_pipes_and_a_terminal_is_needed_otherwise(state: Path) -> None:
    env = {"XDG_STATE_HOME": str(state.parent), "NO_COLOR": "1"}
    once = CliRunner().invoke(app, ["monitor", "--once"], env=env)
    assert once.exit_code == 0
    assert "acme/0000aaaa" in once.stdout
    assert "\x1b" not in once.stdout
    refused = CliRunner().invoke(app, ["monitor"], env=env)
    assert "needs a terminal" in str(refused.exception)


def test_keys_are_told_apart_and_others_are_nothing() -> None:
    assert _named(b"\x1b[A\x1b[Bkj\rq") == ["up", "down", "up", "down", "open", "quit"]
    assert _named(b"xyz\x1b") == ["back"]
    assert _named("é".encode()) == []
