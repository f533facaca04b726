from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.agent.edits import Absent, Ambiguous, Replaced, replace
from tiny_backspace.agent.near import Unfit


def near(content: str | bytes, old: str, new: str) -> Replaced:
    data = content.encode() if isinstance(content, str) else content
    done = replace(data, old, new, every=False)
    assert done.differs
    return done


@pytest.mark.parametrize(
    ("content", "old", "new", "expected", "told"),
    [
        # the ends of lines and of the file
        ("a = 1  \nb\n", "a = 1\nb\n", "a = 2\nb\n", "a = 2\nb\n", "white space at the ends"),
        ("a\nb = 1\t\nc\n", "a\nb = 1\nc", "a\nb = 1\nd", "a\nb = 1\t\nd\n", "white space at the ends"),
        ("a\n   \nb\n", "a\n\nb\n", "a\n\nc\n", "a\n   \nc\n", "white space at the ends"),
        ("a\nb", "a\nb\n", "a\nc\n", "a\nc", "without a newline"),
        ("a\nb", "b\n", "b\nc\n", "a\nb\nc", "without a newline"),
        ("a\nb", "b\n", "", "a\n", "without a newline"),
        ("a\r\nb", "b\n", "b\nc\n", "a\r\nb\r\nc", "without a newline"),
        ("a\nb\nc\n", "a\r\nb", "x\r\ny", "x\ny\nc\n", r"old has \r\n"),
        ("a \r\nb\r\n", "a\r\nb\r\n", "c\r\nb\r\n", "c\r\nb\r\n", "white space at the ends"),
        # indentation
        ("\tif a:\n\t\tb\n", "    if a:\n        b\n", "    if a:\n        c\n        d\n",
         "\tif a:\n\t\tc\n\t\td\n", "indented with tabs, old with spaces"),
        ("    if a:\n        b\n", "\tif a:\n\t\tb\n", "\tif a:\n\t\t\tc\n",
         "    if a:\n            c\n", "indented with spaces, old with tabs"),
        ("\tif a:\n\t\tb\n", "if a:\n  b\n", "if a:\n    c\n", "\tif a:\n\t\t\tc\n", "with tabs"),
        ("\tb()\n", "    b()\n", "    if a:\n        b()\n", "\tif a:\n\t\tb()\n", "with tabs"),
        ("class A:\n    def f():\n        a\n", "def f():\n    a\n", "def f():\n    b\n\nx\n",
         "class A:\n    def f():\n        b\n\n    x\n", "indented 4 spaces more"),
        ("a(\n  b\n)\n", "    a(\n      b\n    )\n", "    a(\n      c\n    )\n",
         "a(\n  c\n)\n", "indented 4 spaces less"),
        ("\t  a\n\t  b\n", "  a\n  b\n", "  a\n  c\n", "\t  a\n\t  c\n", "1 tab more"),
        # marks
        ("Say “it’s” – now.\n", 'Say "it\'s" - now.\n', 'Say "it\'s" - then.\n',
         "Say “it’s” – then.\n", '“ where old has "'),
        ("He said “yes” to it.\n", 'He said "yes" to it.\n', 'She said "no" to it all.\n',
         "She said “no” to it all.\n", "where old has"),
        ("print('a')\n", "print(‘a’)\n", "print(‘b’, ‘c’)\n", "print('b', 'c')\n", "' where old has ‘"),
        ("10\u00a0kg of it\n", "10 kg of it\n", "20 kg of it\n", "20\u00a0kg of it\n", "no-break"),
        # runs of white space
        ("x   = f(a)\ny = 1\n", "x = f(a)\ny = 1\n", "x = f(a)\ny = 2\n", "x   = f(a)\ny = 2\n", "runs of"),
        ("x\t= 'a  b'\ny\n", "x = 'a  b'\ny\n", "x = 'a  b'\nz\n", "x\t= 'a  b'\nz\n", "runs of"),
        # what read shows
        ("a\nb\nc\n", "     1\ta\n     2\tb", "     1\ta\n     2\tx\n     3\ty", "a\nx\ny\nc\n", "line numbers"),
        ("a\n\tb\nc\n", "     2\t\tb\n     3\tc\n", "\tx\n", "a\n\tx\n", "line numbers"),
        ("a\n\nc \n", "1\ta\n2\n3\tc\n", "d\n", "d\n", "line numbers"),
        # blank lines
        ("a\nb\nc\n", "\nb\n\n", "\nx\n\n", "a\nx\nc\n", "blank lines"),
        ("a\nb\nc\n", "\n\nb \n", "x\n", "a\nx\nc\n", "blank lines"),
        ("\ufeffa \nb\n", "a\nb\n", "a\nc\n", "\ufeffa \nc\n", "white space at the ends"),
    ],
)  # fmt: skip
def test_the_one_place_that_nearly_matches_is_changed_in_its_own_style(
    content: str, old: str, new: str, expected: str, told: str
) -> None:
    done = near(content, old, new)
    assert done.content.decode() == expected
    assert told in "; ".join(done.differs)


