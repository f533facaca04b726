"""Where the time of a whole dummy run goes: by its own events, by git, by imports."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.measuring import table
from tests.bench.place import ROOT, Place
from tests.bench.runs import OPTIONS, PROMPT
from tiny_backspace.events import Record

_MOST = 24  # packages and modules that are listed
_OURS = "tiny_backspace."
_IMPORT = "import time:"

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run's lines, and when its process began and ended (seconds since the epoch)."""

    lines: Sequence[Line]
    began: float
    ended: float


def profile(place: Place, *, markdown: bool) -> Iterator[str]:
    """Texts to print: for the small repository and for the large one, with an empty and a full cache."""
    for files, repository in (("5 files", place.small), ("5,000 files", place.large_work_tree)):
        caches = [place.fresh() for _ in range(place.rounds)]
        for what in ("first time", "known base"):
            seen = [_run(place, repository, cache) for cache in caches]
            yield f"\n{files}, {what}: ms, medians of {len(seen)} runs\n"
            yield table(_timeline(seen), markdown=markdown)
            yield ""
            yield table(_operations(seen), markdown=markdown)
    yield "\nImports of one run: ms, without what each imports itself\n"
    yield table(_imports(place), markdown=markdown)


def _argv(repository: Path) -> tuple[str, ...]:
    return ("run", str(repository), PROMPT, *OPTIONS)


def _run(place: Place, repository: Path, cache: Path) -> _Seen:
    began = time.time()
    said = place.run("env", f"XDG_CACHE_HOME={cache}", *place.program, *_argv(repository))
    return _Seen([json.loads(line) for line in said.splitlines()], began, time.time())


def _timeline(seen: Iterable[_Seen]) -> list[tuple[str, str]]:
    """When each station is reached, from the start of the process."""
    moments: dict[str, list[float]] = defaultdict(list)
    for run in seen:
        first: dict[str, float] = {}
        for line in run.lines:
            name = line["step"] if line["type"] == "info" else line["type"]
            at = Record.model_validate(line).at.timestamp()
            first.setdefault(f"{line['type']} {name}" if line["type"] == "info" else name, at)
        for name in [n for n in first if n.startswith("info ") or n in _LANDMARKS]:
            moments[name].append(first[name] - run.began)
        moments["process has ended"].append(run.ended - run.began)
    rows = sorted(((median(values), name) for name, values in moments.items()))
    return [("reached", "at"), *((name, f"{at * 1e3:.0f}") for at, name in rows)]


_LANDMARKS = ("sandbox", "repository", "tool_result", "success", "error")


def _operations(seen: Sequence[_Seen]) -> list[tuple[str, str, str]]:
    """What the run timed itself, and its git children by command."""
    took: dict[str, list[float]] = defaultdict(list)
    times: Counter[str] = Counter()
    for run in seen:
        sums: Counter[str] = Counter()
        for line in run.lines:
            if line["type"] == "performance":
                name = line["operation"]
            elif line["type"] == "host_command":
                name = f"git {_verb(line['argv'])}"
                sums["git, all of it"] += line["duration_ms"]
                times["git, all of it"] += 1
            else:
                continue
            sums[name] += line["duration_ms"]
            times[name] += 1
        for name, value in sums.items():
            took[name].append(value)
    rows = sorted(((median(values), name) for name, values in took.items()), reverse=True)
    return [
        ("operation", "took", "times"),
        *((name, f"{value:.1f}", f"{times[name] / len(seen):.0f}") for value, name in rows),
    ]


def _verb(argv: Sequence[str]) -> str:
    words = iter(argv[1:])
    for word in words:
        if word in {"-C", "-c"}:
            next(words)
        elif not word.startswith("-"):
            return word
    return "?"


def _imports(place: Place) -> list[tuple[str, str, str]]:
    argv = (sys.executable, "-X", "importtime", "-m", "tiny_backspace", *_argv(place.small))
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, cwd=ROOT, env=place.environment,
        stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    took: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    for line in done.stderr.splitlines():
        parts = line.removeprefix(_IMPORT).split("|")
        if line.startswith(_IMPORT) and parts[0].strip().isdigit():
            name = parts[2].strip()
            package = name.partition(".")[0]
            for each in {package, name if name.startswith(_OURS) else package}:
                took[each] += int(parts[0])
                modules[each] += 1
            took["all of them"] += int(parts[0])
            modules["all of them"] += 1
    return [
        ("package, or module of ours", "took", "modules"),
        *((name, f"{us / 1e3:.1f}", str(modules[name])) for name, us in took.most_common(_MOST)),
    ]
