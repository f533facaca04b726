from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.providers.intents import (
    Append,
    CreateFile,
    Delete,
    Docstring,
    Header,
    Ignore,
    Insert,
    InsertNear,
    Intent,
    Rename,
    Replace,
    wording,
)
from tiny_backspace.providers.quoting import mask, quoted
from tiny_backspace.providers.requests import read_request

UNDERSTOOD: tuple[tuple[str, tuple[Intent, ...]], ...] = (
    ("replace 'helo' with 'hello' in README.md", (Replace("helo", "hello", "README.md"),)),
    ("Replace “helo” by “hello” in the file README.", (Replace("helo", "hello", "README"),)),
    ("replace `a b` with `c` in a.md and b.md", (Replace("a b", "c", "a.md"), Replace("a b", "c", "b.md"))),
    ("In README.md, replace 'a' with 'b'.", (Replace("a", "b", "README.md"),)),
    ('change "x" to "y" everywhere', (Replace("x", "y", None),)),
    ('change "x" to "y" in all files', (Replace("x", "y", None),)),
    ("please replace all occurrences of 'x' with '' across the codebase!", (Replace("x", "", None),)),
    ("rename 'foo' to 'bar' everywhere", (Replace("foo", "bar", None),)),
    ("replace helo with hello in README.md", (Replace("helo", "hello", "README.md", word=True),)),
    ("replace 'don't' with “don’t” in a.md", (Replace("don't", "don’t", "a.md"),)),
    ("rename foo.py to bar.py", (Rename("foo.py", "bar.py"),)),
    ("rename src/foo.py to bar.py", (Rename("src/foo.py", "src/bar.py"),)),
    ("move src/foo.py to bar.py", (Rename("src/foo.py", "bar.py"),)),
    ("move a.py to b/", (Rename("a.py", "b", into_folder=True),)),
    ("move ./a.py into the docs folder", (Rename("a.py", "docs", into_folder=True),)),
    ("delete old/junk.txt", (Delete("old/junk.txt"),)),
    ("delete Makefile and LICENSE", (Delete("Makefile"), Delete("LICENSE"))),
    ("remove the folder build", (Delete("build", folder=True),)),
    ("add *.log to .gitignore", (Ignore("*.log"),)),
    ("add *.log, build/ and dist to the `.gitignore` file", (Ignore("*.log"), Ignore("build/"), Ignore("dist"))),
    ("create a file notes/todo.md with content \"it's\"", (CreateFile("notes/todo.md", "it's\n"),)),
    ("Create a new file called a.py containing:\n```python\nprint('hi')\n```\n", (CreateFile("a.py", "print('hi')\n"),)),
    ('create a.txt containing:\none "two\nthree\n', (CreateFile("a.txt", 'one "two\nthree\n'),)),
    ("create an empty file pkg/__init__.py", (CreateFile("pkg/__init__.py", ""),)),
    ("append the line 'x' to a.py", (Append("a.py", "x"),)),
    ('add "x" to the end of a.py', (Append("a.py", "x"),)),
    ("add the following lines to a.txt:\nfoo\nbar", (Append("a.txt", "foo\nbar"),)),
    ('insert "x" at line 3 of f.py', (Insert("f.py", "x", 3),)),
    ('insert "x" in f.py after line 3', (Insert("f.py", "x", 4),)),
    ("add 'x' to the top of f.py", (Insert("f.py", "x", 1),)),
    ("insert 'x' after 'y' in f.py", (InsertNear("f.py", "x", "y", after=True),)),
    ("add the line 'x' above the line containing 'y' in f.py", (InsertNear("f.py", "x", "y", after=False),)),
    ('add the header comment "C" to a.py and b.js', (Header(("a.py", "b.js"), "C"),)),
    ("add a license header to a.py saying 'C'", (Header(("a.py",), "C"),)),
    ('add a module docstring "Tools." to a.py', (Docstring(("a.py",), "Tools."),)),
    ("replace 'a' with 'b' in c.txt, then delete d.txt. Also move e.txt to f/; delete g.txt and create h.md with content 'then delete i.txt'",
        (Replace("a", "b", "c.txt"), Delete("d.txt"), Rename("e.txt", "f", into_folder=True), Delete("g.txt"), CreateFile("h.md", "then delete i.txt\n"))),
    ("- delete a.txt\n- delete b.txt\n2. delete c.txt", (Delete("a.txt"), Delete("b.txt"), Delete("c.txt"))),
)  # fmt: skip


