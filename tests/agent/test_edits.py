import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.agent.edits import (
    Absent,
    Ambiguous,
    Replaced,
    closest_line,
    diff,
    replace,
)

_PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)


@pytest.mark.parametrize(
    ("content", "old", "new", "expected"),
    [
        (b"a = 1\n", "1", "2", b"a = 2\n"),
        (b"a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz", b"x\r\ny\r\nz\r\nc\r\n"),
        (b"a\r\nb\r\n", "b", "b\nc", b"a\r\nb\r\nc\r\n"),
        (b"a\r\nb", "b", "b\nc\n", b"a\r\nb\r\nc\r\n"),
        (b"a\r\nb\n", "b", "b\nc", b"a\r\nb\nc\n"),
        (b"a\nb\r\n", "a", "a\nc", b"a\nc\nb\r\n"),
        (b"a\r\nb\r\n", "a\r\nb", "a\nb", b"a\nb\r\n"),
        (b"a\r\nb\r\n", "\nb", "\nc", b"a\r\nc\r\n"),
        (b"\xef\xbb\xbfimport a\n", "import a", "import b", b"\xef\xbb\xbfimport b\n"),
        (b"caf\xe9\nx\n\xff\xfe", "x", "y", b"caf\xe9\ny\n\xff\xfe"),
        (b"x", "x", "y", b"y"),
        (b"a.c abc", "a.c", r"\1\g<0>", rb"\1\g<0> abc"),
        (b"gone\nstays\n", "gone\n", "", b"stays\n"),
        ("naïve\n".encode(), "ï", "i", b"naive\n"),
    ],
)
def test_only_the_text_itself_changes_to_the_byte(
    content: bytes, old: str, new: str, expected: bytes
) -> None:
    assert replace(content, old, new, every=False) == Replaced(expected, 1)


def test_every_place_is_replaced_with_the_line_ending_it_has() -> None:
    content = b"x\r\nx\nx"
    assert replace(content, "x", "y\nz", every=True) == Replaced(b"y\r\nz\r\ny\nz\ny\nz", 3)


@pytest.mark.parametrize("content", [b"", b"y", b"X", b"x\n\ny"])
def test_text_that_is_not_there_is_absent(content: bytes) -> None:
    with pytest.raises(Absent):
        replace(content, "x\ny", "z", every=True)


@pytest.mark.parametrize(("content", "count"), [(b"a b a b a", 3), (b"aaa", 2)])
def test_text_that_is_there_more_than_once_is_ambiguous(content: bytes, count: int) -> None:
    old = "a" if count == 3 else "aa"
    with pytest.raises(Ambiguous) as caught:
        replace(content, old, "z", every=False)
    assert caught.value.count == count


@given(st.binary(max_size=60), st.binary(max_size=60), _PLAIN.filter(bool), _PLAIN)
def test_nothing_outside_the_text_changes(before: bytes, after: bytes, old: str, new: str) -> None:
    try:
        done = replace(before + old.encode() + after, old, new, every=False)
    except Ambiguous:
        return
    except Absent:  # its first newline stands after a \r of what is before it
        assert before.endswith(b"\r")
        assert old.startswith("\n")
        return
    middle = new.encode()
    written = {middle, middle.replace(b"\n", b"\r\n")}
    # A match of "\n…" right after a \r takes that \r with it: it is half of a line ending.
    starts = {before, before[:-1]} if old.startswith("\n") and before.endswith(b"\r") else {before}
    assert done.content in {start + text + after for start in starts for text in written}


@given(_PLAIN, _PLAIN, _PLAIN.filter(bool), _PLAIN.filter(bool), st.sampled_from(["\n", "\r\n"]))
def test_an_edit_undone_gives_the_same_bytes(
    before: str, after: str, old: str, new: str, ending: str
) -> None:
    content = f"{before}{old}{after}\n".replace("\n", ending).encode()
    try:
        done = replace(content, old, new, every=False)
        back = replace(done.content, new, old, every=False)
    except Ambiguous:
        return
    assert back.content == content


def test_the_closest_line_is_found_whatever_its_indentation() -> None:
    content = b"def f():\n    return total(1, 2)\n\ndef g():\n    return 3\n"
    assert closest_line(content, "  return totl(1, 2)\n") == (2, "    return total(1, 2)")
    assert closest_line(content, "\treturn 3") == (5, "    return 3")
    assert closest_line(content, "nothing of the kind") is None
    assert closest_line(b"", "\n \n") == (1, "")


_TEXT = b"".join(b"line %d\n" % n for n in range(40))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, b"new\nfile\n"),
        (None, b"no end"),
        (_TEXT, _TEXT.replace(b"line 1\n", b"first\n").replace(b"line 30\n", b"")),
        (_TEXT, b"before\n" + _TEXT),
        (_TEXT, _TEXT + b"after"),
        (_TEXT, _TEXT[:-1]),
        (b"x\n" * 9, b"x\n" * 10),
        (b"a\r\nb\r\n", b"a\nb\r\n"),
        (b"caf\xc3\xa9\n", b"cafe\x0c\n"),
        (b"%d\n" * 2000, b"x\n" * 1500),
    ],
)
def test_git_applies_the_diff_to_the_old_file_and_gets_the_new_one(
    tmp_path: Path, old: bytes | None, new: bytes
) -> None:
    if old is not None:
        (tmp_path / "f.txt").write_bytes(old)
    text = diff(old, new, "f.txt")
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=text.encode(), check=True)
    assert (tmp_path / "f.txt").read_bytes() == new


def test_of_a_binary_file_the_diff_tells_the_sizes() -> None:
    assert diff(b"\0\1", b"\0", "a.png") == "binary file a.png: 2 -> 1 bytes\n"


def test_equal_files_have_no_diff() -> None:
    assert diff(b"a\n", b"a\n", "a") == ""


def test_the_diff_of_a_large_file_shows_the_changed_lines_only() -> None:
    old = b"".join(b"%d\n" % n for n in range(200_000))
    text = diff(old, old.replace(b"\n150000\n", b"\nhere\n"), "big.txt")
    assert text.splitlines()[2:] == [
        "@@ -149998,7 +149998,7 @@",
        *(" 149997", " 149998", " 149999", "-150000", "+here", " 150001", " 150002", " 150003"),
    ]
