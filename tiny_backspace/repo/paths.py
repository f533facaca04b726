"""Questions about one path of a tree, as bytes the way git keeps it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import dropwhile
from typing import Literal, NamedTuple, TypeAlias

Severity: TypeAlias = Literal["flag", "refuse"]

LONGEST = 1024  # bytes
DEEPEST = 64  # components
_SHOWN = 300  # characters

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U000e0100-\U000e01ef]"
)
_WINDOWS_NAME = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\..*)?", re.IGNORECASE
)
_WINDOWS_CHARACTERS = re.compile(r'[<>:"|?*]')
_GIT_DIR = re.compile(r"\.git|git~[0-9]+")


class Finding(NamedTuple):
    severity: Severity
    reason: str


def text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def shown(path: bytes) -> str:
    """The path for people: whatever is not UTF-8 or does not show is escaped, a long one is cut."""
    decoded = path.decode("utf-8", "backslashreplace")
    safe = "".join(
        c.encode("unicode_escape").decode() if _is_hidden(c) else c for c in decoded[: _SHOWN + 1]
    )
    return safe if len(safe) <= _SHOWN else safe[:_SHOWN] + "…"


def is_git_dir(path: bytes) -> bool:
    """Whether a component is `.git` to some file system.

    The same rules as git's own (path.c, `is_ntfs_dotgit`; utf8.c, `is_hfs_dotgit`): NTFS ignores
    trailing dots and spaces and what follows a colon, has short names, and separates by backslash
    too; HFS+ ignores invisible characters; both ignore case. Compatibility forms (a full-width
    letter) are covered for good measure.
    """
    for component in re.split(r"[/\\]", text(path)):
        visible = "".join(c for c in component if unicodedata.category(c) != "Cf")
        name = unicodedata.normalize("NFKC", visible).casefold().partition(":")[0]
        if _GIT_DIR.fullmatch(name.rstrip(". ")):
            return True
    return False


def name_problem(path: bytes) -> Finding | None:
    """What is wrong with a new path.

    Refused is what hides, misleads a tool or cannot be a file; flagged is what only some systems
    or careless commands stumble over.
    """
    name = text(path)
    reason = _size_problem(path) or _character_problem(name)
    return _portability(name.split("/")) if reason is None else Finding("refuse", reason)


def _size_problem(path: bytes) -> str | None:
    if len(path) > LONGEST:
        return f"The path is longer than {LONGEST} bytes."
    if path.count(b"/") >= DEEPEST:
        return f"The path has more than {DEEPEST} parts."
    return None


def _character_problem(name: str) -> str | None:
    not_utf8 = any("\udc80" <= c <= "\udcff" for c in name)
    problems = (
        (bool({"", ".", ".."} & set(name.split("/"))), "has an empty part, or . or .. as a part"),
        (not_utf8, "is not UTF-8 text"),
        (any(map(_is_hidden, name)), "holds a control character, or one that does not show"),
        (not unicodedata.is_normalized("NFC", name), "is not in Unicode's composed form (NFC)"),
        ("\\" in name, "holds a backslash, which separates folders on Windows"),
        (name.startswith("-"), "starts with a dash, so commands take it for an option"),
    )
    return next((f"The path {reason}." for bad, reason in problems if bad), None)


def _is_hidden(c: str) -> bool:
    return unicodedata.category(c) in _HIDDEN or _BLANK.match(c) is not None


def _portability(components: list[str]) -> Finding | None:
    if any(part.startswith("-") for part in components):
        return Finding("flag", "A part of the path starts with a dash, as an option does.")
    if any(_WINDOWS_NAME.fullmatch(part) for part in components):
        return Finding(
            "flag", "The path has a name reserved by Windows: it cannot be checked out there."
        )
    if any(_WINDOWS_CHARACTERS.search(part) or part[-1] in ". " for part in components):
        return Finding("flag", "The path has a part that Windows cannot store.")
    return None


def link_problem(path: bytes, target: bytes) -> str | None:
    """Why a symbolic link at `path` may not point to `target`, or None if it stays in the tree.

    `..` may only lead: after a name that is itself a link, it would be somewhere else than it looks.
    """
    if not target or len(target) > LONGEST or b"\0" in target:
        return "is empty, too long or holds a NUL"
    if b"\\" in target or re.match(rb"/|[A-Za-z]:", target):
        return "is absolute or a Windows path"
    parts = [part for part in target.split(b"/") if part not in {b"", b"."}]
    down = list(dropwhile(lambda part: part == b"..", parts))
    if len(parts) - len(down) > path.count(b"/"):
        return "leads out of the repository"
    if b".." in down:
        return "goes up again after going down"
    return "leads into git's own folder" if is_git_dir(target) else None


def alike(path: bytes) -> str:
    """Equal for two paths that a file system may take for one (macOS, Windows)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text(path)).casefold())


_TOKENS = re.compile(r"/\*\*/?$|\*\*/|\*\*|\*|\?|/$")


@cache
def _pattern(glob: str, ignore_case: bool) -> re.Pattern[str]:
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    out, end = "", 0
    for token in _TOKENS.finditer(glob):
        out += re.escape(glob[end : token.start()]) + meaning.get(token[0], "(?:/.*)?")
        end = token.end()
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    return re.compile(out + re.escape(glob[end:]), flags | re.DOTALL)


def matches(path: bytes, globs: Iterable[str], *, ignore_case: bool = False) -> bool:
    """Whether one of the globs fits the whole path: `*` and `?` stay within a folder, `**` does not.

    `folder/**` and `folder/` fit the folder itself and everything below it.
    """
    return any(_pattern(glob, ignore_case).fullmatch(text(path)) for glob in globs)
