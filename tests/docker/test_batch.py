"""`batch` as a user does it, on the real engine: many repositories, told once, done once."""

from __future__ import annotations

import json
import signal
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.docker.test_main_job import containers
from tests.program import Finished, Program, git, make_repository
from tests.servers.models import KEY, Asked, Call, Say, serving
from tests.terminal import terminal

pytestmark = pytest.mark.timeout(180)
PROMPT = "replace 'helo' with 'hello' in README.md"
EDIT = Call(
    "1", "edit", {"path": "README.md", "old": "helo", "new": "hello", "description": "spelling"}
)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home", {})


def repositories(folder: Path, number: int) -> list[Path]:
    """With a file `repos.txt` beside them that names them."""
    made = [make_repository(folder / f"r{n}", {"README.md": "helo\n"}) for n in range(number)]
    (folder / "repos.txt").write_text("# all of them\n\n" + "".join(f"{r.name}\n" for r in made))
    return made


def lines(folder: Path, *tasks: Mapping[str, object]) -> str:
    path = folder / "tasks.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks))
    return str(path)


def branches(repository: Path) -> list[str]:
    listed = git(repository, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
    return [name for name in listed.split() if name != "main"]


def end(done: Finished) -> dict[str, object]:
    """The summary, where it is JSON."""
    found: dict[str, object] = json.loads(done.stdout)
    return found


def counted(done: Finished) -> dict[str, int]:
    counts = end(done)["counts"]
    assert isinstance(counts, dict)
    return {status: number for status, number in counts.items() if number}


def test_every_repository_gets_its_branch_and_a_second_time_nothing(
    program: Program, tmp_path: Path
) -> None:
    made = repositories(tmp_path, 3)
    words = ("batch", "--repos", "repos.txt", PROMPT, "--jobs", "2")

    first = program.run(*words, "-o", "jsonl", cwd=tmp_path)
    second = program.run(*words, "--summary", "json", cwd=tmp_path)
    again = program.run(*words, "--again", "--summary", "json", cwd=tmp_path)

    assert first.exit_code == second.exit_code == again.exit_code == 0, first.stderr
    told = Counter(line["run_id"] for line in first.lines)
    ends = [line for line in first.lines if line["type"] == "success"]
    assert {line["run_id"]: line["seq"] for line in ends} == told
    assert counted(second) == {"skipped": 3}
    assert counted(again) == {"done": 3}
    for repository in made:
        one, other = sorted(branches(repository))
        assert other == f"{one}-2"
        assert git(repository, "show", f"{one}:README.md") == "hello"
    ledger = program.state / "batch" / "ledger.jsonl"
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o600
    assert len(ledger.read_text().splitlines()) == 6
    assert containers(program) == []


def test_what_failed_is_tried_again_and_what_is_done_is_not(
    program: Program, tmp_path: Path
) -> None:
    good, bad = repositories(tmp_path, 2)
    tasks = lines(
        tmp_path,
        {"repo": str(good), "prompt": PROMPT},
        {"repo": str(bad), "prompt": PROMPT, "verify": "false", "verify_base": False},
        {"repo": str(tmp_path / "none"), "prompt": PROMPT},
    )
    first = program.run("batch", tasks, "--summary", "json")
    second = program.run("batch", tasks, "--summary", "json")

    assert (first.exit_code, second.exit_code) == (3, 3)  # worse than 9
    assert counted(first) == {"done": 1, "failed": 2}
    assert counted(second) == {"skipped": 1, "failed": 2}
    assert len(branches(good)) == 1
    assert len(branches(bad)) == 2
    assert "there is no folder" in second.stdout


def test_plain_lines_and_a_table_tell_each_end(program: Program, tmp_path: Path) -> None:
    (only,) = repositories(tmp_path, 1)
    tasks = lines(
        tmp_path, *({"repo": r, "prompt": PROMPT} for r in (str(only), str(tmp_path / "\x1bnone")))
    )
    refused = program.run("batch", tasks)
    assert (refused.exit_code, branches(only)) == (2, [])
    assert "line 2" in refused.stderr

    done = program.run("batch", lines(tmp_path, {"repo": str(only), "prompt": PROMPT}))
    (branch,) = branches(only)
    assert "1/1  done" in done.stderr
    assert branch in done.stderr
    assert branch in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 task: 1 done; $0")


def test_fail_fast_ends_the_others(program: Program, tmp_path: Path) -> None:
    slow, never = repositories(tmp_path, 2)
    tasks = lines(
        tmp_path,
        {"repo": str(slow), "prompt": PROMPT, "verify": "sleep 100"},
        {"repo": str(tmp_path / "none"), "prompt": PROMPT},
        {"repo": str(never), "prompt": PROMPT},
    )
    done = program.run("batch", tasks, "--jobs", "2", "--fail-fast", "--summary", "json")

    assert done.exit_code == 3
    assert counted(done) == {"failed": 1, "cancelled": 1, "not started": 1}
    assert branches(slow) == branches(never) == []
    assert containers(program) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=str)
