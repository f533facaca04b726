"""The catalogue is whole, and what it names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.faults.catalogue import ELSEWHERE, HERE, NOT_STAGED

ROOT = Path(__file__).parents[2]
NAMED = [(number, node) for part in (HERE, ELSEWHERE) for number in part for node in part[number]]


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_fault_is_in_exactly_one_part() -> None:
    parts = [*HERE, *ELSEWHERE, *NOT_STAGED]

    assert len(parts) == len(set(parts))
    assert set(parts) == {f"R{number}" for number in range(1, 52)}


@pytest.mark.parametrize(("number", "node"), NAMED)
def test_what_stages_a_fault_exists(number: str, node: str) -> None:
    path, _, name = node.partition("::")

    assert name in functions_of(path)
    assert path.startswith("tests/faults/") == (number in HERE)
