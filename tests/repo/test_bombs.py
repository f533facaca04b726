"""What was made to break whoever opens it: it ends in a sentence, in bounded memory (docs/security.md: A44, A47, A49, A50)."""

from __future__ import annotations

import base64
import multiprocessing
import resource
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.program import git, make_repository, snapshot
from tests.repo import bombs
from tests.repo.bombs import FILE, FOLDER, LINK, MIB, blob, tree, tree_content
from tests.repo.hostgit import host_git, mirrored, quiet
from tests.servers.raw_pack import raw_pack
from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.judging import judged
from tiny_backspace.repo.git import TRANSFER
from tiny_backspace.repo.mirror import Base, mirror_of
from tiny_backspace.repo.policy import Policy
from tiny_backspace.repo.quarantine import JUDGED_LIMIT, Patch, quarantine
from tiny_backspace.views.state import RunState

BOUND = 1024 * MIB  # what no child of ours may have had


class Ended(NamedTuple):
    """`kind` and `said` are the error's, "" if there was none; `peak` is the largest child's memory in bytes."""

    kind: str
    said: str
    peak: int


def measured(work: Callable[[], object]) -> Ended:
    """In a process of its own, whose children are counted apart from all the others'."""
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe(duplex=False)

    def run() -> None:
        kind = said = ""
        try:
            work()
        except TinyBackspaceError as error:
            kind, said = error.kind, f"{error} {error.hint or ''}"
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        theirs.send(Ended(kind, said, peak))

    process = forking.Process(target=run)
    process.start()
    theirs.close()
    with ours:
        ended: Ended = ours.recv()  # EOFError: it died of something else
    process.join()
    return ended


def taken_in(folder: Path, repository: bombs.Raw) -> Callable[[], None]:
    """Fetch it from a server that sends it as it is, and prepare what a run prepares."""

    def work() -> None:
        ours = replace(host_git(folder), protocols=("http",))
        with raw_pack(repository.head, repository.pack) as url:
            base, mirror = Base(repository.head, "main"), mirror_of(folder / "cache", url, ours)
            mirror.fetch(url, base, quiet)
            with quarantine(folder / "q.git", mirror, base):
                pass

    return work


TREES = {"deep": (10, 10), "wide": (3, 5000)}


@pytest.mark.parametrize("shape", TREES)
def test_a_tree_of_more_files_than_there_is_memory_is_too_large(tmp_path: Path, shape: str) -> None:
    ended = measured(taken_in(tmp_path, bombs.tree_bomb(*TREES[shape])))

    assert ended.kind == "repository"
    assert "does not fit into 1024 MiB" in ended.said
    assert "Remove" not in ended.said  # the cache is not damaged
    assert ended.peak < BOUND


def test_a_delta_that_unfolds_to_more_than_there_is_memory_is_too_large(tmp_path: Path) -> None:
    bomb = bombs.delta_bomb(1536 * MIB)
    assert len(bomb.pack) < 1000

    ended = measured(taken_in(tmp_path, bomb))

    assert ended.kind == "repository"
    assert f"does not fit into {TRANSFER.heap // MIB} MiB" in ended.said
    assert ended.peak < BOUND
    assert list(tmp_path.glob("cache/mirrors/*/objects/pack/tmp_*")) == []


def test_a_gigabyte_of_nothing_is_kept_as_small_as_it_came(tmp_path: Path) -> None:
    bomb = bombs.zeros(1024 * MIB)

    ended = measured(taken_in(tmp_path, bomb))

    assert ended == Ended("", "", ended.peak)
    assert ended.peak < BOUND
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert kept < 3 * len(bomb.pack)


X = blob(b"x")
INNER = tree((FILE, b"config", X.sha))
TARGET = blob(b"/etc/passwd")
README = (FILE, b"README.md", X.sha)
INVALID, INCOMPLETE, TAKEN = "git refuses a path", "could not be fetched", ""
NOWHERE = "1" * 40

