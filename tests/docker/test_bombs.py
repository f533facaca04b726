"""Whole runs on repositories that were made to break whoever opens them (docs/security.md: A42, A44, A47, A50)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docker.test_main_job import containers
from tests.program import Program, git, snapshot
from tests.repo import bombs
from tests.repo.bombs import FILE, FOLDER, LINK, MIB, blob, tree, tree_content

PROMPT = "replace 'helo' with 'hello' in README.md"
TEXT = blob(b"helo\n")
INNER = tree((FILE, b"config", TEXT.sha))
TARGET = blob(b"/etc/passwd")
MODULES = blob(
    b'[submodule "../x"]\n\tpath = s\n\turl = --upload-pack=touch canary\n\tupdate = !touch canary\n'
)
ATTRIBUTES = blob(b"* filter=x diff=x merge=x ident\n")
ALSO = (TEXT, INNER, TARGET, MODULES, ATTRIBUTES)
README = (FILE, b"README.md", TEXT.sha)
NOWHERE = "1" * 40

ENDS: dict[str, tuple[bombs.Raw, int, str]] = {
    "a tree bomb": (bombs.tree_bomb(10, 10), 3, "does not fit"),
    "a delta bomb": (bombs.delta_bomb(1536 * MIB), 3, "does not fit"),
    "a gigabyte of zeros and more": (bombs.zeros(1200 * MIB), 4, "checked out in the sandbox"),
}
TREES: dict[str, tuple[bytes, int, str]] = {
    "git's folder": (tree_content((FOLDER, b".git", INNER.sha), README), 3, "refuses a path"),
    "out": (tree_content((FILE, b"../../out", TEXT.sha), README), 3, "refuses a path"),
    "a folder that is git's on a Mac": (
        tree_content((FOLDER, ".g\u200cit".encode(), INNER.sha), README),
        3,
        "contains '.git'",
    ),
    "a submodule with a program": (
        tree_content((FILE, b".gitmodules", MODULES.sha), README, ("160000", b"s", NOWHERE)),
        3,
        "submodule",
    ),
    "a name with a slash": (tree_content(README, (FILE, b"a/b", TEXT.sha)), 3, "reading"),
    "the same name twice": (tree_content(README, README), 6, "does not apply"),
    "a link and a folder": (
        tree_content(README, (LINK, b"d", TARGET.sha), (FOLDER, b"d", INNER.sha)),
        6,
        "does not apply",
    ),
    "a folder for a file": (tree_content(README, (FILE, b"f", INNER.sha)), 4, "checked out"),
    "cut": (tree_content(README)[:-5], 3, "could not be fetched"),
}
FINE: dict[str, bytes] = {
    "a link out": tree_content(README, (LINK, b"l", TARGET.sha)),
    "a submodule of nowhere": tree_content(README, ("160000", b"s", NOWHERE)),
    "a device's mode": tree_content(README, ("20666", b"f", TEXT.sha)),
    "a mode without end": tree_content(README, ("7" * 40, b"f", TEXT.sha)),
    "a terminal's commands": tree_content((FILE, b"\x1b]0;x\x07\n", TEXT.sha), README),
    "an option": tree_content((FILE, b"--upload-pack=x", TEXT.sha), README),
    "attributes": tree_content((FILE, b".gitattributes", ATTRIBUTES.sha), README),
}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home", {})


def check_end(program: Program, repository: Path, code: int, said: str) -> None:
    """Exit code and reason are told; nothing is left, and the repository is as it was.

    Save for objects that nothing names: git looks at them as it unpacks them.
    """
    before = snapshot(repository, leaving_out=("objects",))

    done = program.run("run", str(repository), PROMPT, "-o", "jsonl")

    assert done.exit_code == code, done.stdout[-2000:] + done.stderr
    assert done.lines[-1]["type"] == "error"
    assert said in done.lines[-1]["message"]
    assert "Traceback" not in done.stderr
    assert snapshot(repository, leaving_out=("objects",)) == before
    assert containers(program) == []


@pytest.mark.parametrize("name", ENDS)
def test_a_bomb_ends_the_run_and_nothing_else(program: Program, tmp_path: Path, name: str) -> None:
    raw, code, said = ENDS[name]

    check_end(program, bombs.repository(tmp_path / "r.git", raw), code, said)


@pytest.mark.parametrize("name", TREES)
def test_a_tree_that_no_git_would_write_ends_the_run_and_nothing_else(
    program: Program, tmp_path: Path, name: str
) -> None:
    content, code, said = TREES[name]
    raw = bombs.hostile_tree(content, ALSO)

    check_end(program, bombs.repository(tmp_path / "r.git", raw), code, said)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "r.git"]
    assert not list(tmp_path.rglob("canary"))


@pytest.mark.parametrize("name", FINE)
def test_what_is_strange_beside_the_change_stays_as_it_is(
    program: Program, tmp_path: Path, name: str
) -> None:
    raw = bombs.hostile_tree(FINE[name], ALSO)
    repository = bombs.repository(tmp_path / "r.git", raw)

    done = program.run("run", str(repository), PROMPT, "-o", "jsonl")

    assert done.exit_code == 0, done.stdout[-2000:] + done.stderr
    branch = done.lines[-1]["branch"]
    assert git(repository, "diff-tree", "-r", "--name-only", "main", branch) == "README.md"
    assert b"\x1b" not in done.stdout.encode()
    assert not list(tmp_path.rglob("canary"))
