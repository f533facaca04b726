"""A change that makes the tests say less is seen, out of git's own account of it; one that does not is not."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.program import git, make_repository
from tiny_backspace.repo.difference import parse_raw
from tiny_backspace.repo.lines import OPTIONS, added_lines, removed_lines
from tiny_backspace.repo.weakened import is_test, weakened

TEST = (
    "import pytest\n\n\ndef test_one():\n    assert one() == 1\n    assert two() == 2\n\n\n"
    "def test_two():\n    assert two() == 2\n"
)
FILES = {
    "tests/test_a.py": TEST,
    "a.test.js": "it('adds', () => {\n  expect(add(1, 1)).toBe(2);\n});\n",
    "a_test.go": 'func TestAdd(t *testing.T) {\n\tif Add(1, 1) != 2 {\n\t\tt.Fatal("no")\n\t}\n}\n',
    "pyproject.toml": "[tool.coverage.report]\nfail_under = 90\n",
    "src/a.py": "def one():\n    return 1\n",
}


def signs(
    folder: Path, after: Mapping[str, str | None], before: Mapping[str, str] = FILES
) -> dict[str, str]:
    """What is found in the step from `before` to `before` with `after` on top; None deletes."""
    repository = make_repository(folder / "r", dict(before))
    for path, text in after.items():
        file = repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "change")

    def between(*options: str) -> bytes:
        argv = ["git", "-C", str(repository), "diff-tree", *options, "HEAD^", "HEAD"]
        return subprocess.run(argv, capture_output=True, check=True).stdout

    changes = parse_raw(between("--raw", "--full-index", "-r", "-z", "--no-renames"))
    patch = between(*OPTIONS)
    found = weakened(
        changes, list(added_lines(patch, changes)), list(removed_lines(patch, changes))
    )
    return {path.decode(): message for path, message in found}


@pytest.mark.parametrize(
    ("after", "path", "said"),
    [
        ({"tests/test_a.py": None}, "tests/test_a.py", "A file of tests is deleted."),
        ({"tests/test_a.py": TEST.partition("\n\ndef test_two")[0]}, "tests/test_a.py", "1 test is taken out."),
        ({"tests/test_a.py": "import pytest\n"}, "tests/test_a.py", "2 tests are taken out."),
        ({"tests/test_a.py": TEST.replace("    assert one() == 1\n", "    one()\n")},
         "tests/test_a.py", "1 assertion is taken out, and none added."),
        ({"tests/test_a.py": TEST.replace("def test_one", "@pytest.mark.skip\ndef test_one")},
         "tests/test_a.py", "1 test is skipped, or expected to fail."),
        ({"tests/test_a.py": TEST.replace("def test_one", "@pytest.mark.xfail(reason='x')\ndef test_one")},
         "tests/test_a.py", "1 test is skipped, or expected to fail."),
        ({"a.test.js": FILES["a.test.js"].replace("it(", "it.skip(")}, "a.test.js", "1 test is skipped, or expected to fail."),
        ({"a.test.js": FILES["a.test.js"].replace("it(", "xit(")}, "a.test.js", "1 test is skipped, or expected to fail."),
        ({"a_test.go": FILES["a_test.go"].replace("{\n\tif", "{\n\tt.Skip()\n\tif")}, "a_test.go", "1 test is skipped, or expected to fail."),
        ({"a_test.go": "package a\n"}, "a_test.go", "1 test is taken out."),
        ({"pyproject.toml": FILES["pyproject.toml"].replace("90", "80.5")},
         "pyproject.toml", "The threshold fail_under is lowered from 90 to 80.5."),
        ({"pyproject.toml": "[tool.coverage.report]\n"}, "pyproject.toml", "The threshold fail_under is taken out."),
    ],
)  # fmt: skip
def test_each_sign_is_seen(
    tmp_path: Path, after: dict[str, str | None], path: str, said: str
) -> None:
    assert signs(tmp_path, after) == {path: said}


@pytest.mark.parametrize(
    "after",
    [
        {"src/a.py": "def one():\n    return 2\n"},
        {"tests/test_a.py": TEST + "\n\ndef test_three():\n    assert three()\n"},
        {"tests/test_a.py": TEST.replace("one() == 1", "one() == 3")},
        {"tests/test_a.py": TEST.replace("test_one", "test_another")},
        {"tests/test_a.py": None, "tests/unit/test_a.py": TEST + "# moved\n"},
        {"tests/test_a.py": None, "tests/test_b.py": TEST},
        {"pyproject.toml": FILES["pyproject.toml"].replace("90", "95")},
        {"src/new.py": "branches = 4\nlines = 3\n"},
        {"src/a.py": None},
        {"README.md": "Skip it; x it (test)\n"},
    ],
)
def test_what_only_looks_like_one_is_not(tmp_path: Path, after: dict[str, str | None]) -> None:
    assert signs(tmp_path, after) == {}


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("tests/a.py", True), ("src/test/java/A.java", True), ("a/b_test.go", True), ("a.spec.ts", True),
        ("conftest.py", True), ("test_x.py", True), ("lib/AddTest.java", True), ("spec/a.rb", True),
        ("contest.py", False), ("src/latest.py", False), ("attest/a.py", False), ("docs/testing.md", False),
        ("protest.py", False),
    ],
)  # fmt: skip
def test_a_test_is_told_by_its_name_or_folder(path: str, is_one: bool) -> None:
    assert is_test(path.encode()) == is_one
