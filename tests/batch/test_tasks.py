"""A file of tasks, read strictly: what each line asks for, under one key, in one shard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tiny_backspace import settings
from tiny_backspace.batch.tasks import Reading, each_line, from_lines, from_repositories, shard
from tiny_backspace.cli.batch import NAMES
from tiny_backspace.cli.words import kinds, words
from tiny_backspace.errors import UsageError

HERE = Path("/work/here")


def reading(**given: Any) -> Reading:
    def effective(options: Mapping[str, Any]) -> settings.Settings:
        return settings.load(options, {}, Path("/none"))

    return Reading("tasks.jsonl", kinds(NAMES), given, effective, HERE)


def read(*lines: object, **given: Any) -> Any:
    told = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return from_lines(told, reading(**given))


def key(line: Mapping[str, Any], **given: Any) -> str:
    (task,) = read({"repo": "o/n", "prompt": "p", **line}, **given).tasks
    return str(task.key)


def refused(*lines: object) -> str:
    with pytest.raises(UsageError) as error:
        read(*lines)
    return str(error.value)


def test_a_line_is_a_repository_a_prompt_and_options() -> None:
    found = read(
        "",
        {"repo": "o/n", "prompt": "do it", "base": "next", "verify": "make", "max_cost": 2},
        max_turns=5,
        verify="other",
    )
    (task,) = found.tasks
    assert (task.line, task.repo, task.prompt, task.base) == (
        2,
        "https://github.com/o/n.git",
        "do it",
        "next",
    )
    assert task.options == {"verify": "make", "max_cost": 2, "max_turns": 5}
    assert task.limit == 2


def test_one_repository_has_one_name_however_it_is_written() -> None:
    same = ("o/n", "https://github.com/o/n", "git@github.com:o/n.git")
    assert len({key({"repo": repo}) for repo in same}) == 1
    paths = ("./a", "/work/here/a", "./a/", "./b/../a")
    assert len({key({"repo": repo}) for repo in paths}) == 1
    issue = "https://github.com/o/n/issues/12"
    (task,) = read({"repo": f"{issue}?x=1"}).tasks
    assert (task.repo, task.prompt) == (issue, "")


def test_the_key_is_what_is_wanted_and_not_how_much_it_may_use() -> None:
    plain = key({})
    assert plain == key({"timeout": "2h", "max_cost": 9, "memory": "8g"}) == key({}, cpus=1.0)
    others = [
        key({"prompt": "q"}), key({"base": "next"}), key({"verify": "make"}), key({}, agents="dummy"),
        key({"repo": "o/m"}), key({"publish": "patch"}), key({"branch": "b"}),
    ]  # fmt: skip
    assert len({plain, *others}) == len(others) + 1


def test_what_is_asked_for_twice_is_done_once_and_said() -> None:
    one, other = {"repo": "o/n", "prompt": "p"}, {"repo": "o/n", "prompt": "q"}
    found = read(one, other, {**one, "max_turns": 3}, one)
    assert [task.line for task in found.tasks] == [1, 2]
    assert found.repeated == ((3, 1), (4, 1))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nothing", "that is not JSON"),
        ("[" * 100_000, "that is not JSON"),
        ('{"repo": "a", "repo": "b", "prompt": "p"}', "a name stands there twice"),
        ("[]", "no JSON object"),
        ({"prompt": "p"}, "'repo' is missing"),
        ({"repo": "o/n"}, "'prompt' is missing"),
        ({"repo": 1, "prompt": "p"}, "'repo' must be a text"),
        ({"repo": "o/n", "prompt": " "}, "the prompt is empty"),
        ({"repo": "o/n", "prompt": "p" * 100_001}, "more than 100000 bytes"),
        ({"repo": "ftp://o/n", "prompt": "p"}, "only by https"),
        ({"repo": "o/n", "prompt": "p", "verfy": "x"}, "is 'verify' meant?"),
        ({"repo": "o/n", "prompt": "p", "approve": True}, "no option 'approve'"),
        ({"repo": "o/n", "prompt": "p", "once": "k"}, "no option 'once'"),
        ({"repo": "o/n", "prompt": "p", "label": "x"}, "a list of texts"),
        ({"repo": "o/n", "prompt": "p", "draft": "yes"}, "true or false"),
        ({"repo": "o/n", "prompt": "p", "max_turns": True}, "must be a number"),
        ({"repo": "o/n", "prompt": "p", "max_turns": 0}, "greater than or equal to 1"),
        ({"repo": "o/n", "prompt": "p", "memory": None}, "must be a text"),
        ({"repo": "o/n", "prompt": "p", "\x1b[31m": 1}, "no option ''"),
    ],
)
def test_a_wrong_line_is_named_and_told_what_is_wrong(line: object, said: str) -> None:
    message = refused({"repo": "o/n", "prompt": "p"}, line)
    assert "line 2: " in message
    assert said in message
    assert "\x1b" not in message


def test_many_wrong_lines_are_told_together() -> None:
    message = refused(*(["x"] * 30))
    assert message.startswith("tasks.jsonl has 30 wrong lines")
    assert message.endswith("and 20 more")
    assert "holds no task" in refused("", " ")


def test_a_list_of_repositories_has_one_prompt() -> None:
    lines = ["# ours", "", "o/n  # the first", "./folder"]
    found = from_repositories(lines, "do it", reading(verify="make"))
    assert [(task.line, task.repo) for task in found.tasks] == [
        (3, "https://github.com/o/n.git"),
        (4, "/work/here/folder"),
    ]
    assert {task.prompt for task in found.tasks} == {"do it"}


def test_every_task_is_in_exactly_one_shard_and_stays_there() -> None:
    tasks = read(*({"repo": f"o/n{n}", "prompt": "p"} for n in range(200))).tasks
    parts = [shard(tasks, number, 7) for number in range(1, 8)]
    keys = [task.key for part in parts for task in part]
    assert sorted(keys) == sorted(task.key for task in tasks)
    assert min(map(len, parts)) > 10
    assert {t.key for t in shard(tasks[::-1], 3, 7)} == {t.key for t in parts[2]}


def test_lines_are_utf_8_with_or_without_a_mark() -> None:
    assert list(each_line([b"\xef\xbb\xbfa\r\n", b"b"], "f")) == ["a", "b"]
    with pytest.raises(UsageError, match="f, line 2"):
        list(each_line([b"a\n", b"\xff\n"], "f"))


def test_options_become_words_that_no_shell_and_no_parser_reads_otherwise() -> None:
    given = {
        "verify": "--rm -rf", "label": ["a b", "-c"], "draft": False, "verify_base": False, "cache": True,
        "dry_run": True, "fork": False, "max_turns": 5,
    }  # fmt: skip
    assert words(given) == [
        "--cache", "--ready", "--dry-run", "--label=a b", "--label=-c", "--max-turns=5",
        "--verify=--rm -rf", "--no-verify-base",
    ]  # fmt: skip
