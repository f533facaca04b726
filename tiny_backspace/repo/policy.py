"""What a change may touch. Pure: judged is what git says of two trees, never the patch that came out.

`docs/policy.md` lists the rules. One refusal refuses the change, which is then kept as a patch;
a flag lets it out as a draft.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, TypeAlias

from tiny_backspace.events import PolicyDecided
from tiny_backspace.repo.difference import Change
from tiny_backspace.repo.hidden import hidden
from tiny_backspace.repo.leaks import Leak, leaks, named
from tiny_backspace.repo.lines import Added, Removed, unmerged
from tiny_backspace.repo.paths import (
    Severity,
    alike,
    is_git_dir,
    link_problem,
    matches,
    name_problem,
    shown,
)
from tiny_backspace.repo.protected import junk, protection
from tiny_backspace.repo.weakened import weakened

Rule: TypeAlias = Literal[
    "protected-path",
    "git-dir",
    "symlink-escape",
    "submodule",
    "file-mode",
    "path-name",
    "case-collision",
    "too-many-files",
    "too-many-lines",
    "blob-too-large",
    "lfs-file",
    "secret",
    "hidden-character",
    "conflict-marker",
    "ignored-file",
    "build-junk",
    "weakened-test",
]

_LINK, _SUBMODULE, _FOLDER = "120000", "160000", "040000"
_FILES = frozenset(("100644", "100755"))
_NUMBERS_SHOWN = 3
_LFS = "Git LFS keeps this file elsewhere, and was not there: what was written is nothing that it knows."


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one change: files touched, lines inserted and deleted together, bytes of one new blob."""

    files: int = 100
    lines: int = 10_000
    blob_bytes: int = 5 << 20


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user permits: the globs of `--allow-path`, and how much."""

    allow: tuple[str, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Decision:
    """`path` is escaped for people; empty where the whole change is meant."""

    rule: Rule
    path: str
    decision: Literal["allow", "flag", "refuse"]
    message: str

    def event(self) -> PolicyDecided:
        return PolicyDecided(
            rule=self.rule, path=self.path, decision=self.decision, message=self.message
        )


def judge(
    changes: Sequence[Change],
    *,
    sizes: Mapping[str, int],
    links: Mapping[str, bytes],
    existing: Collection[bytes],
    lines: int,
    added: Sequence[Added] = (),
    removed: Sequence[Removed] = (),
    ignored: Collection[bytes] = (),
    lfs: Collection[bytes] = (),
    allow: Sequence[str] = (),
    limits: Limits = Limits(),
) -> tuple[Decision, ...]:
    """Everything there is to say about a change; nothing if it is plain.

    `sizes` (bytes) and `links` (targets) are keyed by the new blobs' ids: one that is missing there
    is refused. `existing` are the paths of the result, `added` the lines that are new and
    `removed` those that are gone, `ignored` those of the new paths that the base's own `.gitignore`
    files leave out, `lfs` those of all that Git LFS is to keep. `allow` are the globs of `--allow-path`;
    they lift `protected-path` and no other rule. When there are too many files, only the first ones up
    to the limit are judged one by one.
    """
    judged = changes[: limits.files]
    return (
        *_amount(len(changes), lines, limits),
        *(found for change in judged for found in _protected(change, allow)),
        *(found for change in judged for found in _name(change)),
        *(found for change in judged for found in _content(change, sizes, links, limits)),
        *(Decision("lfs-file", shown(c.path), "flag", _LFS) for c in judged if c.path in lfs),
        *_collisions(judged, existing),
        *_leftovers(judged, existing, ignored),
        *_held(
            "secret", chain(named(c.path for c in judged if c.status in {"A", "R"}), leaks(added))
        ),
        *_held("hidden-character", hidden(added)),
        *_conflicts(added),
        *(
            Decision("weakened-test", shown(p), "flag", m)
            for p, m in weakened(judged, added, removed)
        ),
    )


def _refuse(rule: Rule, path: bytes, message: str) -> Decision:
    return Decision(rule, shown(path), "refuse", message)


def _amount(files: int, lines: int, limits: Limits) -> Iterator[Decision]:
    if files > limits.files:
        yield _refuse(
            "too-many-files",
            b"",
            f"The change touches {files} files; {limits.files} may be (--max-files).",
        )
    if lines > limits.lines:
        yield _refuse(
            "too-many-lines",
            b"",
            f"The change has {lines} changed lines; {limits.lines} may be (--max-lines).",
        )


def _protected(change: Change, allow: Sequence[str]) -> Iterator[Decision]:
    """Deleting a protected file, or moving it away, counts as much as writing it."""
    for path in (change.path, change.old_path):
        found = protection(path) if path is not None else None
        if path is None or found is None:
            continue
        if matches(path, allow):
            message = f"{found.reason} Allowed by --allow-path."
            yield Decision("protected-path", shown(path), "allow", message)
        elif found.severity == "refuse":
            message = f"{found.reason} --allow-path lets it through."
            yield _refuse("protected-path", path, message)
        else:
            yield Decision("protected-path", shown(path), "flag", found.reason)


def _name(change: Change) -> Iterator[Decision]:
    """A name is judged when it is new; a disguised `.git` whenever anything is left there."""
    if change.status == "D":
        return
    if is_git_dir(change.path):
        yield _refuse("git-dir", change.path, "To some file system this path is git's own folder.")
    problem = name_problem(change.path) if change.status in {"A", "R"} else None
    if problem is not None:
        yield Decision("path-name", shown(change.path), problem.severity, problem.reason)


def _content(
    change: Change, sizes: Mapping[str, int], links: Mapping[str, bytes], limits: Limits
) -> Iterator[Decision]:
    path = change.path
    if change.status == "D":
        if change.old_mode == _SUBMODULE:
            message = "A submodule is taken out of the repository."
            yield Decision("submodule", shown(path), "flag", message)
    elif change.new_mode == _SUBMODULE:
        message = "A submodule is another repository's code, which nobody has seen here."
        yield _refuse("submodule", path, message)
    elif change.new_mode == _LINK:
        if change.old_mode == _SUBMODULE:
            message = "A submodule is replaced by a symbolic link."
            yield Decision("submodule", shown(path), "flag", message)
        yield from _link(path, links.get(change.new_id))
    elif change.new_mode in _FILES:
        if change.old_mode == _SUBMODULE:
            message = "A submodule is replaced by a file."
            yield Decision("submodule", shown(path), "flag", message)
        if change.new_id != change.old_id:
            yield from _size(path, sizes.get(change.new_id), limits)
    elif change.new_mode != _FOLDER:
        yield _refuse("file-mode", path, f"The mode {change.new_mode} is no mode git gives a file.")


def _link(path: bytes, target: bytes | None) -> Iterator[Decision]:
    problem = "cannot be read" if target is None else link_problem(path, target)
    if problem is not None:
        yield _refuse("symlink-escape", path, f"The symbolic link's target {problem}.")


def _size(path: bytes, size: int | None, limits: Limits) -> Iterator[Decision]:
    if size is None:
        yield _refuse("blob-too-large", path, "The file's size could not be found out.")
    elif size > limits.blob_bytes:
        message = f"The file has {size} bytes; {limits.blob_bytes} may be (--max-file-size)."
        yield _refuse("blob-too-large", path, message)


def _collisions(changes: Sequence[Change], existing: Collection[bytes]) -> Iterator[Decision]:
    """New files or folders that macOS or Windows would take for others that are there.

    Folders count: a link `a` beside a folder `A` once made git write outside the tree
    (CVE-2021-21300). What was in the repository before is not the change's doing.
    """
    added = {change.path for change in changes if change.status in {"A", "R"}}
    if not added:
        return
    before = _with_folders(path for path in existing if path not in added)
    spellings: dict[str, bytes] = {}
    new = sorted(_with_folders(added) - before)
    wanted = {alike(path) for path in new}
    for path in sorted(before):
        if (key := alike(path)) in wanted:
            spellings.setdefault(key, path)
    for path in new:
        other = spellings.setdefault(alike(path), path)
        if other != path:
            message = f"macOS and Windows take it for {shown(other)}."
            yield _refuse("case-collision", path, message)


def _with_folders(paths: Iterable[bytes]) -> set[bytes]:
    """The paths and all folders above them."""
    seen: set[bytes] = set()
    for path in paths:
        while path and path not in seen:
            seen.add(path)
            path = path.rpartition(b"/")[0]  # noqa: PLW2901 - climbing
    return seen


def _leftovers(
    changes: Sequence[Change], existing: Collection[bytes], ignored: Collection[bytes]
) -> Iterator[Decision]:
    """New files that git would have ignored, or that tools make. A folder is told once.

    A folder like `dist/` that the repository keeps, and does not ignore, is no junk.
    """
    new = {change.path for change in changes if change.status == "A"}
    found: Counter[tuple[Rule, bytes]] = Counter()
    for path in new:
        left = junk(path)
        if path in ignored:
            found["ignored-file", left or path] += 1
        elif left is not None:
            found["build-junk", left] += 1
    for (rule, path), count in sorted(found.items()):
        what = "A new file is" if count == 1 else f"{count} new files are"
        if rule == "ignored-file":
            message = f"{what} ignored by the repository's own rules."
        elif any(other.startswith(path + b"/") and other not in new for other in existing):
            continue
        else:
            message = f"{what} made by tools, and seldom meant to be kept."
        yield Decision(rule, shown(path), "flag", message)


def _held(rule: Rule, leaks: Iterable[Leak]) -> Iterator[Decision]:
    """Nothing of a secret is shown: what it is and where says enough."""
    found: dict[tuple[bytes, str, Severity], list[int]] = {}
    for leak in leaks:
        found.setdefault((leak.path, leak.kind, leak.severity), []).append(leak.number)
    for (path, kind, severity), numbers in found.items():
        yield Decision(rule, shown(path), severity, f"{_numbered(numbers)} {kind}.")


def _numbered(numbers: Sequence[int]) -> str:
    if numbers == [0]:
        return "The name holds"
    if len(numbers) == 1:
        return f"Line {numbers[0]} holds"
    more = len(numbers) - _NUMBERS_SHOWN
    first = ", ".join(map(str, numbers[:_NUMBERS_SHOWN]))
    return f"Lines {first} and {more} more hold" if more > 0 else f"Lines {first} hold"


def _conflicts(added: Sequence[Added]) -> Iterator[Decision]:
    for path, number, whole in unmerged(added):
        if whole:
            message = f"Two versions stand side by side, unmerged, from line {number} on."
            yield _refuse("conflict-marker", path, message)
        else:
            message = f"Line {number} looks like what is left of a merge conflict."
            yield Decision("conflict-marker", shown(path), "flag", message)