@pytest.mark.parametrize(("prompt", "intents"), UNDERSTOOD)
def test_plain_wordings_are_read_as_what_they_say(prompt: str, intents: tuple[Intent, ...]) -> None:
    assert read_request(prompt) == intents


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "improve the error handling of the parser",
        "do not replace 'a' with 'b' in c.txt",
        "don't delete a.txt",
        "never delete a.txt",
        "replace 'a' with 'b' in c.txt?",
        "can you delete a.txt?",
        "delete a.txt unless it is used",
        "delete a.txt if it is empty",
        "replace 'a' with 'b' in c.txt and make it nicer",
        "replace 'a' with 'b' in c.txt. Then run the tests.",
        "replace the first 'a' with 'b' in c.txt",
        "replace 'a' with 'b' in all files except c.txt",
        "replace 'a' with 'b' in the file",
        "replace 'a' with 'a' in c.txt",
        "replace '' with 'a' in c.txt",
        "replace 'a with 'b' in c.txt",
        "replace tabs with spaces in a.py",
        "replace requests with httpx",
        "rename `fetch` to `load`",
        "rename a to b",
        "move src/ to src/inner",
        "delete the tests",
        "delete everything",
        "delete *.log",
        "delete .",
        "delete -rf.txt",
        "delete /etc/passwd",
        "delete ~/notes.txt",
        "delete ../a.txt",
        "delete a/../../b.txt",
        "delete .git/config",
        "delete sub/.GIT/hooks/x",
        r"delete a\b.txt",
        "create a file in ../x with content 'a'",
        "create the file /tmp/x.txt with content 'a'",
        "create foo.py",
        "create a.txt containing:\none\ndelete b.txt",
        "add 'import os' to main.py",
        "add support to .gitignore please and tests",
        "add comments to .gitignore",
        "add a docstring 'x' to the function foo",
        "insert 'x' at line 0 of f.py",
        "append '' to f.py",
        "add tests",
    ],
)
def test_what_is_not_wholly_understood_is_not_read_at_all(prompt: str) -> None:
    assert read_request(prompt) is None


@given(st.text())
def test_quoted_text_is_found_as_it_was(text: str) -> None:
    masked = mask(f"append {quoted(text)} to")
    assert masked is not None
    assert masked.literals == (text,)


names = st.text(string.ascii_letters + string.digits + "_.-é ", min_size=1, max_size=8).filter(
    lambda name: name.strip(" .") == name and name[0] != "-"
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
texts = st.text(min_size=1).filter(lambda text: bool(text.strip("\r\n")))
lines = st.text(st.characters(exclude_characters="\n"), min_size=1).filter(
    lambda t: bool(t.strip())
)
entries = st.text(string.ascii_letters + "*!/.", min_size=1, max_size=9)
intents = st.one_of(
    st.builds(CreateFile, paths, st.just("") | st.text().map(lambda text: f"{text}\n")),
    st.builds(Append, paths, texts),
    st.builds(Insert, paths, texts, st.integers(1, 99999)),
    st.builds(InsertNear, paths, texts, lines, st.booleans()),
    st.tuples(texts, texts, st.none() | paths)
    .filter(lambda parts: parts[0] != parts[1])
    .map(lambda parts: Replace(*parts)),
    st.builds(Delete, paths, st.booleans()),
    st.builds(Ignore, entries),
    st.builds(Header, st.lists(paths, min_size=1, max_size=3).map(tuple), texts),
    st.builds(Docstring, st.lists(paths, min_size=1, max_size=3).map(tuple), texts),
)


@given(st.lists(intents, min_size=1, max_size=3))
def test_an_intent_put_into_words_is_read_as_the_same_intent(wanted: list[Intent]) -> None:
    assert read_request("; then ".join(wording(intent) for intent in wanted)) == tuple(wanted)


@given(names, names, st.booleans())
def test_a_move_put_into_words_is_read_as_the_same_move(old: str, new: str, folder: bool) -> None:
    intent = Rename(f"a/{old}", f"b/{new}", folder)
    assert read_request(wording(intent)) == (intent,)


pieces = st.sampled_from(
    [
        *["", "replace", "delete", "create", "append", "in", "to", "with", "and", "then", ".", ",", ";", ":", "\n", "'", '"', "`", "```", "“", "”", "’", "«", "»", "1.", "-"],
        *["a.py", ".gitignore", "everywhere", "header", "comment", "docstring", "line", "3", "file", "content", "\ue000", "\ue001", "0"],
    ]
)  # fmt: skip


@given(st.text() | st.lists(pieces).map("".join) | st.lists(pieces).map(" ".join))
def test_no_text_whatever_makes_reading_fail(prompt: str) -> None:
    read = read_request(prompt)
    assert read is None or len(read) > 0


@given(
    st.sampled_from([prompt for prompt, _ in UNDERSTOOD]),
    st.sampled_from(["not ", "if so, ", "try to "]),
)
def test_a_word_put_before_a_request_that_changes_its_meaning_is_never_skipped(
    prompt: str, word: str
) -> None:
    assert read_request(word + prompt) is None


@pytest.mark.parametrize(
    "piece",
    [
        "\n",
        " ",
        ". ",
        "and ",
        "and then ",
        "'a ",
        "` ",
        "``` \n",
        ": \n",
        "add the ",
        "in 'a' ",
        "1. \n",
        "\t\n",
    ],
)
def test_a_huge_request_of_nothing_is_read_in_reasonable_time(piece: str) -> None:
    assert read_request(f"delete a.txt {piece * 100_000} x") is None
    assert read_request(piece * 100_000) is None
