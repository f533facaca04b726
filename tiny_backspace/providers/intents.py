"""The edits that the offline dummy can carry out, as data, and the plain words for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from tiny_backspace.providers.quoting import quoted

# Paths are relative to the repository, normalised, without `..` and not inside `.git`.


@dataclass(frozen=True, slots=True)
class CreateFile:
    """A new file. `content` is all of it: empty, or ending with a newline."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Append:
    """Whole lines at the end."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Whole lines that come to stand at line `at`, counted from 1."""

    path: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class InsertNear:
    """Whole lines after or before the one line that is, or else contains, `anchor`."""

    path: str
    text: str
    anchor: str
    after: bool


@dataclass(frozen=True, slots=True)
class Replace:
    """Every occurrence, in one file or (`path` None) in all.

    `word` marks a text that came without quotes: a word, so not to be changed inside a longer one.
    """

    old: str
    new: str
    path: str | None
    word: bool = False


@dataclass(frozen=True, slots=True)
class Rename:
    """A file or folder moves. `new` is its whole new path, or the folder that it goes into."""

    old: str
    new: str
    into_folder: bool = False

    @property
    def target(self) -> str:
        return f"{self.new}/{self.old.rpartition('/')[2]}" if self.into_folder else self.new


@dataclass(frozen=True, slots=True)
class Delete:
    """One file, or with `folder` a folder and all that is in it."""

    path: str
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Ignore:
    """One line of the root's .gitignore."""

    entry: str


@dataclass(frozen=True, slots=True)
class Header:
    """A comment at the top, in each file's own syntax."""

    paths: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Docstring:
    """A module docstring; `text` is what it says, not how it is written."""

    paths: tuple[str, ...]
    text: str


Intent: TypeAlias = (
    CreateFile
    | Append
    | Insert
    | InsertNear
    | Replace
    | Rename
    | Delete
    | Ignore
    | Header
    | Docstring
)


def wording(intent: Intent) -> str:  # noqa: C901, PLR0911 - a case for each intent
    """The request that means exactly this intent: `read_request(wording(i)) == (i,)`."""
    match intent:
        case CreateFile(path, ""):
            return f"create the empty file {quoted(path)}"
        case CreateFile(path, content):
            return f"create the file {quoted(path)} with content {quoted(_bare_end(content))}"
        case Append(path, text):
            return f"append {quoted(text)} to the file {quoted(path)}"
        case Insert(path, text, at):
            return f"insert {quoted(text)} at line {at} of the file {quoted(path)}"
        case InsertNear(path, text, anchor, after):
            side = "after" if after else "before"
            return (
                f"insert {quoted(text)} {side} the line {quoted(anchor)} in the file {quoted(path)}"
            )
        case Rename(old, new, into_folder):
            kind = "folder" if into_folder else "file"
            return f"move the file {quoted(old)} to the {kind} {quoted(new)}"
        case Delete(path, folder):
            return f"delete the {'folder' if folder else 'file'} {quoted(path)}"
        case Replace():
            return _replace_wording(intent)
        case Ignore(entry):
            return f"add {quoted(entry)} to .gitignore"
        case Header(paths, text):
            return f"add the header comment {quoted(text)} to {_files(paths)}"
        case Docstring(paths, text):
            return f"add the module docstring {quoted(text)} to {_files(paths)}"
        case _:
            assert_never(intent)


def _replace_wording(intent: Replace) -> str:
    where = "in all files" if intent.path is None else f"in the file {quoted(intent.path)}"
    if intent.word:
        return f"replace {intent.old} with {intent.new} {where}"
    return f"replace {quoted(intent.old)} with {quoted(intent.new)} {where}"


def _bare_end(content: str) -> str:
    """Without the final newline, where reading it back adds that one again."""
    bare = content.removesuffix("\n")
    return content if not bare or bare.endswith("\n") else bare


def _files(paths: tuple[str, ...]) -> str:
    return " and ".join(f"the file {quoted(path)}" for path in paths)
