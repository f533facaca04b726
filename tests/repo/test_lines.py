"""The added lines of a change: all of them, under their right names, whatever the files hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.repo.hostgit import host_git
from tiny_backspace.errors import RepoError
from tiny_backspace.repo.difference import Change, parse_raw
from tiny_backspace.repo.lines import OPTIONS, Added, added_lines

Tree = dict[bytes, tuple[str, bytes]]  # path: mode, content

OLD, NEW = "a" * 40, "b" * 40
CHANGE = Change("100644", "100644", OLD, NEW, "M", b"a")
SECTION = f"diff --git a/a b/a\nindex {OLD}..{NEW} 100644\n--- a/a\n+++ b/a\n".encode()


def text(content: bytes) -> tuple[str, bytes]:
    return "100644", content


def difference(folder: Path, before: Tree, after: Tree) -> tuple[bytes, list[Change]]:
    """Git's own account of two trees, in a bare repository, as the quarantine is one."""
    git, place = host_git(folder), folder / "bare.git"
    git.must("init", "-q", "--bare", "--template=", str(place), doing="test")

    def tree(files: Tree) -> str:
        entries = b""
        for path, (mode, content) in files.items():
            blob = content.decode()
            if mode != "160000":
                done = git.must(
                    "hash-object", "-w", "--stdin", git_dir=place, stdin=content, doing="test"
                )
                blob = done.text
            entries += f"{mode} {blob}\t".encode() + path + b"\0"
        index = {"GIT_INDEX_FILE": str(folder / "index")}
        git.must("read-tree", "--empty", git_dir=place, env=index, doing="test")
        git.must(
            "update-index", "-z", "--index-info", git_dir=place, stdin=entries, env=index,
            doing="test",
        )  # fmt: skip
        return git.must("write-tree", git_dir=place, env=index, doing="test").text

    between = (tree(before), tree(after))
    raw = ("diff-tree", "--raw", "--full-index", "-r", "-z", "--no-renames", *between)
    changes = parse_raw(git.must(*raw, git_dir=place, doing="test").stdout)
    patch = git.must("diff-tree", *OPTIONS, *between, git_dir=place, doing="test").stdout
    return patch, changes


def added(folder: Path, before: Tree, after: Tree) -> list[tuple[bytes, int, bytes]]:
    return [line[:3] for line in added_lines(*difference(folder, before, after))]


def test_lines_come_with_their_path_and_their_number_in_the_new_file(tmp_path: Path) -> None:
    before = {b"a": text(b"1\n2\n3\n4\n5\n"), b"gone": text(b"x\n")}
    after = {b"a": text(b"0\n1\n2\n4\nfive\n6\n"), b"dir/new": text(b"n\nm")}

    assert added(tmp_path, before, after) == [
        *((b"a", 1, b"0"), (b"a", 5, b"five"), (b"a", 6, b"6")),
        *((b"dir/new", 1, b"n"), (b"dir/new", 2, b"m")),
    ]


@pytest.mark.parametrize(
    "path",
    [
        *(b"sp ace", b'"quoted"', b"tab\t", b"new\nline", b"not utf \xff", "größe".encode(), b"->"),
        *(b"a\n+++ b/other", b"x b/x", b"dev/null", b"\\n"),
    ],
)
def test_a_path_is_what_git_says_with_no_quotes_of_the_patch(tmp_path: Path, path: bytes) -> None:
    assert added(tmp_path, {}, {path: text(b"one\n")}) == [(path, 1, b"one")]


def test_a_file_that_looks_like_a_patch_is_only_a_file(tmp_path: Path) -> None:
    patch, _ = difference(tmp_path, {}, {b"innocent": text(b"x\n")})
    hostile = patch + b"-- gone\n++ here\n\\ No newline at end of file\n@@ -1 +1 @@\n"

    found = added(tmp_path, {b"f": text(hostile)}, {b"f": text(hostile * 2), b"g": text(hostile)})

    rows = hostile.split(b"\n")[:-1]
    assert [line for path, _, line in found if path == b"g"] == rows
    assert [line for path, _, line in found if path == b"f"] == rows


