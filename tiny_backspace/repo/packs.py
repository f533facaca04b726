"""The packs of a bare repository, as files: whether they are whole, and on their way into a tar."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 20
_SHA1 = 20  # bytes of a checksum


def damaged_pack(path: Path) -> str | None:
    """The name of a pack that is not the one its index was made for: it was cut off, or has none.

    Both end with checksums (gitformat-pack(5)): the pack with its own, the index with the pack's and its own.
    """
    for pack in path.glob("objects/pack/*.pack"):
        if _tail(pack, _SHA1) != _tail(pack.with_suffix(".idx"), 2 * _SHA1)[:_SHA1]:
            return pack.name
    return None


def _tail(path: Path, size: int) -> bytes:
    if not path.exists() or path.stat().st_size < size:
        return b""
    with path.open("rb") as file:
        file.seek(-size, os.SEEK_END)
        return file.read()


def tar_entry(path: Path, name: str) -> Iterator[bytes]:
    """The file as an entry of a tar, in chunks."""
    with path.open("rb") as file:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = os.fstat(file.fileno()).st_size, 0o644
        yield entry.tobuf()
        while data := file.read(_CHUNK):
            yield data
    if rest := entry.size % tarfile.BLOCKSIZE:
        yield bytes(tarfile.BLOCKSIZE - rest)
