"""What the attributes of the result say of changed files. Git answers, out of the quarantine's index."""

from __future__ import annotations

from collections.abc import Sequence

from tiny_backspace.repo.difference import Change
from tiny_backspace.repo.quarantine import Quarantine

_FILE = "100"  # how the mode of a file begins
_FIELDS = 3  # path, attribute, value: git-check-attr(1), -z


def kept_by_lfs(cage: Quarantine, changes: Sequence[Change]) -> frozenset[bytes]:
    """Those of the changed files whose content Git LFS is to keep, where the content is new.

    The index is as the applied patch made it. A pointer that was only moved is still one.
    """
    before = {change.old_id for change in changes}
    new = [c for c in changes if c.new_mode.startswith(_FILE) and c.new_id not in before]
    if not new:
        return frozenset()
    told = cage.git.must(
        "check-attr", "--cached", "-z", "--stdin", "filter",
        git_dir=cage.path, env={"GIT_INDEX_FILE": str(cage.path / "index")},
        stdin=b"".join(b"%s\0" % change.path for change in new), doing="reading the attributes",
    ).stdout.split(b"\0")  # fmt: skip
    values = zip(told[::_FIELDS], told[2::_FIELDS], strict=False)
    return frozenset(path for path, value in values if value == b"lfs")
