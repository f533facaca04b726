"""`runs`, `show`, `replay` and `schema`, as typed at a prompt."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest
import typer
from typer.testing import CliRunner, Result

from tests.fakes import ticking
from tiny_backspace import events as ev
from tiny_backspace.cli import history as commands
from tiny_backspace.cli.runtable import ago, rich_table, short_repo
from tiny_backspace.errors import UsageError
from tiny_backspace.events import Event, Record, Step
from tiny_backspace.recorder import Recorder
from tiny_backspace.statedir import hold
from tiny_backspace.telemetry.store import History

_GOLDEN = Path(__file__).parents[1] / "golden" / "schema.json"
_ROOT = Path(__file__).parents[2]
_HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e[link=x]evil[/link]\r\nsecond"

app = typer.Typer()
commands.register(app)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What XDG_STATE_HOME is for the commands."""
    return tmp_path / "xdg"


def _ask(home: Path, *arguments: str, **env: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"XDG_STATE_HOME": str(home), **env})


def _keep(home: Path, run_id: str, *happened: Event, ago: timedelta = timedelta(hours=3)) -> None:
    clock = ticking(datetime.now(UTC) - ago)
    with History(home / "tiny-backspace" / "history.db") as history:
        emit = Recorder(run_id, [history], clock=clock, redact=str)
        for event in happened:
            emit(event)


def _started(
    prompt: str = "Fix the typo", repo: str = "https://host/acme/api.git"
) -> ev.RunStarted:
    return ev.RunStarted(
        repo=repo, prompt=prompt, base="main", agents=("dummy:d",), limits={}, version="1.0"
    )


def _done(**fields: Any) -> ev.RunSucceeded:
    facts: dict[str, Any] = {"duration_ms": 4200.0, "files_changed": 2, "providers": ("dummy",)}
    return ev.RunSucceeded(message="Done", **(facts | fields))


def test_an_empty_history_says_how_to_start_and_is_no_failure(home: Path) -> None:
    result = _ask(home, "runs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "tiny-backspace run" in result.stderr
    assert not home.exists()


def test_runs_are_aligned_lines_without_a_terminal_newest_first(home: Path) -> None:
    _keep(home, "00000001", _started("Add tests\nand more", "/home/me/api"), _done())
    failed = ev.RunFailed(exit_code=5, message="", error="provider", cost_usd=None)
    _keep(home, "00000002", _started(), failed, ago=timedelta(minutes=12))
    result = _ask(home, "runs")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "RUN       WHEN        STATUS     REPO      PROMPT        CHANGES  PROVIDER  COST     TOOK",
        "00000002  12 min ago  failed     acme/api  Fix the typo  -        -         unknown  0 ms",
        "00000001  3 h ago     succeeded  api       Add tests     2 files  dummy     $0       4.2 s",
    ]


def test_runs_are_narrowed_by_status_repo_age_and_number(home: Path) -> None:
    for n in range(4):
        repo = "acme/api" if n % 2 else "acme/web"
        _keep(home, f"{n:08x}", _started(repo=repo), _done(), ago=timedelta(days=n, minutes=1))
    _keep(home, "0000000f", _started())

    def ids(*options: str) -> list[str]:
        lines = _ask(home, "runs", "--json", *options).stdout.splitlines()
        return [json.loads(line)["run_id"][-1] for line in lines]

    assert ids() == ["0", "f", "1", "2", "3"]
    assert ids("--limit", "2") == ["0", "f"]
    assert ids("--status", "crashed") == ["f"]
    assert ids("--repo", "WEB") == ["0", "2"]
    assert ids("--since", "2d") == ["0", "f", "1"]
    assert ids("--since", "30m", "--status", "crashed") == []
    with hold(home / "tiny-backspace", "0000000f"):
        assert ids("--status", "running") == ["f"]


def test_how_many_more_there_are_is_said_beside_the_lines(home: Path) -> None:
    for n in range(5):
        closing = (_done(),) if n < 3 else ()
        _keep(home, f"{n:08x}", _started(), *closing, ago=timedelta(hours=n, minutes=1))

    def said(*options: str) -> tuple[int, str]:
        result = _ask(home, "runs", "--json", *options)
        return len(result.stdout.splitlines()), result.stderr

    assert said() == (5, "")
    assert said("--limit", "5") == (5, "")
    assert said("--limit", "2") == (2, "3 more: --limit 5 lists them too.\n")
    assert said("--limit", "1", "--status", "crashed") == (1, "1 more: --limit 2 lists them too.\n")
    assert said("--limit", "1", "--status", "succeeded", "--since", "90m") == (
        1,
        "1 more: --limit 2 lists them too.\n",
    )
    assert said("--limit", "4", "--repo", "API") == (4, "1 more: --limit 5 lists them too.\n")


