"""Whether the commit that a run started from is still what it was, some time later."""

from __future__ import annotations

import shutil
from pathlib import Path

from tiny_backspace.errors import RepoError
from tiny_backspace.events import Emit, Warned
from tiny_backspace.repo.git import TRANSFER, Git
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.origin import remote_base
from tiny_backspace.repo.source import Remote


def still_there(remote: Remote, base: Base, git: Git, folder: Path, emit: Emit) -> None:
    """Ask the remote once more, as the cache would not: say that the branch has moved on, if it has.

    `folder` is for what has to be fetched to know; it is gone afterwards.

    Raises:
        RepoError: the branch or the commit is gone, or the remote does not answer.
    """
    now = remote_base(remote, base.branch, git) if base.branch else None
    if now == base:
        return
    try:
        git.must("init", "-q", "--bare", "--template=", str(folder), doing="asking for the base")
        asked = git.run(
            "fetch", "-q", "--depth=1", "--filter=tree:0", "--no-tags", "--no-write-fetch-head",
            "--end-of-options", remote.url, base.sha, git_dir=folder, limits=TRANSFER,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not asked.ok:
        raise RepoError(
            f"the commit {base.sha[:12]}, which the run started from, cannot be had from {remote.url} any more: "
            f"{asked.complaint}",
            hint="Its history was rewritten, perhaps. `tiny-backspace run` starts from what is there now.",
        )
    if now is not None:
        emit(
            Warned(
                message=f"{base.branch} is at {now.sha[:12]} by now; this goes on from {base.sha[:12]}, as before"
            )
        )
