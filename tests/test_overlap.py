from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import pytest

from tiny_backspace.overlap import opened_early

PATIENCE = 30.0


class WouldNotOpenError(Exception):
    pass


@dataclass
class Door:
    """Something slow to open: it waits for leave."""

    leave: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    history: list[str] = field(default_factory=list)

    @contextmanager
    def open(self) -> Generator[str]:
        self.history.append("opening")
        assert self.leave.wait(PATIENCE)
        self.history.append("open")
        try:
            yield "the room"
        finally:
            self.history.append("closed")
            self.closed.set()


@contextmanager
def locked(*keys: str) -> Generator[str]:
    if not keys:
        raise WouldNotOpenError
    yield keys[0]


def test_the_block_goes_on_while_it_opens_and_waits_only_where_it_asks() -> None:
    door = Door()
    with opened_early(door.open(), "door") as room:
        door.history.append("other work")
        door.leave.set()
        assert room() == "the room"
        assert room() == "the room"
        assert not door.closed.is_set()
    assert sorted(door.history[:2]) == ["opening", "other work"]
    assert door.history[2:] == ["open", "closed"]


def test_it_opens_in_a_thread_with_a_name() -> None:
    seen: list[str] = []

    @contextmanager
    def look() -> Generator[None]:
        seen.append(threading.current_thread().name)
        yield

    with opened_early(look(), "the name") as opened:
        opened()
    assert seen == ["the name"]


def test_what_was_opened_and_never_asked_for_is_closed() -> None:
    door = Door()
    door.leave.set()
    with opened_early(door.open(), "door"):
        pass
    assert door.history == ["opening", "open", "closed"]


def test_an_error_of_the_block_closes_it_and_goes_on() -> None:
    door = Door()
    door.leave.set()
    with pytest.raises(ZeroDivisionError), opened_early(door.open(), "door") as room:
        assert len(room()) // 0
    assert door.history == ["opening", "open", "closed"]


def test_an_error_of_the_opening_is_raised_where_it_is_asked_for() -> None:
    reached = False
    with opened_early(locked(), "locked") as room:
        reached = True
        with pytest.raises(WouldNotOpenError):
            room()
        with pytest.raises(WouldNotOpenError):
            room()
    assert reached


def test_an_error_of_the_opening_does_not_hide_one_of_the_block() -> None:
    with pytest.raises(ZeroDivisionError), opened_early(locked(), "locked"):
        raise ZeroDivisionError


def test_who_leaves_before_it_is_open_does_not_wait_for_long_and_it_is_closed_all_the_same() -> (
    None
):
    door = Door()
    with pytest.raises(KeyboardInterrupt), opened_early(door.open(), "door"):
        raise KeyboardInterrupt
    assert door.history == ["opening"]
    door.leave.set()
    assert door.closed.wait(PATIENCE)
    assert door.history == ["opening", "open", "closed"]


def _interrupt_once_a_thread_was_started(_: FrameType, event: str, called: object) -> None:
    """What a signal's handler does that comes in the middle of `Thread.start`."""
    if event == "c_return" and called is _thread.start_new_thread:
        sys.setprofile(None)
        raise KeyboardInterrupt


def test_a_signal_that_keeps_the_block_from_beginning_leaves_nothing_open() -> None:
    door = Door()
    door.leave.set()
    opening = opened_early(door.open(), "door")
    before = sys.getprofile()
    sys.setprofile(_interrupt_once_a_thread_was_started)
    try:
        with pytest.raises(KeyboardInterrupt), opening:
            door.history.append("not this")
    finally:
        sys.setprofile(before)
    assert door.history == ["opening", "open", "closed"]
