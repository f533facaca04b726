"""`python -m tests.bench`: how long things take, beside what everybody else would do for it.

All numbers of a row come from the same rounds of the same run. A target that is missed is no
failure; the exit code is 1 only if something could not be measured.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import SubprocessError

from tests.bench import (
    batches,
    bringing,
    calls,
    events,
    history,
    live,
    memory,
    monitoring,
    publishing,
    runs,
    sandboxes,
    startup,
)
from tests.bench.measuring import HEAD, Row, table
from tests.bench.place import Place, place
from tests.bench.profile import profile
from tiny_backspace.errors import TinyBackspaceError

_TOPICS: dict[str, Callable[[Place], Iterator[Row]]] = {
    "startup": startup.rows,
    "sandbox": sandboxes.rows,
    "repository": bringing.rows,
    "runs": runs.rows,
    "publishing": publishing.rows,
    "memory": memory.rows,
    "live": live.rows,
    "monitor": monitoring.rows,
    "history": history.rows,
    "calls": calls.rows,
    "batch": batches.rows,
    "events": events.rows,
}
_ROUNDS, _QUICK = 11, 3


def main() -> int:
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an end that tidies up
    rounds = _QUICK if asked.quick else _ROUNDS
    with place(rounds, asked.folder) as here:
        if asked.profile:
            for text in profile(here, markdown=asked.markdown):
                print(text, flush=True)
            return 0
        measured, failures = _measured(here, asked.names or list(_TOPICS))
        print(f"Medians of {rounds} interleaved rounds; `{' '.join(here.program)}`.\n")
        print(table([HEAD, *(row.cells() for row in measured)], markdown=asked.markdown))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _measured(here: Place, names: list[str]) -> tuple[list[Row], list[str]]:
    """The rows, and what could not be measured and why."""
    rows: list[Row] = []
    failures: list[str] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            for row in _TOPICS[name](here):
                rows.append(row)
                print("  " + "  ".join(filter(None, row.cells())), file=sys.stderr, flush=True)
        except (SubprocessError, OSError, TinyBackspaceError) as error:
            said = getattr(error, "stderr", None) or b""
            failures.append(f"{name} could not be measured: {error} {said.decode()[-500:]}".strip())
    return rows, failures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(_TOPICS)} [all]")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} rounds, not {_ROUNDS}")
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    parser.add_argument("--profile", choices=("run",), help="where the time of a run goes")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to put the repositories [in memory, if there is /dev/shm]",
    )
    asked = parser.parse_args()
    if unknown := set(asked.names) - _TOPICS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