def test_all_the_ways_a_line_can_end_are_read(tmp_path: Path) -> None:
    before = {b"f": text(b"no end"), b"g": text(b"x\n")}
    after = {b"f": text(b"no end\nat all"), b"g": text(b"a\rb\r\n\n\x0c\xc2\x85\n")}

    assert added(tmp_path, before, after) == [
        *((b"f", 1, b"no end"), (b"f", 2, b"at all")),
        *((b"g", 1, b"a\rb"), (b"g", 2, b""), (b"g", 3, b"\x0c\xc2\x85")),
    ]


def test_binary_files_modes_empty_files_and_deletions_add_no_line(tmp_path: Path) -> None:
    before = {b"bin": text(b"\0\1"), b"run": text(b"x\n"), b"gone": text(b"y\n")}
    after = {b"bin": text(b"\0\2"), b"run": ("100755", b"x\n"), b"empty": text(b"")}

    assert added(tmp_path, before, after) == []


def test_no_attribute_of_the_change_makes_a_text_binary(tmp_path: Path) -> None:
    attributes = (b".gitattributes", 1, b"* -diff binary")

    after = {b".gitattributes": text(b"* -diff binary\n"), b"f": text(b"seen\n")}
    assert added(tmp_path, {}, after) == [attributes, (b"f", 1, b"seen")]


def test_a_link_that_becomes_a_file_a_submodule_and_a_link_are_read(tmp_path: Path) -> None:
    before = {b"a": ("120000", b"target"), b"b": text(b"x\n"), b"c": text(b"y\n")}
    after = {b"a": text(b"one\n"), b"b": ("120000", b"elsewhere"), b"c": ("160000", b"c" * 40)}

    assert added(tmp_path, before, after) == [
        (b"a", 1, b"one"),
        (b"b", 1, b"elsewhere"),
        (b"c", 1, b"Subproject commit " + b"c" * 40),
    ]


def test_the_same_content_in_several_files_is_told_of_each(tmp_path: Path) -> None:
    after = {name: text(b"same\n") for name in (b"a", b"b", b"c")}

    assert added(tmp_path, {}, after) == [(n, 1, b"same") for n in (b"a", b"b", b"c")]


def test_a_line_that_is_taken_away_elsewhere_is_moved(tmp_path: Path) -> None:
    patch, changes = difference(
        tmp_path, {b"old": text(b"kept\nlost\n")}, {b"new": text(b"kept\nmade\n")}
    )

    assert list(added_lines(patch, changes)) == [
        Added(b"new", 1, b"kept", moved=True),
        Added(b"new", 2, b"made", moved=False),
    ]


def test_no_difference_adds_nothing() -> None:
    assert list(added_lines(b"", [CHANGE])) == []


@pytest.mark.parametrize(
    "patch",
    [
        *(
            b"x",
            b"x\n",
            b"+a\n",
            SECTION + b"@@ -0,0 +1,2 @@\n+a\n",
            SECTION + b"@@ -0,0 +1 @@\n+a",
        ),
        *(SECTION + b"@@ -0,0 +1 @@\n+a\n+b\n", SECTION + b"@@ -0,0 +1 @@\n-a\n"),
        *(SECTION + b"@@ -1 +1 @@\n a\n", SECTION + b"@@ -0,0 +1 @@\n\n"),
        *(b"@@ -0,0 +1 @@\n+a\n", SECTION.replace(b"a" * 40, b"c" * 40) + b"@@ -0,0 +1 @@\n+a\n"),
        SECTION + b"diff --git a/b b/b\n@@ -0,0 +1 @@\n+a\n",
        SECTION + SECTION + b"@@ -0,0 +1 @@\n+a\n",
    ],
)
def test_what_is_cut_strange_or_about_other_blobs_is_not_believed(patch: bytes) -> None:
    with pytest.raises(RepoError):
        list(added_lines(patch, [CHANGE]))


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line), min_size=1))
def test_any_bytes_come_back_as_they_were(lines: list[bytes]) -> None:
    rows = b"".join(b"+" + line + b"\n" for line in lines)
    patch = SECTION + b"@@ -0,0 +1,%d @@\n" % len(lines) + rows

    found = list(added_lines(patch, [CHANGE]))

    assert [line.text for line in found] == [line.removesuffix(b"\r") for line in lines]
    assert [line.number for line in found] == list(range(1, len(lines) + 1))
