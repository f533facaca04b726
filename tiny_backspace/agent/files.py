"""The tools that read and change files: read, write, edit."""

from __future__ import annotations

from pydantic import Field

from tiny_backspace.agent.clip import clip
from tiny_backspace.agent.diff import around, closest, diff, is_binary
from tiny_backspace.agent.edits import (
    BOM,
    LARGEST,
    NAMED,
    Absent,
    Ambiguous,
    Replaced,
    Unwieldy,
    in_style_of,
    replace,
)
from tiny_backspace.agent.near import Unfit
from tiny_backspace.agent.tool import (
    ANSWER_BYTES,
    Args,
    Output,
    Path,
    Purpose,
    ToolError,
    editable,
    inside,
)
from tiny_backspace.events import FileEdited
from tiny_backspace.sandbox.interface import Sandbox

_NOT_UTF8 = (
    "{path} is not UTF-8: the \ufffd in {which} stands for bytes that read cannot show. "
    "Change those lines with bash (sed, iconv or a script)"
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF16_FILE = (
    "{path} is UTF-16: change it with bash, by way of UTF-8 (iconv -f UTF-16 -t UTF-8, and back)"
)


class Read(Args):
    """Read a text file, or part of one. Each line comes as its number, a tab and its text."""

    path: Path
    offset: int = Field(1, ge=1, description="The first line to show, counted from 1.")
    limit: int = Field(2000, ge=1, description="At most so many lines.")


def read(sandbox: Sandbox, args: Read) -> Output:
    path = inside(args.path)
    content = _load(sandbox, path)
    if is_binary(content):
        raise ToolError(f"{path} is a binary file of {len(content)} bytes; look at it with bash")
    if not content:
        return Output("[the file is empty]")
    ends = content.endswith(b"\n")
    # Only \n ends a line, as for git, rg and sed, so that all of them count alike.
    lines = content.removeprefix(BOM).decode(errors="replace").removesuffix("\n").split("\n")
    if args.offset > len(lines):
        raise ToolError(f"{path} has only {len(lines)} lines")
    shown = _page(lines, args.offset, args.limit)
    last = args.offset + len(shown) - 1
    if last < len(lines):
        note = f"[lines {args.offset} to {last} of {len(lines)}; read on with offset={last + 1}]"
        shown.append(note)
    elif not ends:
        shown.append("[no newline at end of file]")
    return Output("\n".join(shown))


def _page(lines: list[str], offset: int, limit: int) -> list[str]:
    """Numbered lines: as many as fit in one answer, one at least."""
    shown: list[str] = []
    room = ANSWER_BYTES - 256  # for the note after them
    for number, line in enumerate(lines[offset - 1 : offset - 1 + limit], offset):
        text = clip(f"{number:>6}\t{line.removesuffix(chr(13))}", ANSWER_BYTES - 256)
        room -= len(text.encode()) + 1
        if room < 0 and shown:
            break
        shown.append(text)
    return shown


class Write(Args):
    """Create a file with this content, or replace all of a file's content. Its folders are made. To change part of a file, use edit."""

    path: Path
    content: str = Field(description="The whole content, with a newline at its end.")
    description: Purpose


def write(sandbox: Sandbox, args: Write) -> Output:
    path = editable(args.path)
    old = _load_if_there(sandbox, path)
    if old is not None and "\ufffd" in args.content and not _is_utf8(old):
        raise ToolError(_NOT_UTF8.format(path=path, which="content"))
    if old is not None and old.startswith(_UTF16):
        raise ToolError(_UTF16_FILE.format(path=path))
    new, kept = in_style_of(old or b"", args.content.encode())
    _store(sandbox, path, new)
    return Output(
        f"created {path}" if old is None else f"wrote {path}{kept}",
        events=_edited(path, old, new, args.description),
    )


class Edit(Args):
    """Replace one exact piece of text in a file. It must be there exactly once, white space included: give as many lines as that takes. Line numbers as read shows them are not part of the text."""

    path: Path
    old: str = Field(min_length=1, description="The text as it stands in the file.")
    new: str = Field(description="The text that takes its place; empty to remove it.")
    description: Purpose
    replace_all: bool = Field(
        False, description="Replace it wherever it stands in the file, to the letter."
    )


def edit(sandbox: Sandbox, args: Edit) -> Output:
    path = editable(args.path)
    if args.old == args.new:
        raise ToolError("old and new are the same, so there is nothing to do")
    content = _load(sandbox, path)
    if content.startswith(_UTF16):
        raise ToolError(_UTF16_FILE.format(path=path))
    if is_binary(content):
        raise ToolError(f"{path} is a binary file; change it with bash")
    if not args.new.isascii() and not _is_utf8(content):
        raise ToolError(
            _NOT_UTF8.format(path=path, which="new")
            if "\ufffd" in args.new
            else f"{path} is not UTF-8, and new has characters that it would have in another form: "
            "change those lines with bash (iconv, sed or a script)"
        )
    try:
        done = replace(content, args.old, args.new, every=args.replace_all)
    except Absent:
        raise ToolError(_absent(path, content, args)) from None
    except Ambiguous as error:
        raise ToolError(_ambiguous(path, error)) from None
    except Unwieldy as error:
        raise ToolError(f"{path} was not changed: {error}; use bash (sed, or a script)") from None
    except Unfit as error:
        raise ToolError(
            f"{path} does not contain that text to the letter, and nothing was changed: {error}; "
            f"copy the lines from the file{_closest(content, args.old)}"
        ) from None
    _store(sandbox, path, done.content)
    return Output(
        _answer(path, done), events=_edited(path, content, done.content, args.description)
    )


def _answer(path: str, done: Replaced) -> str:
    """The first line says what was done; the others how it was meant and what stands there now."""
    if done.count > 1:
        return f"edited {path} in {done.count} places"
    said = [f"edited {path}"]
    if done.differs:
        said.append(
            f"old is not there to the letter; the one place like it was taken ({'; '.join(done.differs)}), "
            "and new was written as the file is there:"
        )
    return "\n".join((*said, around(done.content, done.start, done.new_end)))


def _ambiguous(path: str, error: Ambiguous) -> str:
    more = ", …" if error.count > NAMED else ""
    lines = f"line{'s' if len(error.lines) > 1 else ''} {', '.join(map(str, error.lines))}{more}"
    if error.differs:
        return (
            f"{path} does not contain that text to the letter, and more than one place is like it "
            f"(from {lines}: {'; '.join(error.differs)}); give more of the lines around it, as they are there"
        )
    return (
        f"{path} contains that text {error.count} times ({lines}); "
        "give more of the lines around it, or set replace_all"
    )


def _absent(path: str, content: bytes, args: Edit) -> str:
    if "\ufffd" in args.old and not _is_utf8(content):
        return _NOT_UTF8.format(path=path, which="old")
    exact = " (replace_all takes it to the letter only)" if args.replace_all else ""
    return (
        f"{path} does not contain that text{exact}: read it and copy the lines exactly"
        f"{_closest(content, args.old)}"
    )


def _closest(content: bytes, old: str) -> str:
    near = "" if is_binary(content) else closest(content, old)
    return f"; {near}" if near else ""


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _edited(path: str, old: bytes | None, new: bytes, description: str) -> tuple[FileEdited, ...]:
    """The event; none if the file is as it was."""
    if old == new:
        return ()
    return (
        FileEdited(
            filepath=path,
            operation="create" if old is None else "modify",
            description=description,
            diff=diff(old, new, path),
        ),
    )


def _load(sandbox: Sandbox, path: str) -> bytes:
    try:
        content = sandbox.read(path, limit=LARGEST + 1)
    except OSError as error:
        raise ToolError(_sentence(path, error)) from error
    if len(content) > LARGEST:
        raise ToolError(f"{path} is larger than {LARGEST >> 20} MiB; work on it with bash")
    return content


def _load_if_there(sandbox: Sandbox, path: str) -> bytes | None:
    try:
        return sandbox.read(path, limit=LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ToolError(_sentence(path, error)) from error


def _store(sandbox: Sandbox, path: str, content: bytes) -> None:
    try:
        sandbox.write(path, content)
    except OSError as error:
        raise ToolError(_sentence(path, error)) from error


def _sentence(path: str, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return f"{path} does not exist"
        case IsADirectoryError():
            return f"{path} is a folder; list its files with glob"
        case _:
            return f"{path}: {error.strerror or error}"
