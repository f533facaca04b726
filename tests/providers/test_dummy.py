from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.executor import Executor, ask, contents, converse, git, repository, task
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    User,
)
from tiny_backspace.providers.dummy import Dummy
from tiny_backspace.providers.interface import Provider
from tiny_backspace.providers.placing import docstring, lines_of, splice
from tiny_backspace.providers.proposals import PROPOSAL_PREFIX, is_proposal_path, proposal_path

Files = dict[str, str | bytes]

DONE: tuple[tuple[str, Files, Files], ...] = (
    ("replace 'helo' with 'hello' in a.md", {"a.md": "helo\nhelo helo\n", "b.md": "helo"}, {"a.md": "hello\nhello hello\n", "b.md": "helo"}),
    ("replace 'x' with 'y' everywhere", {"a": "x\n", "b/c": b"\xff x\r\n", "d": "z"}, {"a": "y\n", "b/c": b"\xff y\r\n", "d": "z"}),
    ("replace '''a\nb''' with 'c' everywhere".replace("'''", '"'), {"f": "a\nb\n", "g": "a\n\nb\n"}, {"f": "c\n", "g": "a\n\nb\n"}),
    ("replace cat with dog in a.txt", {"a.txt": "a cat\n"}, {"a.txt": "a dog\n"}),
    (f"replace '{'ab' * 3000}' with 'c' everywhere", {"a": "ab" * 3000, "b": "ab" * 2999}, {"a": "c", "b": "ab" * 2999}),
    ("create a/b c.txt with content 'x'".replace("a/b c.txt", "'a/b c.txt'"), {"z": "z"}, {"z": "z", "a/b c.txt": "x\n"}),
    ("create an empty file pkg/__init__.py", {}, {"pkg/__init__.py": ""}),
    ("rename a.py to b.py", {"a.py": "1\n"}, {"b.py": "1\n"}),
    ("move a.py to lib/core/", {"a.py": "1\n"}, {"lib/core/a.py": "1\n"}),
    ("move the folder src to lib/src", {"src/a": "1", "src/b": "2"}, {"lib/src/a": "1", "lib/src/b": "2"}),
    ("move \"it's $(x).py\" to '; b.py'", {"it's $(x).py": "1"}, {"; b.py": "1"}),
    ("create a.py with content '1' and then rename a.py to b.py", {}, {"b.py": "1\n"}),
    ("delete a.txt and b.txt", {"a.txt": "", "b.txt": "", "c.txt": ""}, {"c.txt": ""}),
    ("delete the folder d", {"d/a": "", "d/e/f": "", "c": ""}, {"c": ""}),
    ("append 'x' to a.txt", {"a.txt": "a\na\n"}, {"a.txt": "a\na\nx\n"}),
    ("append 'x' to a.txt", {"a.txt": "a\na"}, {"a.txt": "a\na\nx\n"}),
    ("append 'x' to a.txt", {"a.txt": ""}, {"a.txt": "x\n"}),
    ("append 'x' to a.txt", {"a.txt": b"\xff\r\nb\r\n"}, {"a.txt": b"\xff\r\nb\r\nx\r\n"}),
    ("append 'x' to a.txt", {"a.txt": "line\n" * 5000}, {"a.txt": "line\n" * 5000 + "x\n"}),
    ("insert 'x' at line 2 of a.txt", {"a.txt": "a\na\na"}, {"a.txt": "a\nx\na\na"}),
    ("insert 'x' at line 4 of a.txt", {"a.txt": "a\na\na"}, {"a.txt": "a\na\na\nx\n"}),
    ("add 'x' to the top of a.txt", {"a.txt": "\ufeffa\n"}, {"a.txt": "\ufeffx\na\n"}),
    ("insert '  x' after 'b' in a.txt", {"a.txt": "a\n  b\nabc\n"}, {"a.txt": "a\n  b\n  x\nabc\n"}),
    ("insert 'x' before the line with 'b' in a.txt", {"a.txt": "a\nabc\n"}, {"a.txt": "a\nx\nabc\n"}),
    ("add *.log and build/ to .gitignore", {}, {".gitignore": "*.log\nbuild/\n"}),
    ("add *.log to .gitignore", {".gitignore": "a"}, {".gitignore": "a\n*.log\n"}),
    ("add the header comment 'C' to a.py, b.js, c.html, d.css, e.sql and Makefile",
        {"a.py": "#!/bin/x\n# -*- coding: utf-8 -*-\nimport os\n", "b.js": "f()\n", "c.html": "<!DOCTYPE html>\n<p>\n", "d.css": "", "e.sql": "\nselect", "Makefile": "all:\n"},
        {"a.py": "#!/bin/x\n# -*- coding: utf-8 -*-\n# C\n\nimport os\n", "b.js": "// C\n\nf()\n", "c.html": "<!DOCTYPE html>\n<!-- C -->\n\n<p>\n", "d.css": "/* C */\n", "e.sql": "-- C\n\nselect", "Makefile": "# C\n\nall:\n"}),
    ("add the header comment to a.xml and b.md saying:\nC\n\nD", {"a.xml": "<?xml version='1.0'?>\n<a/>\n", "b.md": "---\nt: 1\n---\nhi\n"},
        {"a.xml": "<?xml version='1.0'?>\n<!--\nC\n\nD\n-->\n\n<a/>\n", "b.md": "---\nt: 1\n---\n<!--\nC\n\nD\n-->\n\nhi\n"}),
    ("add the header comment 'C' to Dockerfile", {"Dockerfile": "# syntax=docker/dockerfile:1\nFROM x\n"}, {"Dockerfile": "# syntax=docker/dockerfile:1\n# C\n\nFROM x\n"}),
    ("add a module docstring 'Tools.' to a.py, b.py and c.py", {"a.py": "#!/bin/x\n# hi\n\nimport os\n", "b.py": "", "c.py": "# only\n"},
        {"a.py": '#!/bin/x\n# hi\n\n"""Tools."""\n\nimport os\n', "b.py": '"""Tools."""\n', "c.py": '# only\n"""Tools."""\n'}),
    ("replace 'a' with 'b' in f.txt; rename f.txt to g.txt, then append 'c' to g.txt", {"f.txt": "a\n"}, {"g.txt": "b\nc\n"}),
)  # fmt: skip

