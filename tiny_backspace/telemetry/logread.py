"""The logs read again: those that were set aside and packed too, in the order of time; or as they grow."""

from __future__ import annotations

import gzip
import heapq
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from tiny_backspace.telemetry.categories import Category

_POLL = 0.2  # seconds


class Line(NamedTuple):
    """One line: when, what it says, and as it stands there without its end."""

    at: str
    entry: dict[str, Any]
    text: str


def lines(folder: Path, wanted: Sequence[Category]) -> Iterator[Line]:
    """All there are, oldest first. What stands in two of the logs comes once; what is no line of ours is left out."""
    seen: set[tuple[Any, Any]] = set()
    together = heapq.merge(*(_of(folder, name) for name in wanted), key=lambda line: line.at)
    for line in together:
        key = (line.entry.get("run_id"), line.entry.get("seq"))
        if len(wanted) > 1 and key[1] is not None:
            if key in seen:
                continue
            seen.add(key)
        yield line


def newest(found: Iterable[Line], count: int) -> Iterator[Line]:
    return iter(deque(found, maxlen=count))


def follow(
    folder: Path, wanted: Sequence[Category], wait: Callable[[float], None] = time.sleep
) -> Iterator[Line]:
    """Lines that are written from now on, without an end. A log that is set aside is read to its end first."""
    tails = [_Tail(folder / f"{name}.log") for name in wanted]
    seen: deque[tuple[Any, Any]] = deque(maxlen=1000)
    try:
        while True:
            news = sorted(
                (line for tail in tails for line in tail.news()), key=lambda line: line.at
            )
            for line in news:
                key = (line.entry.get("run_id"), line.entry.get("seq"))
                if key[1] is None or key not in seen:
                    seen.append(key)
                    yield line
            if not news:
                wait(_POLL)
    finally:
        for tail in tails:
            tail.close()


def _of(folder: Path, category: Category) -> Iterator[Line]:
    name = f"{category}.log"
    aside = {path.name.removesuffix(".gz"): path for path in folder.glob(f"{name}.*")}
    for path in [*(aside[key] for key in sorted(aside)), folder / name]:
        yield from _parsed(_raw(path))


def _raw(path: Path) -> Iterator[bytes]:
    """The lines of a file; it may be packed meanwhile."""
    packed = path if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
    try:
        with path.open("rb") if path != packed else gzip.open(path, "rb") as file:
            yield from file
    except FileNotFoundError:
        if packed != path and packed.exists():
            with gzip.open(packed, "rb") as file:
                yield from file


def _parsed(raw: Iterable[bytes]) -> Iterator[Line]:
    for data in raw:
        with suppress(ValueError, RecursionError):
            entry = json.loads(data)
            if isinstance(entry, dict) and isinstance(at := entry.get("at"), str):
                yield Line(at, entry, data.decode("utf-8", "replace").rstrip("\n"))


def moment(line: Line) -> datetime | None:
    """When, as a time; None if it says nothing that is one."""
    try:
        at = datetime.fromisoformat(line.at)
    except ValueError:
        return None
    return at if at.tzinfo else None


class _Tail:
    """What is appended to a log from now on, under whatever name it goes by then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._half = b""
        self._file = self._opened()
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def news(self) -> list[Line]:
        found: list[bytes] = []
        if self._file is not None:
            found += self._read(self._file)
            if not self._is_current(self._file):
                found += self._read(self._file)  # what was written before it was set aside
                self._file.close()
                self._file = None
        if self._file is None:
            self._file = self._opened()
            if self._file is not None:
                found += self._read(self._file)
        return list(_parsed(found))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self) -> IO[bytes] | None:
        self._half = b""
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None

    def _read(self, file: IO[bytes]) -> list[bytes]:
        *whole, self._half = (self._half + file.read()).split(b"\n")
        return whole

    def _is_current(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False
