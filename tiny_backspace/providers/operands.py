"""Paths and other operands of a request: what may be one, and how it is written. Pure."""

from __future__ import annotations

import re

from tiny_backspace.providers.quoting import Masked

# Files that are known by a name without a dot.
_KNOWN = re.compile(
    r"([Mm]ake|GNUmake|Docker|Container|[Jj]ust|Proc|Jenkins|Vagrant|Gem|Rake|Pip)file|CODEOWNERS|LICEN[CS]E"
    r"|COPYING|NOTICE|AUTHORS|CONTRIBUTORS|CONTRIBUTING|README|CHANGELOG|CHANGES|HISTORY|INSTALL|NEWS|TODO"
    r"|VERSION"
)
_BARE = re.compile(r"[\w./@+~#%=\[\]-]+")
_NOUN = r"(?P<noun>files?|folder|directory|module|script)"
_ONE = re.compile(
    rf"(?:the )?(?:{_NOUN} )?(?P<path>\S+)(?: (?P<after>file|folder|directory))?", re.IGNORECASE
)
_AND = re.compile(r", and |, ?| and | & ", re.IGNORECASE)
_WORD = re.compile(r"[\w./@+:#%=-]*\w[\w./@+:#%=-]*")
# Words that name a kind of thing, not themselves.
_KINDS = re.compile(
    r"it|this|that|these|those|them|all|any|every|each|(every|some|any)thing|tabs?|spaces?|whitespace"
    r"|newlines?|quotes|comments?|headers?|entries|rules|patterns",
    re.IGNORECASE,
)


def one_path(text: str, masked: Masked, *, known_file: bool = False) -> tuple[str, bool] | None:
    """The path that a phrase names and whether it is a folder; None if it is not plainly a path.

    A word is a path if it has a dot or a slash in it, if every programmer knows it as a file's name, or if
    the phrase calls it a file or folder. Outside the repository, or inside its .git, no path is accepted.
    """
    phrase = _ONE.fullmatch(text)
    if phrase is None:
        return None
    noun = phrase["noun"] or phrase["after"] or ""
    path = masked.value(phrase["path"])
    if not masked.is_literal(phrase["path"]) and not _BARE.fullmatch(path):
        return None
    parts = _parts(path)
    plain = (
        bool(noun) or known_file or "/" in path or _KNOWN.fullmatch(path) is not None or "." in path
    )
    if parts is None or not plain:
        return None
    return "/".join(parts), path.endswith("/") or noun.lower() in {"folder", "directory"}


def one_file(text: str, masked: Masked, *, known_file: bool = False) -> str | None:
    match one_path(text, masked, known_file=known_file):
        case (path, False):
            return path
        case _:
            return None


def files(text: str, masked: Masked) -> tuple[str, ...] | None:
    """Each file of a list `a, b and c`; a leading "files" goes for all of them."""
    plural = re.match(r"(?:the )?files ", text, re.IGNORECASE) is not None
    found = [one_file(item, masked, known_file=plural) for item in _AND.split(text)]
    paths = tuple(path for path in found if path is not None)
    return paths if len(paths) == len(found) else None


def entries(text: str, masked: Masked) -> tuple[str, ...] | None:
    """Lines for a .gitignore, from a list."""
    found = []
    for item in _AND.split(text):
        phrase = re.fullmatch(
            r"(?:the )?(?:(?:entry|pattern|file|folder|directory|line) )?(\S+)"
            r"(?: (?:files?|folder|directory))?",
            item,
            re.IGNORECASE,
        )
        entry = masked.value(phrase[1]) if phrase is not None else ""
        bare = phrase is not None and not masked.is_literal(phrase[1])
        if not entry.isprintable() or entry != entry.strip() or entry[:1] in ("", "#"):
            return None
        if bare and (_KINDS.fullmatch(entry) or re.search(r"[\"'`“”‘’:,]", entry)):
            return None
        found.append(entry)
    return tuple(found)


def is_word(text: str) -> bool:
    """May this stand for itself without quotes?"""
    return _WORD.fullmatch(text) is not None and not _KINDS.fullmatch(text)


def _parts(path: str) -> tuple[str, ...] | None:
    """The names in a relative path, or None if it leads out, into .git, or is no single path."""
    if not path.isprintable() or path != path.strip() or path[:1] in ("", "/", "-", "~"):
        return None
    if re.search(r"[*?\\]|://", path):
        return None
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    inside = all(part != ".." and part.casefold() != ".git" for part in parts)
    return parts if parts and inside else None
