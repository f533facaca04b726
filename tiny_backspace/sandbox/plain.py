"""Reading and writing files where the image has no Python: an exec each. Slower, and no different otherwise."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tiny_backspace.sandbox.interface import ExecResult

Run: TypeAlias = Callable[[Sequence[str], float, bytes, Callable[[bytes], None] | None], ExecResult]

_TIMEOUT = 60.0
_READ = """
test -e "$1" || exit 44
test -d "$1" && exit 45
test -f "$1" || exit 46
exec head -c "$2" -- "$1"
"""
_WRITE = """
path=$(readlink -f -- "$1") || path=$1
test -d "$path" && exit 45
mkdir -p -- "$(dirname -- "$path")" && cat > "$path.tmp$$" || { rm -f -- "$path.tmp$$"; exit 47; }
if test -e "$path"; then chmod --reference="$path" -- "$path.tmp$$"; fi
mv -f -- "$path.tmp$$" "$path"
"""
_ERRORS = {44: errno.ENOENT, 45: errno.EISDIR, 46: errno.EINVAL, 47: errno.ENOSPC}


def read(run: Run, path: str, limit: int) -> bytes:
    """See `Sandbox.read`."""
    content = bytearray()
    result = run(["sh", "-c", _READ, "sh", path, str(limit)], _TIMEOUT, b"", content.extend)
    _check(result, path)
    return bytes(content)


def write(run: Run, path: str, data: bytes) -> None:
    """See `Sandbox.write`."""
    _check(run(["sh", "-c", _WRITE, "sh", path], _TIMEOUT, data, None), path)


def _check(result: ExecResult, path: str) -> None:
    if not result.ok:
        number = _ERRORS.get(result.exit_code, errno.EIO)
        raise OSError(number, os.strerror(number), path)
