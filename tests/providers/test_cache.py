"""The same question is answered once; a question that differs in anything is another one."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import ScriptedProvider
from tests.test_transcript import MESSAGES, OBJECTS, REPLIES, WORDS
from tiny_backspace.conversation import (
    Assistant,
    Opaque,
    Reply,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    User,
)
from tiny_backspace.errors import ProviderBusy
from tiny_backspace.events import CacheHit, Emit, Event, ThoughtDelta, Warned
from tiny_backspace.providers.cache import AGE, ROOM, Cached
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.statedir import private_dir

Said = list[Event | ThoughtDelta]

CALL = ToolCall("c1", "edit", {"path": "a", "old": "x"})
USER = User((Text("do it"), Text("files: a, b")))
ASSISTANT = Assistant((Thinking("hm"), CALL), Opaque("claude:m", ({"signature": "s1"},)))
RESULTS = User((ToolResult("c1", "done"),))
SPEC = ToolSpec("edit", "Edit a file.", {"type": "object", "properties": {"path": {}}})
ASKED = ModelRequest("system", (USER, ASSISTANT, RESULTS), (SPEC,))
ANSWER = Reply(
    Assistant((Text("done"), CALL), Opaque("claude:m", ({"signature": "s2"},))),
    "tool_use",
    "model",
    "m-2026",
    Usage(1000, 50, 400, 100),
    0.25,
)


class Model:
    """Gives the same reply each time, and counts."""

    def __init__(self, answer: Reply = ANSWER, name: str = "model", model: str = "m") -> None:
        self.name = name
        self.model = model
        self.window: int | None = 1000
        self.times = 0
        self._answer = answer

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        self.times += 1
        return self._answer


def ask(folder: Path, request: ModelRequest = ASKED, identity: str = "i") -> tuple[Reply, Said]:
    said: Said = []
    return Cached(Model(), folder, identity=identity).reply(request, said.append), said


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def key(request: ModelRequest = ASKED, identity: str = "i", who: Model | None = None) -> str:
    """What the entry of this request is called on disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "r"
        Cached(who or Model(), folder, identity=identity).reply(request, lambda _: None)
        (entry,) = entries(folder)
        return entry.name


def test_a_second_time_the_answer_is_there_and_costs_nothing(tmp_path: Path) -> None:
    model, said = Model(), Said()
    cached = Cached(model, tmp_path / "r", identity="i")

    first = cached.reply(ASKED, said.append)
    second = cached.reply(ASKED, said.append)
    third, _ = ask(tmp_path / "r")  # another run

    assert first == ANSWER
    assert second == third == replace(ANSWER, usage=Usage(), cost_usd=0.0)
    assert model.times == 1
    (hit,) = said
    assert hit == CacheHit(provider="model", model="m-2026", key=key())


def test_it_is_the_provider_that_it_wraps(tmp_path: Path) -> None:
    cached = Cached(Model(name="claude", model="c-5"), tmp_path, identity="i")

    assert (cached.name, cached.model, cached.window) == ("claude", "c-5", 1000)


@given(REPLIES.map(lambda reply: replace(reply, stop="end_turn")))
def test_any_answer_comes_back_as_it_was(answer: Reply) -> None:
    with tempfile.TemporaryDirectory() as name:
        cached = Cached(Model(answer), Path(name) / "r", identity="i")
        cached.reply(ASKED, lambda _: None)
        again = cached.reply(ASKED, lambda _: None)

    assert again == replace(answer, usage=Usage(), cost_usd=0.0)


@pytest.mark.parametrize("stop", get_args(Stop))
def test_only_an_answer_that_is_complete_is_kept(tmp_path: Path, stop: Stop) -> None:
    model = Model(replace(ANSWER, stop=stop))
    cached = Cached(model, tmp_path / "r", identity="i")

    for _ in range(2):
        cached.reply(ASKED, lambda _: None)

    assert model.times == (1 if stop in ("end_turn", "tool_use") else 2)


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    busy = ScriptedProvider(ProviderBusy("busy"))

    with pytest.raises(ProviderBusy):
        Cached(busy, tmp_path / "r", identity="i").reply(ASKED, lambda _: None)

    assert entries(tmp_path) == []