def test_a_damaged_row_is_left_out_and_said(home: Path) -> None:
    for n in range(2):
        _keep(home, f"{n:08x}", _started(), _done(), ago=timedelta(hours=n + 1))
    with sqlite3.connect(home / "tiny-backspace" / "history.db") as db:
        db.execute("UPDATE runs SET started_at = 'x' WHERE run_id = '00000000'")
    result = _ask(home, "runs", "--json")
    assert [json.loads(line)["run_id"] for line in result.stdout.splitlines()] == ["00000001"]
    assert result.stderr == "Left out 1 damaged run(s) of the history.\n"


def test_no_run_of_that_kind_is_said_without_advice_to_start(home: Path) -> None:
    _keep(home, "00000001", _started(), _done())
    result = _ask(home, "runs", "--status", "failed")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No run is like that.\n")


@pytest.mark.parametrize("text", ["", "2", "d", "-1d", "1y", "1.5h", "٣d", "999999d"])
def test_a_time_that_is_none_is_a_usage_error(home: Path, text: str) -> None:
    result = _ask(home, "runs", f"--since={text}")
    assert isinstance(result.exception, UsageError)
    assert result.exception.hint is not None


def test_show_gives_the_facts_and_then_an_event_a_line(home: Path) -> None:
    info = ev.StepStarted.at(Step.CLONE, "Cloning repository...")
    saved = ev.WorkSaved(patch="/p/1.patch", branch="tiny-backspace/fix", files_changed=2)
    newer = ev.Unknown.model_validate({"type": "from_the_future", "x": 1})
    _keep(home, "0a1b2c3d", _started(), info, saved, newer, _done(pr_url="https://host/pull/1"))
    result = _ask(home, "show", "0a1b")
    assert result.exit_code == 0
    facts, lines = result.stdout.split("\n\n")
    assert "run        0a1b2c3d\nstatus     succeeded, exit code 0\n" in facts
    assert (
        "branch     tiny-backspace/fix\npatch      /p/1.patch\nrequest    https://host/pull/1"
        in facts
    )
    assert len(lines.splitlines()) == 5
    assert "Cloning repository..." in lines
    assert "from_the_future" in lines


def test_show_tells_where_a_crashed_run_was(home: Path) -> None:
    _keep(home, "0a1b2c3d", _started(), ev.StepStarted.at(Step.CLONE, "Cloning repository..."))
    shown = _ask(home, "show", "last").stdout
    assert "status     crashed\n" in shown
    assert "last step  clone: Cloning repository...\n" in shown


def test_show_as_json_is_exactly_what_was_stored(home: Path) -> None:
    kept: list[Record] = []
    with History(home / "tiny-backspace" / "history.db") as history:
        emit = Recorder("0a1b2c3d", [history, kept.append], clock=ticking(), redact=str)
        for event in (_started('Überall\n"x"'), ev.Warned(message="ü\x1b[2J"), _done()):
            emit(event)
    result = _ask(home, "show", "last", "--json")
    assert result.stdout_bytes == "".join(f"{r.model_dump_json()}\n" for r in kept).encode()
    assert result.stderr == ""


def test_show_counts_the_lines_it_could_not_read(home: Path) -> None:
    import sqlite3

    _keep(home, "0a1b2c3d", _started(), ev.Warned(message="lost"), _done())
    db = sqlite3.connect(home / "tiny-backspace" / "history.db")
    db.execute("UPDATE records SET line = '{' WHERE seq = 2")
    db.commit()
    db.close()
    result = _ask(home, "show", "last")
    assert result.exit_code == 0
    assert "lost" not in result.stdout
    assert "1 damaged line" in result.stderr


def test_the_diff_of_a_run_is_its_last_patch_made_safe_to_look_at(
    home: Path, tmp_path: Path
) -> None:
    patch = tmp_path / "1.patch"
    patch.write_bytes(b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\x1b[31m\xff \xe2\x80\xaec\n")
    first, last = ev.WorkSaved(patch="/gone"), ev.WorkSaved(patch=str(patch))
    _keep(home, "0a1b2c3d", _started(), first, last, ev.WorkSaved(branch="b"), _done())
    result = _ask(home, "show", "last", "--diff")
    assert result.stdout == "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\\x1b[31m\ufffd \\u202ec\n"
    patch.unlink()
    gone = _ask(home, "show", "last", "--diff").exception
    assert isinstance(gone, UsageError)
    assert "No such file" in str(gone)


def test_the_diff_of_a_run_that_saved_nothing_is_a_usage_error(home: Path) -> None:
    _keep(home, "0a1b2c3d", _started(), _done())
    error = _ask(home, "show", "last", "--diff").exception
    assert isinstance(error, UsageError)
    assert "saved no change" in str(error)


@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["show", "--diff"], ["replay"]])
def test_a_run_that_is_not_there_is_a_usage_error(home: Path, command: list[str]) -> None:
    error = _ask(home, *command, "ffff").exception
    assert isinstance(error, UsageError)
    assert "no run" in str(error)
    assert not home.exists()


