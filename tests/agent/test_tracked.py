"""A pattern means the same to us as to rg, which is asked itself in tests/docker/test_search.py."""

from __future__ import annotations

import pytest

from tiny_backspace.agent.tracked import named


@pytest.mark.parametrize(
    ("pattern", "path", "meant"),
    [
        ("*.py", "a/b.py", True),
        ("/*.py", "a/b.py", False),
        ("/*.py", "b.py", True),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/a/b/c.py", True),
        ("src/*.py", "src/a/b.py", False),
        ("*.{c,h}", "x/a.h", True),
        ("[!a].py", "b.py", True),
        ("[!a].py", "a.py", False),
        ("dist/**", "dist/a/b", True),
        ("a?c", "abc", True),
        ("[", "[", True),
        ("{a", "{a", True),
        ("a.c", "abc", False),
    ],
)
def test_a_pattern_means_what_it_means_to_rg(pattern: str, path: str, meant: bool) -> None:
    assert named(pattern, path) is meant
