"""`monitor` in a terminal: what stands on the screen, the keys, another size, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pexpect
import pyte
import pytest
from typer.testing import CliRunner

from tests.program import COMMAND
from tiny_backspace import events as ev
from tiny_backspace.cli import app
from tiny_backspace.cli.monitor import _named
from tiny_backspace.recorder import Recorder
from tiny_backspace.statedir import hold
from tiny_backspace.telemetry.store import History

SIZES = [(80, 24), (120, 40), (200, 50)]


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


class Terminal:
    """The program in a pseudo-terminal, and what stands on its screen."""

    def __init__(self, child: pexpect.spawn[bytes], width: int, height: int) -> None:
        self.child = child
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, holds: Callable[[str], bool]) -> str:
        """Read until the screen is like that; pexpect's own time-out ends it."""
        while not holds(self.text):
            data = self.child.read_nonblocking(1 << 16, timeout=20)
            self.written += data
            self._stream.feed(data)
        return self.text

    def ended(self) -> int | None:
        self.written += self.child.read()
        self.child.close()
        return self.child.exitstatus


@contextmanager
def terminal(state: Path, width: int, height: int) -> Iterator[Terminal]:
    env = {
        "PATH": os.environ["PATH"], "HOME": str(state.parent), "XDG_STATE_HOME": str(state.parent),
        "TERM": "xterm-256color", "TZ": "UTC",
    }  # fmt: skip
    child: pexpect.spawn[bytes] = pexpect.spawn(
        sys.executable, [*COMMAND[1:], "monitor"], dimensions=(height, width), timeout=30, env=env
    )  # fmt: skip
    try:
        yield Terminal(child, width, height)
    finally:
        child.close(force=True)


@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
def test_runs_are_chosen_and_opened_with_keys(state: Path, width: int, height: int) -> None:
    with terminal(state, width, height) as shown:
        screen = shown.until(lambda text: "▶ 0000bbbb" in text and "q quit" in text)
        assert "acme/0000aaaa" in screen
        assert screen.splitlines()[0].startswith("tiny-backspace monitor  ● at work")
        shown.child.send("\x1b[B")
        shown.until(lambda text: "▶ 0000aaaa" in text)
        shown.child.send("\r")
        shown.until(lambda text: "the prompt of 0000aaaa" in text and "thinking" in text)
        shown.child.send("\x1b")
        shown.until(lambda text: "▶ 0000aaaa" in text and "the prompt of" not in text)
        shown.child.send("q")
        assert shown.ended() == 0
    assert b"\x1b[?25h" in shown.written  # the cursor is back
    assert b"\x1b[?1049l" in shown.written  # and the screen as it was before


def test_it_fits_another_size_at_once(state: Path) -> None:
    with terminal(state, 120, 40) as shown:
        shown.until(lambda text: "q quit" in text)
        shown.screen.resize(24, 80)
        shown.child.setwinsize(24, 80)

        def fits(text: str) -> bool:
            first, *_, last = text.split("\n")
            return first.startswith("tiny-backspace monitor") and last.startswith("↑ ↓ choose")

        screen = shown.until(fits)
        assert sum("q quit" in line for line in screen.splitlines()) == 1
        shown.child.send("q")
        assert shown.ended() == 0


def test_an_interrupt_gives_the_terminal_back(state: Path) -> None:
    with terminal(state, 80, 24) as shown:
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
