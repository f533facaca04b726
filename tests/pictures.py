"""The pictures of the README, made of recorded runs: `python -m tests.pictures` writes them anew."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

from rich.console import Group

from tests.monitor.test_dashboard import BUSY
from tests.views.records import successful
from tiny_backspace.events import FileEdited
from tiny_backspace.monitor.dashboard import dashboard
from tiny_backspace.views.live import frame
from tiny_backspace.views.panels import Scene
from tiny_backspace.views.picture import svg
from tiny_backspace.views.state import RunState, advance
from tiny_backspace.views.summary import summary
from tiny_backspace.views.timings import spans, waterfall

DOCS = Path(__file__).parents[1] / "docs"
_WIDTH = 120


def live() -> str:
    records = successful()
    edited = next(n for n, each in enumerate(records) if isinstance(each.event, FileEdited))
    middle = records[: edited + 2]
    state = reduce(advance, middle, RunState())
    rows = frame(Scene(state, middle[-1].at), _WIDTH, 37)
    return svg(
        "tiny-backspace run example/simple-api",
        *rows,
        width=_WIDTH,
    )


def monitor() -> str:
    return svg("tiny-backspace monitor", *dashboard(BUSY, _WIDTH, 24), width=_WIDTH)


def timings() -> str:
    records = successful()
    state = reduce(advance, records, RunState())
    drawn = Group(*waterfall(spans(records), 100))
    return svg("tiny-backspace show last --timings --svg", summary(state), "", drawn)


PICTURES: Mapping[str, Callable[[], str]] = {"live": live, "monitor": monitor, "timings": timings}


def main() -> None:
    os.environ["TZ"] = "UTC"
    time.tzset()
    for name, make in PICTURES.items():
        (DOCS / f"{name}.svg").write_text(make(), "utf-8")


if __name__ == "__main__":
    main()
