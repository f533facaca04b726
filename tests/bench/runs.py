"""Whole runs of the command line, offline: how long until the agent's first act, how long until the end."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from tests.bench.measuring import Contestant, Row, interleaved, timed
from tests.bench.place import ROOT, Place
from tests.servers.models import KEY, Call, Say, serving

PROMPT = "replace 'helo' with 'hello' in README.md"
OPTIONS = ("--agents", "dummy", "-o", "jsonl")
_SCRIPT = (Say("I look.", calls=(Call("1", "glob", {"pattern": "*"}),)), Say("That was it."))
_UNPACK = "mkdir /tmp/w && tar -x --no-same-owner -C /tmp/w"


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds since the process was started."""

    first_result: float
    end: float


def run(
    place: Place, repository: Path, cache: Path, agent: str = "dummy", **variables: str
) -> Times:
    """One run, with these variables in its environment.

    Raises:
        subprocess.SubprocessError: it failed.
    """
    argv = [*place.program, "run", str(repository), PROMPT, "--agents", agent, "-o", "jsonl"]
    environment = {**place.environment, "XDG_CACHE_HOME": str(cache), **variables}
    first: float | None = None
    start = perf_counter()
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=ROOT, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        said = b""
        for said in process.stdout:
            if first is None and b'"type":"tool_result"' in said:
                first = perf_counter() - start
        stderr = process.stderr.read()  # with jsonl next to nothing is said there
        code = process.wait()
        end = perf_counter() - start
    if code or first is None:
        raise subprocess.CalledProcessError(code, argv, said, stderr)
    return Times(first, end)


def fresh_run(place: Place, repository: Path) -> Times:
    """With an empty cache, as the first run on a repository."""
    cache = place.fresh()
    times = run(place, repository, cache)
    shutil.rmtree(cache)
    return times


def rows(place: Place) -> Iterator[Row]:
    yield from _first_results(place)
    yield from _with_a_model(place)
    took = interleaved(
        place.rounds,
        {
            "ours": lambda: fresh_run(place, place.small).end,
            "naive": partial(_naive_run, place, place.small),
        },
    )
    naive = "docker run; clone; commit; docker rm"
    yield Row("whole run, 5 files", "ms", took["ours"], 3, naive, took["naive"])


def _with_a_model(place: Place) -> Iterator[Row]:
    """The model answers at once, on loopback: what is left is the SDK's import, and what hides behind it."""
    warm = place.fresh()
    with serving(lambda asked: _SCRIPT[asked.turn - 1]) as server:
        claude = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.claude_url}
        openai = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.openai_url}
        took = interleaved(
            place.rounds,
            {
                "claude": lambda: run(place, place.small, warm, "claude", **claude).first_result,
                "anthropic": partial(
                    timed, partial(place.run, sys.executable, "-c", "import anthropic")
                ),
                "openai": lambda: run(place, place.small, warm, "openai", **openai).first_result,
                "its sdk": partial(
                    timed, partial(place.run, sys.executable, "-c", "import openai")
                ),
            },
        )
    yield Row(
        "first tool result, Claude",
        "ms",
        took["claude"],
        1.4,
        "import anthropic",
        took["anthropic"],
    )
    yield Row(
        "first tool result, OpenAI", "ms", took["openai"], None, "import openai", took["its sdk"]
    )


def _first_results(place: Place) -> Iterator[Row]:
    warm = place.fresh()
    small, large = place.small, place.large_work_tree
    contestants: Mapping[str, Contestant] = {
        "small": lambda: fresh_run(place, small).first_result,
        "small, naive": partial(_naive_first, place, small),
        "large": lambda: fresh_run(place, large).first_result,
        "large, known base": lambda: run(place, large, warm).first_result,
        "large, naive": partial(_naive_first, place, large),
    }
    took = interleaved(place.rounds, contestants)
    naive = "docker run; clone --depth 1; tar in; exec"
    for name, files, other in (
        ("small", "5 files", "small, naive"),
        ("large", "5,000 files", "large, naive"),
        ("large, known base", "5,000 files, known base", "large, naive"),
    ):
        yield Row(f"first tool result, {files}", "ms", took[name], 0.6, naive, took[other])


def _naive_first(place: Place, repository: Path) -> float:
    """One after the other, with the tools that everybody has; the removal is not counted."""
    target = place.fresh()
    start = perf_counter()
    container = place.docker_run()
    place.run("git", "clone", "-q", "--depth", "1", f"file://{repository}", str(target))
    with subprocess.Popen(["tar", "-C", str(target), "-c", "."], stdout=subprocess.PIPE) as tar:
        place.run("docker", "exec", "-i", container, "sh", "-c", _UNPACK, stdin=tar.stdout)
    place.run("docker", "exec", "-w", "/tmp/w", container, "git", "rev-parse", "HEAD")
    took = perf_counter() - start
    place.docker_remove(container)
    shutil.rmtree(target)
    return took


def _naive_run(place: Place, repository: Path) -> float:
    target = place.fresh()

    def work() -> None:
        container = place.docker_run()
        place.run("git", "clone", "-q", str(repository), str(target))
        (target / "README.md").write_text("# Example\n\nSay hello to the world.\n")
        place.run("git", "-C", str(target), "commit", "-q", "-a", "-m", "Say hello")
        place.docker_remove(container)

    took = timed(work)
    shutil.rmtree(target)
    return took
