"""How soon the command line answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from tests.bench.measuring import Contestant, Row, interleaved, timed
from tests.bench.place import Place


def rows(place: Place) -> Iterator[Row]:
    commands = {
        "help": (*place.program, "--help"),
        "version": (*place.program, "--version"),
        "run help": (*place.program, "run", "--help"),
        "imports": (sys.executable, "-c", "import typer, rich"),
        "nothing": (sys.executable, "-c", "pass"),
    }
    contestants: dict[str, Contestant] = {
        name: partial(timed, partial(place.run, *argv)) for name, argv in commands.items()
    }
    took = interleaved(place.rounds, contestants)
    imports = "python -c 'import typer, rich'"
    yield Row("--help", "ms", took["help"], 3, imports, took["imports"])
    yield Row("--version", "ms", took["version"], 2, "python -c pass", took["nothing"])
    yield Row("run --help", "ms", took["run help"], None, imports, took["imports"])
