"""The score with its reasons, out of real histories; the rules against their page."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.health.told import NOW, SINCE, WELL, asked, failed, told, turn
from tiny_backspace import errors
from tiny_backspace import events as ev
from tiny_backspace.cli import app
from tiny_backspace.health.facts import Facts, Operation, Provider
from tiny_backspace.health.rules import BUDGETS, RULES, WEIGHTS, Verdict, budget, judge


def test_the_page_has_every_rule_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "health.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\d+) \|$", page, re.MULTILINE)
    assert rows == [(rule.name, rule.what, f"{rule.most:g}") for rule in RULES]
    assert len({rule.advice for rule in RULES}) == len(RULES)
    weights = re.findall(r"^\| ([\d.]+) \| ((?:`\w+` ?)+)\|$", page, re.MULTILINE)
    assert {n: float(w) for w, names in weights for n in re.findall("`(.*?)`", names)} == WEIGHTS
    budgets = re.findall(r"^\| (`.*`) \| ([\d.]+) s \|$", page, re.MULTILINE)
    assert {
        name: float(s) * 1000 for names, s in budgets for name in re.findall("`(.*?)`", names)
    } == BUDGETS


@pytest.mark.parametrize(
    ("kind", "costs"),
    [
        ("limit_reached", {"errors": 2, "limits": 2}), ("repetition", {"errors": 2, "limits": 2}),
        ("sandbox_lost", {"errors": 5, "sandbox": 5}), ("setup_failed", {"errors": 5}), ("bug", {"errors": 10}),
    ],
)  # fmt: skip
def test_what_a_failed_run_costs_by_its_kind(kind: str, costs: dict[str, int]) -> None:
    verdict = judge(replace(WELL, errors={kind: 1}))
    assert {each.rule: each.points for each in verdict.deductions} == costs


def test_every_weight_is_of_a_kind_that_there_is() -> None:
    def kinds(of: type[errors.TinyBackspaceError]) -> set[str]:
        return {of.kind}.union(*(kinds(each) for each in of.__subclasses__()))

    signals = {errors.Stopped(number).kind for number in (1, 2, 15)}
    assert WEIGHTS.keys() <= kinds(errors.TinyBackspaceError) | signals | {"bug"}
    assert signals <= {kind for kind, weight in WEIGHTS.items() if weight == 0}


@pytest.mark.parametrize(
    ("operation", "milliseconds"),
    [("fetch", 30_000), ("model any", 30_000), ("tool bash", 60_000), ("tool edit", 1_000),
     ("github.pulls/create", 5_000), ("sandbox.image", None), ("", None)],
)  # fmt: skip
def test_a_budget_is_by_name_or_by_its_first_word(
    operation: str, milliseconds: float | None
) -> None:
    assert budget(operation) == milliseconds


@pytest.mark.parametrize(
    ("facts", "rule", "points"),
    [
        (replace(WELL, errors={"provider": 1}), "errors", 5),
        (replace(WELL, errors={"provider": 9}), "errors", 30),
        (replace(WELL, errors={"bug": 1}), "errors", 10),
        (replace(WELL, response_ms=5_001), "response", 20),
        (replace(WELL, crashed=2), "unfinished", 10),
        (replace(WELL, crashed=9), "unfinished", 15),
        (replace(WELL, providers=(Provider("a", 90, 10),)), "providers", 5),
        (replace(WELL, fallbacks=2), "fallbacks", 10),
        (replace(WELL, operations=(Operation("model x", 3, 0, 1, 1, 31_000, 1),)), "budgets", 2),
        (replace(WELL, disk_free=1 << 30), "disk", 10),
        (replace(WELL, disk_used=21 << 30), "disk", 10),
        (replace(WELL, problem="It is damaged."), "history", 60),
        (replace(WELL, operations=(Operation("fetch", 3, 0, 1, 1, 31_000, 1),)), "budgets", 2),
    ],
)
def test_each_rule_takes_its_points(facts: Facts, rule: str, points: int) -> None:
    verdict = judge(facts)
    assert [(each.rule, each.points) for each in verdict.deductions] == [(rule, points)]
    assert verdict.score == 100 - points


@pytest.mark.parametrize(
    "facts",
    [
        WELL, Facts(SINCE, NOW), replace(WELL, errors={"usage": 50, "interrupted": 9}), replace(WELL, response_ms=5_000),
        replace(WELL, fallbacks=1), replace(WELL, providers=(Provider("a", 95, 5),)), replace(WELL, disk_free=None),
    ],
)  # fmt: skip
def test_what_is_well_or_the_users_own_costs_nothing(facts: Facts) -> None:
    assert judge(facts) == Verdict(100, ())


@given(
    st.builds(
        Facts, st.just(SINCE), st.just(NOW), runs=st.integers(0, 99), crashed=st.integers(0, 99),
        fallbacks=st.integers(0, 99), errors=st.dictionaries(st.text(), st.integers(0, 99)),
        providers=st.lists(st.builds(Provider, st.text(), st.integers(0, 9), st.integers(1, 9))),
        response_ms=st.none() | st.floats(0, 1e9), disk_free=st.none() | st.integers(0, 1 << 40),
    )
)  # fmt: skip
def test_a_score_is_what_its_deductions_leave(facts: Facts) -> None:
    verdict = judge(facts)
    assert 0 <= verdict.score <= 100
    assert verdict.score == max(0, 100 - sum(each.points for each in verdict.deductions))
    assert [d.points for d in verdict.deductions] == sorted(
        (d.points for d in verdict.deductions), reverse=True
    )


def test_people_see_the_reasons_and_programs_one_object(state: Path) -> None:
    told(state, "a", turn("claude", 8_000), failed("provider"))
    told(state, "b", ev.Timed(operation="push", duration_ms=9, ok=False), failed("usage"))
    text = asked(state).stdout

    assert text.splitlines()[0] == "health 75 of 100: fair"
    assert "2 runs in 24 h: 0 succeeded, 2 failed, 0 killed" in text
    assert re.search(r"^  -20  response    Answers are slow", text, re.MULTILINE)
    assert re.search(r"^  -5   errors      Look at what failed", text, re.MULTILINE)
    assert "errors: provider 1, usage 1 (not counted)\n" in text
    assert re.search(r"^claude +1 +100% +0$", text, re.MULTILINE)
    assert re.search(r"^model claude +1 +0 +8\.0 s +8\.0 s +8\.0 s +30\.0 s$", text, re.MULTILINE)
    assert re.search(r"^push +0 +1 +- +- +- +30\.0 s$", text, re.MULTILINE)
    assert "\x1b" not in text
    data = json.loads(asked(state, "--json").stdout)
    assert (data["score"], data["verdict"]) == (75, "fair")
    assert data["errors"] == {"provider": 1, "usage": 1}
    assert [each["rule"] for each in data["deductions"]] == ["response", "errors"]
    assert data["operations"][0]["budget"] == 30_000
    assert data["providers"][0]["success"] == 1.0


def test_it_fits_a_small_terminal_whatever_there_is_to_say(state: Path) -> None:
    names = [f"operation.number_{n}" for n in range(40)]
    times = [ev.Timed(operation=name, duration_ms=123_456.0 * n) for n, name in enumerate(names)]
    slow = ev.ToolFinished(
        id="1", tool="read", ok=True, exit_code=None, duration_ms=150, size=1, excerpt=""
    )
    kinds = ("provider", "sandbox_lost", "limit_reached", "verification_failed", "bug")
    for n, kind in enumerate(kinds):
        told(state, f"a{n}", turn("claude", 90_000), slow, *times, failed(kind))
    told(state, "killed", ev.ProviderReplaced(failed="claude", next="openai", reason="r"))
    lines = asked(state).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 30  # all reasons, and of the operations the slowest
    assert lines[-1].endswith("more, which are quicker: --json has them.")
    head = next(n for n, line in enumerate(lines) if line.startswith("operation "))
    assert lines[head + 1].startswith("model claude ")  # what is over its budget comes first
    assert lines[head + 2].startswith("tool read ")
    assert lines[head + 3].startswith("operation.number_39 ")


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_only_a_terminal_sees_colour_and_not_one_that_wants_none(
    state: Path, no_colour: str
) -> None:
    told(state, "a", ev.RunSucceeded(message="m"))
    environment = {
        "PATH": os.defpath,
        "XDG_STATE_HOME": str(state.parent),
        "TERM": "xterm-256color",
    }
    child: pexpect.spawn[bytes] = pexpect.spawn(
        sys.executable, ["-m", "tiny_backspace", "health"], dimensions=(24, 80), timeout=60,
        cwd=str(Path(__file__).parents[2]), env=environment | {"NO_COLOR": no_colour},
    )  # fmt: skip
    first = child.read().splitlines()[0]
    child.close()
    assert child.exitstatus == 0
    assert b"health 100 of 100: good" in first
    assert (b"\x1b[" in first) == (not no_colour)


def test_help_has_examples_and_fits_80_columns(state: Path) -> None:
    environment = {"COLUMNS": "80", "TERMINAL_WIDTH": "80"}
    text = CliRunner().invoke(app, ["health", "--help"], env=environment).stdout
    assert "  tiny-backspace health --since 7d --json" in text
    assert "Exit codes with --alert: 0 nothing to tell" in text
    assert "`alerts` settings" in text  # in brackets it would be taken for a style, and be missing
    assert max(map(len, text.splitlines())) <= 80
