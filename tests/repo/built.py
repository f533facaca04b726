"""Repositories that no `git add` makes: any path in bytes, any mode, submodules of nowhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from tests.program import git

FILE, PROGRAM, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
NOWHERE = b"1" * 40  # a commit that is not there

Content: TypeAlias = bytes | tuple[str, bytes]
"""A file's; or a mode with the content, the link's target or the submodule's commit."""


def built(folder: Path, tree: Mapping[bytes, Content], branch: str = "main") -> Path:
    """A repository with one commit, by `git fast-import`. Nothing is checked out."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", branch)
    stream = b"commit refs/heads/%s\ncommitter t <t@example.org> 1700000000 +0000\ndata 6\nfirst\n"
    stream %= os.fsencode(branch)
    for path, content in tree.items():
        mode, data = content if isinstance(content, tuple) else (FILE, content)
        quoted = b'"%s"' % b"".join(b"\\%03o" % byte for byte in path)
        if mode == SUBMODULE:
            stream += b"M 160000 %s %s\n" % (data, quoted)
        else:
            stream += b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), quoted, len(data), data)
    plain(folder, "fast-import", "--quiet", stdin=stream)
    return folder


def plain(folder: Path, *args: str, stdin: bytes = b"") -> bytes:
    """What git says there, in bytes. It asks no configuration and not whose the repository is."""
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *args],
        cwd=folder, input=stdin, capture_output=True, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
    )  # fmt: skip
    return done.stdout


def changed(folder: Path, old: str, new: str) -> dict[bytes, tuple[str, str]]:
    """What differs between two commits, byte by byte: each path's mode before and after."""
    raw = plain(folder, "diff-tree", "-r", "-z", "--raw", "--no-renames", old, new)
    fields = raw.split(b"\0")[:-1]
    return {
        path: (head[1:7].decode(), head[8:14].decode())
        for head, path in zip(fields[::2], fields[1::2], strict=True)
    }
