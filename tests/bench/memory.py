"""How much memory a run takes on the host, as the process itself says at its end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measuring import Row, Series
from tests.bench.place import Place
from tests.bench.runs import OPTIONS, PROMPT

_LIMIT = 120  # MB, 10^6 bytes each
# The program, with a word at the end: the peak of itself and of the largest of its children (git).
_PROGRAM = """
import atexit, json, resource, sys

def tell(path=sys.argv.pop(1)):
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = [resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    with open(path, "w") as file:
        json.dump(peaks, file)

atexit.register(tell)
from tiny_backspace.__main__ import main
main()
"""


def rows(place: Place) -> Iterator[Row]:
    rounds = min(place.rounds, 3)  # it hardly varies
    for files, repository in (("5 files", place.small), ("5,000 files", place.large_work_tree)):
        peaks = [_peaks(place, repository) for _ in range(rounds)]
        ours, gits = (Series(tuple(values)) for values in zip(*peaks, strict=True))
        yield Row(f"peak memory, {files}", "MB", ours, _LIMIT)
        yield Row(f"the largest git beside it, {files}", "MB", gits)


def _peaks(place: Place, repository: Path) -> tuple[float, float]:
    """Bytes: our process, the largest of its children. With an empty cache."""
    told, cache = place.fresh() / "peaks", place.fresh()
    # The shell in between is there to be small: a process begins with the peak of the one it was forked from.
    small = ("env", f"XDG_CACHE_HOME={cache}", "sh", "-c", '"$@"; exit $?', "sh")
    place.run(*small, sys.executable, "-c", _PROGRAM, str(told), "run", str(repository), PROMPT, *OPTIONS)  # fmt: skip
    own, children = json.loads(told.read_text())
    return float(own), float(children)
