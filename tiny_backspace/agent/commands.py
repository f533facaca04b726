"""The tools that run programs: bash, glob, grep."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from typing import Literal, TypeAlias, assert_never

from pydantic import Field

from tiny_backspace.agent.clip import clip
from tiny_backspace.agent.tool import ANSWER_BYTES, ROOT, Args, Output, ToolError, inside
from tiny_backspace.agent.tracked import below, named
from tiny_backspace.sandbox.interface import ExecResult, Sandbox

Hidden: TypeAlias = Callable[[], tuple[str, ...]]

_SEARCH_SECONDS = 60
_KILLED = 137
_WROTE_TOO_MUCH = "stopped: it wrote too much; send its output to a file and look at parts of that"
_NO_MEMORY = "killed, most likely because it ran out of memory"  # nothing else there kills so
_COMPLAINT = 1000  # bytes of rg's stderr that the model gets
_ROOM = ANSWER_BYTES - 256 - _COMPLAINT  # bytes of lines that one answer has room for
_LISTED = 32 << 20  # bytes that rg may write: an answer shows a thousandth of it
_LINE = 1 << 17  # bytes of one line: a path, and the most that rg shows of a text
_HELD = 8 * ANSWER_BYTES  # bytes of lines that are held before the first of them are chosen

# `.ignore` files are a repository's word to rg alone and could hide files from the agent.
_RG = (
    "rg",
    "--no-config",
    "--color=never",
    "--hidden",
    "--no-ignore-dot",
)
_NOT_GITS_OWN = "--glob=!.git"  # comes last: the last glob that matches decides


class Bash(Args):
    """Run a bash command in /workspace and get its exit code and output. There is no network, no terminal and no input; nothing goes on running after it. Every call is a new shell."""

    command: str = Field(min_length=1, max_length=32_000, description="The command.")
    description: str = Field("", description="What it is for, in a few words.")
    timeout: float = Field(120, gt=0, le=600, description="Seconds after which it is stopped.")


def bash(sandbox: Sandbox, args: Bash, *, at_most: Callable[[], float]) -> Output:
    """`at_most` tells the run's own limit at the time, in seconds."""
    timeout = max(0.1, round(min(args.timeout, at_most()), 1))  # 0 would be no time-out at all
    result = sandbox.exec(["bash", "-c", args.command], timeout=timeout)
    first = f"timed out after {timeout:g} s" if result.timed_out else f"exit {result.exit_code}"
    if result.exit_code == _KILLED and not result.timed_out:
        first = _WROTE_TOO_MUCH if result.clipped else f"{first} ({_NO_MEMORY})"
    return Output(f"{first}\n{_written(result)}", ok=result.ok, exit_code=result.exit_code)


def _written(result: ExecResult) -> str:
    gap = b"\n" if result.stderr and result.stdout and not result.stdout.endswith(b"\n") else b""
    text = (result.stdout + gap + result.stderr).decode(errors="replace")
    return f"{text}\n[it wrote more than was kept]" if result.clipped else text


class Glob(Args):
    """List files by name, sorted. What git ignores is left out; hidden files are not."""

    pattern: str = Field(
        min_length=1,
        max_length=4096,
        description="`*.py` is every such file in any folder, `/*.py` those at the top, `src/**/*.py` those below src, `*.{c,h}` either.",
    )


def glob(sandbox: Sandbox, args: Glob, *, hidden: Hidden = lambda: ()) -> Output:
    """`hidden` tells the files that rg would leave out (tracked.py)."""
    pattern = _rooted(args.pattern)
    more = tuple(path for path in hidden() if named(pattern, path))
    visible = _visible(sandbox, ".") | set(map(os.fsencode, more))
    lines = _Lines(wanted=visible.__contains__)
    options = ("--files", f"--glob={pattern}", _NOT_GITS_OWN)
    exit_code, complaint = _rg(sandbox, options, (".", *more), lines)
    return Output(lines.text("no files match") + complaint, exit_code=exit_code)


class Grep(Args):
    """Search the files' lines with a regular expression. What git ignores and binary files are left out."""

    pattern: str = Field(
        min_length=1,
        max_length=4096,
        description="A regular expression in Rust's syntax (no look-around, no back-references).",
    )
    path: str = Field(
        ".", min_length=1, max_length=4096, description="A folder or a file to search in."
    )
    glob: str | None = Field(
        None, min_length=1, max_length=4096, description="Only files that match, as for glob."
    )
    literal: bool = Field(False, description="Take the pattern as plain text.")
    ignore_case: bool = Field(False, description="Let upper and lower case match each other.")
    output: Literal["content", "files", "count"] = Field(
        "content",
        description="`content`: path:line:text of each matching line; `files`: the paths; `count`: path:lines.",
    )
    limit: int = Field(200, ge=1, description="At most so many lines of output.")


def grep(sandbox: Sandbox, args: Grep, *, hidden: Hidden = lambda: ()) -> Output:
    """`hidden` tells the files that rg would leave out (tracked.py)."""
    path = inside(args.path)
    more = below(path, hidden())
    options = [f"--regexp={args.pattern}", *_output(args.output)]
    if args.literal:
        options.append("--fixed-strings")
    if args.ignore_case:
        options.append("--ignore-case")
    lines = _Lines(limit=args.limit)
    if args.glob is not None:
        pattern = _rooted(args.glob)
        options.append(f"--glob={pattern}")
        more = tuple(each for each in more if named(pattern, each))
        visible = _visible(sandbox, path) | set(map(os.fsencode, more))
        lines = _Lines(limit=args.limit, wanted=visible.__contains__)
    exit_code, complaint = _rg(sandbox, (*options, _NOT_GITS_OWN), (path, *more), lines)
    return Output(lines.text("no matches") + complaint, exit_code=exit_code)


