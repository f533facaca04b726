"""Repositories that no git would write: raw objects, and packs that are small only until they are unpacked."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.program import git

MIB = 1 << 20
FILE, FOLDER, LINK = "100644", "40000", "120000"
_COMMIT, _TREE, _BLOB, _DELTA = 1, 2, 3, 7
_NAMES = {_COMMIT: "commit", _TREE: "tree", _BLOB: "blob"}
_WHO = b"t <t@example.org> 1700000000 +0000"


class Raw(NamedTuple):
    """A commit, and the pack with it and its index, as files: no git has looked at them."""

    head: str
    pack: bytes
    listed: bytes


class Packed(NamedTuple):
    """An object as it lies in a pack (gitformat-pack(5)), and its id."""

    sha: str
    data: bytes


def whole(kind: int, content: bytes) -> Packed:
    head = f"{_NAMES[kind]} {len(content)}\0".encode()
    sha = hashlib.sha1(head + content, usedforsecurity=False).hexdigest()
    return Packed(sha, _head(kind, len(content)) + zlib.compress(content, 9))


def blob(content: bytes) -> Packed:
    return whole(_BLOB, content)


def tree(*entries: tuple[str, bytes, str]) -> Packed:
    """Mode, name and id of each, as they come: not sorted, and not looked at."""
    return whole(_TREE, tree_content(*entries))


def tree_content(*entries: tuple[str, bytes, str]) -> bytes:
    return b"".join(b"%s %s\0" % (m.encode(), n) + bytes.fromhex(i) for m, n, i in entries)


def commit(of: str) -> Packed:
    return whole(
        _COMMIT, b"tree %s\nauthor %s\ncommitter %s\n\nfirst\n" % (of.encode(), _WHO, _WHO)
    )


def repeated(base: Packed, size: int, times: int) -> Packed:
    """A delta: `size` zeros of the base, so many times over."""
    copy = b"\xf0" + size.to_bytes(3, "little")
    delta = number(size) + number(size * times) + copy * times
    digest = hashlib.sha1(f"blob {size * times}\0".encode(), usedforsecurity=False)
    for _ in range(times):
        digest.update(bytes(size))
    data = _head(_DELTA, len(delta)) + bytes.fromhex(base.sha) + zlib.compress(delta, 9)
    return Packed(digest.hexdigest(), data)


def repository(folder: Path, raw: Raw) -> Path:
    """A bare one, with the commit as `main`."""
    git(folder.parent, "init", "-q", "--bare", "-b", "main", str(folder))
    for kind, data in (("pack", raw.pack), ("idx", raw.listed)):
        (folder / "objects" / "pack" / f"pack-{'0' * 40}.{kind}").write_bytes(data)
    (folder / "refs" / "heads" / "main").write_text(f"{raw.head}\n")
    return folder


def tree_bomb(levels: int, entries: int) -> Raw:
    """`entries` to the power of `levels` files, of a few hundred bytes."""
    objects = [blob(b"x")]
    mode = FILE
    for _ in range(levels):
        objects.append(tree(*((mode, b"%05d" % n, objects[-1].sha) for n in range(entries))))
        mode = FOLDER
    return _of(objects)


def delta_bomb(size: int) -> Raw:
    """A file of `size` zeros (whole 8 MiB) in some hundred bytes: each object repeats the one before."""
    first = blob(bytes(1 << 16))
    second = repeated(first, 1 << 16, 128)
    third = repeated(second, 8 * MIB, size // (8 * MIB))
    return _of([first, second, third, tree((FILE, b"zeros", third.sha))])


def zeros(size: int) -> Raw:
    """A file of `size` zeros as any git would keep it: a thousandth of that."""
    digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    packing, data = zlib.compressobj(9), [_head(_BLOB, size)]
    for _ in range(size // MIB):
        digest.update(bytes(MIB))
        data.append(packing.compress(bytes(MIB)))
    big = Packed(digest.hexdigest(), b"".join([*data, packing.flush()]))
    return _of([big, tree((FILE, b"zeros", big.sha))])


def hostile_tree(content: bytes, also: Sequence[Packed]) -> Raw:
    """A tree with this content, whatever it is, and the objects that it may name."""
    return _of([*also, whole(_TREE, content)])


def _of(objects: Sequence[Packed]) -> Raw:
    """With a commit of the last one, which is a tree."""
    made = commit(objects[-1].sha)
    return Raw(made.sha, *_pack([*objects, made]))


def _pack(objects: Sequence[Packed]) -> tuple[bytes, bytes]:
    """The pack and its index, version 2 of each."""
    pack = b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big")
    entries = []
    for each in objects:
        entries.append((bytes.fromhex(each.sha), zlib.crc32(each.data), len(pack)))
        pack += each.data
    pack += _digest(pack)
    entries.sort()
    first = [entry[0][0] for entry in entries]
    fan = b"".join(sum(f <= n for f in first).to_bytes(4, "big") for n in range(256))
    index = b"\xfftOc" + (2).to_bytes(4, "big") + fan + b"".join(e[0] for e in entries)
    index += b"".join(e[1].to_bytes(4, "big") for e in entries)
    index += b"".join(e[2].to_bytes(4, "big") for e in entries) + pack[-20:]
    return pack, index + _digest(index)


def _digest(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _head(kind: int, size: int) -> bytes:
    """Type and size of an object in a pack: four bits of the size, then seven at a time."""
    first, size = kind << 4 | size & 15, size >> 4
    return bytes([first | (128 if size else 0)]) + (number(size) if size else b"")


def number(value: int) -> bytes:
    """Seven bits at a time, the low ones first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