def test_nothing_a_run_recorded_can_steer_the_terminal(home: Path) -> None:
    _keep(
        home, "0a1b2c3d", _started(_HOSTILE, _HOSTILE), ev.StepStarted.at(Step.CLONE, _HOSTILE),
        ev.WorkSaved(patch=_HOSTILE, branch=_HOSTILE), ev.Warned(message=_HOSTILE),
    )  # fmt: skip
    for command in (["runs"], ["show", "last"], ["replay", "last", "--output", "plain"]):
        result = _ask(home, *command)
        assert result.exit_code == 0
        assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", result.stdout) is None
        assert "evil" in result.stdout
    refused = _ask(home, "show", "last", "--diff").exception
    assert "\x1b" not in str(refused)


def test_a_replay_as_json_lines_is_the_lines_of_the_run(home: Path) -> None:
    _keep(home, "0a1b2c3d", _started(), ev.Warned(message="careful"), _done())
    stored = _ask(home, "show", "last", "--json").stdout
    played = _ask(home, "replay", "last", "--output", "jsonl", "--speed", "1000")
    assert (played.exit_code, played.stdout) == (0, stored)


def test_a_replay_without_a_terminal_is_plain_lines(home: Path) -> None:
    _keep(home, "0a1b2c3d", _started(), ev.Warned(message="careful"), _done())
    played = _ask(home, "replay", "last", "--speed", "1000")
    assert played.exit_code == 0
    assert len(played.stdout.splitlines()) == 3
    assert "careful" in played.stdout


def _process_env(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "XDG_STATE_HOME": str(home),
        "PYTHONPATH": str(_ROOT),
        "TERM": "xterm-256color",
    }


_PROGRAM = "import typer; from tiny_backspace.cli import history as h; a = typer.Typer(); h.register(a); a()"


@pytest.mark.parametrize("columns", [80, 160])
def test_on_a_terminal_runs_are_a_table_of_one_line_each_and_a_replay_ends_in_a_summary(
    home: Path, columns: int
) -> None:
    _keep(home, "00000001", _started("A long wish " * 30), _done(branch="tiny-backspace/wish"))
    for arguments, seen in (
        (["runs"], "A long"),
        (["replay", "last", "--speed", "1000"], "backspace/wish"),
    ):
        child: pexpect.spawn[bytes] = pexpect.spawn(
            sys.executable, ["-c", _PROGRAM, *arguments], dimensions=(24, columns), timeout=60,
            env=_process_env(home) | {"COLUMNS": str(columns), "LINES": "24"},
        )  # fmt: skip
        output = child.read()
        child.close()
        assert child.exitstatus == 0
        screen = pyte.Screen(columns, 24)
        pyte.ByteStream(screen).feed(output)
        shown = [line.rstrip() for line in screen.display if line.strip()]
        assert any(seen in line for line in shown)
        if arguments == ["runs"]:
            assert len(shown) == (3 if columns == 80 else 2)  # what there is no room for is said
            assert shown[1].startswith("00000001  3 h ago")


def test_a_reader_that_stops_listening_ends_the_output_quietly(home: Path) -> None:
    _keep(home, "0a1b2c3d", *(ev.Warned(message="x" * 500) for _ in range(500)))
    for command in ("show last --json", "show last", "replay last --speed 1 --output jsonl"):
        program = [sys.executable, "-c", _PROGRAM, *command.split()]
        child = subprocess.Popen(
            program, env=_process_env(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stderr is not None
        with child.stdout, child.stderr:
            child.stdout.readline()
            child.stdout.close()
            assert child.stderr.read() == b""
        assert child.wait() == 0


@pytest.mark.parametrize("command", ["runs", "show", "replay", "schema"])
def test_help_has_examples_and_fits_80_columns(home: Path, command: str) -> None:
    text = _ask(home, command, "--help", COLUMNS="80", TERMINAL_WIDTH="80").stdout
    assert f"  tiny-backspace {command}" in text
    assert max(map(len, text.splitlines())) <= 80


def test_importing_the_commands_loads_nothing_heavy() -> None:
    program = "import sys, tiny_backspace.cli.history; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert loaded.isdisjoint({"pydantic", "rich", "sqlite3", "structlog", "docker", "git"})
    assert "typer" in loaded


def test_the_schema_is_the_golden_one() -> None:
    """Changing the wire is a visible diff: `tiny-backspace schema > tests/golden/schema.json`."""
    assert CliRunner().invoke(app, ["schema"]).stdout == _GOLDEN.read_text()


def test_times_and_repositories_are_written_shortly() -> None:
    spans = (timedelta(seconds=-5), timedelta(seconds=59), timedelta(minutes=61), timedelta(days=3))
    assert [ago(span) for span in spans] == ["0 s ago", "59 s ago", "1 h ago", "3 d ago"]
    repos = (
        "https://host/acme/api.git",
        "git@host:acme/api.git",
        "ssh://git@host/acme/api/",
        "/home/me/api",
    )
    assert [short_repo(repo) for repo in repos] == ["acme/api"] * 3 + ["api"]
    assert short_repo("") == ""


def test_the_narrow_table_leaves_out_what_there_is_no_room_for() -> None:
    now = datetime.now(UTC)
    assert len(rich_table([], now, 80).columns) == 6
    assert len(rich_table([], now, 160).columns) == 9