HOSTILE: dict[str, tuple[bytes, str]] = {
    "git's folder": (tree_content((FOLDER, b".git", INNER.sha), README), INVALID),
    "in capitals": (tree_content((FOLDER, b".GIT", INNER.sha), README), INVALID),
    "its short name": (tree_content(README, (FOLDER, b"git~1", INNER.sha)), INVALID),
    "with a space": (tree_content((FOLDER, b".git ", INNER.sha), README), INVALID),
    "with a dot": (tree_content((FOLDER, b".git.", INNER.sha), README), INVALID),
    "as a stream": (
        tree_content((FILE, b".git::$INDEX_ALLOCATION", X.sha), README),
        INVALID,
    ),
    "with a backslash": (tree_content((FILE, b".git\\config", X.sha), README), INVALID),
    "the folder above": (tree_content((FOLDER, b"..", INNER.sha), README), INVALID),
    "the folder itself": (tree_content((FOLDER, b".", INNER.sha), README), INVALID),
    "out": (tree_content((FILE, b"../../out", X.sha), README), INVALID),
    "an absolute path": (tree_content((FILE, b"/tmp/out", X.sha), README), INVALID),
    "a link for .gitmodules": (tree_content((LINK, b".gitmodules", TARGET.sha), README), INVALID),
    "no name": (tree_content((FILE, b"", X.sha), README), INCOMPLETE),
    "no object": (tree_content(README, (FILE, b"f", "0" * 40)), INCOMPLETE),
    "a missing object": (tree_content(README, (FILE, b"f", NOWHERE)), INCOMPLETE),
    "a file for a folder": (tree_content(README, (FOLDER, b"f", X.sha)), INCOMPLETE),
    "cut": (tree_content(README)[:-5], INCOMPLETE),
    "garbage": (b"\xff" * 500, INCOMPLETE),
    # What git takes in is looked at again when it is checked out inside, and when it goes out.
    "a name with a slash": (tree_content(README, (FILE, b"a/b", X.sha)), TAKEN),
    "the same name twice": (tree_content(README, README), TAKEN),
    "a link and a folder": (
        tree_content(README, (LINK, b"d", TARGET.sha), (FOLDER, b"d", INNER.sha)),
        TAKEN,
    ),
    "a folder for a file": (tree_content(README, (FILE, b"f", INNER.sha)), TAKEN),
    "a submodule of nowhere": (tree_content(README, ("160000", b"s", NOWHERE)), TAKEN),
    "a device's mode": (tree_content(README, ("20666", b"f", X.sha)), TAKEN),
    "a mode without end": (tree_content(README, ("7" * 40, b"f", X.sha)), TAKEN),
    "a terminal's commands": (tree_content((FILE, b"\x1b]0;x\x07\n", X.sha), README), TAKEN),
    "an option": (tree_content((FILE, b"--upload-pack=x", X.sha), README), TAKEN),
    "a long name": (tree_content(README, (FILE, b"n" * 5000, X.sha)), TAKEN),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_tree_that_no_git_would_write_is_refused_or_harmless(tmp_path: Path, name: str) -> None:
    content, said = HOSTILE[name]

    ended = measured(taken_in(tmp_path, bombs.hostile_tree(content, (X, INNER, TARGET))))

    assert ended.kind == ("repository" if said else "")
    assert said in ended.said
    assert "\x1b" not in ended.said
    assert ended.peak < BOUND
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "home-of-git"]
    assert [p.name for p in (tmp_path / "home-of-git").iterdir()] == ["gitconfig-0"]  # our own


def lines_of_85(data: bytes) -> bytes:
    """As git's binary patches have it: up to 52 bytes a line, their number in front as a letter."""
    pieces = (data[at : at + 52] for at in range(0, len(data), 52))
    return b"".join(
        bytes([len(p) + (64 if len(p) <= 26 else 70)]) + base64.b85encode(p, pad=True) + b"\n"
        for p in pieces
    )


def packed_zeros(mebibytes: int) -> bytes:
    packing = zlib.compressobj(9)
    return b"".join([*(packing.compress(bytes(MIB)) for _ in range(mebibytes)), packing.flush()])


def literal(size: int, packed: bytes) -> bytes:
    head = f"diff --git a/z b/z\nnew file mode 100644\nindex {'0' * 40}..{'1' * 40}\n"
    return f"{head}GIT binary patch\nliteral {size}\n".encode() + lines_of_85(packed) + b"\n"


def delta(old: str, base: int, result: int) -> bytes:
    """For `bin`: it says how large that is and what comes of it, and copies ten bytes."""
    said = bombs.number(base) + bombs.number(result) + b"\x90\x0a"
    head = f"diff --git a/bin b/bin\nindex {old}..{'1' * 40} 100644\n"
    body = lines_of_85(zlib.compress(said)) + b"\n"
    return f"{head}GIT binary patch\ndelta {len(said)}\n".encode() + body


def new_file(path: str, lines: int) -> bytes:
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{lines} @@\n".encode() + b"+\n" * lines