NOT_DONE: tuple[tuple[str, Files, str], ...] = (
    ("replace 'x' with 'y' in a.txt", {"a.txt": "b"}, "does not contain"),
    ("replace 'x' with 'y' in a.txt", {"b.txt": "x"}, "a.txt does not exist"),
    ("replace 'x' with 'y' everywhere", {"a.txt": "b"}, "no file has that text"),
    ("replace cat with dog in a.txt", {"a.txt": "a cat\na category\n"}, "category"),
    ("create a.txt with content 'x'", {"a.txt": "b"}, "exists already"),
    ("create the file d with content 'x'", {"d/e": "b"}, "exists already"),
    ("rename a.py to b.py", {"a.py": "1", "b.py": "2"}, "b.py exists already"),
    ("rename a.py to b.py", {"c.py": "1"}, "a.py does not exist"),
    ("delete a.py", {"c.py": "1"}, "a.py does not exist"),
    ("delete the file d", {"d/e": "1"}, "directory"),
    ("append 'x' to a.txt", {"b.txt": "x"}, "a.txt does not exist"),
    ("append 'x' to a.bin", {"a.bin": b"\0"}, "binary"),
    ("insert 'x' at line 4 of a.txt", {"a.txt": "1\n2\n"}, "only 2 lines"),
    ("insert 'x' after 'y' in a.txt", {"a.txt": "z\n"}, "no line has that text"),
    ("insert 'x' after 'y' in a.txt", {"a.txt": "ay\nby\n"}, "2 lines have that text"),
    ("add *.log to .gitignore", {".gitignore": "*.log\n"}, "there already"),
    ("add the header comment 'C' to a.py", {"a.py": "# C\n\nx\n"}, "there already"),
    ("add the header comment 'C' to a.json", {"a.json": "{}\n"}, "no comment syntax"),
    ("add the header comment 'C */ x' to a.css", {"a.css": "b {}\n"}, "end the comment"),
    ("add the header comment 'C' to a.xml", {"a.xml": "<?xml?><a/>\n"}, "declaration"),
    ("add a module docstring 'D' to a.py", {"a.py": "# x\nr'''A.'''\n"}, "docstring already"),
    ("add a module docstring 'D' to a.js", {"a.js": "x\n"}, "only a Python module"),
)


