"""Files that git keeps though its ignore rules name them: rg leaves them out, and nobody else does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tiny_backspace.sandbox.interface import Sandbox

_SECONDS = 30
_MOST = 1000  # files; they become arguments of rg
_PIECE = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[!?[^]]+\]|\{[^{}]*\}|.", re.DOTALL)
_SPECIAL = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def tracked_and_ignored(sandbox: Sandbox) -> tuple[str, ...]:
    """Their paths. None where git cannot say."""
    asked = ("git", "-c", "core.fsmonitor=false", "ls-files", "-ciz", "--exclude-standard")
    listed = sandbox.call(asked, timeout=_SECONDS)
    names = listed.stdout.decode(errors="surrogateescape").split("\0")[:-1] if listed.ok else []
    return tuple(name for name in names[:_MOST] if name.isprintable())


def below(path: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Those in this folder, or the very file; `.` is the work tree."""
    return tuple(p for p in paths if path in (".", p) or p.startswith(f"{path}/"))


def named(pattern: str, path: str) -> bool:
    """Whether rg's `--glob` of this pattern means the path: without a slash at any depth, else from the top."""
    anywhere = "/" not in pattern.rstrip("/")
    rooted = f"**/{pattern}" if anywhere else pattern.removeprefix("/")
    try:
        return re.fullmatch("".join(_translated(rooted)), path, re.DOTALL) is not None
    except re.error:
        return False


def _translated(pattern: str) -> Iterator[str]:
    for piece in _PIECE.findall(pattern):
        if piece in _SPECIAL:
            yield _SPECIAL[piece]
        elif piece.startswith("[") and len(piece) > 1:
            yield piece.replace("[!", "[^").replace("\\", "\\\\")
        elif piece.startswith("{") and len(piece) > 1:
            yield f"(?:{'|'.join(''.join(_translated(part)) for part in piece[1:-1].split(','))})"
        else:
            yield re.escape(piece)
