from __future__ import annotations

import io
import re
import unicodedata
from datetime import timedelta
from functools import reduce
from pathlib import Path

import pyte
import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.views.records import START, failing, long, recorded, successful
from tiny_backspace.events import AgentThought, ModelTurn, Record, StepStarted, ThoughtDelta
from tiny_backspace.recorder import Recorder
from tiny_backspace.redact import each_text
from tiny_backspace.views.drawing import wrapped
from tiny_backspace.views.live import LiveView, frame, replay
from tiny_backspace.views.panels import Scene
from tiny_backspace.views.state import RunState, advance
from tiny_backspace.views.summary import plain_summary

GOLDEN = Path(__file__).parent.parent / "golden"
HOSTILE = (
    "\x1b[2J\x1b[5mBLINK\x1b]52;c;aGFja2Vk\x07\x1b]8;;https://evil.example\x1b\\x\x1b]8;;\x1b\\"
    "\x9b31m\x90q\x9c\x1bPq\x1b\\\x1b]0;title\x07\u202egnp.exe\u2066\u2028\x08\x07\x00\r\x1bc"
    "[link=https://evil.example]here[/link][/foo][bold red]loud :skull: \U000e0041\u200b"
)
RUNS = {
    "early": successful()[:3],
    "middle": successful()[:26],
    "successful": successful(),
    "failing": failing(),
    "long": long(),
}
SIZES = [(80, 24), (130, 40), (200, 50)]
OUR_SGR = {"0", "1", "2", "31", "32", "33", "36"}


def folded(records: list[Record]) -> RunState:
    return reduce(advance, records, RunState())


def picture(records: list[Record], width: int, height: int, streamed: str = "") -> list[str]:
    state = folded(records)
    scene = Scene(state, START + timedelta(minutes=9), streamed)
    return [row.plain.rstrip() for row in frame(scene, width, height)]


def terminal(width: int = 80, height: int = 24) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    console = Console(
        file=written,
        force_terminal=True,
        width=width,
        height=height,
        color_system="standard",
        legacy_windows=False,
        _environ={},
    )
    return console, written


def hostile(record: Record) -> Record:
    """The record with something hostile before and behind every text that may be anything."""
    event, fixed = record.event, {"type", "step", "operation", "decision", "use", "on"}
    fields = {
        name: value if name in fixed else each_text(value, lambda text: HOSTILE + text + HOSTILE)
        for name, value in event.model_dump().items()
    }
    return record.model_copy(update={"event": type(event).model_validate(fields)})


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)], ids=["80x24", "200x50"])
@pytest.mark.parametrize("run", ["middle", "failing", "long"])
def test_a_frame_looks_as_it_did(run: str, width: int, height: int) -> None:
    golden = GOLDEN / f"live-{run}-{width}x{height}.txt"
    rows = picture(RUNS[run], width, height)
    assert "\n".join([*rows, ""]) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("run", ["successful", "failing"])
def test_a_summary_looks_as_it_did(run: str) -> None:
    golden = GOLDEN / f"summary-{run}.txt"
    assert plain_summary(folded(RUNS[run])) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
def test_a_frame_keeps_its_height_from_the_first_record_to_the_last(
    width: int, height: int
) -> None:
    heights = {len(picture(records, width, height)) for records in RUNS.values()}
    assert len(heights) == 1
    assert heights.pop() < height


def test_on_80_by_24_everything_important_is_there() -> None:
    text = "\n".join(picture(RUNS["middle"], 80, 24))
    for part in ("example/simple-api", "main@1a2b3c4", "Fix the typo", "dummy-1", "90%"):
        assert part in text
    for part in ("uid 1000", "network none", "seccomp on", "peak 61 MiB", "512 MiB", "pytest -q"):
        assert part in text
    assert "+Say hello to the world." in text


def test_the_end_of_a_streamed_thought_is_shown() -> None:
    text = "".join(f"word{n} " for n in range(20_000))
    rows = picture(RUNS["middle"], 80, 24, streamed=text[-2000:])
    assert any(row.endswith("word19999") for row in rows)


@pytest.mark.parametrize("run", ["successful", "failing"])
@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
def test_nothing_but_our_own_control_sequences_reaches_the_terminal(
    run: str, width: int, height: int
) -> None:
    console, written = terminal(width, height)
    with LiveView(console, None, verbose=True) as view:
        for record in RUNS[run]:
            view(hostile(record))
            view.watch(HOSTILE)
            with console.capture() as captured:
                console.print(*frame(Scene(view.state, None, HOSTILE, verbose=True), width, height))
            written.write(captured.get())
    raw = written.getvalue()
    styles = re.findall(r"\x1b\[([0-9;]*)m", raw)
    assert {code for style in styles for code in style.split(";")} <= OUR_SGR
    rest = re.sub(r"\x1b\[(?:[0-9;]*m|2K|1A|\?25[lh])|\r(?=\x1b)", "", raw)
    bad = {c for c in rest if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}}
    assert bad <= {"\n"}
    assert "[link=https://evil.example]here[/link][/foo][bold red]loud :skull:" in rest


