from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override

from tests.agent.calling import Emitted, answered, refused, use
from tests.fakes import FakeSandbox
from tiny_backspace.events import FileEdited, ThoughtDelta

# read


def test_read_numbers_the_lines() -> None:
    assert answered(use(FakeSandbox({"a.py": "x\ny\n"}), "read", path="a.py")) == (
        "     1\tx\n     2\ty"
    )


def test_read_shows_plain_line_ends_and_no_byte_order_mark() -> None:
    sandbox = FakeSandbox({"a.txt": b"\xef\xbb\xbfa\r\n\r\nb\x0cc"})
    assert answered(use(sandbox, "read", path="/workspace/a.txt")) == (
        "     1\ta\n     2\t\n     3\tb\x0cc\n[no newline at end of file]"
    )


def test_read_gives_a_part_and_says_where_to_go_on() -> None:
    sandbox = FakeSandbox({"a": "".join(f"{n}\n" for n in range(1, 11))})
    assert answered(use(sandbox, "read", path="a", offset=4, limit=2)) == (
        "     4\t4\n     5\t5\n[lines 4 to 5 of 10; read on with offset=6]"
    )
    assert answered(use(sandbox, "read", path="a", offset=10)) == "    10\t10"
    assert refused(use(sandbox, "read", path="a", offset=11)) == "a has only 10 lines"


def test_reading_on_gives_every_line_of_a_long_file_whole() -> None:
    lines = [f"{n} {'é' * 60}" for n in range(1, 3001)]
    sandbox = FakeSandbox({"a": "\n".join(lines) + "\n"})
    seen: list[str] = []
    while len(seen) < len(lines):
        page = answered(use(sandbox, "read", path="a", offset=len(seen) + 1))
        assert len(page.encode()) <= 64 << 10
        seen += [line.split("\t")[1] for line in page.split("\n") if "\t" in line]
    assert seen == lines


def test_a_line_that_is_too_long_for_an_answer_is_cut_in_its_middle() -> None:
    sandbox = FakeSandbox({"a": "x" * 200_000 + "\nthe line after it\n"})
    page = answered(use(sandbox, "read", path="a"))
    assert len(page.encode()) <= 64 << 10
    assert "bytes left out" in page
    assert page.endswith("x\n[lines 1 to 1 of 2; read on with offset=2]")


def test_read_says_that_a_file_is_empty() -> None:
    assert answered(use(FakeSandbox({"a": ""}), "read", path="a")) == "[the file is empty]"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("missing", "missing does not exist"),
        ("image.png", "image.png is a binary file of 4 bytes; look at it with bash"),
        ("huge", "huge is larger than 16 MiB; work on it with bash"),
    ],
)
def test_read_says_what_it_cannot_show(path: str, sentence: str) -> None:
    sandbox = FakeSandbox({"image.png": b"\x89P\0G", "huge": b"a" * ((16 << 20) + 1)})
    assert refused(use(sandbox, "read", path=path)) == sentence


class Locked(FakeSandbox):
    @override
    def read(self, path: str, *, limit: int = 16 << 20) -> bytes:
        raise IsADirectoryError(21, "Is a directory", path)

    @override
    def write(self, path: str, data: bytes) -> None:
        raise OSError(28, "No space left on device", path)


def test_what_the_file_system_refuses_the_model_gets_told() -> None:
    assert refused(use(Locked(), "read", path="src")) == "src is a folder; list its files with glob"

    class Full(Locked):
        read = FakeSandbox.read

    assert refused(use(Full(), "write", path="a", content="x", description="d")) == (
        "a: No space left on device"
    )


# paths


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "/workspace/../etc/x", "/workspaces/x", "", "a\0b"],
)
@pytest.mark.parametrize("tool", ["read", "write", "edit", "grep"])
def test_a_path_outside_the_work_tree_is_refused(tool: str, path: str) -> None:
    more: dict[str, Any] = {
        "read": {},
        "write": {"content": "x", "description": "d"},
        "edit": {"old": "a", "new": "b", "description": "d"},
        "grep": {"pattern": "x"},
    }[tool]
    sandbox = FakeSandbox()
    assert refused(use(sandbox, tool, path=path, **more))
    assert sandbox.files == {}


@pytest.mark.parametrize("path", ["a/b.txt", "./a/b.txt", "/workspace/a/b.txt", "x/../a//b.txt"])
def test_one_file_has_one_name_however_its_path_is_written(path: str) -> None:
    sandbox = FakeSandbox()
    assert answered(use(sandbox, "write", path=path, content="x\n", description="d")) == (
        "created a/b.txt"
    )
    assert sandbox.files == {"a/b.txt": b"x\n"}


@pytest.mark.parametrize(
    "path", [".git/config", ".GIT/hooks/x", "sub/.git/config", ".git", ".", "a/"]
)
def test_git_s_own_files_and_folders_are_not_written(path: str) -> None:
    sandbox = FakeSandbox()
    assert refused(use(sandbox, "write", path=path, content="x", description="d"))
    assert sandbox.files == {}


