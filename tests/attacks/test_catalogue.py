"""Every attack of the catalogue is somewhere, once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from tests.attacks.catalogue import ALL, ELSEWHERE, WAITING

ROOT = Path(__file__).parents[2]


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def here() -> set[int]:
    names = {name for file in Path(__file__).parent.glob("test_*.py") for name in functions(file)}
    return {int(found[1]) for name in names if (found := re.match(r"test_a(\d{2})_", name))}


def test_every_attack_has_a_test_here_or_one_elsewhere_or_a_reason() -> None:
    counted = Counter([*here(), *ELSEWHERE, *WAITING])
    assert sorted(counted) == list(ALL)
    assert {number for number, times in counted.items() if times > 1} == set()


def test_the_tests_elsewhere_are_there() -> None:
    for number, nodes in ELSEWHERE.items():
        for node in nodes:
            file, _, name = node.partition("::")
            assert name in functions(ROOT / file), f"A{number}: {node}"


def test_what_waits_says_for_what() -> None:
    assert all(reason for reason in WAITING.values())
