"""Settings become a run: who answers, what is asked for, what is kept; no engine answers here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.program import make_repository
from tiny_backspace.errors import TinyBackspaceError, UsageError
from tiny_backspace.events import AgentThought, Record, RunFailed, RunStarted
from tiny_backspace.repo.policy import Limits, Policy
from tiny_backspace.repo.source import Local
from tiny_backspace.request import understood
from tiny_backspace.settings import PROMPT_LIMIT, Settings
from tiny_backspace.statedir import is_live
from tiny_backspace.tasks import Asked
from tiny_backspace.telemetry.store import History
from tiny_backspace.wiring import execute

RUN = "0a1b2c3d"
SECRET = "hunter2-canary"
ELSEWHERE = "tcp://127.0.0.1:1"  # an engine that is refused before anything is sent to it


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "r", {"a.txt": "a\n"})


def ask(
    folder: Path, repo: str, environment: Mapping[str, str] | None = None, **settings: Any
) -> tuple[int, list[Record]]:
    """A run that ends where it needs an engine, if not before."""
    records: list[Record] = []
    names = {f"XDG_{n}_HOME": str(folder / n) for n in ("STATE", "CACHE")}
    code, _ = execute(
        Asked(repo, "do it"),
        Settings.model_validate({"docker_host": ELSEWHERE} | settings),
        {"PATH": "/usr/bin:/bin", **names, **(environment or {})},
        RUN, (records.append,), (),
    )  # fmt: skip
    return code, records


def closing(records: list[Record]) -> RunFailed:
    last = records[-1].event
    assert isinstance(last, RunFailed)
    return last


def history(folder: Path) -> list[Record]:
    with History(folder / "STATE" / "tiny-backspace" / "history.db") as kept:
        return list(kept.records(RUN))


def state(folder: Path) -> list[str]:
    root = folder / "STATE" / "tiny-backspace"
    found = (p.relative_to(root).as_posix() for p in root.rglob("*") if not p.is_dir())
    return [name for name in found if not name.startswith(("history.db", "logs/")) and name != "id"]


def test_without_an_engine_the_run_ends_with_one_closing_record_and_is_kept(
    repository: Path, tmp_path: Path
) -> None:
    code, records = ask(tmp_path, str(repository), agents="dummy")

    assert (code, closing(records).error) == (2, "usage")
    assert "not a local one" in closing(records).message
    assert [r.event.type for r in records].count("error") == 1
    assert history(tmp_path) == records
    assert state(tmp_path) == []
    assert not is_live(tmp_path / "STATE" / "tiny-backspace", RUN)


def test_who_has_no_key_is_left_out_and_that_is_said(repository: Path, tmp_path: Path) -> None:
    _, records = ask(tmp_path, str(repository), agents="claude,dummy")

    said = [r.event.message for r in records if isinstance(r.event, AgentThought)]
    assert said == ["claude is skipped: there is no ANTHROPIC_API_KEY"]
    (started,) = (r.event for r in records if isinstance(r.event, RunStarted))
    assert started.agents == ("dummy:rules-1",)


@pytest.mark.parametrize(
    ("repo", "settings", "code", "said"),
    [
        (".", {"agents": "claude"}, 5, "nobody can answer: claude"),
        (".", {"agents": ()}, 5, "no agent was named"),
        (".", {"agents": "dummy,clippy"}, 2, "there is no agent 'clippy'"),
        (".", {"agents": "ollama"}, 2, "ollama has no model"),
        ("ext::sh -c id", {}, 2, "https"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    tmp_path: Path, repo: str, settings: dict[str, Any], code: int, said: str
) -> None:
    found, records = ask(tmp_path, repo, **settings)

    assert (found, len(records)) == (code, 1)
    assert said in closing(records).message
    # a mistyped command is not history; that nobody can answer is, so that `health` sees it
    assert history(tmp_path) == ([] if code == UsageError.exit_code else records)
    assert state(tmp_path) == []


def test_secrets_of_the_environment_reach_neither_records_nor_history(
    repository: Path, tmp_path: Path
) -> None:
    renamed = repository.rename(tmp_path / f"of-{SECRET}")

    _, records = ask(tmp_path, str(renamed), {"MY_TOKEN": SECRET}, agents="dummy")

    assert len(records) > 1
    assert SECRET not in "".join(r.model_dump_json() for r in records)
    assert history(tmp_path) == records


def test_a_view_that_fails_changes_nothing_for_the_others(repository: Path, tmp_path: Path) -> None:
    records: list[Record] = []

    def broken(_: Record) -> None:
        raise OSError(5, "the terminal was closed")

    code, _ = execute(
        Asked(str(repository), "do it"),
        Settings(agents=("dummy",), docker_host=ELSEWHERE),
        {"XDG_STATE_HOME": str(tmp_path / "STATE"), "XDG_CACHE_HOME": str(tmp_path / "C")},
        RUN, (broken, records.append), (),
    )  # fmt: skip

    assert code == 2
    assert [r.seq for r in records] == list(range(1, len(records) + 1))
    assert history(tmp_path) == records


def request(repo: str = ".", prompt: str = "do it", **settings: Any) -> Any:
    return understood(Asked(repo, prompt, "base"), Settings.model_validate(settings), RUN, str)


def test_a_request_says_all_that_was_asked_for() -> None:
    found = request(
        "./x", "do it", verify="make test", verify_attempts=3, verify_timeout="2m", command_timeout="90s", max_turns=5,
        max_tool_calls=6, timeout="10m", allow_path="a,b", author_name="Me", max_files=7, max_lines="8",
        max_file_size="1m", verify_base=False,
    )  # fmt: skip

    assert (found.source, found.base) == (Local("./x"), "base")
    assert found.repo == str(Path("x").absolute())
    assert (found.verification.command, found.verification.attempts) == ("make test", 3)
    assert (found.verification.timeout, found.command_timeout) == (120, 90)
    assert (found.limits.turns, found.limits.tool_calls, found.limits.seconds) == (5, 6, 600)
    assert found.verification.on_base is False
    assert found.delivery.policy == Policy(("a", "b"), Limits(7, 8, 1 << 20))
    assert found.delivery.identity["GIT_AUTHOR_NAME"] == "Me"
    assert set(found.delivery.identity) == {
        f"GIT_{r}_{p}" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")
    }


@pytest.mark.parametrize(
    ("prompt", "said"), [("", "empty"), (" \n\t", "empty"), ("é" * PROMPT_LIMIT, "at most 100000")]
)
def test_a_prompt_is_neither_empty_nor_endless(prompt: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        request(prompt=prompt)


def test_a_second_run_of_the_same_id_is_refused(repository: Path, tmp_path: Path) -> None:
    refusals: list[TinyBackspaceError] = []

    def again(record: Record) -> None:
        if record.seq == 1:
            try:
                ask(tmp_path, str(repository))
            except TinyBackspaceError as error:
                refusals.append(error)

    execute(
        Asked(str(repository), "do it"),
        Settings(agents=("dummy",), docker_host=ELSEWHERE),
        {"XDG_STATE_HOME": str(tmp_path / "STATE"), "XDG_CACHE_HOME": str(tmp_path / "C")},
        RUN, (again,), (),
    )  # fmt: skip

    assert ["going on already" in str(error) for error in refusals] == [True]
