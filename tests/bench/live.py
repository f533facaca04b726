"""What the live view costs while a thought streams in: on a real pty, in a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from time import monotonic, process_time, sleep

from rich.console import Console

from tests.bench.measuring import Row, interleaved
from tests.bench.place import ROOT, Place, ignore
from tests.views.records import successful
from tiny_backspace.events import Emit, ThoughtDelta
from tiny_backspace.recorder import Recorder
from tiny_backspace.redact import redactor
from tiny_backspace.views.live import LiveView

_SIZE = (40, 120)  # rows, columns
_BEFORE = 100_000  # characters that have streamed already
_PIECES = 80  # a second: a fast model's tokens
_SECONDS = 3.0
_LEAST = 8  # frames a second, or it was not the live view that was measured
_FRAME = b"\r\x1b[2K"  # how Rich begins to draw over the last one


def rows(place: Place) -> Iterator[Row]:
    took = interleaved(
        min(place.rounds, 5),
        {"view": partial(_share, place, "view"), "none": partial(_share, place, "none")},
    )
    what = "live view, 10 Hz, 100 KB streamed: share of a core"
    yield Row(what, "%", took["view"], 10)
    yield Row("the same without a view", "%", took["none"])


def _share(place: Place, what: str) -> float:
    """Processor time by wall time of `feed` on a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    argv = [sys.executable, "-m", "tests.bench.live", what]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT,
        env=place.environment,
    ) as process:  # fmt: skip
        os.close(theirs)
        frames = _drained(ours)
        assert process.stdout
        told = json.load(process.stdout)
    os.close(ours)
    if what == "view" and frames < _LEAST * _SECONDS:
        raise subprocess.SubprocessError(f"only {frames} frames were drawn in {_SECONDS:g} s")
    return float(told["share"])


def _drained(terminal: int) -> int:
    """Read until nobody writes any more; how many frames went by."""
    frames = 0
    while select.select([terminal], [], [], 60)[0]:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # EIO: the last writer has closed it
            break
        frames += data.count(_FRAME)
    return frames


def feed(emit: Emit) -> float:
    """The share of a core that it takes to stream a thought whose first 100 KB are there already."""
    words = cycle(
        ("the", "function", "reads", "every", "token", "of", "this", "stream,", "keeps", "one\n")
    )
    text = ""
    while len(text) < _BEFORE:
        text += f"{next(words)} "
    for start in range(0, len(text), 1000):
        emit(ThoughtDelta(text=text[start : start + 1000]))
    start_cpu, start_wall = process_time(), monotonic()
    pieces = 0
    while (passed := monotonic() - start_wall) < _SECONDS:
        emit(ThoughtDelta(text=f"{next(words)} "))
        pieces += 1
        sleep(max(0.0, pieces / _PIECES - passed))
    return (process_time() - start_cpu) / (monotonic() - start_wall)


def main(what: str) -> None:
    with ExitStack() as stack:
        now = partial(datetime.now, UTC)
        if what == "view":
            view = stack.enter_context(LiveView(Console(stderr=True), now))
            emit: Emit = Recorder("3f9a2c1b", [view], clock=now, redact=redactor(()), watchers=[view.watch])  # fmt: skip
        else:
            emit = ignore
        for record in successful()[:20]:
            emit(record.event)
        share = feed(emit)
    json.dump({"share": share}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
