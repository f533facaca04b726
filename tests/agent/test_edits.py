from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tiny_backspace.agent.diff import around, closest, diff
from tiny_backspace.agent.edits import Absent, Ambiguous, Unwieldy, replace
from tiny_backspace.agent.near import Unfit

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
    done = replace(content, old, new, every=False)
    assert (done.content, done.count, done.differs) == (expected, 1, ())


def test_every_place_is_replaced_with_the_line_ending_it_has() -> None:
    content = b"x\r\nx\nx"
    done = replace(content, "x", "y\nz", every=True)
    assert (done.content, done.count) == (b"y\r\nz\r\ny\nz\ny\nz", 3)


@pytest.mark.parametrize("content", [b"", b"y", b"X", b"x\n\ny"])
def test_text_that_is_not_there_is_absent(content: bytes) -> None:
    with pytest.raises(Absent):
        replace(content, "x\ny", "z", every=True)


@pytest.mark.parametrize(
    ("content", "old", "count", "lines"),
    [
        (b"a b a b a", "a", 3, (1,)),
        (b"aaa", "aa", 2, (1,)),
        (b"a\r\nb\r\na\r\nb\r\n", "a\nb", 2, (1, 3)),
        (b"\na" * 30, "a", 30, tuple(range(2, 12))),
    ],
)
def test_text_that_is_there_more_than_once_is_ambiguous(
    content: bytes, old: str, count: int, lines: tuple[int, ...]
) -> None:
    with pytest.raises(Ambiguous) as caught:
        replace(content, old, "z", every=False)
    assert (caught.value.count, caught.value.lines) == (count, lines)


_MIXED = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n"]), max_size=14).map(b"".join)


@given(_MIXED, st.text("ab\n", min_size=1, max_size=4), st.text("c\n", max_size=3))
@example(b"a\r\r\nb", "a\nb", "c")
@example(b"\r\n\r\n\r\n", "\n", "c")
def test_a_newline_matches_both_line_ends_and_never_half_of_one(
    content: bytes, old: str, new: str
) -> None:
    pattern = rb"(?:\r\n|(?<!\r)\n)".join(map(re.escape, old.encode().split(b"\n")))
    found = list(re.finditer(pattern, content))
    try:
        done = replace(content, old, new, every=True)
    except Absent:
        assert not found
        return
    assert done.count == len(found)
    rest = re.sub(pattern, b"|", content).split(b"|")
    written = {new.encode(), new.replace("\n", "\r\n").encode()}
    at = len(rest[0])
    assert done.content.startswith(rest[0])
    for piece in rest[1:]:
        assert any(done.content[at:].startswith(text + piece) for text in written)
        at += next(
            len(text + piece)
            for text in sorted(written, key=len, reverse=True)
            if done.content[at:].startswith(text + piece)
        )


_FILES = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "  a", "\ta b", "x = 'y'", "}", "\u201ca\u201d"]),
        st.sampled_from(["\n", "\r\n"]),
    ),
    max_size=8,
).map(lambda lines: "".join(text + end for text, end in lines))
_EDGES = st.sampled_from([b"", b"\xef\xbb\xbf", b"caf\xe9 \xff\n", b"no end", b"\r", b"\n"])
_OLD = st.lists(
    st.sampled_from(["", "a", "    a", "\ta  b ", "x  = 'y'", "  }", '"a"']), min_size=1, max_size=3
).map("\n".join)


@given(_EDGES, _FILES, _EDGES, _OLD, st.booleans(), _PLAIN)
def test_nothing_outside_the_reported_span_changes(
    before: bytes, middle: str, after: bytes, old: str, ended: bool, new: str
) -> None:
    content = before + middle.encode() + after
    wanted = old + ("\n" if ended else "")
    assume(wanted)
    try:
        done = replace(content, wanted, new, every=False)
    except (Absent, Ambiguous, Unfit):
        return
    assert done.content[: done.start] == content[: done.start]
    assert done.content[done.new_end :] == content[done.old_end :]
    assert len(done.content) - done.new_end == len(content) - done.old_end


@given(st.binary(max_size=60), st.binary(max_size=60), _PLAIN.filter(bool), _PLAIN)
def test_a_text_that_is_there_is_written_over_and_never_read_in_another_way(
    before: bytes, after: bytes, old: str, new: str
) -> None:
    assume(not (old.startswith("\n") and before.endswith(b"\r")))  # it would be half of a line end
    try:
        done = replace(before + old.encode() + after, old, new, every=False)
    except Ambiguous:
        return
    assert done.differs == ()
    middle = new.encode()
    written = {middle, middle.replace(b"\n", b"\r\n")}
    assert done.content in {before + text + after for text in written}


@given(
    _PLAIN,
    _PLAIN,
    _PLAIN.filter(bool),
    _PLAIN.filter(bool),
    st.sampled_from(["\n", "\r\n"]),
    _EDGES,
)
def test_an_edit_undone_gives_the_same_bytes(
    before: str, after: str, old: str, new: str, ending: str, edge: bytes
) -> None:
    content = edge.replace(b"\n", b"") + f"{before}{old}{after}\n".replace("\n", ending).encode()
    assume(not edge.endswith(b"\r") and old != new)
    try:
        done = replace(content, old, new, every=False)
        back = replace(done.content, new, old, every=False)
    except Ambiguous:
        return
    assert back.content == content


