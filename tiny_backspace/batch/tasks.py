"""The tasks of a batch, read out of its file. Pure.

A task has a key: what it is, without how much it may use. Whoever asks for the same again, with more
time or another machine, asks for the same task.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tiny_backspace.errors import UsageError
from tiny_backspace.redact import clean_line
from tiny_backspace.repo.source import Local, page, parse
from tiny_backspace.settings import PROMPT_LIMIT, Settings

_OWN = ("repo", "prompt", "base")
_MOST_TOLD = 10  # wrong lines
# How much a run may use, and of which machine: not what is wanted of it.
_MEANS = frozenset((
    "cache", "command_timeout", "cpus", "disk", "force", "max_cost", "max_tokens", "max_tool_calls", "max_turns",
    "memory", "pids", "runtime", "setup_disk", "setup_timeout", "timeout", "verify_timeout",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """One run that is wanted. `repo` is the one name that its repository has, `limit` what it may cost (US dollars)."""

    line: int
    repo: str
    prompt: str
    base: str | None
    options: Mapping[str, Any]
    key: str
    limit: float


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read. `kinds` are the options that there are, and their types on the command line; `given`
    those of the whole batch; `settings` are the effective ones with some options; `here` is where relative
    paths start.
    """

    name: str
    kinds: Mapping[str, type]
    given: Mapping[str, Any]
    settings: Callable[[Mapping[str, Any]], Settings]
    here: Path


@dataclass(frozen=True, slots=True)
class Tasks:
    """In the order of the file. `repeated` are the lines that ask for what an earlier one does, and that one."""

    tasks: tuple[Task, ...]
    repeated: tuple[tuple[int, int], ...] = ()


def from_lines(lines: Iterable[str], reading: Reading) -> Tasks:
    """Of a file with one JSON object a line: `repo`, `prompt`, perhaps `base`, and options by their names in the settings.

    Raises:
        UsageError: lines are wrong; it names them, and what is wrong with each.
    """
    return _read(((n, line) for n, line in enumerate(lines, 1) if line.strip()), _fields, reading)


def from_repositories(lines: Iterable[str], prompt: str, reading: Reading) -> Tasks:
    """Of a file with one repository a line, for which the same is asked. `#` begins a comment.

    Raises:
        UsageError: lines are wrong.
    """
    if not prompt.strip():
        raise UsageError("the prompt is empty")
    named = ((n, line.partition("#")[0].strip()) for n, line in enumerate(lines, 1))

    def fields(line: str) -> dict[str, Any]:
        return {"repo": line, "prompt": prompt}

    return _read(((n, line) for n, line in named if line), fields, reading)


def shard(tasks: Iterable[Task], number: int, of: int) -> tuple[Task, ...]:
    """The tasks of shard `number` (from 1): by their keys, so that each task is in exactly one, wherever it stands."""
    return tuple(task for task in tasks if int(task.key, 16) % of == number - 1)


def _read(
    lines: Iterable[tuple[int, str]], fields: Callable[[str], dict[str, Any]], reading: Reading
) -> Tasks:
    found: dict[str, Task] = {}
    repeated, wrong = list[tuple[int, int]](), list[str]()
    known: dict[str, Settings] = {}
    for number, line in lines:
        try:
            task = _task(number, fields(line), reading, known)
        except UsageError as error:
            wrong.append(f"line {number}: {str(error).rstrip('.')}")
            continue
        first = found.setdefault(task.key, task)
        if first is not task:
            repeated.append((number, first.line))
    if wrong:
        more = len(wrong) - _MOST_TOLD
        told = [*wrong[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]
        raise UsageError(
            f"{reading.name} has {len(wrong)} wrong line{'s' * (len(wrong) > 1)}:\n  "
            + "\n  ".join(told),
            hint='A line is {"repo": …, "prompt": …}, with options as in the settings file (docs/batch.md). Nothing was started.',
        )
    if not found:
        raise UsageError(f"{reading.name} holds no task")
    return Tasks(tuple(found.values()), tuple(repeated))


def _fields(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"that is not JSON: {clean_line(str(error))[:100]}") from None
    if not isinstance(found, dict):
        raise UsageError("that is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _task(
    number: int, fields: Mapping[str, Any], reading: Reading, known: dict[str, Settings]
) -> Task:
    for name, value in fields.items():
        _check(name, value, reading.kinds)
    for name in ("repo", "prompt"):
        if name not in fields and not (name == "prompt" and page(fields["repo"])):
            raise UsageError(f"{name!r} is missing")
    own = {name: value for name, value in fields.items() if name not in _OWN}
    options = {**reading.given, **own}
    same = json.dumps(options, sort_keys=True)
    if same not in known:  # most lines have the same ones, and looking at them takes a millisecond
        known[same] = reading.settings(options)
    settings = known[same]
    prompt, base = fields.get("prompt", ""), fields.get("base")
    _check_prompt(fields["repo"], prompt)
    repo = _repository(fields["repo"], settings.github.url, reading.here)
    wanted = {name: value for name, value in options.items() if name not in _MEANS}
    return Task(
        number, repo, prompt, base, options, _key(repo, prompt, base, wanted), settings.max_cost
    )


def _check(name: str, value: object, kinds: Mapping[str, type]) -> None:
    """Raises UsageError: there is no such option, or that can be no value of it."""
    kind = str if name in _OWN else kinds.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, (*_OWN, *kinds), 1)
        raise UsageError(
            f"there is no option {clean_line(name)[:60]!r}"
            + (f"; is {near[0]!r} meant?" if near else "")
        )
    if kind is list:
        fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
    elif kind is str and name not in _OWN:  # sizes and times may be numbers
        fits = isinstance(value, str | int | float) and not isinstance(value, bool)
    elif kind in (int, float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, kind)
    if not fits:
        words = {list: "a list of texts", str: "a text", bool: "true or false"}
        raise UsageError(f"{name!r} must be {words.get(kind, 'a number')}")


def _check_prompt(repo: str, prompt: str) -> None:
    if not prompt.strip() and page(repo) is None:
        raise UsageError("the prompt is empty")
    if len(prompt.encode(errors="replace")) > PROMPT_LIMIT:
        raise UsageError(f"the prompt has more than {PROMPT_LIMIT} bytes")


def _repository(named: str, github: str, here: Path) -> str:
    """The one name of what may be named in several ways."""
    if found := page(named):
        kind = "issues" if found.kind == "issue" else "pull"
        return f"{found.remote.url.removesuffix('.git')}/{kind}/{found.number}"
    source = parse(named, github)
    if isinstance(source, Local):
        return os.path.normpath(here / Path(source.path).expanduser())
    return source.url


def _key(repo: str, prompt: str, base: str | None, wanted: Mapping[str, Any]) -> str:
    """16 hex digits: among a million tasks two have the same once in 30 million batches."""
    text = json.dumps([repo, prompt, base, wanted], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def each_line(data: Iterable[bytes], name: str) -> Iterator[str]:
    """Its lines as text, a byte order mark left out.

    Raises:
        UsageError: it is not UTF-8.
    """
    for number, line in enumerate(data, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UsageError(f"{name}, line {number}: that is not UTF-8 text") from None