@pytest.mark.parametrize(
    ("content", "old"),
    [
        ("x = 'a  b'\n", "x = 'a b'\n"),  # in a string
        ('x = "a" +  b\n', 'x = "a" + b\n'),  # after one: it might be the end of another
        ("x = ab\n", "x = a b\n"),  # white space or none
        ("if a:\n  b\n", "if a:\n    b\n"),  # not the same shift on both lines
        ("foo  (a) + b\n", "foo (a)"),  # no whole line
        ("a = 1\n", "A = 1\n"),
        ("a\nb\n", "1\ta\n3\tb\n"),  # not numbers of lines that follow each other
        ("a\n\nb\n", "a\nb\n"),  # a blank line within
        ("\0 a \n", "\0 a\n"),  # binary
        ("\n\t\n", "\u00a0\n"),  # nothing but blank lines
    ],
)  # fmt: skip
def test_what_may_mean_something_else_does_not_match(content: str, old: str) -> None:
    with pytest.raises(Absent):
        replace(content.encode(), old, "new\n", every=False)


@pytest.mark.parametrize(
    ("content", "old", "new"),
    [
        ("    a\n", "\ta\n", "  a\n"),
        ("\ta \n", "    a\n", "\ta\n"),
        ("a\n", "a \n", "a\n"),
        ("“a” b\n", '"a"  b\n', "“a” b\n"),
        ("x =  1\n", "x =   1\n", "x = 1\n"),
        ("a\n", "\na\n", "a\n"),
    ],
)  # fmt: skip
def test_an_edit_of_what_a_rung_forgives_is_taken_to_the_letter(
    content: str, old: str, new: str
) -> None:
    with pytest.raises(Absent):
        replace(content.encode(), old, new, every=False)


def test_an_edit_of_the_indentation_may_differ_in_the_ends_of_lines() -> None:
    assert near("  a\n  b \n", "  a\n  b\n", "    a\n    b\n").content == b"    a\n    b\n"


@pytest.mark.parametrize(
    ("content", "old", "lines"),
    [
        ("  a b\nx\n    a b\n", "\ta b\n", (1, 3)),
        ("\ta b\n  a b\n", "    a b\n    ", (1, 2)),
        ("a \nb\na\t\nb\n", "a\nb \n", (1, 3)),
        ("a  b\na   b\n", "a    b\n", (1, 2)),
        ("a \n" * 40, "a\t\n", tuple(range(1, 11))),
        ("x\n" * 300, " x\n x\n", tuple(range(1, 11))),
    ],
)
def test_between_two_places_none_is_chosen(content: str, old: str, lines: tuple[int, ...]) -> None:
    with pytest.raises(Ambiguous) as caught:
        replace(content.encode(), old.rstrip(" "), "new\n", every=False)
    assert caught.value.lines == lines
    assert caught.value.differs


def test_the_stricter_rung_decides() -> None:
    content = "\t\ta = 1\nb\n  a = 1 \nb\n"
    assert near(content, "  a = 1\nb\n", "c\nb\n").content == b"\t\ta = 1\nb\nc\nb\n"
    content = "a  b\n\ta b\n"
    assert near(content, "    a b\n", "    c\n").content == b"a  b\n\tc\n"


def test_among_very_many_that_look_alike_none_is_chosen_for_its_indentation() -> None:
    content = "if a:\n  b\n" * 200 + "if a:\n    b\n"
    with pytest.raises(Ambiguous):
        replace(content.encode(), " if a:\n     b\n", "c\n", every=False)
    with pytest.raises(Absent):
        replace(b"a  'b c'\n" + b"a 'b  c'\n" * 200, "a   'b c'\n", "c\n", every=False)


@pytest.mark.parametrize(
    ("content", "old", "new", "why"),
    [
        ("a\n", "    a\n", "  b\n", "less than that to take away"),
        ("\t\ta\n", "    a\n", "    if b:\n        a\n", "does not tell how all lines"),
        ("        a\n", "\ta\n", "\tif b:\n\t\ta\n", "does not tell how all lines"),
        ("\ta\n\t\tb\n", "  a\n    b\n", "  a\n   c\n", "between two steps"),
        ("\ta\n\t\tb\n", "  a\n    b\n", "  a\n\t\tc\n", "does not tell how all lines"),
        ("a\nb\n", "1\ta\n2\tb\n", "1\ta\nc\n", "line numbers"),
        ("a\nb\n", "1\ta\n2\tb\n", "1\ta\n3\tc\n", "line numbers"),
    ],
)
def test_new_text_is_refused_where_the_style_of_the_file_cannot_be_told(
    content: str, old: str, new: str, why: str
) -> None:
    with pytest.raises(Unfit, match=why):
        replace(content.encode(), old, new, every=False)


def test_one_indentation_of_new_that_old_has_too_needs_no_more() -> None:
    assert near("\t\ta\n", "    a\n", "    b\n").content == b"\t\tb\n"
    assert near("        a\n", "\ta\n", "\tb\n").content == b"        b\n"


