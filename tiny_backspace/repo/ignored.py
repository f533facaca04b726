"""Which new paths the base's own rules ignore. Git answers, without a work tree to look into."""

from __future__ import annotations

from collections.abc import Iterable
from tempfile import TemporaryDirectory

from tiny_backspace.repo.quarantine import Quarantine

_RULES = b".gitignore"
_FILE = b"100"  # how the mode of a file begins; git follows no link to its rules
_ANSWERED = (0, 1)


def ignored_by_base(cage: Quarantine, paths: Iterable[bytes]) -> frozenset[bytes]:
    """Those of the paths that git would not add in the base; none where that cannot be found out.

    The base's `.gitignore` files alone are put into an index of their own, and marked as not checked
    out: then git reads the rules out of the index (gitignore(5), and `skip-worktree` in git-update-index(1)).
    """
    asked = b"".join(b"./%s\0" % path for path in paths)
    if not asked:
        return frozenset()
    listed = cage.read("ls-tree", "-r", "-z", "--full-tree", cage.base.sha).split(b"\0")
    entries = [e for e in listed if e.startswith(_FILE) and _basename(e) == _RULES]
    if not entries:
        return frozenset()
    with TemporaryDirectory(dir=cage.path) as empty:
        env = {"GIT_INDEX_FILE": f"{empty}/../rules"}
        there = ("-C", empty, "--work-tree=.")
        rules = b"".join(b"%s\0" % entry for entry in entries)
        names = b"".join(b"%s\0" % entry.partition(b"\t")[2] for entry in entries)
        for command, stdin in (
            (("update-index", "-z", "--index-info"), rules),
            ((*there, "update-index", "--skip-worktree", "-z", "--stdin"), names),
        ):
            if not cage.git.run(*command, git_dir=cage.path, env=env, stdin=stdin).ok:
                return frozenset()
        told = cage.git.run(
            *there, "check-ignore", "-z", "--stdin", git_dir=cage.path, env=env, stdin=asked
        )
    if told.exit_code not in _ANSWERED:
        return frozenset()
    return frozenset(name.removeprefix(b"./") for name in told.stdout.split(b"\0") if name)


def _basename(entry: bytes) -> bytes:
    return entry.partition(b"\t")[2].rpartition(b"/")[2]
