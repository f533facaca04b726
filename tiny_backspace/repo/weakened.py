"""Signs that a change makes the tests say less: deleted, skipped or emptied tests, lowered thresholds. Pure.

A change that passes because it is tested less looks like one that is right. Each sign is only a flag:
there are good reasons for all of them, and somebody has to see which it was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tiny_backspace.repo.difference import Change
from tiny_backspace.repo.lines import Added, Removed

_FOLDERS = re.compile(rb"(?:^|/)(?:tests?|__tests__|specs?|testing|testdata)/", re.IGNORECASE)
_NAMES = re.compile(
    rb"(?:^|/)(?:test_[^/]*|conftest\.py|[^/]*(?:_test|_spec|[._-]test|[._-]spec|Tests?|IT)\.[a-z]+)\Z"
)

# What begins a test in the usual frameworks, with its name: pytest and unittest, Go, Rust, JavaScript, Ruby.
_TEST = re.compile(
    rb"\s*(?:async\s+)?def\s+(test\w*)\s*\(|\s*func\s+((?:Test|Fuzz)\w*)\s*\(|"
    rb"\s*(?:it|test|specify|scenario)\s*\(?\s*([\"'`].{1,200}?[\"'`])|\s*(?:public\s+)?void\s+(test\w*)\s*\("
)
_ASSERTION = re.compile(
    rb"\s*(?:assert\b|self\.assert\w|assert\w*!?\s*\(|expect\s*\(|require\.\w|t\.(?:Error|Fatal)|with (?:pytest\.)?raises|pytest\.raises)"
)
_SKIP = re.compile(
    rb"@?(?:pytest\.mark\.(?:skip|skipif|xfail)|pytest\.(?:skip|xfail|importorskip)|unittest\.(?:skip\w*|expectedFailure))\b|"
    rb"\b(?:it|test|describe|context)\.(?:skip|todo)\b|^\s*x(?:it|test|describe|context)\s*\(|"
    rb"\bt\.(?:Skip|SkipNow|Skipf)\(|#\[ignore|@(?:Disabled|Ignore)\b|\bself\.skipTest\("
)
_THRESHOLD = re.compile(
    rb"(fail[_-]under|minimum_coverage|min[_-]coverage|coverage[_-]?threshold|\bbranches|\bfunctions|\bstatements|\blines)"
    rb"[\"']?\s*[:=\s]\s*(\d+(?:\.\d+)?)",
    re.IGNORECASE,
)


def is_test(path: bytes) -> bool:
    """By its name, or a folder's."""
    return bool(_FOLDERS.search(path) or _NAMES.search(path))


def weakened(
    changes: Sequence[Change], added: Sequence[Added], removed: Sequence[Removed]
) -> Iterator[tuple[bytes, str]]:
    """The path of each file with such a sign, and the sign in a sentence."""
    yield from _deleted(changes)
    gone = {change.path for change in changes if change.status == "D"}
    new: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for line in added:
        if not line.moved:
            new[line.path].append(line.text)
    old: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for each in removed:
        if not each.moved and each.path not in gone:
            old[each.path].append(each.text)
    names = {name for texts in new.values() for text in texts if (name := _test_name(text))}
    for path, texts in old.items():
        if is_test(path):
            yield from _emptied(path, texts, new[path], names)
        yield from _lowered(path, texts, new[path])
    for path, texts in new.items():
        if skips := sum(_SKIP.search(text[:1000]) is not None for text in texts):
            yield path, f"{_counted(skips, 'test is', 'tests are')} skipped, or expected to fail."


def _deleted(changes: Sequence[Change]) -> Iterator[tuple[bytes, str]]:
    """One whose content, or whose name, is elsewhere now has only moved."""
    there = {change.new_id for change in changes if change.status == "A"}
    names = {change.path.rpartition(b"/")[2] for change in changes if change.status == "A"}
    for change in changes:
        moved = change.old_id in there or change.path.rpartition(b"/")[2] in names
        if change.status == "D" and is_test(change.path) and not moved:
            yield change.path, "A file of tests is deleted."


def _emptied(
    path: bytes, old: Sequence[bytes], new: Sequence[bytes], names: set[bytes]
) -> Iterator[tuple[bytes, str]]:
    lost = {name for text in old if (name := _test_name(text))} - names
    begun = sum(_test_name(text) is not None for text in new)
    if len(lost) > begun:  # otherwise they may have other names
        count = len(lost) - begun
        yield path, f"{_counted(count, 'test is', 'tests are')} taken out."
    checks = sum(_ASSERTION.match(text) is not None for text in old)
    if checks and not any(_ASSERTION.match(text) for text in new) and not lost:
        yield (
            path,
            f"{_counted(checks, 'assertion is', 'assertions are')} taken out, and none added.",
        )


def _lowered(
    path: bytes, old: Sequence[bytes], new: Sequence[bytes]
) -> Iterator[tuple[bytes, str]]:
    now = dict(_thresholds(new))
    for key, before in _thresholds(old):
        if key not in now:
            yield path, f"The threshold {key} is taken out."
        elif now[key] < before:
            yield path, f"The threshold {key} is lowered from {before:g} to {now[key]:g}."


def _thresholds(texts: Sequence[bytes]) -> Iterator[tuple[str, float]]:
    for text in texts:
        for found in _THRESHOLD.finditer(text[:1000]):
            yield found[1].decode("ascii", "replace").lower(), float(found[2])


def _test_name(text: bytes) -> bytes | None:
    found = _TEST.match(text[:1000])
    return next(filter(None, found.groups()), None) if found else None


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
