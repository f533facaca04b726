"""Whole runs with the real adapters against the loopback models, and a failure at each turn in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.pipeline import Job, Ran
from tests.program import git
from tests.servers.fifteen import (
    DONE,
    PROMPT,
    TURNS,
    Answer,
    Failing,
    answer,
    done,
    make,
)
from tests.servers.models import KEY, Fault, ModelServer, serving
from tests.servers.script import Dialect
from tiny_backspace.entries import Entry
from tiny_backspace.events import AgentThought, FileEdited, ModelTurn, ProviderReplaced, Retry
from tiny_backspace.providers.chain import Fallback, Retrying
from tiny_backspace.providers.claude import Claude
from tiny_backspace.providers.dummy import Dummy
from tiny_backspace.providers.interface import Provider
from tiny_backspace.providers.openai import OpenAI

OTHER: dict[Dialect, Dialect] = {"claude": "openai", "openai": "claude"}
AGAIN = (Fault("status", 529), Fault("cut"), Fault("early_end"), Fault("error_event"))


def adapter(server: ModelServer, dialect: Dialect) -> Provider:
    entry = Entry(
        name=dialect, dialect=dialect, model=f"{dialect}-model", base_url=server.base_url(dialect),
        key=SecretStr(KEY), key_variable="MY_KEY", effort="low", window=200_000, idle_timeout=20,
    )  # fmt: skip
    return Claude(entry) if dialect == "claude" else OpenAI(entry)


def chain(server: ModelServer, *dialects: Dialect) -> Provider:
    asked = (Retrying(adapter(server, d), wait=lambda _: None) for d in dialects)
    return Fallback(*asked, Dummy())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    return done(tmp_path_factory.mktemp("done") / "r")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("before") / "r")


@pytest.fixture(autouse=True)
def clean(repository: Path) -> Iterator[None]:
    """Each run leaves its branch; the next one finds none."""
    yield
    for branch in git(
        repository, "branch", "--list", "tiny-*", "--format=%(refname:short)"
    ).split():
        git(repository, "branch", "-q", "-D", branch)


def ran(
    answered: Answer, first: Dialect, repository: Path, folder: Path
) -> tuple[Ran, ModelServer]:
    """The run with `first` and then the other vendor; nothing that was asked may have been refused."""
    with serving(answered) as server:
        provider = chain(server, first, OTHER[first])
        job = Job(repository, folder, provider, PROMPT, secrets=(KEY,))
        result = job.go()
    assert server.refused == []
    assert (result.code, result.closing.type) == (0, "success"), result.closing
    return result, server


def tree_of(result: Ran, repository: Path) -> str:
    return git(repository, "rev-parse", f"{result.closing.branch}^{{tree}}")


@pytest.mark.parametrize("first", ["claude", "openai"])
def test_fifteen_turns_with_all_tools_become_a_branch(
    first: Dialect, repository: Path, tree: str, tmp_path: Path
) -> None:
    result, server = ran(answer, first, repository, tmp_path)
    assert tree_of(result, repository) == tree
    assert [(a.dialect, a.turn) for a in server.requests] == [
        (first, n) for n in range(1, TURNS + 1)
    ]
    turns = result.of(ModelTurn)
    assert [turn.turn for turn in turns] == list(range(1, TURNS + 1))
    assert [turn.stop for turn in turns] == ["tool_use"] * (TURNS - 1) + ["end_turn"]
    assert {(turn.input_tokens, turn.output_tokens, turn.cached_tokens) for turn in turns} == {
        (100, 20, 25)
    }
    edited = dict.fromkeys(edit.filepath for edit in result.of(FileEdited))
    assert set(edited) >= set(DONE) - {".gitignore", "numbers.txt"}
    assert "This is step 4." in [thought.message for thought in result.of(AgentThought)]


@pytest.mark.parametrize("turn", range(1, TURNS + 1))
@pytest.mark.parametrize("first", ["claude", "openai"])
def test_the_work_is_the_same_whatever_fails_in_whichever_turn(
    first: Dialect, turn: int, repository: Path, tree: str, tmp_path: Path
) -> None:
    """In `turn` a failure that passes: the same model goes on. In the next one, a key that is
    refused from then on: the other model goes on in that very turn, with what the first has begun.
    After the last turn comes the first one: there the other model does it all, and trips in the last.
    """
    fault, last = AGAIN[turn % len(AGAIN)], turn % TURNS + 1
    failing = Failing(once=(turn, fault), for_good=(first, last))
    result, server = ran(failing, first, repository, tmp_path)

    assert tree_of(result, repository) == tree
    expected: list[tuple[Dialect, int]] = []
    for n in range(1, TURNS + 1):
        expected += [(first, n)] if n == last else []
        expected += [(first if n < last else OTHER[first], n)] * (2 if n == turn else 1)
    assert [(asked.dialect, asked.turn) for asked in server.requests] == expected
    going_on = first if turn < last else OTHER[first]
    assert [(retry.provider, retry.attempt) for retry in result.of(Retry)] == [(going_on, 1)]
    (replaced,) = result.of(ProviderReplaced)
    assert (replaced.failed, replaced.next, replaced.turn) == (first, OTHER[first], last)
    assert "key" in replaced.reason
    assert KEY not in "".join(record.model_dump_json() for record in result.records)
