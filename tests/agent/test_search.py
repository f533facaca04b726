"""What is made of rg's output; what rg itself does with our options is in search_contract.py."""

from collections.abc import Sequence
from typing import Any

import pytest
from typing_extensions import override

from tests.fakes import FakeSandbox
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import ToolCall, ToolResult
from tiny_backspace.sandbox.interface import ExecResult


def search(tool: str, *results: ExecResult, **arguments: Any) -> ToolResult:
    """A search in a sandbox where rg answers so, one time after the other."""
    answers = list(results)

    def run(argv: Sequence[str], stdin: bytes) -> ExecResult:
        if argv[0] == "git":  # which files it has that its rules ignore: none
            return ExecResult(0)
        assert argv[0] == "rg"
        return answers.pop(0)

    sandbox = FakeSandbox(run=run)
    return Toolbox(sandbox, 60).call(ToolCall("c", tool, arguments), lambda _: None)


@pytest.mark.parametrize("piece", [b"./a/b/c.py\n" * 10_000, b"x" * 100_000])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("glob", {"pattern": "*"}),
        ("grep", {"pattern": "x"}),
        ("grep", {"pattern": "x", "glob": "*"}),
    ],
)
def test_a_listing_without_an_end_is_not_taken_in(
    tool: str, arguments: dict[str, Any], piece: bytes
) -> None:
    """The sandbox's session can be made to say anything, for ever."""
    taken = 0

    class Endless(FakeSandbox):
        @override
        def call(self, argv: Sequence[str], **options: Any) -> ExecResult:
            nonlocal taken
            if argv[0] == "git":
                return ExecResult(0)
            while True:
                options["on_output"](piece)
                taken += len(piece)

    result = Toolbox(Endless(), 60).call(ToolCall("c", tool, arguments), lambda _: None)

    assert result.is_error
    assert "name a smaller folder" in result.content or "search in a smaller" in result.content
    assert taken <= 32 << 20


def test_matches_are_path_line_and_text() -> None:
    found = ExecResult(0, b"./a b.py\x003:x = 1\r\n./c.py\x001:y\n")
    assert search("grep", found, pattern="x").content == "a b.py:3:x = 1\nc.py:1:y"


def test_lines_beyond_the_limit_are_counted() -> None:
    found = ExecResult(0, b"".join(b"a\x00%d:x\n" % n for n in range(1, 8)))
    assert search("grep", found, pattern="x", limit=2).content == "a:1:x\na:2:x\n[5 more lines]"


def test_lines_beyond_what_an_answer_holds_are_counted() -> None:
    found = ExecResult(0, b"".join(b"a\x00%d:%s\n" % (n, b"x" * 400) for n in range(1000)))
    lines = search("grep", found, pattern="x", limit=1000).content.split("\n")
    assert lines[-1] == f"[{1001 - len(lines)} more lines]"
    assert len("\n".join(lines)) <= 64 << 10


def test_nothing_found_is_an_answer() -> None:
    result = search("grep", ExecResult(1), pattern="x")
    assert (result.content, result.is_error) == ("no matches", False)
    result = search("glob", ExecResult(0, b"a\n"), ExecResult(1), pattern="*.x")
    assert (result.content, result.is_error) == ("no files match", False)


def test_a_bad_pattern_is_an_error_in_rgs_words() -> None:
    result = search("grep", ExecResult(2, b"", b"regex parse error:\n    (\n"), pattern="(")
    assert (result.content, result.is_error) == ("regex parse error:\n    (", True)


def test_what_could_not_be_searched_is_said_beside_what_was_found() -> None:
    found = ExecResult(2, b"./a\x001:x\n", b"rg: b: Permission denied\n")
    result = search("grep", found, pattern="x")
    assert not result.is_error
    assert result.content == "a:1:x\n[not everything could be searched: rg: b: Permission denied]"


def test_a_search_that_takes_too_long_is_an_error() -> None:
    result = search("grep", ExecResult(124, b"./a\x001:x\n", timed_out=True), pattern="x")
    assert result.is_error


def test_files_that_a_glob_names_and_git_ignores_are_left_out() -> None:
    visible, named = ExecResult(0, b"./a.log\n./b.py\n"), ExecResult(0, b"./a.log\n./c.log\n")
    assert search("glob", visible, named, pattern="*.log").content == "a.log"
    found = ExecResult(0, b"./a.log\x001:x\n./c.log\x009:x\n")
    assert search("grep", visible, found, pattern="x", glob="*.log").content == "a.log:1:x"