HEAD = b"diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n"
BIN = bytes(range(256)) * 20
FILES: dict[str, str | bytes] = {"a.txt": "one\ntwo\nthree\n", "bin": BIN}
OLD = blob(BIN).sha

PATCHES: dict[str, Callable[[], bytes]] = {
    "20 GiB, it says": lambda: literal(20 << 30, packed_zeros(1)),
    "2^63 bytes, it says": lambda: literal((1 << 63) - 1, packed_zeros(1)),
    "800 MiB of zeros": lambda: literal(800 * MIB, packed_zeros(800)),
    "fewer bytes than it says": lambda: literal(10, packed_zeros(1)),
    "a delta of nothing we have": lambda: delta(NOWHERE, len(BIN), 10),
    "a delta of another length": lambda: delta(OLD, 999, 10),
    "a delta that ends too soon": lambda: delta(OLD, len(BIN), 1 << 40),
    "a quintillion lines, it says": lambda: HEAD + b"@@ -1,%d +1,%d @@\n one\n" % (10**18, 10**18),
    "a hunk of another file": lambda: HEAD + b"@@ -1,3 +1,3 @@\n-four\n+five\n two\n three\n",
    "a hunk that is cut": lambda: HEAD + b"@@ -1,3 +1,3 @@\n-one\n",
    "quoted ..": lambda: new_file("x", 1).replace(b"b/x", b'"b/\\056\\056/x"'),
    "from a file to a link": lambda: (
        b"diff --git a/a.txt b/a.txt\nold mode 100644\nnew mode 120000\n"
    ),
}


def immense(files: int) -> bytes:
    """New and empty ones."""
    names = (b"%x" % n for n in range(files))
    made = b"diff --git a/%s b/%s\nnew file mode 100644\nindex 0000000..e69de29\n"
    return b"".join(made % (name, name) for name in names)


def judging(folder: Path, data: bytes, *, promised: str) -> Ended:
    """The patch against a repository of `FILES`; the container is said to have promised that tree."""
    mirror, base = mirrored(make_repository(folder / "r", FILES), folder)
    path = folder / "p.patch"
    path.write_bytes(data)
    before = snapshot(mirror.path)

    def work() -> None:
        with quarantine(folder / "q.git", mirror, base) as cage:
            judged(cage, Patch(path, len(data), promised), Policy(), None, RunState, quiet)

    ended = measured(work)
    assert snapshot(mirror.path) == before
    assert sorted(p.name for p in folder.iterdir()) == ["cache", "home-of-git", "p.patch", "r"]
    assert git(folder / "r", "status", "--porcelain") == ""
    return ended


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    ended = judging(tmp_path, PATCHES[name](), promised=NOWHERE)

    assert ended.kind == "agent"
    assert "the patch " in ended.said
    assert ended.peak < BOUND


def promised(*more: tuple[str, bytes, str]) -> str:
    """The tree of `FILES` and these."""
    ours = [(FILE, name.encode(), blob(_bytes(content)).sha) for name, content in FILES.items()]
    return tree(*sorted((*ours, *more), key=lambda entry: entry[1])).sha


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def test_very_many_files_are_counted_and_refused(tmp_path: Path) -> None:
    files, empty = 100_000, blob(b"").sha
    data = immense(files)
    assert len(data) < JUDGED_LIMIT

    ended = judging(
        tmp_path, data, promised=promised(*((FILE, b"%x" % n, empty) for n in range(files)))
    )

    assert ended.kind == "policy_refused"
    assert f"touches {files} files" in ended.said
    assert ended.peak < BOUND


def test_as_many_lines_as_a_patch_can_hold_are_refused(tmp_path: Path) -> None:
    lines = 10_000_000
    data = new_file("z", lines)
    assert len(data) < JUDGED_LIMIT

    ended = judging(tmp_path, data, promised=promised((FILE, b"z", blob(b"\n" * lines).sha)))

    assert ended.kind == "agent"
    assert "too large to be looked at" in ended.said
    assert ended.peak < BOUND


def test_a_file_that_is_patched_again_and_again_is_ended_by_the_clock(tmp_path: Path) -> None:
    """Git writes it anew each time: what takes a minute is not waited for."""
    hunk = b"@@ -1,3 +1,3 @@\n-%s\n+%s\n two\n three\n"
    steps = [b"one", *(b"%d" % n for n in range(180_000))]
    data = b"".join(HEAD + hunk % pair for pair in pairwise(steps))
    assert len(data) < JUDGED_LIMIT

    ended = judging(tmp_path, data, promised=NOWHERE)

    assert ended.kind == "agent"
    assert ended.peak < BOUND
