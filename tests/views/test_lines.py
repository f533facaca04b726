from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest

from tests.views.records import failing, recorded, successful
from tiny_backspace.events import (
    AgentThought,
    Egress,
    Event,
    GitOperation,
    Record,
    RunSucceeded,
    SetupFinished,
    Step,
    StepStarted,
    Timed,
    ToolCalled,
    Unknown,
    Warned,
)
from tiny_backspace.views.lines import JsonLines, PlainLines, json_line, plain_line

GOLDEN = Path(__file__).parent.parent / "golden"


def only(event: Event) -> Record:
    return recorded([event])[0]


def test_a_json_line_is_the_record_and_can_be_read_back() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    for record in failing():
        lines(record)
    written = stream.getvalue().splitlines()
    assert [Record.model_validate_json(line) for line in written] == failing()
    assert json_line(failing()[0]) == failing()[0].model_dump_json()
    assert json_line(only(Warned(message="\x7f\x9b0m\u202e\U000e0061…"))).isprintable()


def test_the_examples_of_the_plain_lines_read_as_they_should() -> None:
    step = StepStarted.at(Step.CLONE, "Cloning repository...")
    assert plain_line(only(step), verbose=False) == "01:23:45   30%     Cloning repository..."
    lines = [plain_line(record, verbose=True) or "" for record in successful()]
    assert "01:23:54  tool     grep 'helo'" in lines
    assert any(line.endswith("  edit     README.md  +1 -1  Fix the typo") for line in lines)
    assert any("result   grep  -> exit 0, 12 ms  310 B" in line for line in lines)


@pytest.mark.parametrize("verbose", [False, True], ids=["brief", "verbose"])
@pytest.mark.parametrize("run", [successful, failing], ids=["successful", "failing"])
def test_a_run_in_plain_lines_reads_as_it_did(run: object, verbose: bool) -> None:
    records = successful() if run is successful else failing()
    stream = io.StringIO()
    lines = PlainLines(stream, verbose=verbose, colour=False)
    for record in records:
        lines(record)
    kind = "successful" if run is successful else "failing"
    golden = GOLDEN / f"lines-{kind}-{'verbose' if verbose else 'brief'}.txt"
    assert stream.getvalue() == golden.read_text(encoding="utf-8")


def test_what_only_the_verbose_see_is_left_out_for_the_others() -> None:
    event = Timed(operation="clone", duration_ms=1.0)
    assert plain_line(only(event), verbose=False) is None
    assert plain_line(only(event), verbose=True) == "01:23:45  time     clone  1 ms"


@pytest.mark.parametrize(
    ("event", "brief", "verbose"),
    [
        (Egress(host="a.example", port=443, decision="allowed"), None, "egress   a.example:443  allowed"),
        (
            Egress(host="a\x1b[2J.example", port=22, decision="denied", reason="not allowed"),
            "WARNING  setup: a.example:22 denied  not allowed",
            "WARNING  setup: a.example:22 denied  not allowed",
        ),
        (
            SetupFinished(cached=True, volume="v", size=5 << 20, duration_ms=4.2),
            "setup    from the cache  5 MiB  4 ms",
            "setup    from the cache  5 MiB  4 ms",
        ),
    ],
)  # fmt: skip
def test_what_a_setup_did_and_was_kept_from_is_told(
    event: Event, brief: str | None, verbose: str
) -> None:
    assert plain_line(only(event), verbose=False) == (f"01:23:45  {brief}" if brief else None)
    assert plain_line(only(event), verbose=True) == f"01:23:45  {verbose}"


@pytest.mark.parametrize(
    "event",
    [
        AgentThought(message="one\ntwo\r\nthree\u2028four\x0bfive\x85six", step="planning"),
        GitOperation(command="git\nlog", output="a\nb\n"),
        ToolCalled(id="1", tool="ba\nsh", arguments={"command": "a\nb"}),
        Warned(message="\x1b]52;c;aGk=\x07\x1b[31m[/foo]\n\u202egnp.exe"),
        Unknown.model_validate({"type": "new\nthing", "text": "a\nb"}),
    ],
    ids=lambda event: str(type(event).__name__),
)
def test_one_event_is_one_line_whatever_is_in_it(event: Event) -> None:
    line = plain_line(only(event), verbose=True)
    assert line is not None
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_colour_is_our_own_and_marks_labels_only() -> None:
    stream = io.StringIO()
    PlainLines(stream, verbose=False, colour=True)(only(Warned(message="\x1b[5mlook\x1b[0m")))
    assert stream.getvalue() == "01:23:45  \x1b[33mWARNING\x1b[0m  look\n"


def test_a_huge_text_is_cut_and_says_so() -> None:
    line = plain_line(only(AgentThought(message="word " * 100_000, step="planning")), verbose=False)
    assert line is not None
    assert line.endswith("…")
    assert len(line) < 2100


def test_a_stream_that_cannot_write_a_character_writes_a_question_mark() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    PlainLines(stream, verbose=False, colour=False)(only(Warned(message="naïve")))
    assert raw.getvalue() == b"01:23:45  WARNING  na?ve\n"


def _broken_pipe() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


@pytest.mark.parametrize("kind", ["json", "plain"])
def test_a_reader_that_goes_away_ends_the_output_quietly_and_for_good(kind: str) -> None:
    stream = _broken_pipe()
    lines = JsonLines(stream) if kind == "json" else PlainLines(stream, verbose=True, colour=False)
    for record in successful():
        lines(record)
    with pytest.raises(BrokenPipeError):  # what Python could not write is still there
        stream.close()


def test_a_closed_stream_ends_the_output_quietly() -> None:
    stream = io.StringIO()
    stream.close()
    JsonLines(stream)(successful()[0])
    PlainLines(stream, verbose=True, colour=False)(successful()[0])


def test_a_full_disk_is_not_kept_quiet() -> None:
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("w") as full:
        JsonLines(full)(successful()[0])


_PROGRAM = """
import sys
from tests.views.records import successful
from tiny_backspace.views.lines import JsonLines
lines = JsonLines(sys.stdout)
for _ in range(2000):
    for record in successful():
        lines(record)
print("the run went on", file=sys.stderr)
"""


def test_a_program_piped_into_head_goes_on_and_ends_without_a_traceback() -> None:
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None
    first = json.loads(program.stdout.readline())
    program.stdout.close()
    assert program.stderr is not None
    said = program.stderr.read()
    program.stderr.close()
    assert first["type"] == "run_started"
    assert said == b"the run went on\n"
    assert program.wait() == 0


def test_the_closing_line_tells_where_the_work_is() -> None:
    ended = RunSucceeded(
        message="Done.", pr_url="https://example.com/pull/1", branch="b", cost_usd=0.5
    )
    line = plain_line(only(ended), verbose=False)
    assert line is not None
    assert re.search(r"done +Done\.  https://example\.com/pull/1  \$0\.5000, 0 ms  exit 0$", line)
