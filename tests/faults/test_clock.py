"""A clock that jumps (R47): times are for people, and no wait is measured by them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import tiny_backspace

PACKAGE = Path(tiny_backspace.__file__).parent
WALL = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
# Where something is waited for, or has a deadline.
WAITING = (
    "run.py", "bench.py", "overlap.py", "verification.py", "syntax.py", "cli/signals.py",
    "agent/*.py", "repo/*.py", "sandbox/*.py", "providers/*.py",
)  # fmt: skip
# a date in a header, the age of an answer, the engine's clock beside ours
DATES = {"providers/retry_after.py", "providers/cache.py", "sandbox/examination.py"}


def asked(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in WALL:
            yield node.lineno


def test_nothing_that_is_waited_for_is_measured_by_the_wall_clock() -> None:
    paths = [path for pattern in WAITING for path in PACKAGE.glob(pattern)]
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in paths
        if any(asked(ast.parse(path.read_text("utf-8"))))
    }

    assert len(paths) > len(WAITING)
    assert found == DATES