@pytest.mark.parametrize(
    ("content", "new"),
    [(b"a" * 40_000, "b"), (b"a\n" * 9000, "b" * 100_000), (b"a" + b"x" * (16 << 20), "bb")],
)
def test_what_would_become_of_every_place_is_known_before_it_is_made(
    content: bytes, new: str
) -> None:
    with pytest.raises(Unwieldy, match=r"at most 10000 places|larger than 16 MiB"):
        replace(content, "a", new, every=True)


def test_a_line_of_a_megabyte_is_taken_to_the_letter_only() -> None:
    line = "x = " + "[1,  2], " * 100_000
    content = f"{line}\n".encode() * 3 + b"y = 1\n"

    with pytest.raises(Absent):
        replace(content, line.replace("  ", " "), "z", every=False)
    assert replace(content, "y = 1", "y = 2", every=False).count == 1


def test_a_text_of_many_lines_that_is_nearly_everywhere_is_looked_for_once() -> None:
    content = b"x\r\n" * 200_000
    with pytest.raises(Absent):  # trying it at every line would take minutes
        replace(content, "x\n" * 900 + "x x", "y", every=False)


# what is shown


def test_the_closest_line_is_found_whatever_its_indentation() -> None:
    content = b"def f():\n    return total(1, 2)\n\ndef g():\n    return 3\n"
    assert closest(content, "  return totl(1, 2)\n") == (
        "the closest is line 2:\n     2\t    return total(1, 2)\n"
        "line 2 differs from old in the text: "
        "there '    return total(1, 2)', in old '  return totl(1, 2)'"
    )
    assert closest(content, "\treturn 3").endswith(
        "line 5 differs from old in only the indentation: there '    return 3', in old '\\treturn 3'"
    )
    assert closest(content, "nothing of the kind") == ""
    assert closest(b"", "\n \n") == ""


@pytest.mark.parametrize(
    ("content", "old", "how"),
    [
        ("s = 'a  b'\n", "s = 'a b'\n", "line 1 differs from old in only white space:"),
        (
            "Say \u201cit\u201d now\n",
            'Say "it" now',
            "in only quotes, dashes or the kind of spaces:",
        ),
        ("Total = 1\n", "total = 1", "in only capital letters:"),
        ("a = 1\n", "a = 1 \n", "in only white space at the end: there 'a = 1', in old 'a = 1 '"),
        ("x = f(a, b)  # it\n", "f(a,  b)", "the closest is line 1:"),
        ("y\nabc = 1\nabd = 2\nz\n", "abc = 1\nabd = 3\nz", "the closest are lines 2 to 4:"),
        ("y\nabc = 1\nabd = 2\nzz\n", "abc = 1\nabd = 3\nzy", "[1 more of these lines differ]"),
    ],
)
def test_what_differs_in_the_closest_lines_is_named(content: str, old: str, how: str) -> None:
    assert how in closest(content.encode(), old)


def test_the_closest_of_many_lines_is_found_by_a_word_it_has() -> None:
    content = b"filler = 0\n" * 5000 + b"    answer = compute_everything(41)\n"
    assert "is line 5001:" in closest(content, "answer = compute_everything(4l)\n")


def test_of_the_closest_lines_only_some_are_shown() -> None:
    lines = [f"line {n}" for n in range(100)]
    said = closest("\n".join(lines).encode(), "\n".join((*lines[:50], "other", *lines[51:])))
    assert len(said.split("\n")) == 14
    assert "line 51 differs from old in the text: there 'line 50', in old 'other'" in said


def test_around_an_edit_three_lines_are_shown_on_either_side() -> None:
    content = b"".join(b"line %d\r\n" % n for n in range(1, 41))
    start = content.index(b"line 20")
    assert around(content, start, start + 7) == "\n".join(
        f"{n:>6}\tline {n}" for n in range(17, 24)
    )
    assert around(content, start, start + 9) == around(content, start, start + 7)
    assert around(content, 0, 1).startswith("     1\tline 1\n")
    assert around(content, len(content), len(content)).endswith("    40\tline 40")


def test_of_a_long_change_its_first_and_last_lines_are_shown() -> None:
    content = b"\n".join(b"%d" % n for n in range(1, 101))
    assert around(content, 0, len(content)).split("\n") == [
        *(f"{n:>6}\t{n}" for n in range(1, 7)),
        "[89 lines not shown]",
        *(f"{n:>6}\t{n}" for n in range(96, 101)),
    ]


def test_around_shows_long_lines_cut_and_nothing_of_an_empty_file() -> None:
    assert len(around(b"x" * 10_000, 5, 6)) < 300
    assert around(b"", 0, 0) == "[the file is empty]"
    assert around(b"\xef\xbb\xbfa\n", 3, 4) == "     1\ta"


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
