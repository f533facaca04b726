"""What those hear who watch the service."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.server.application import Application
from tiny_backspace.errors import SandboxError
from tiny_backspace.server.readiness import Readiness


def test_the_numbers_are_in_the_text_format(tmp_path: Path) -> None:
    application = Application(tmp_path, {"workers": 3, "queue": 7})
    application.service.counted.update({"taken": 2, "refused_full": 1, "ended_failure": 1})

    lines = application.get("/metrics").text.splitlines()

    samples = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"
    }
    assert samples["tiny_backspace_workers"] == 3
    assert samples["tiny_backspace_queue_size"] == 7
    assert samples["tiny_backspace_runs_taken_total"] == 2
    assert samples['tiny_backspace_runs_refused_total{reason="full"}'] == 1
    assert samples['tiny_backspace_runs_ended_total{result="failure"}'] == 1
    declared = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))
    assert {name.partition("{")[0] for name in samples} == set(declared)
    for name in samples:
        assert re.fullmatch(r'[a-z_]+(\{[a-z]+="[^"\\\n]*"\})?', name)
    application.service.close()


def test_the_health_report_is_the_command_lines(tmp_path: Path) -> None:
    application = Application(tmp_path)
    told = application.get("/health?hours=1").json()
    assert (told["score"], told["verdict"], told["runs"]) == (100, "good", 0)
    assert application.get("/health?hours=0").status_code == 422
    application.service.close()


def test_the_engine_is_asked_once_in_a_while_whoever_asks() -> None:
    asked = []

    def probe() -> None:
        asked.append(1)
        raise SandboxError("no engine at /secret")

    readiness = Readiness(probe)
    assert {readiness.problem() for _ in range(10)} == {"No container engine answers."}
    assert len(asked) == 1


def test_whoever_asks_while_the_engine_says_nothing_is_not_held() -> None:
    looking, go_on = threading.Event(), threading.Event()

    def probe() -> None:
        looking.set()
        assert go_on.wait(30)

    readiness = Readiness(probe)
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(readiness.problem)
        assert looking.wait(30)
        others = [readiness.problem() for _ in range(100)]
        assert not first.done()
        go_on.set()
        assert first.result() is None
    assert set(others) == {"It has not been looked yet."}
    assert readiness.problem() is None
