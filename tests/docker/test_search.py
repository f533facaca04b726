"""The searching tools in a real container, with its own rg."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tests.agent.search_contract import check_search
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import ToolCall
from tiny_backspace.sandbox.docker import DockerSandbox

One = Callable[[], AbstractContextManager[DockerSandbox]]

MANY = """
import os
for folder in ("a", "a-b", "a.d", "a/sub", "z"):
    os.makedirs(folder, exist_ok=True)
    for n in range(60):
        with open(f"{folder}/{n}.txt", "w") as file:
            file.writelines(f"needle {line}\\n" for line in range(100))
"""

KEPT = """
git init -q && mkdir dist src && for f in src/a.js dist/t.js k.gen.js x.log; do echo needle >$f; done
git add src dist k.gen.js && printf '%s\\n' dist/ '*.gen.js' '*.log' >.gitignore
"""

# It writes only after both have been opened for reading, which takes two readers at the same time.
TWO_READERS = "exec 3>one 4>two; echo needle >&3; echo needle >&4"


def grep(**arguments: Any) -> ToolCall:
    return ToolCall("c", "grep", {"pattern": "needle", **arguments})


def test_the_container_keeps_the_search_contract(another: One) -> None:
    with another() as sandbox:
        check_search(sandbox)


def test_files_that_git_keeps_though_its_rules_ignore_them_are_searched(another: One) -> None:
    with another() as sandbox:
        assert sandbox.call(["sh", "-ec", KEPT]).ok
        toolbox = Toolbox(sandbox, 60)

        def use(tool: str, **arguments: Any) -> list[str]:
            result = toolbox.call(ToolCall("c", tool, arguments), lambda _: None)
            return result.content.split("\n")

        everywhere = ["dist/t.js:1:needle", "k.gen.js:1:needle", "src/a.js:1:needle"]
        assert use("grep", pattern="needle") == everywhere
        assert use("grep", pattern="needle", path="dist") == ["dist/t.js:1:needle"]
        assert use("grep", pattern="needle", path="src") == ["src/a.js:1:needle"]
        assert use("grep", pattern="needle", glob="*.gen.js") == ["k.gen.js:1:needle"]
        assert use("grep", pattern="needle", glob="dist/") == ["dist/t.js:1:needle"]
        assert use("grep", pattern="needle", output="count", path="k.gen.js") == ["k.gen.js:1"]
        assert use("glob", pattern="*.js") == ["dist/t.js", "k.gen.js", "src/a.js"]
        assert use("glob", pattern="/*.js") == ["k.gen.js"]
        assert use("glob", pattern="src/") == ["src/a.js"]
        assert use("glob", pattern="*.log") == ["no files match"]


def test_what_is_shown_of_a_long_answer_is_the_same_every_time_and_sorted(another: One) -> None:
    with another() as sandbox:
        assert sandbox.call(["python3", "-c", MANY]).ok
        argv = ["rg", "--sort=path", "--line-number", "--no-heading", "needle", "."]
        lines = bytearray()
        assert sandbox.call(argv, on_output=lines.extend).ok
        whole = [line.removeprefix("./") for line in lines.decode().splitlines()]
        toolbox = Toolbox(sandbox, 60)

        for limit in (7, 150, 100_000):
            answers = [toolbox.call(grep(limit=limit), lambda _: None).content for _ in range(4)]
            *shown, last = answers[0].splitlines()
            assert shown == whole[: len(shown)]
            assert len(shown) <= limit
            assert last == f"[{len(whole) - len(shown)} more lines]"
            assert set(answers) == {answers[0]}


def test_two_searches_of_one_turn_run_at_the_same_time(another: One) -> None:
    with another() as sandbox:
        assert sandbox.call(["mkfifo", "one", "two"]).ok
        assert sandbox.call(["setsid", "-w", "sh", "-c", f"({TWO_READERS}) >/dev/null 2>&1 &"]).ok
        calls = [grep(path="one"), grep(path="two")]

        results = Toolbox(sandbox, 60).call_together(calls, lambda _: None)

    assert [result.content for result in results] == ["one:1:needle", "two:1:needle"]