def test_which_turn_it_is_and_how_long_there_is_time_makes_no_other_question() -> None:
    assert key(replace(ASKED, turn=7, until=5.0)) == key(ASKED)


@pytest.mark.parametrize(
    "change",
    [
        {"system": "system "},
        {"tools": ()},
        {"tools": (SPEC, SPEC)},
        {"tools": (replace(SPEC, name="write"),)},
        {"tools": (replace(SPEC, description="Edit."),)},
        {"tools": (replace(SPEC, schema={**SPEC.schema, "required": ["path"]}),)},
        {"conversation": ()},
        {"conversation": (USER, ASSISTANT)},
        {"conversation": (RESULTS, ASSISTANT, USER)},
        {"conversation": (User((Text("do it"), Text("files: a"))), ASSISTANT, RESULTS)},
        {"conversation": (User((Text("do it\nfiles: a, b"),)), ASSISTANT, RESULTS)},
        {"conversation": (USER, Assistant((Thinking("hm"), CALL)), RESULTS)},
        {"conversation": (USER, replace(ASSISTANT, parts=(CALL,)), RESULTS)},
        {"conversation": (USER, replace(ASSISTANT, opaque=Opaque("claude:m", ({},))), RESULTS)},
        {"conversation": (USER, ASSISTANT, User((ToolResult("c1", "done", is_error=True),)))},
    ],
)
def test_any_part_of_the_question_makes_another_one(change: dict[str, Any]) -> None:
    assert key(replace(ASKED, **change)) != key()


def test_whoever_is_asked_makes_another_question() -> None:
    keys = [key(), key(identity="j"), key(who=Model(name="n")), key(who=Model(model="o"))]

    assert len(set(keys)) == 4


REQUESTS = st.builds(
    ModelRequest,
    WORDS,
    st.lists(MESSAGES, max_size=3).map(tuple),
    st.lists(st.builds(ToolSpec, WORDS, WORDS, OBJECTS), max_size=2).map(tuple),
)


@settings(max_examples=50)
@given(st.tuples(REQUESTS, WORDS), st.tuples(REQUESTS, WORDS))
def test_equal_questions_have_one_key_and_others_have_others(
    one: tuple[ModelRequest, str], other: tuple[ModelRequest, str]
) -> None:
    assert (key(*one) == key(*other)) == (repr(one) == repr(other))
    assert key(*one) == key(replace(one[0], turn=9), one[1])


