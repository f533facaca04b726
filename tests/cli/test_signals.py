"""Signals end a run in order; what was set before is set again."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep

import pytest

from tiny_backspace.cli.signals import Signals, stopping
from tiny_backspace.errors import Stopped

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handled(number: signal.Signals, handler: signal.Handlers) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "stopped"),
    ],
)
def test_a_signal_is_a_stop_with_the_code_a_shell_expects(
    number: signal.Signals, code: int, kind: str
) -> None:
    with pytest.raises(Stopped) as stopped, stopping():
        signal.raise_signal(number)

    assert (stopped.value.exit_code, stopped.value.kind) == (code, kind)


def test_a_stop_is_not_swallowed_by_what_catches_exceptions() -> None:
    caught: list[Exception] = []

    def library() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception as error:  # noqa: BLE001 - it is what a library might do
            caught.append(error)

    with pytest.raises(Stopped), stopping():
        library()

    assert caught == []


def test_impatient_signals_do_not_cut_the_saving_short_and_a_late_one_does() -> None:
    now = [0.0]
    reached: list[str] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            for number in NUMBERS:
                signal.raise_signal(number)
            reached.append("saved")
            now[0] = 60.0
            signal.raise_signal(signal.SIGTERM)
            reached.append("not this")

    with pytest.raises(Stopped) as stopped, stopping(lambda: now[0]):
        work()

    assert reached == ["saved"]
    assert stopped.value.exit_code == 143


class _Finalised:
    """Where a signal may come when Python tidies up: what is raised in a finaliser is dropped there."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_stop_that_a_finaliser_swallowed_comes_again() -> None:
    def work() -> None:
        _Finalised()
        sleep(5)

    with pytest.raises(Stopped) as stopped, stopping():
        work()

    assert stopped.value.exit_code == 143


def test_a_swallowed_stop_waits_for_what_must_be_done_whole() -> None:
    done: list[str] = []

    def work(signals: Signals) -> None:
        _Finalised()
        with signals.hold():
            sleep(0.2)
            done.append("all of it")
        done.append("not this")

    with pytest.raises(Stopped), stopping() as signals:
        work(signals)

    assert done == ["all of it"]


def test_a_swallowed_stop_does_not_come_after_the_last_word_or_after_the_block() -> None:
    with stopping() as signals:
        _Finalised()
        with signals.hold(for_good=True):
            sleep(0.2)
    with stopping():
        _Finalised()
    sleep(0.2)


def test_what_others_raise_in_finalisers_is_told_as_before() -> None:
    class Broken:
        def __del__(self) -> None:
            raise KeyError("broken")

    told: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: told.append(args.exc_type)
    try:
        with stopping():
            Broken()
    finally:
        sys.unraisablehook = hook

    assert told == [KeyError]


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    reached = False
    with handled(signal.SIGHUP, signal.SIG_IGN):
        with stopping():
            signal.raise_signal(signal.SIGHUP)
            reached = True
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    assert reached


def test_what_was_set_before_is_set_again_however_the_block_ends() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]

    with pytest.raises(KeyError), stopping():
        raise KeyError

    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_what_must_be_done_whole_is_done_before_the_stop() -> None:
    done: list[str] = []

    def work(signals: Signals) -> None:
        with signals.hold(for_good=False):
            signal.raise_signal(signal.SIGTERM)
            done.append("all of it")
        done.append("not this")

    with stopping() as signals, pytest.raises(Stopped) as stopped:
        work(signals)

    assert done == ["all of it"]
    assert stopped.value.exit_code == 143


def test_after_the_last_word_no_signal_counts() -> None:
    done: list[str] = []

    with stopping() as signals:
        with signals.hold(for_good=True):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        done.append("to the end")

    assert done == ["to the end"]