def said(conversation: list[Message]) -> str:
    last = conversation[-1]
    assert isinstance(last, Assistant)
    return last.said


def calls(conversation: list[Message]) -> list[ToolCall]:
    return [c for m in conversation if isinstance(m, Assistant) for c in m.tool_calls]


def as_bytes(files: Files) -> dict[str, bytes]:
    return {k: v.encode() if isinstance(v, str) else v for k, v in files.items()}


@pytest.mark.parametrize(("prompt", "before", "after"), DONE)
def test_a_plainly_worded_edit_leaves_just_the_files_that_it_asks_for(
    tmp_path: Path, prompt: str, before: Files, after: Files
) -> None:
    conversation = converse(repository(tmp_path, before), prompt)
    assert contents(tmp_path) == as_bytes(after)
    assert said(conversation).startswith("No model was used.")
    assert "Not done" not in said(conversation)
    assert not any(map(is_proposal_path, contents(tmp_path)))


@pytest.mark.parametrize(("prompt", "files", "reason"), NOT_DONE)
def test_an_edit_that_cannot_be_made_is_said_and_nothing_else_is_done(
    tmp_path: Path, prompt: str, files: Files, reason: str
) -> None:
    conversation = converse(repository(tmp_path, files), prompt)
    assert contents(tmp_path) == as_bytes(files)
    assert said(conversation).startswith("No model was used. Nothing was changed.")
    assert "could not" in said(conversation)
    assert reason in said(conversation)


def test_what_could_and_what_could_not_be_done_are_told_apart(tmp_path: Path) -> None:
    repository(tmp_path, {"a.txt": "x\n"})
    conversation = converse(tmp_path, "replace 'x' with 'y' in a.txt and delete b.txt")
    done, not_done = said(conversation).split("Not done:")
    assert "replaced “x” with “y” in a.txt" in done
    assert "could not delete b.txt: b.txt does not exist" in not_done


def test_adding_the_same_header_and_ignore_entry_again_changes_nothing(tmp_path: Path) -> None:
    repository(tmp_path, {"a.py": "import os\n"})
    prompt = "add the header comment 'C' to a.py and add *.log to .gitignore"
    converse(tmp_path, prompt)
    once = contents(tmp_path)
    converse(tmp_path, prompt)
    assert contents(tmp_path) == once


def test_a_tracked_file_that_moves_to_an_ignored_place_stays_tracked(tmp_path: Path) -> None:
    repository(tmp_path, {"a.py": "1", ".gitignore": "out/\n"})
    converse(tmp_path, "move a.py to out/")
    assert git(tmp_path, "ls-files").split() == [".gitignore", "out/a.py"]


def test_a_file_that_is_read_in_pages_is_edited_as_a_whole(tmp_path: Path) -> None:
    text = "".join(f"{n % 7}\n" for n in range(50))
    repository(tmp_path, {"a.txt": text})
    converse(tmp_path, "insert 'x' at line 31 of a.txt", page=8)
    lines = text.split("\n")
    assert (tmp_path / "a.txt").read_text() == "\n".join([*lines[:30], "x", *lines[30:]])


PROMPT = "Make the parser report the line of a broken header"
SOURCES: Files = {
    "parser.py": "class Parser:\n    def header(self):\n        line = 1\n",
    "docs/guide.md": "The parser.\n```\n",
    "other.txt": "nothing\n",
}