def test_code_keeps_the_plain_quotes_it_gets() -> None:
    content = 's = "it’s"\n'
    assert near(content, 's = "it\'s"\n', "s = 'its'\n").content == b"s = 'its'\n"
    longer = near(content, 's = "it\'s"\n', "s = \"it's\" + 'x'\n").content.decode()
    assert longer == "s = \"it’s\" + 'x'\n"


def test_bytes_that_are_no_utf8_stay_as_they_are() -> None:
    content = b"caf\xe9\n\ta = 1\n\xff\xfe\n"
    assert near(content, "    a = 1\n", "    a = 2\n").content == b"caf\xe9\n\ta = 2\n\xff\xfe\n"


def test_every_place_is_looked_for_to_the_letter_only() -> None:
    with pytest.raises(Absent):
        replace(b"\ta\n", "    a\n", "    b\n", every=True)


def test_much_text_that_is_all_alike_is_looked_through_once() -> None:
    content = b"  x\n    x\n" * 100_000
    with pytest.raises(Ambiguous):  # comparing at every line would take minutes
        replace(content, "  x\n" * 900 + "    x \n", "y\n", every=False)
    with pytest.raises(Absent):
        replace(b"x y \n" * 200_000, "x y\n" * 900 + "y x\n", "y\n", every=False)


# properties

_LINES = st.lists(st.integers(0, 3), min_size=1, max_size=6)  # depths
_UNIT = st.sampled_from(["\t", "  ", "    "])


def _block(depths: list[int], unit: str) -> list[str]:
    """Lines that are each there once, with all that can be mangled."""
    return [f"{unit * (depth + 1)}word_{n} –  “x_{n}”  y_{n}" for n, depth in enumerate(depths)]


def _ends(line: str) -> str:
    return line + " \t"


def _plain(line: str) -> str:
    return line.translate(str.maketrans("“”–", '""-'))


def _narrow(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    head, quote, rest = line[len(indent) :].partition("“")
    return indent + re.sub(" +", " ", head) + quote + rest


def _deeper(line: str) -> str:
    return "  " + line


_MANGLES = (_ends, _narrow, _plain, _deeper)
_MANGLED = st.sets(st.integers(0, 3), min_size=1)


def _mangled(block: list[str], kinds: set[int]) -> list[str]:
    for kind in sorted(kinds):
        block = [_MANGLES[kind](line) for line in block]
    return block


@given(_LINES, _UNIT, _MANGLED, st.data(), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_mangled_copy_changes_the_block_it_is_a_copy_of_and_nothing_else(
    depths: list[int], unit: str, kinds: set[int], data: st.DataObject, eol: str, ended: bool
) -> None:
    block = _block(depths, unit)
    old = _mangled(block, kinds)
    at = data.draw(st.integers(0, len(block) - 1))
    new = [line.replace(f"word_{at} ", "changed ").rstrip() for line in old[at : at + 1]]
    edges = [b"\xef\xbb\xbfcaf\xe9 \xff", b"\t\x85last"]
    then = [edges[0], *(line.encode() for line in block), edges[1]]
    content = eol.encode().join(then) + (eol.encode() if ended else b"")
    done = near(content, "\n".join(old), "\n".join((*old[:at], *new, *old[at + 1 :])))
    now = done.content.split(eol.encode())
    assert now[: at + 1] == then[: at + 1]
    assert now[at + 2 :] == content.split(eol.encode())[at + 2 :]
    changed = block[at].replace(f"word_{at} ", "changed ")
    assert _narrow(now[at + 1].decode()) == _narrow(changed)


@given(_LINES, _UNIT, _MANGLED, st.integers(0, 3))
def test_of_a_block_that_is_there_twice_none_is_changed(
    depths: list[int], unit: str, kinds: set[int], between: int
) -> None:
    block = _block(depths, unit)
    content = "\n".join((*block, *["between"] * between, *block)) + "\n"
    with pytest.raises(Ambiguous) as caught:
        replace(content.encode(), "\n".join(_mangled(block, kinds)), "new", every=False)
    assert caught.value.lines == (1, 1 + len(block) + between)


@given(_LINES, st.data())
def test_tabs_for_spaces_give_the_same_file_as_the_edit_in_tabs(
    depths: list[int], data: st.DataObject
) -> None:
    depths = [0, *depths, 1]
    block = _block(depths, "\t")
    at = data.draw(st.integers(0, len(block)))
    added = [*block[:at], "\t" * data.draw(st.integers(1, 4)) + "added", *block[at:]]
    content = "\n".join(("before", *block, "after")) + "\n"
    exact = replace(content.encode(), "\n".join(block), "\n".join(added), every=False)
    width = data.draw(st.sampled_from([2, 3, 4, 8]))
    old, new = ("\n".join(lines).replace("\t", " " * width) for lines in (block, added))
    assert near(content, old, new).content == exact.content
