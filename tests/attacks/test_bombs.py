"""A44: a repository that is more than it seems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.oracles import holding
from tests.attacks.scene import EDITING, hostile
from tests.program import git, make_repository
from tests.repo.built import built, plain


def tree_bomb(folder: Path, levels: int = 12) -> Path:
    """10^levels files of one byte, in a kilobyte."""
    built(folder, {b"README.md": b"x"})
    made = plain(folder, "hash-object", "-w", "--stdin", stdin=b"x").strip().decode()
    kind = "100644 blob"
    for _ in range(levels):
        lines = "".join(f"{kind} {made}\tf{n}\n" for n in range(10))
        made = plain(folder, "mktree", stdin=lines.encode()).strip().decode()
        kind = "040000 tree"
    commit = git(folder, "commit-tree", made, "-m", "bomb")
    git(folder, "update-ref", "refs/heads/main", commit)
    return folder


def large(folder: Path) -> Path:
    """Forty megabytes in the work tree, and a thousandth of that on the way to it."""
    return make_repository(folder, {"README.md": "x", "large": b"x" * (40 << 20)})


@pytest.mark.parametrize(
    ("bomb", "flags", "said"),
    [(tree_bomb, (), "does not fit"), (large, ("--memory", "1g", "--disk", "16m"), "could not be checked out")],
)  # fmt: skip
def test_a44_a_bomb_in_a_repository_is_a_sentence(
    tmp_path: Path, bomb: Callable[[Path], Path], flags: tuple[str, ...], said: str
) -> None:
    """Expected: rlimit or size cap; the run fails as a repository that is too large.

    Larger than a fetch may be: tests/repo/test_mirror.py.
    """
    with hostile(tmp_path, source=bomb(tmp_path / "work")) as scene, holding(scene):
        done = scene.run(*flags)

    assert done.exit_code in {3, 4}, done.lines[-1]
    assert said in done.lines[-1]["message"]
    assert done.of("model_turn") == []
    if "--disk" in flags:
        assert "--disk" in done.lines[-1]["hint"]


def test_a44_fifty_thousand_refs_are_no_burden(tmp_path: Path) -> None:
    with hostile(tmp_path) as scene:
        tip = git(scene.place.bare, "rev-parse", "main")
        lines = "".join(f"{tip} refs/tags/{n:05}\n" for n in range(50_000))
        packed = scene.place.bare / "packed-refs"
        packed.write_text(f"# pack-refs with: peeled fully-peeled sorted \n{tip} refs/heads/main\n{lines}")  # fmt: skip
        with holding(scene):
            scene.answer = EDITING
            done = scene.run()

    assert done.exit_code == 0, done.lines[-1]