def test_gits_own_files_can_be_read() -> None:
    assert answered(use(FakeSandbox({".git/HEAD": "ref\n"}), "read", path=".git/HEAD"))


# write and edit


def test_write_tells_a_new_file_from_an_old_one() -> None:
    sandbox, events = FakeSandbox({"old.txt": "a\n"}), Emitted()
    assert answered(
        use(sandbox, "write", events, path="old.txt", content="b\n", description="Say b")
    ) == ("wrote old.txt")
    assert answered(
        use(sandbox, "write", events, path="new.txt", content="", description="Begin")
    ) == ("created new.txt")
    assert sandbox.files == {"old.txt": b"b\n", "new.txt": b""}
    assert [event for event in events if isinstance(event, FileEdited)] == [
        FileEdited(
            filepath="old.txt",
            operation="modify",
            description="Say b",
            diff="--- a/old.txt\n+++ b/old.txt\n@@ -1,1 +1,1 @@\n-a\n+b\n",
        ),
        FileEdited(filepath="new.txt", operation="create", description="Begin"),
    ]


def test_writing_what_is_there_already_is_no_edit() -> None:
    events = Emitted()
    sandbox = FakeSandbox({"a": "x\n"})
    assert answered(use(sandbox, "write", events, path="a", content="x\n", description="d"))
    assert [event.type for event in events if not isinstance(event, ThoughtDelta)] == [
        "tool_call",
        "tool_result",
    ]


def test_edit_changes_the_one_place_and_shows_the_difference() -> None:
    sandbox, events = FakeSandbox({"a.py": b"x = 1\r\ny = 2\r\n"}), Emitted()
    done = use(
        sandbox, "edit", events, path="a.py", old="x = 1\ny", new="x = 3\ny", description="Three"
    )
    assert answered(done) == "edited a.py\n     1\tx = 3\n     2\ty = 2"
    assert sandbox.files["a.py"] == b"x = 3\r\ny = 2\r\n"
    (edited,) = (event for event in events if isinstance(event, FileEdited))
    assert (edited.operation, edited.description) == ("modify", "Three")
    assert "-x = 1\r\n+x = 3\r\n y = 2" in edited.diff


def test_edit_replaces_all_places_only_when_told() -> None:
    sandbox = FakeSandbox({"a": "x x x"})
    wanted: dict[str, Any] = {"path": "a", "old": "x", "new": "y", "description": "d"}
    assert refused(use(sandbox, "edit", **wanted)) == (
        "a contains that text 3 times (line 1); "
        "give more of the lines around it, or set replace_all"
    )
    assert sandbox.files["a"] == b"x x x"
    assert answered(use(sandbox, "edit", **wanted, replace_all=True)) == "edited a in 3 places"
    assert sandbox.files["a"] == b"y y y"


def test_edit_names_the_closest_line_when_the_text_is_not_there() -> None:
    sandbox = FakeSandbox({"a": "def f():\n    return helo\n"})
    wanted: dict[str, Any] = {"path": "a", "old": "  return hello", "new": "x", "description": "d"}
    assert refused(use(sandbox, "edit", **wanted)) == (
        "a does not contain that text: read it and copy the lines exactly; "
        "the closest is line 2:\n     2\t    return helo\n"
        "line 2 differs from old in the text: there '    return helo', in old '  return hello'"
    )
    said = refused(use(sandbox, "edit", **wanted, replace_all=True))
    assert said.startswith("a does not contain that text (replace_all takes it to the letter only)")


def test_edit_of_a_near_miss_says_what_was_different_and_shows_what_stands_there_now() -> None:
    sandbox, events = FakeSandbox({"a.py": "if x:\n\tif y:\n\t\tf()\n"}), Emitted()
    done = use(
        sandbox, "edit", events, path="a.py", description="Do g",
        old="    if y:\n        f()\n", new="    if y:\n        g()\n",
    )  # fmt: skip
    assert answered(done) == (
        "edited a.py\n"
        "old is not there to the letter; the one place like it was taken (the text there is indented with "
        "tabs, old with spaces), and new was written as the file is there:\n"
        "     1\tif x:\n     2\t\tif y:\n     3\t\t\tg()"
    )
    assert sandbox.files["a.py"] == b"if x:\n\tif y:\n\t\tg()\n"
    (edited,) = (event for event in events if isinstance(event, FileEdited))
    assert edited.diff.endswith("-\t\tf()\n+\t\tg()\n")


def test_edit_never_chooses_between_two_near_misses() -> None:
    sandbox = FakeSandbox({"a": "\tf()\nx\n  f()\n"})
    said = refused(use(sandbox, "edit", path="a", old="    f()\n", new="g\n", description="d"))
    assert said == (
        "a does not contain that text to the letter, and more than one place is like it (from lines 1, 3: "
        "the text there is indented with tabs, old with spaces); "
        "give more of the lines around it, as they are there"
    )
    assert sandbox.files["a"] == b"\tf()\nx\n  f()\n"


