"""Going round in circles is told first and then ended; honest work is neither."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.agent.repetition import Repetitions
from tiny_backspace.conversation import ToolCall, ToolResult
from tiny_backspace.errors import LimitReached, Repetition

Step = tuple[str, dict[str, str], str, bool]
Turn = Iterable[Step]


def bash(command: str, says: str = "exit 1\nfailed", why: str = "") -> Step:
    return "bash", {"command": command, "description": why}, says, False


def edit(old: str, new: str, path: str = "a.py") -> Step:
    return (
        "edit",
        {"path": path, "old": old, "new": new, "description": "x"},
        f"edited {path}",
        False,
    )


def write(content: str) -> Step:
    return "write", {"path": "a.py", "content": content, "description": "x"}, "wrote a.py", False


def read(path: str, says: str = "text") -> Step:
    return "read", {"path": path}, says, False


def fails(step: Step) -> Step:
    return (*step[:2], "it is not there", True)


def told(turns: Iterable[Turn]) -> Iterator[str | None]:
    """What is said after each turn."""
    repetitions = Repetitions()
    for number, steps in enumerate(turns):
        calls, results = [], []
        for at, (name, arguments, says, is_error) in enumerate(steps):
            calls.append(ToolCall(f"{number}-{at}", name, dict(arguments)))
            results.append(ToolResult(calls[-1].id, says, is_error))
        yield repetitions.saw(calls, results)


def heard(turns: Iterable[Turn]) -> list[int]:
    """After which turns, counted from 1, something was said; a zero for the end."""
    after, number = [], 0
    try:
        for number, note in enumerate(told(turns), 1):
            after += [number] if note else []
    except Repetition:
        after += [0, number + 1]
    return after


TESTS = bash("make test")


def test_the_same_call_is_told_of_the_third_time_and_ended_the_fifth() -> None:
    assert heard([TESTS] for _ in range(9)) == [3, 0, 5]


def test_the_note_names_what_repeats_and_asks_for_another_way() -> None:
    *_, note = told([[TESTS]] * 3)

    assert note is not None
    assert "bash make test" in note
    assert "another way" in note


def test_the_end_is_a_limit_with_a_sentence_and_a_way_out() -> None:
    with pytest.raises(LimitReached, match="in circles: bash make test, 5 times") as raised:
        list(told([[TESTS]] * 5))

    assert raised.value.kind == "repetition"
    assert raised.value.hint


def test_what_an_edit_is_said_to_be_for_makes_it_no_other_call() -> None:
    assert heard([bash("make test", why=f"try {n}")] for n in range(5)) == [3, 0, 5]


def test_another_result_makes_it_another_call() -> None:
    assert heard([bash("make test", f"{n} failed")] for n in range(9)) == []


def test_a_duration_is_no_other_result() -> None:
    outputs = (f"1 failed in {n}.{n}2s\nok pkg 0.0{n} s" for n in range(5))
    assert heard([bash("make test", says)] for says in outputs) == [3, 0, 5]


def test_a_result_of_nothing_but_digits_is_looked_at_in_no_time() -> None:
    assert heard([bash("cat pi.txt", "3" * 64_000)] for _ in range(5)) == [3, 0, 5]


def test_calls_that_take_turns_are_told_of_once() -> None:
    pair = cycle([[TESTS], [bash("git status", "exit 0\nclean")]])
    turns = list(islice(pair, 20))

    assert heard(turns) == [5, 0, 9]
    note = list(told(turns[:5]))[-1]
    assert note is not None
    assert "git status" in note


def test_three_that_take_turns_are_a_circle_too() -> None:
    assert heard(islice(cycle([[TESTS], [read("a")], [bash("ls", "a")]]), 40)) == [7, 0, 13]


def test_edits_that_undo_each_other_are_a_circle_whatever_is_run_between() -> None:
    there, back = edit("a", "b"), edit("b", "a")
    assert heard(islice(cycle([[there], [back]]), 20)) == [5, 0, 9]

    busy = (
        [step, bash(f"python check_{n}.py")]
        for n, step in enumerate(islice(cycle([there, back]), 20))
    )
    assert heard(busy) == [5, 0, 9]


def test_contents_that_are_written_in_turns_are_a_circle() -> None:
    assert heard(islice(cycle([[write("a")], [TESTS], [write("b")], [TESTS]]), 40))[0] == 9


def test_tests_that_fail_alike_after_each_new_edit_are_honest_work() -> None:
    work = ([[edit(f"{n}", f"{n + 1}")], [TESTS], [read("a.py")]] for n in range(20))
    assert heard(turn for round_ in work for turn in round_) == []


def test_an_edit_and_the_tests_in_one_turn_are_honest_work() -> None:
    assert heard([edit(f"{n}", f"{n + 1}"), TESTS] for n in range(20)) == []


def test_commands_that_may_have_changed_something_are_honest_work() -> None:
    assert heard([bash(f"sed -i {n}d a.py", "exit 0"), TESTS] for n in range(20)) == []


def test_looking_elsewhere_in_between_changes_nothing() -> None:
    turns = ([TESTS] if n % 2 else [read(f"{n}.py")] for n in range(20))
    assert heard(turns) == [6, 0, 10]


def test_edits_that_fail_change_nothing() -> None:
    wrong = fails(edit("nowhere", "x"))
    assert heard([wrong] for _ in range(9)) == [3, 0, 5]
    assert heard([fails(edit(f"{n}", "x")), TESTS] for n in range(9)) == [3, 0, 5]


def test_a_probe_that_is_written_anew_for_each_new_edit_is_honest_work() -> None:
    probe, gone = write("print(x)"), bash("rm probe.py", "exit 0")
    rounds = ([[edit("x", f"y{n}")], [probe], [bash("python probe.py")], [gone]] for n in range(8))
    assert heard(turn for each in rounds for turn in each) == []


def test_what_was_only_looked_at_may_be_looked_at_again_after_a_fold() -> None:
    repetitions = Repetitions()
    (name, arguments, says, _) = read("a")
    for n in range(12):
        repetitions.saw([ToolCall(f"{n}", name, dict(arguments))], [ToolResult(f"{n}", says)])
        if n % 2:
            repetitions.forget_looks()


def test_the_same_call_many_times_in_one_turn_counts_once() -> None:
    assert heard([[TESTS] * 9, [TESTS] * 9]) == []


def test_who_finds_another_way_starts_anew() -> None:
    assert heard([*[[TESTS]] * 3, [edit("a", "b")], *[[TESTS]] * 2]) == [3]


def test_what_is_long_ago_is_forgotten() -> None:
    others = [[read(f"{n}.py")] for n in range(30)]
    assert heard([*[[TESTS]] * 2, *others, *[[TESTS]] * 2, *others, [TESTS]]) == []


def test_two_circles_are_told_of_one_by_one() -> None:
    turns = [[TESTS], [TESTS], [TESTS], [read("a")], [read("a")], [read("a")]]
    assert heard(turns) == [3, 6]


def test_odd_calls_are_no_trouble() -> None:
    odd = "\ud800" * 9
    assert heard([(odd, {odd: odd}, odd, True)] for _ in range(5)) == [3, 0, 5]


STEPS = st.sampled_from([TESTS, edit("a", "b"), edit("b", "a"), read("a"), bash("ls", "a")])


@given(st.lists(st.lists(STEPS, min_size=1, max_size=3), max_size=40))
def test_nobody_is_stopped_without_having_been_told(turns: list[list[Step]]) -> None:
    after = heard(turns)
    assert after[:1] != [0]


@given(st.lists(st.lists(STEPS, min_size=1, max_size=3), max_size=20))
def test_what_always_changes_is_never_stopped(turns: list[list[Step]]) -> None:
    """Each turn edits something new before it does the rest, which leaves out edits of its own."""
    rest = [[step for step in turn if step[0] != "edit"] for turn in turns]
    assert heard([edit(f"{n}", f"{n}!"), *turn] for n, turn in enumerate(rest)) == []