def test_a_signal_ends_all_and_the_next_time_does_them(
    program: Program, tmp_path: Path, number: int
) -> None:
    made = repositories(tmp_path, 2)
    tasks = lines(
        tmp_path, *({"repo": str(r), "prompt": PROMPT, "verify": "sleep 3"} for r in made)
    )
    words = ("batch", tasks, "--jobs", "2")
    with program.start(*words, "-o", "jsonl") as batch:
        assert batch.stdout
        for line in batch.stdout:
            if json.loads(line)["type"] == "work_saved":
                batch.send_signal(number)
                break
        batch.stdout.read()
        assert batch.wait() == {2: 130, 15: 143, 9: -9}[number]
    until = monotonic() + 30
    while containers(program):  # of a batch that was killed, its runs end by themselves
        assert monotonic() < until
        sleep(0.1)

    done = program.run(*words, "--summary", "json")
    assert counted(done) == {"done": 2}, done.stdout
    assert [len(branches(r)) for r in made] == [1, 1]


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Program]:
    """Each run asks twice, and pays a dollar and a half: two prices of 100,000 tokens read, 5 dollars a million."""

    def answer(asked: Asked) -> Say:
        if asked.turn == 1:
            return Say("I correct the spelling.", "", (EDIT,), tokens=(100_000, 10))
        return Say("The spelling is right now.", tokens=(100_000, 10))

    (tmp_path / "home").mkdir()
    with serving(answer) as served:
        yield Program(
            tmp_path / "home", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": served.openai_url}
        )


def test_all_together_spend_no_more_than_they_may(models: Program, tmp_path: Path) -> None:
    made = repositories(tmp_path, 6)
    words = ("batch", "--repos", "repos.txt", PROMPT, "--jobs", "3", "--agents", "openai")
    one = models.run(*words[:2], "first.txt", *words[3:], "--summary", "json", cwd=tmp_path)
    assert one.exit_code == 2  # there is no such file
    (tmp_path / "first.txt").write_text("r0\n")
    one = models.run(*words[:2], "first.txt", *words[3:], "--summary", "json", cwd=tmp_path)
    cost = end(one)["cost_usd"]
    assert isinstance(cost, float)
    assert cost > 0

    limit = ("--max-cost", f"{cost * 3.5:f}", "--max-cost-each", f"{cost * 1.2:f}")
    done = models.run(*words, *limit, "--summary", "json", cwd=tmp_path)

    assert done.exit_code == 6, done.stdout + done.stderr
    spent = end(done)["cost_usd"]
    assert isinstance(spent, float)
    assert spent <= cost * 3.5
    found = counted(done)
    assert found["skipped"] == 1
    assert found["done"] == 3
    assert sum(map(len, map(branches, made))) >= 4


def test_a_step_of_a_job_has_one_summary(program: Program, tmp_path: Path) -> None:
    repositories(tmp_path, 2)
    page, outputs = tmp_path / "summary.md", tmp_path / "outputs"
    job = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(page),
        "GITHUB_OUTPUT": str(outputs),
    }
    done = Program(program.home, job).run("batch", "--repos", "repos.txt", PROMPT, cwd=tmp_path)

    assert done.exit_code == 0
    assert page.read_text().startswith("### ✅ 2 tasks: 2 done; $0")
    assert page.read_text().count("###") == 1
    assert not outputs.exists()
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("::stop-commands::")
    assert last == f"::{first.removeprefix('::stop-commands::')}::"


def test_a_table_in_a_terminal_with_more_tasks_than_lines(program: Program, tmp_path: Path) -> None:
    repositories(tmp_path, 30)
    words = ("batch", "--repos", "repos.txt", PROMPT, "--jobs", "24", "--verify", "sleep 2")
    with terminal(*words, environment=program.env, cwd=tmp_path) as screen:
        screen.until(lambda text: "24 jobs" in text and "… and " in text and " more" in text)
        assert "batch  0/30" in screen.text
        assert all(len(line) <= 80 for line in screen.text.splitlines())
        screen.until(lambda text: "✔ done" in text)
        screen.child.sendintr()
        screen.until(lambda text: "30 tasks:" in text)
        assert screen.ended() == 130
    assert containers(program) == []