def test_edit_refuses_new_lines_whose_indentation_does_not_follow() -> None:
    sandbox = FakeSandbox({"a": "\t\tf()\n"})
    said = refused(
        use(sandbox, "edit", path="a", old="    f()", new="    if x:\n        f()", description="d")
    )
    assert "nothing was changed: the text there is indented with tabs, old with spaces" in said
    assert said.endswith("there '\\t\\tf()', in old '    f()'")
    assert sandbox.files["a"] == b"\t\tf()\n"


def test_an_edit_of_bytes_that_read_cannot_show_is_sent_to_bash() -> None:
    sandbox = FakeSandbox({"a": b"caf\xe9 = 1\nx = 2\n", "b": "caf\ufffd = 1\n"})
    shown = answered(use(sandbox, "read", path="a", limit=1)).split("\n")[0].split("\t")[1]
    for old, new, which in [(shown, "y", "old"), ("x = 2", f"x = 2\n{shown}", "new")]:
        assert refused(use(sandbox, "edit", path="a", old=old, new=new, description="d")) == (
            f"a is not UTF-8: the \ufffd in {which} stands for bytes that read cannot show. "
            "Change those lines with bash (sed, iconv or a script)"
        )
    assert answered(use(sandbox, "edit", path="a", old="x = 2", new="x = 3", description="d"))
    assert sandbox.files["a"] == b"caf\xe9 = 1\nx = 3\n"
    assert answered(use(sandbox, "edit", path="b", old=shown, new="y", description="d"))
    assert sandbox.files["b"] == b"y\n"


def test_a_binary_file_is_not_edited() -> None:
    sandbox = FakeSandbox({"a": b"\0\1 text = 1\n"})
    said = refused(use(sandbox, "edit", path="a", old="text = 2", new="x", description="d"))
    assert said == "a is a binary file; change it with bash"


@pytest.mark.parametrize("tool", ["edit", "write"])
def test_nothing_is_put_into_a_file_in_another_encoding_than_its_own(tool: str) -> None:
    arguments: dict[str, Any] = {"old": "x", "new": "yz"} if tool == "edit" else {"content": "yz\n"}
    sandbox = FakeSandbox({"a": "hello x".encode("utf-16")})
    assert "a is UTF-16" in refused(use(sandbox, tool, path="a", description="d", **arguments))

    sandbox = FakeSandbox({"a": 'name = "café"\nother = 1\n'.encode("latin-1")})
    said = refused(
        use(sandbox, "edit", path="a", old="other = 1", new="other = 'naïve'", description="d")
    )
    assert "is not UTF-8, and new has characters" in said
    answered(use(sandbox, "edit", path="a", old="other = 1", new="other = 2", description="d"))
    assert sandbox.files["a"] == 'name = "café"\nother = 2\n'.encode("latin-1")


def test_any_limit_of_lines_is_taken() -> None:
    sandbox = FakeSandbox({"a": "x\n"})
    assert answered(use(sandbox, "read", path="a", limit=10**20)) == "     1\tx"


def test_the_answer_to_a_long_edit_is_short() -> None:
    sandbox = FakeSandbox({"a": "x\n"})
    new = "\n".join(f"{n} {'long ' * 100}" for n in range(1000))
    said = answered(use(sandbox, "edit", path="a", old="x", new=new, description="d"))
    assert "[989 lines not shown]" in said
    assert len(said) < 3000


def test_edit_needs_a_difference() -> None:
    assert "the same" in refused(
        use(FakeSandbox({"a": "x"}), "edit", path="a", old="x", new="x", description="d")
    )


def test_the_diff_of_an_edit_is_clipped() -> None:
    events = Emitted()
    use(FakeSandbox(), "write", events, path="a", content="long line\n" * 9999, description="d")
    (edited,) = (event for event in events if isinstance(event, FileEdited))
    assert len(edited.diff) <= 4000
    assert "bytes left out" in edited.diff


@pytest.mark.parametrize(
    ("old", "content", "new", "said"),
    [
        (b"a\r\nb\r\n", "x\ny\n", b"x\r\ny\r\n", "wrote a, with its CRLF line ends"),
        (b"\xef\xbb\xbfa\n", "x\n", b"\xef\xbb\xbfx\n", "wrote a, with its byte order mark"),
        (b"a\r\nb\n", "x\ny\n", b"x\ny\n", "wrote a"),
        (b"a\r\n", "x\r\ny\n", b"x\r\ny\n", "wrote a"),
        (b"a\n", "x\n", b"x\n", "wrote a"),
    ],
)
def test_write_keeps_what_read_does_not_show(
    old: bytes, content: str, new: bytes, said: str
) -> None:
    sandbox = FakeSandbox({"a": old})

    answer = answered(use(sandbox, "write", path="a", content=content, description="d"))

    assert (sandbox.files["a"], answer) == (new, said)