def test_what_lies_on_disk_is_its_owners_alone_and_tells_nothing_of_the_question(
    tmp_path: Path,
) -> None:
    umask = os.umask(0)
    try:
        ask(tmp_path / "r", identity="https://host/canary")
    finally:
        os.umask(umask)
    (entry,) = entries(tmp_path)

    assert entry.parent.name == entry.name[:2]
    assert len(entry.name) == 64
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    for folder in (entry.parent, tmp_path / "r"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    text = entry.read_text()
    assert not any(word in text for word in ("canary", "system", "do it", "files: a", "s1"))


@pytest.mark.parametrize("at", [0, 10, 64, 65, 70, -1])
@pytest.mark.parametrize("how", ["flip", "cut", "longer"])
def test_a_damaged_entry_is_a_miss_and_is_replaced(tmp_path: Path, at: int, how: str) -> None:
    folder = tmp_path / "r"
    ask(folder)
    (entry,) = entries(folder)
    whole = entry.read_bytes()
    data = bytearray(whole)
    if how == "flip":
        data[at] ^= 1
    elif how == "cut":
        del data[at:]
    else:
        data += b" "
    entry.write_bytes(data)

    reply, said = ask(folder)

    assert (reply, said) == (ANSWER, [])
    assert entry.read_bytes() == whole


def test_a_damaged_entry_is_removed_even_if_there_is_nothing_to_take_its_place(
    tmp_path: Path,
) -> None:
    ask(tmp_path / "r")
    (entry,) = entries(tmp_path)
    entry.write_bytes(b"")
    unfinished = Model(replace(ANSWER, stop="max_tokens"))

    Cached(unfinished, tmp_path / "r", identity="i").reply(ASKED, lambda _: None)

    assert not entry.exists()


def test_an_entry_under_another_name_is_damaged(tmp_path: Path) -> None:
    ask(tmp_path / "r")
    (entry,) = entries(tmp_path)
    other = replace(ASKED, system="another")
    taken = tmp_path / "r" / key(other)[:2]
    taken.mkdir(mode=0o700, exist_ok=True)
    entry.rename(taken / key(other))

    _, said = ask(tmp_path / "r", other)

    assert said == []


def test_a_link_in_an_entrys_place_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    ask(folder)
    (entry,) = entries(folder)
    elsewhere = tmp_path / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)

    reply, said = ask(folder)

    assert reply == ANSWER
    assert not any(isinstance(event, CacheHit) for event in said)
    assert not entry.is_symlink()
    assert elsewhere.exists()


def test_after_thirty_days_an_answer_is_asked_for_again(tmp_path: Path) -> None:
    said: Said = []
    model, now = Model(), time.time()

    for seconds in (0, AGE - 3600, AGE + 3600):
        then = repeat(now + seconds)
        cached = Cached(model, tmp_path / "r", identity="i", clock=then.__next__)
        cached.reply(ASKED, said.append)

    assert (model.times, len(said)) == (2, 1)


def _kept(path: Path, size: int, age: float) -> Path:
    """A file of another run in the cache, so many bytes long and seconds old."""
    private_dir(path.parent)
    path.touch()
    os.truncate(path, size)  # no bytes are written
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_is_too_old_or_has_no_room_is_removed_oldest_first(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    expired = _kept(folder / "aa" / "1", 1, AGE + 60)
    leftover = _kept(folder / "aa" / ".2.tmp", 1, AGE + 60)
    oldest = _kept(folder / "bb" / "1", ROOM // 2, 3000)
    older = _kept(folder / "cc" / "1", ROOM // 2, 2000)
    young = _kept(folder / "dd" / "1", ROOM // 4, 1000)

    ask(folder)

    assert [p.exists() for p in (expired, leftover, oldest, older, young)] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert ask(folder)[1] != []  # the new one is there


def test_room_is_made_once_and_only_where_something_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    ask(folder)
    cached = Cached(Model(), folder, identity="i")
    late = _kept(folder / "aa" / "1", 1, AGE + 60)

    cached.reply(ASKED, lambda _: None)
    assert late.exists()
    cached.reply(replace(ASKED, system="2"), lambda _: None)
    assert not late.exists()
    late = _kept(folder / "aa" / "1", 1, AGE + 60)
    cached.reply(replace(ASKED, system="3"), lambda _: None)
    assert late.exists()


def _a_file(folder: Path) -> None:
    folder.write_text("")


def _open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _a_folder_for_an_entry(folder: Path) -> None:
    (folder / key()[:2] / key()).mkdir(parents=True)


@pytest.mark.parametrize("spoil", [_a_file, _open_to_all, _a_folder_for_an_entry])
def test_a_disk_that_fails_is_said_once_and_the_run_goes_on(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path / "r"
    spoil(folder)
    said: Said = []
    model = Model()
    cached = Cached(model, folder, identity="i")

    replies = [cached.reply(ASKED, said.append) for _ in range(3)]

    assert replies == [ANSWER] * 3
    assert model.times == 3
    (warning,) = said
    assert isinstance(warning, Warned)
    assert str(folder) in warning.message