def test_a_request_that_is_no_plain_edit_becomes_one_file_that_says_so(tmp_path: Path) -> None:
    repository(tmp_path, SOURCES)
    conversation = converse(tmp_path, PROMPT)
    path = "PROPOSAL-make-the-parser-report-the-line-of-a.md"
    assert path == proposal_path(PROMPT)
    written = contents(tmp_path)
    text = written.pop(path).decode()
    assert written == as_bytes(SOURCES)
    assert is_proposal_path(path)
    first = conversation[1]
    assert isinstance(first, Assistant)
    for words in (first.said, said(conversation), text):
        assert "No model was used" in words
    assert path in said(conversation)
    assert PROMPT in text
    assert "Test command: pytest" in text
    assert "API_KEY" not in text
    assert text.index("`parser.py`") < text.index("`docs/guide.md`")
    assert "3: line = 1" in text
    assert "other.txt" not in text


def test_a_proposal_names_at_most_ten_files_and_repeats_no_secret(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2" * 9
    files: Files = {f"f{n:02}.py": "frobnicate\n" * n for n in range(1, 15)}
    repository(tmp_path, {**files, "f99.py": f"frobnicate {secret}\n" * 99})
    converse(tmp_path, f"frobnicate with {secret}")
    (name,) = {path for path in contents(tmp_path) if path.startswith(PROPOSAL_PREFIX)}
    text = (tmp_path / name).read_text()
    assert text.count(" matching line") == 10
    assert "`f99.py`" in text
    assert "`f05.py`" not in text
    assert secret not in text


def test_text_from_elsewhere_cannot_close_the_fence_it_stands_in(tmp_path: Path) -> None:
    repository(tmp_path, {"a.md": "````` widget {facts}\n"})
    prompt = "Explain the widget {request}\n````\n# A title"
    converse(tmp_path, prompt)
    text = (tmp_path / proposal_path(prompt)).read_text()
    assert f"`````\n{prompt}\n`````" in text
    assert "``````\n1: ````` widget {facts}\n``````" in text


@pytest.mark.parametrize("prompt", ["", "???", "the", "日本語で説明して", "a" * 5000, "../../etc"])
def test_any_request_gets_a_proposal_with_a_plain_name_at_the_root(
    tmp_path: Path, prompt: str
) -> None:
    converse(repository(tmp_path, {"a": "b"}), prompt)
    assert set(contents(tmp_path)) == {"a", proposal_path(prompt)}
    assert is_proposal_path(proposal_path(prompt))


@given(st.text())
def test_a_proposals_slug_is_short_and_plain(prompt: str) -> None:
    slug = proposal_path(prompt).removeprefix(PROPOSAL_PREFIX).removesuffix(".md")
    assert 1 <= len(slug) <= 40
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(
    ("prompt", "before"), [*((prompt, files) for prompt, files, _ in DONE), (PROMPT, SOURCES)]
)
def test_every_prefix_of_a_conversation_has_the_same_next_answer(
    tmp_path: Path, prompt: str, before: Files
) -> None:
    conversation = converse(repository(tmp_path, before), prompt)
    for end in range(1, len(conversation), 2):
        reply = ask(conversation[:end])
        assert reply.message == conversation[end]
        assert (reply.provider, reply.model, reply.cost_usd) == ("dummy", "rules-1", 0.0)
        assert reply.usage == Usage()
        assert isinstance(reply.message.parts[0], Text)
    assert [call.id for call in calls(conversation)] == [
        f"dummy-{n}" for n in range(1, len(calls(conversation)) + 1)
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([prompt for prompt, _, _ in DONE]), min_size=1, max_size=3),
    st.data(),
)
def test_whatever_the_tools_answer_the_dummy_comes_to_an_end_and_repeats_itself(
    prompts: list[str], data: st.DataObject
) -> None:
    answers = st.sampled_from(
        ["", "exit 0\n", "exit 1\nno", "a.txt does not exist", "     1\ta", "no matches", "a\nb"]
    )
    conversation: list[Message] = [task("\n".join(prompts))]
    for _ in range(60):
        reply = ask(conversation)
        assert reply == ask(conversation)
        conversation.append(reply.message)
        if not reply.message.tool_calls:
            break
        results = [
            ToolResult(call.id, data.draw(answers), is_error=data.draw(st.booleans()))
            for call in reply.message.tool_calls
        ]
        conversation.append(User(tuple(results)))
    assert said(conversation).startswith("No model was used")
    assert ask(conversation[:1]).message == conversation[1]


