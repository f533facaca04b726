"""Stamped, redacted, in order, to everybody; whoever listens never changes the run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import ticking
from tiny_backspace.errors import Stopped
from tiny_backspace.events import (
    Event,
    FileEdited,
    Record,
    RunSucceeded,
    Step,
    StepStarted,
    ThoughtDelta,
    ToolCalled,
    Unknown,
    Warned,
)
from tiny_backspace.recorder import Recorder, Subscriber
from tiny_backspace.redact import MASK, redactor

SECRET = "hunter2-canary"


def recorder(
    *subscribers: Subscriber,
    redact: Callable[[str], str] = str,
    watchers: tuple[Callable[[str], None], ...] = (),
) -> Recorder:
    return Recorder("r", subscribers, clock=ticking(), redact=redact, watchers=watchers)


def messages(records: list[Record]) -> list[str]:
    return [record.event.message for record in records if isinstance(record.event, Warned)]


def test_records_are_numbered_without_a_gap_and_stamped_in_order() -> None:
    got: list[Record] = []
    emit = recorder(got.append)

    for n in range(3):
        emit(Warned(message=str(n)))

    assert [r.seq for r in got] == [1, 2, 3]
    assert [r.at for r in got] == sorted({r.at for r in got})


def test_a_subscriber_that_fails_is_left_out_and_the_others_get_everything_in_order() -> None:
    before: list[Record] = []
    after: list[Record] = []

    def broken(_: Record) -> None:
        raise OSError("disk full")

    emit = recorder(before.append, broken, after.append)
    emit(Warned(message="one"))
    emit(Warned(message="two"))

    assert before == after
    assert [r.seq for r in after] == [1, 2, 3]
    assert messages(after)[0] == "one"
    assert "broken failed and was left out" in messages(after)[1]
    assert "disk full" in messages(after)[1]
    assert messages(after)[2] == "two"


def test_nothing_comes_after_the_closing_event() -> None:
    seen: list[Record] = []

    def broken(record: Record) -> None:
        if record.event.type == "success":
            raise OSError("disk full")

    emit = recorder(broken, seen.append)
    emit(Warned(message="one"))
    emit(RunSucceeded(message="done"))
    emit(Warned(message="of a thread that nobody waited for"))

    assert [record.event.type for record in seen] == ["warning", "success"]


def test_when_every_subscriber_fails_the_run_goes_on() -> None:
    def broken(_: Record) -> None:
        raise ValueError

    emit = recorder(broken, broken)

    emit(Warned(message="one"))
    emit(Warned(message="two"))


def test_what_a_subscriber_emits_comes_after_the_record_it_was_given() -> None:
    got: list[Record] = []

    def answers(record: Record) -> None:
        if record.seq == 1:
            emit(Warned(message="answer"))

    emit = recorder(answers, got.append)
    emit(Warned(message="question"))

    assert [(r.seq, m) for r, m in zip(got, messages(got), strict=True)] == [
        (1, "question"),
        (2, "answer"),
    ]


def test_a_signal_in_a_subscriber_ends_the_run_and_the_recorder_still_works() -> None:
    got: list[Record] = []

    def interrupted(record: Record) -> None:
        if record.seq == 1:
            raise Stopped(2)

    emit = recorder(got.append, interrupted)
    with pytest.raises(Stopped):
        emit(Warned(message="one"))
    emit(Warned(message="two"))

    assert messages(got) == ["one", "two"]


def test_many_threads_make_one_order_that_every_subscriber_sees() -> None:
    first: list[Record] = []
    second: list[Record] = []
    emit = recorder(first.append, second.append)

    def speak(name: int) -> None:
        for n in range(50):
            emit(Warned(message=f"{name}.{n}"))

    threads = [threading.Thread(target=speak, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert first == second
    assert [r.seq for r in first] == list(range(1, 401))
    for name in range(8):
        own = [m for m in messages(first) if m.startswith(f"{name}.")]
        assert own == [f"{name}.{n}" for n in range(50)]


def test_secrets_are_masked_however_deep_they_lie() -> None:
    got: list[Record] = []
    emit = recorder(got.append, redact=redactor((SECRET,)))

    emit(ToolCalled(id="1", tool="bash", arguments={"a": [{"b": f"x {SECRET}"}], SECRET: 1}))
    emit(Unknown.model_validate({"type": "newer", "told": {"deep": [SECRET]}}))

    lines = "".join(record.model_dump_json() for record in got)
    assert SECRET not in lines
    assert lines.count(MASK) == 3


@pytest.mark.parametrize(
    "event",
    [
        StepStarted.at(Step.VALIDATION, "validation of validation"),
        FileEdited(filepath="a", operation="create", description="to create"),
        RunSucceeded(message="success"),
    ],
    ids=lambda event: event.type,
)
def test_a_secret_that_is_a_word_of_the_contract_does_not_end_the_run(event: Event) -> None:
    got: list[Record] = []
    words = ("validation", "create", "success", "message", "complete", "file_edit")
    emit = recorder(got.append, redact=redactor(words))

    emit(event)

    line = json.loads(got[0].model_dump_json())
    assert line["type"] == event.type
    assert MASK in line.get("message", "") + line.get("description", "")


@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_whatever_is_said_can_be_a_line(text: str) -> None:
    got: list[Record] = []
    emit = recorder(got.append)

    emit(ToolCalled(id="1", tool="t", arguments={text: [text]}))

    line = got[0].model_dump_json()
    assert Record.model_validate_json(line.encode()) == got[0]


@given(st.lists(st.integers(1, 7), max_size=20))
def test_a_secret_streamed_in_pieces_is_never_shown_in_halves(cuts: list[int]) -> None:
    text = f"the key is {SECRET} and\n{SECRET} again "
    shown: list[str] = []
    emit = recorder(redact=redactor((SECRET,)), watchers=(shown.append,))

    at = 0
    for cut in (*cuts, len(text)):
        emit(ThoughtDelta(text=text[at : at + cut]))
        at += cut

    assert "".join(shown) == text.replace(SECRET, MASK)


def test_a_thought_is_streamed_to_watchers_and_never_recorded() -> None:
    got: list[Record] = []
    shown: list[str] = []
    emit = recorder(got.append, watchers=(shown.append,))

    emit(ThoughtDelta(text="half a "))
    emit(ThoughtDelta(text="word"))
    emit(Warned(message="half a word"))
    emit(ThoughtDelta(text="next "))

    assert shown == ["half a ", "next "]
    assert messages(got) == ["half a word"]


def test_a_word_without_an_end_is_not_held_back_for_ever() -> None:
    shown: list[str] = []
    emit = recorder(watchers=(shown.append,))

    for _ in range(100):
        emit(ThoughtDelta(text="x" * 1000))

    assert len("".join(shown)) > 90_000


@pytest.mark.parametrize("before", [8191, 8180, 8192 - len(SECRET), 16380, 20_000])
def test_a_secret_within_an_endless_word_is_not_shown_in_halves(before: int) -> None:
    text = "x" * before + SECRET + "y" * 10_000
    shown: list[str] = []
    emit = recorder(redact=redactor((SECRET,)), watchers=(shown.append,))

    for at in range(0, len(text), 7):
        emit(ThoughtDelta(text=text[at : at + 7]))
    emit(ThoughtDelta(text=" "))

    assert "".join(shown) == text.replace(SECRET, MASK) + " "


def test_a_watcher_that_fails_is_left_out_with_a_warning() -> None:
    got: list[Record] = []
    shown: list[str] = []

    def broken(_: str) -> None:
        raise RuntimeError("no terminal")

    emit = recorder(got.append, watchers=(broken, shown.append))
    emit(ThoughtDelta(text="one "))
    emit(ThoughtDelta(text="two "))

    assert shown == ["one ", "two "]
    assert [m for m in messages(got) if "no terminal" in m] == messages(got)
    assert len(got) == 1
