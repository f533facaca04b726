"""How much memory a run takes on the host, as the process itself says at its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measuring import Row, Series
from tests.bench.place import Place
from tests.bench.runs import OPTIONS, PROMPT

_LIMIT = 120  # MB, 10^6 bytes each
# The program, with a word at the end: the peak of itself and of the largest of its children (git).
_PROGRAM = """
import atexit, resource, sys

def tell(path=sys.argv.pop(1)):
    unit = 1 if sys.platform == "darwin" else 1024
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    with open(path, "w") as file:
        file.write(str(unit * max(resource.getrusage(each).ru_maxrss for each in who)))

atexit.register(tell)
from tiny_backspace.__main__ import main
main()
"""


def rows(place: Place) -> Iterator[Row]:
    rounds = min(place.rounds, 3)  # it hardly varies
    for files, repository in (("5 files", place.small), ("5,000 files", place.large_work_tree)):
        ours = Series(tuple(_peak(place, repository) for _ in range(rounds)))
        yield Row(f"peak memory, git included, {files}", "MB", ours, _LIMIT)


def _peak(place: Place, repository: Path) -> float:
    """Bytes: the larger one of our process and its largest child. With an empty cache."""
    told, cache = place.fresh() / "peaks", place.fresh()
    # The shell in between is there to be small: a process begins with the peak of the one it was forked from.
    small = ("env", f"XDG_CACHE_HOME={cache}", "sh", "-c", '"$@"; exit $?', "sh")
    place.run(*small, sys.executable, "-c", _PROGRAM, str(told), "run", str(repository), PROMPT, *OPTIONS)  # fmt: skip
    return float(told.read_text())
