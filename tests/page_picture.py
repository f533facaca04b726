"""The picture of the service's page, of a recorded run: `python -m tests.page_picture` takes it anew.

Other than those of tests/pictures.py it is not the same on each machine: its fonts are the machine's.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.pictures import DOCS
from tests.program import Program
from tests.server.browser import Browser, browser
from tests.server.serving import serving
from tests.views.records import RUN, failing, successful
from tiny_backspace.events import Record
from tiny_backspace.telemetry.store import History


def main(folder: Path) -> None:
    """Write page.png there."""
    with tempfile.TemporaryDirectory() as home:
        program = Program(Path(home), {"TINY_BACKSPACE_AGENTS": "dummy"})
        remember(program)
        with (
            serving(program) as served,
            browser("--force-prefers-reduced-motion", "--hide-scrollbars") as shown,
        ):
            shown.driver.set_window_size(1000, 1250)
            shown.open(f"{served.url}/#/runs/{RUN}")
            shown.sees("Tool calls")
            shown.sees("branch of your repository")
            (folder / "page.png").write_bytes(picture(shown))


def remember(program: Program) -> None:
    """Two runs of today in its history."""
    state = program.home / "state" / "tiny-backspace"
    state.mkdir(parents=True, mode=0o700)
    now = datetime.now(UTC)
    with History(state / "history.db") as history:
        for n, (run_id, records) in enumerate(((RUN, successful()), ("5eed", failing())), 1):
            late = now - timedelta(hours=n) - records[0].at
            for each in records:
                history(Record(seq=each.seq, at=each.at + late, run_id=run_id, event=each.event))


def picture(shown: Browser) -> bytes:
    return base64.b64decode(shown.driver.get_screenshot_as_base64())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
