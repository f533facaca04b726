"""What holds after every run, whatever was done to it."""

from __future__ import annotations

import base64
import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from pydantic import SecretStr

from tests.faults.engine import docker
from tests.faults.scene import DONE, Scene
from tests.program import Finished, git, snapshot
from tests.servers.models import KEY
from tiny_backspace.repo.environment import Credential
from tiny_backspace.telemetry.store import History

_REMOVAL = 10.0  # seconds
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
# what is made to be locked stays; what is made to be renamed does not
_KEPT_LOCKS = re.compile(r"cache/tiny-backspace/mirrors/[0-9a-f]{20}\.git\.lock|state/tiny-backspace/logs/\.\w+\.log\.lock")  # fmt: skip
_TEMPORARY = re.compile(
    r"\.tmp$|\.new(/|$)|\.lock$|/tmp_|/live/.|/quarantine\.git$|/home$|-journal$"
)


@dataclass(frozen=True)
class Before:
    """What the user had before a run."""

    work: dict[str, bytes]
    branches: frozenset[str]
    pulls: int


def before(scene: Scene) -> Before:
    return Before(
        snapshot(scene.place.work), frozenset(scene.place.branches), len(scene.place.repo.pulls)
    )


def hold(scene: Scene, was: Before, done: Finished) -> None:
    """All of them, after a run that ended by itself."""
    no_container(scene)
    told(scene, was, done)


def no_container(scene: Scene) -> None:
    """The engine may still be at the removal of one that ended by itself; none lives so long otherwise."""
    until = monotonic() + _REMOVAL
    while scene.containers():
        assert monotonic() < until, docker("ps", "-a", host=scene.engine)
        sleep(0.05)


def told(scene: Scene, was: Before, done: Finished) -> None:
    """All but that of the containers: where the engine was not there to remove them."""
    untouched(scene, was)
    assert children(scene) == []
    assert leftovers(scene) == []
    assert locked(scene.home) == []
    remembered(scene, done)
    nothing_told(scene, done)


def untouched(scene: Scene, was: Before) -> None:
    """The user's clone is as it was; at most one branch is new at its origin, and one pull request."""
    assert snapshot(scene.place.work) == was.work
    new = frozenset(scene.place.branches) - was.branches
    assert len(new) <= 1, new
    assert was.branches <= frozenset(scene.place.branches)
    assert len(scene.place.repo.pulls) - was.pulls <= 1
    for branch in new:
        assert scene.place.at(branch, "README.md") == DONE
        assert git(scene.place.bare, "rev-list", "--count", f"main..{branch}") == "1"


def children(scene: Scene) -> list[str]:
    """Processes that this home's runs left, by its folder in their environment or arguments."""
    return list(_children(str(scene.home).encode()))


def children_gone(scene: Scene, seconds: float) -> None:
    """After a SIGKILL nobody is there to end them: they have so long to notice."""
    until = monotonic() + seconds
    while left := children(scene):
        assert monotonic() < until, left
        sleep(0.05)


def _children(mark: bytes) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = [(process / name).read_bytes() for name in ("cmdline", "environ")]
        except OSError:  # it has ended, or is somebody else's
            continue
        if any(mark in each for each in told):
            yield told[0].replace(b"\0", b" ").decode(errors="replace")


def leftovers(scene: Scene) -> list[str]:
    """Locks and temporary files in the folders of state and cache."""
    found = (path.relative_to(scene.home).as_posix() for path in scene.home.rglob("*"))
    return [name for name in found if _TEMPORARY.search(name) and not _KEPT_LOCKS.fullmatch(name)]


def locked(folder: Path) -> list[str]:
    """Files of it that somebody still has a lock on, as the kernel tells (proc(5), /proc/locks)."""
    names = {}
    for path in folder.rglob("*"):
        found = path.lstat()
        device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
        names[f"{device}:{found.st_ino}"] = str(path)
    lines = Path("/proc/locks").read_text().splitlines()
    held = (line.split("-> ")[-1].split()[-3] for line in lines)
    return [names[file] for file in held if file in names]


def remembered(scene: Scene, done: Finished) -> None:
    """The history can be read, and has the run as it was told, with one closing event, the last."""
    lines = done.stdout.splitlines()
    kinds = [line["type"] for line in done.lines]
    assert kinds[-1] in {"success", "error"}
    assert sum(kind in {"success", "error"} for kind in kinds) == 1
    assert [line["seq"] for line in done.lines] == list(range(1, len(lines) + 1))
    with History(scene.state / "history.db") as history:
        assert list(history.lines(done.lines[0]["run_id"])) == lines
    whole(scene)


def whole(scene: Scene) -> None:
    """SQLite finds nothing wrong, and no run has two ends."""
    db = sqlite3.connect(f"file:{scene.state / 'history.db'}?mode=ro", uri=True)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ends = "SELECT count(*) FROM records WHERE type IN ('success', 'error') GROUP BY run_id"
        assert {count for (count,) in db.execute(ends)} <= {1}
    finally:
        db.close()


def nothing_told(scene: Scene, done: Finished) -> None:
    """No key and no token is anywhere, and what was said moves no cursor."""
    said = (done.stdout + done.stderr).encode()
    assert not _CONTROL.search(done.stdout + done.stderr)
    history = git(scene.place.bare, "log", "--all", "-p").encode()
    texts = [said, history, *(pull.body.encode() for pull in scene.place.repo.pulls)]
    texts += [path.read_bytes() for path in scene.home.rglob("*") if path.is_file()]
    for secret in _secrets(scene):
        assert not any(secret in text for text in texts), secret


def _secrets(scene: Scene) -> list[bytes]:
    forms = Credential("x/", SecretStr(scene.place.token.value)).forms
    return [form.encode() for form in (*forms, KEY, base64.b64encode(KEY.encode()).decode())]


def proposed(scene: Scene, was: Before, done: Finished) -> None:
    """A run that nothing was done to, after one to which something was: a pull request, and all the rest."""
    assert done.exit_code == 0, done.stdout[-2000:] + done.stderr
    assert len(scene.place.repo.pulls) == was.pulls + 1
    assert scene.place.repo.pulls[-1].head in scene.place.new
    hold(scene, was, done)
