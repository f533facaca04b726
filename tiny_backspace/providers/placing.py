"""Where lines go in a file, and the smallest edit that puts them there. Pure.

A file's text is a list of lines, each with its newline; the last one may be without.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

_BOM = "\ufeff"

_HASH = (
    "py pyi sh bash zsh fish rb pl r jl ex exs yaml yml toml cfg conf mk cmake tf ps1 nix properties "
    "gitignore dockerignore gitattributes editorconfig env"
)
_SLASHES = "js jsx mjs cjs ts tsx mts cts c h cc cpp cxx hpp java go rs swift kt kts scala cs dart zig proto"
_DASHES = "sql lua hs elm ada"
_ANGLES = "html htm xhtml xml xsd xsl svg md vue"
_STARS = "css scss less"
_SYNTAX = {
    suffix: syntax
    for suffixes, syntax in (
        (_HASH, ("# ", "")),
        (_SLASHES, ("// ", "")),
        (_DASHES, ("-- ", "")),
        (_ANGLES, ("<!-- ", " -->")),
        (_STARS, ("/* ", " */")),
    )
    for suffix in suffixes.split()
}
_NAMES = dict.fromkeys(
    [
        "makefile",
        "gnumakefile",
        "dockerfile",
        "containerfile",
        "justfile",
        "rakefile",
        "gemfile",
        "vagrantfile",
        "codeowners",
        "cmakelists.txt",
        "requirements.txt",
    ],
    "py",
)

_CODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+")  # PEP 263
_DIRECTIVE = re.compile(r"#\s*(?:syntax|escape|check)\s*=", re.IGNORECASE)  # Dockerfile's own
_PROLOGUE = re.compile(r"\s*(?:<\?xml[^>]*\?>)?\s*(?:<!doctype[^>\[]*>)?", re.IGNORECASE)
_CHARSET = re.compile(r"@charset\b", re.IGNORECASE)
_DOCSTRING = re.compile(r"[rRuU]?(?:\"|')")


class Unplaceable(Exception):
    """The lines cannot go into this file; the message says why."""


@dataclass(frozen=True, slots=True)
class Splice:
    """One piece of a file, unique in it, and what it becomes."""

    old: str
    new: str


def lines_of(text: str) -> list[str]:
    """Cut after each newline and nowhere else."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def splice(lines: Sequence[str], at: int, added: str) -> Splice:
    """Put whole lines before line `at` (from 0), by the smallest block of lines around it that is unique.

    `lines` is not empty, 0 <= at <= len(lines).
    """
    text = "".join(lines)
    near = min(at, len(lines) - 1)

    def block(reach: int) -> tuple[int, int]:
        return max(0, near - reach), min(len(lines), near + reach + 1)

    def unique(reach: int) -> bool:
        low, high = block(reach)
        old = "".join(lines[low:high])
        return text.find(old, text.find(old) + 1) < 0

    low, high = block(bisect_left(range(len(lines)), True, key=unique))  # wider blocks stay unique
    before, after = "".join(lines[low:at]), "".join(lines[at:high])
    if before and not before.endswith("\n"):
        before += "\n"
    if at == 0 and after.startswith(_BOM):
        before, after = _BOM, after.removeprefix(_BOM)
    return Splice("".join(lines[low:high]), before + ended(added) + after)


def ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def anchor_line(lines: Sequence[str], anchor: str) -> int:
    """The index of the one line that is the anchor, spaces around it aside, or else contains it.

    Raises:
        Unplaceable: there is none, or more than one.
    """
    found = [n for n, line in enumerate(lines) if line.strip() == anchor.strip()]
    found = found or [n for n, line in enumerate(lines) if anchor in line]
    match found:
        case [only]:
            return only
        case []:
            raise Unplaceable("no line has that text")
        case _:
            some = ", ".join(str(n + 1) for n in found[:5])
            raise Unplaceable(
                f"{len(found)} lines have that text ({some}…), so it does not say where"
            )


def header(path: str, text: str) -> str:
    """The comment's lines in the syntax that the file's name tells.

    Raises:
        Unplaceable: the file has no known comment syntax, or the text would end the comment early.
    """
    kind = _kind(path)
    if kind not in _SYNTAX:
        raise Unplaceable("no comment syntax is known for such a file")
    start, end = _SYNTAX[kind]
    lines = text.strip("\r\n").splitlines()
    if not end:
        mark = start.strip()
        marked = all(line.startswith(mark) for line in lines)
        return "".join((line if marked else start + line).rstrip() + "\n" for line in lines)
    if "--" in text if kind in _ANGLES.split() else "*/" in text:
        raise Unplaceable("the text would end the comment early")
    if len(lines) == 1:
        return f"{start}{lines[0].strip()}{end}\n"
    return "\n".join([start.strip(), *(line.rstrip() for line in lines), end.strip()]) + "\n"


def header_place(path: str, lines: Sequence[str]) -> int:
    """The line before which a header goes: after a shebang and whatever else must come first.

    Raises:
        Unplaceable: what must come first does not end with its line.
    """
    at = 1 if lines and lines[0].removeprefix(_BOM).startswith("#!") else 0
    kind = _kind(path)
    if kind in _ANGLES.split():
        return _after_prologue(lines)
    if kind in _STARS.split():
        return 1 if lines and _CHARSET.match(lines[0].removeprefix(_BOM)) else 0
    first = _DIRECTIVE if path.lower().endswith(("dockerfile", "containerfile")) else _CODING
    while at < len(lines) and first.match(lines[at].removeprefix(_BOM)):
        at += 1
    return at


def _after_prologue(lines: Sequence[str]) -> int:
    """After `<?xml … ?>` and `<!doctype … >`, or after a page's front matter."""
    text = "".join(lines).removeprefix(_BOM)
    if lines and lines[0].removeprefix(_BOM).rstrip() == "---":
        ends = [n for n, line in enumerate(lines) if n and line.rstrip() == "---"]
        return ends[0] + 1 if ends else 0
    match = _PROLOGUE.match(text)
    prologue = match[0].rstrip() if match is not None else ""
    rest = text[len(prologue) :]
    opened = re.match(r"\s*<(?:\?xml|!doctype)", rest, re.IGNORECASE)
    if opened or (prologue and rest and not re.match(r"[ \t\r]*(?:\n|$)", rest)):
        raise Unplaceable("its declaration does not end with a line")
    return prologue.count("\n") + 1 if prologue else 0


def docstring(text: str) -> str:
    '''Source of a docstring that says exactly the text, in """ quotes.'''
    source = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    source = source.replace("\r", "\\r").replace("\0", "\\x00")
    if source.endswith('"'):
        source = source[:-1] + '\\"'
    return f'"""{source}"""\n'


def docstring_place(path: str, lines: Sequence[str]) -> int:
    """The line of the first statement, before which a module docstring goes.

    Raises:
        Unplaceable: it is no Python module, or the module has a docstring.
    """
    if not path.endswith((".py", ".pyi")):
        raise Unplaceable("only a Python module (.py) can have a docstring")
    for at, line in enumerate(lines):
        code = line.removeprefix(_BOM).strip()
        if code and not code.startswith("#"):
            if _DOCSTRING.match(code):
                raise Unplaceable("the module starts with a docstring already")
            return at
    return len(lines)


def apart(lines: Sequence[str], at: int, added: str) -> str:
    """The added lines and, unless the next line is empty or there is none, an empty one after them."""
    return added + "\n" if at < len(lines) and lines[at].strip() else added


def _kind(path: str) -> str:
    name = path.rpartition("/")[2].lower()
    return _NAMES.get(name, name.rpartition(".")[2])