def _output(kind: Literal["content", "files", "count"]) -> tuple[str, ...]:
    """`--null` puts a NUL after the path, which is the one byte that no path holds."""
    common = ("--crlf", "--with-filename")
    match kind:
        case "content":
            wide = ("--max-columns=500", "--max-columns-preview")
            return (*common, *wide, "--null", "--line-number", "--no-heading")
        case "files":
            return (*common, "--files-with-matches")
        case "count":
            return (*common, "--null", "--count")
        case _:
            assert_never(kind)


def _rooted(pattern: str) -> str:
    """As rg wants it: without `./`, and with a leading `/` for the top of the work tree."""
    pattern = pattern.removeprefix("./")
    pattern = pattern.removeprefix(ROOT) if pattern.startswith(f"{ROOT}/") else pattern
    return f"{pattern}**" if pattern.endswith("/") else pattern  # all that is in the folder


def _visible(sandbox: Sandbox, path: str) -> frozenset[bytes]:
    """The files git does not ignore. rg needs telling: a file that its `--glob` names it never ignores."""
    output = bytearray()

    def keep(piece: bytes) -> None:
        output.extend(piece)
        if len(output) > _LISTED:
            raise ToolError("there are too many files to list; name a smaller folder")

    argv = (*_RG, "--files", _NOT_GITS_OWN, "--", path)
    result = sandbox.call(argv, timeout=_SEARCH_SECONDS, on_output=keep)
    if result.timed_out:
        raise ToolError(f"listing the files took longer than {_SEARCH_SECONDS} s")
    return frozenset(_plain(line) for line in output.split(b"\n"))


def _rg(
    sandbox: Sandbox, options: Sequence[str], paths: Sequence[str], lines: _Lines
) -> tuple[int, str]:
    """The exit code of rg, and what it complained of besides its output.

    Raises:
        ToolError: it found nothing because it could not search.
    """
    argv = (*_RG, *options, "--", *paths)
    result = sandbox.call(argv, timeout=_SEARCH_SECONDS, on_output=lines.feed)
    if result.timed_out:
        raise ToolError(f"it took longer than {_SEARCH_SECONDS} s; search in a smaller folder")
    if result.exit_code in {0, 1}:
        return result.exit_code, ""
    complaint = result.stderr.decode(errors="replace").strip()
    if lines.empty:
        raise ToolError(
            clip(complaint, _COMPLAINT) or f"rg failed with exit code {result.exit_code}"
        )
    # a line for each file, in the order in which rg's threads came to them
    each = clip("\n".join(sorted(complaint.split("\n"))), _COMPLAINT)
    return result.exit_code, f"\n[not everything could be searched: {each}]"


def _plain(line: bytes | bytearray) -> bytes:
    return bytes(line).removeprefix(b"./").removesuffix(b"\r")


@dataclass(slots=True)
class _Lines:
    """The first lines that are wanted, by path, as many as fit in one answer; the rest are counted.

    rg searches files side by side, which is about twice as fast as sorting by itself, and writes the
    lines of one file together and in order. What comes out here is the same every time.
    """

    limit: int = 1 << 30
    wanted: Callable[[bytes], bool] = lambda _: True
    _found: list[tuple[bytes, bytes]] = field(default_factory=list)
    _size: int = 0
    _more: int = 0
    _fed: int = 0
    _rest: bytes = b""

    def feed(self, piece: bytes) -> None:
        """Raises ToolError for more than anybody would look through."""
        self._fed += len(piece)
        if self._fed > _LISTED or len(self._rest) > _LINE:
            raise ToolError("there is too much of it; search in a smaller folder, or for less")
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for line in whole:
            self._take(_plain(line))

    def _take(self, line: bytes) -> None:
        path = line.partition(b"\0")[0]
        if not self.wanted(path):
            return
        folder_by_folder = path.replace(b"/", b"\0")  # as `rg --sort=path` does
        self._found.append((folder_by_folder, line))
        self._size += len(line) + 1
        if self._size > _HELD:
            self._cut()

    def _cut(self) -> None:
        """Leave what fits. What does not fit now fits even less when more has come."""
        self._found = list(dict.fromkeys(self._found))  # a file may be named twice
        self._found.sort(key=lambda found: found[0])  # stable: within a file as they came
        ends = accumulate(len(line) + 1 for _, line in self._found)
        fits = min(self.limit, sum(1 for _ in takewhile(lambda end: end <= _ROOM, ends)))
        self._more += len(self._found) - fits
        del self._found[fits:]
        self._size = sum(len(line) + 1 for _, line in self._found)

    @property
    def empty(self) -> bool:
        return not self._found and not self._rest

    def text(self, nothing: str) -> str:
        if self._rest:
            self._take(_plain(self._rest))
            self._rest = b""
        self._cut()
        lines = [line.replace(b"\0", b":", 1).decode(errors="replace") for _, line in self._found]
        if self._more:
            lines.append(f"[{self._more} more lines]")
        return "\n".join(lines) or nothing