@pytest.mark.parametrize(
    "answer",
    ["a.txt\n[7 more lines]", "a.txt\n[not everything could be searched: rg: b: denied]", "no rg"],
)
def test_replacing_in_all_files_does_not_begin_before_all_files_are_known(answer: str) -> None:
    conversation: list[Message] = [task("replace 'x' with 'y' everywhere")]
    conversation.append(ask(conversation).message)
    conversation.append(User((ToolResult("dummy-1", answer, is_error=answer == "no rg"),)))
    reply = ask(conversation)
    assert not reply.message.tool_calls
    assert "the search did not list all the files" in reply.message.said


def test_after_its_last_word_it_says_that_it_cannot_repair(tmp_path: Path) -> None:
    conversation = converse(repository(tmp_path, {"a.txt": "x"}), "delete a.txt")
    for _ in range(2):
        conversation.append(User((Text("Verification failed: exit 1"),)))
        reply = ask(conversation)
        assert reply.stop == "end_turn"
        assert "cannot" in reply.message.said
        assert "No model was used" in reply.message.said
        assert not reply.message.tool_calls
        conversation.append(reply.message)


def test_work_that_another_provider_began_is_left_as_it_stands() -> None:
    call = ToolCall("toolu_1", "write", {"path": "a", "content": "b", "description": "c"})
    conversation: list[Message] = [
        task("delete a.txt"),
        Assistant((Text("On it."), call)),
        User((ToolResult("toolu_1", "created a"),)),
    ]
    reply = ask(conversation)
    assert reply.stop == "unfinished"
    assert not reply.message.tool_calls
    assert "not finished" in reply.message.said


def test_a_provider_that_only_talked_before_leaves_all_the_work_to_it() -> None:
    alone = ask([task("delete a.txt")])
    after_talk: list[Message] = [
        task("delete a.txt"),
        Assistant((Text("Hm."),)),
        User((Text("Go on."),)),
    ]
    assert ask(after_talk).message == alone.message


def test_a_run_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = converse(repository(tmp_path, {"a.txt": "x\n"}), "append 'y' to a.txt; delete a.txt")
    assert not contents(tmp_path)
    repository(tmp_path, {"a.txt": "x\ny\n"})  # the state after two answers
    resumed, execute = whole[:5], Executor(tmp_path)
    while (last := ask(resumed).message).tool_calls:
        resumed += [last, User(tuple(execute(call) for call in last.tool_calls))]
    assert [*resumed, last] == whole
    assert not contents(tmp_path)


def test_the_dummy_is_a_provider() -> None:
    provider: Provider = Dummy()
    assert (provider.name, provider.model) == ("dummy", "rules-1")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_docstring_says_exactly_the_text(text: str) -> None:
    assert ast.literal_eval(docstring(text)) == text


@given(st.text("ab\n", min_size=1), st.integers(0, 99), st.text("ab", min_size=1))
def test_a_splice_is_unique_and_puts_the_line_where_it_belongs(
    text: str, place: int, added: str
) -> None:
    lines = lines_of(text)
    at = min(place, len(lines))
    cut = splice(lines, at, added)
    start = text.find(cut.old)
    assert text.find(cut.old, start + 1) == -1
    before, after = "".join(lines[:at]), "".join(lines[at:])
    ended = before + "\n" if before and not before.endswith("\n") else before
    assert text.replace(cut.old, cut.new) == f"{ended}{added}\n{after}"