@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
def test_a_diff_is_red_and_green_on_the_terminal(width: int, height: int) -> None:
    console, written = terminal(width, height)
    screen = pyte.Screen(width, height)
    with LiveView(console, None) as view:
        for record in RUNS["middle"]:
            view(record)
        view.draw()
        pyte.Stream(screen).feed(written.getvalue().replace("\n", "\r\n"))
    colours = {}
    for y, row in enumerate(screen.display):
        for text in ("-Say helo", "+Say hello"):
            if text in row:
                colours[text] = {screen.buffer[y][row.index(text) + n].fg for n in range(9)}
    assert colours == {"-Say helo": {"red"}, "+Say hello": {"green"}}


def test_on_leaving_only_the_summary_stays_on_the_screen() -> None:
    console, written = terminal()
    written.write("before\n")
    with LiveView(console, lambda: START) as view:
        for record in successful():
            view(record)
    screen = pyte.Screen(80, 25)  # one more, as leaving scrolls by a row
    pyte.Stream(screen).feed(written.getvalue().replace("\n", "\r\n"))
    shown = [row.rstrip() for row in screen.display]
    expected = ["before", *plain_summary(folded(successful())).splitlines()]
    assert shown[: len(expected)] == [row.rstrip() for row in expected]
    assert not any(shown[len(expected) :])


def test_a_run_that_raises_still_leaves_its_summary_and_the_cursor() -> None:
    console, written = terminal()
    view = LiveView(console, lambda: START)

    def interrupted() -> None:
        with view:
            view(successful()[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "The run has no end" in written.getvalue()
    assert written.getvalue().rindex("\x1b[?25h") > written.getvalue().rindex("\x1b[?25l")


def test_without_colours_no_colour_is_written() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, height=24, no_color=True)
    with LiveView(console, lambda: START) as view:
        for record in failing():
            view(record)
    styles = re.findall(r"\x1b\[([0-9;]*)m", written.getvalue())
    assert {code for style in styles for code in style.split(";")} <= {"0", "1", "2"}


def test_a_thought_streams_until_it_comes_whole_and_a_sample_does_not_end_it() -> None:
    console, _ = terminal()
    view = LiveView(console, lambda: START)
    sample = next(record for record in successful() if record.event.type == "resources")
    recorder = Recorder(
        "3f9a2c1b", [view], clock=lambda: START, redact=lambda text: text, watchers=[view.watch]
    )
    recorder(ThoughtDelta(text="I look at "))
    view(sample)
    recorder(ThoughtDelta(text="the tests "))
    assert view.streamed == "I look at the tests "
    recorder(AgentThought(message="I look at the tests now.", step="planning"))
    assert view.streamed == ""
    assert view.state.thoughts[-1].message == "I look at the tests now."


def test_a_streamed_text_of_any_length_is_kept_by_its_end() -> None:
    console, _ = terminal()
    view = LiveView(console, lambda: START)
    for n in range(20_000):
        view.watch(f"word{n} ")
    assert view.streamed.endswith("word19998 word19999 ")
    assert len(view.streamed) < 5000
    turn = next(record for record in successful() if isinstance(record.event, ModelTurn))
    view(turn)
    view.watch("next ")
    assert view.streamed == "next "


def test_nothing_is_written_while_nothing_changes() -> None:
    console, written = terminal()
    with LiveView(console, lambda: START) as view:
        view(successful()[0])
        view.draw()
        before = written.getvalue()
        assert "example/simple-api" in before
        assert not view.draw()
        assert written.getvalue() == before


def test_a_clock_that_moves_on_by_a_second_is_a_change() -> None:
    times = iter([START, START + timedelta(milliseconds=900), START + timedelta(seconds=1)])
    console, _ = terminal()
    view = LiveView(console, lambda: next(times))
    view(successful()[0])
    assert [view.draw(), view.draw(), view.draw()] == [True, False, True]


def test_a_replay_keeps_the_recorded_distances_and_caps_them() -> None:
    records = [
        Record(seq=1, at=START + timedelta(seconds=at), run_id="1", event=event)
        for at, event in zip(
            (0, 1, 1, 61, 60),
            (record.event for record in recorded(each.event for each in successful()[:5])),
            strict=True,
        )
    ]
    slept: list[float] = []
    seen: list[Record] = []
    replay(records, seen.append, 4, slept.append)
    assert seen == records
    assert slept == [0.25, 0, 2, 0]
    with pytest.raises(ValueError, match="above zero"):
        replay(records, seen.append, 0, slept.append)


def test_words_are_wrapped_by_the_cells_they_take() -> None:
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("ab\n\ncdefgh", 4) == ["ab", "", "cdef", "gh"]
    wide = wrapped("漢字漢字漢字 x", 5)
    assert all(cell_len(part) <= 5 for part in wide)
    assert "".join(wide).replace(" ", "") == "漢字漢字漢字x"


def test_the_steps_name_every_station_of_a_run() -> None:
    stations = [r.event.step for r in successful() if isinstance(r.event, StepStarted)]
    text = "\n".join(picture(RUNS["successful"], 200, 50))
    assert all(str(station.progress) in text for station in stations)
    assert text.count("✓") >= len(stations)
