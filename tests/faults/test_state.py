"""Folders that are full, read-only, damaged or of an older version (R19, R20, R51)."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.faults import oracles
from tests.faults.scene import Running, Scene, scene
from tests.program import git
from tiny_backspace.telemetry.database import MIGRATIONS


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


@contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own in place of that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"{options},mode=0700", "tmpfs", str(folder)], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def mirrors(made: Scene) -> list[Path]:
    return list((made.home / "cache/tiny-backspace/mirrors").glob("*.git"))


@pytest.mark.parametrize("name", ["state", "cache"])
def test_a_folder_that_cannot_be_written_is_a_sentence_before_anything_is_done(
    stage: Scene, name: str
) -> None:
    was = oracles.before(stage)
    with disk(stage.home / name, "size=1m,ro"):
        done = stage.run()

        assert done.exit_code == 2
        said = done.stderr or done.lines[-1]["message"]
        assert "cannot be used: Read-only file system" in said
        assert "Traceback" not in done.stderr
        assert list((stage.home / name).iterdir()) == []
    assert stage.models.requests == []
    assert stage.containers() == []
    oracles.untouched(stage, was)
    oracles.proposed(stage, was, stage.run())


def test_a_cache_without_room_ends_the_run_before_the_agent_and_leaves_no_half_of_a_mirror(
    stage: Scene,
) -> None:
    (stage.place.work / "large.bin").write_bytes(os.urandom(3 << 20))
    git(stage.place.work, "add", "large.bin")
    git(stage.place.work, "commit", "-q", "-m", "large")
    git(stage.place.work, "push", "-q", str(stage.place.bare), "main")
    git(stage.place.work, "update-ref", "refs/remotes/origin/main", "HEAD")
    was = oracles.before(stage)
    with disk(stage.home / "cache", "size=1m"):
        done = stage.run()

        assert done.exit_code == 3, done.lines[-1]
        assert "No space left on device" in done.lines[-1]["message"]
        assert list(stage.home.glob("cache/**/tmp_*")) == []
        oracles.hold(stage, was, done)
    assert stage.models.requests == []
    oracles.proposed(stage, was, stage.run())


def test_a_state_folder_without_room_is_a_sentence_before_anything_is_done(stage: Scene) -> None:
    was = oracles.before(stage)
    with disk(stage.home / "state", "size=1m"):
        done = stage.run()

        assert (done.exit_code, done.stdout) == (2, "")
        assert "MiB left, and a run needs 32" in done.stderr
    assert stage.models.requests == []
    oracles.untouched(stage, was)


def test_a_disk_that_fills_up_in_the_middle_keeps_the_work_of_the_turn_before(stage: Scene) -> None:
    was = oracles.before(stage)
    with disk(stage.home / "state", "size=48m"):

        def fill(running: Running) -> None:
            free = os.statvfs(running.scene.state)
            with (running.scene.state / "filled").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)

        done = stage.disturbed("tool_result", fill)

        closing = done.lines[-1]
        assert (done.exit_code, closing["error"]) == (3, "repository"), closing
        assert "No space left on device" in closing["message"]
        assert "+hello!" in Path(closing["patch"]).read_text()
        oracles.no_container(stage)
        assert oracles.children(stage) == []
        oracles.nothing_told(stage, done)
    oracles.untouched(stage, was)
    oracles.proposed(stage, oracles.before(stage), stage.run())


def test_a_mirror_that_was_cut_off_is_made_anew_whatever_locks_lie_in_it(stage: Scene) -> None:
    assert stage.run().exit_code == 0
    (mirror,) = mirrors(stage)
    for pack in mirror.glob("objects/pack/*.pack"):
        pack.chmod(0o600)
        os.truncate(pack, pack.stat().st_size // 2)
    for lock in ("shallow.lock", "HEAD.lock", "config.lock", "objects/pack/tmp_pack_1"):
        (mirror / lock).touch()
    was = oracles.before(stage)

    done = stage.run()

    assert any("is damaged" in w["message"] for w in done.of("warning"))
    oracles.proposed(stage, was, done)
    assert mirrors(stage) == [mirror]


def test_locks_of_a_fetch_that_was_killed_are_in_nobodys_way(stage: Scene) -> None:
    assert stage.run().exit_code == 0
    (mirror,) = mirrors(stage)
    git(stage.place.work, "commit", "-q", "--allow-empty", "-m", "second")
    git(stage.place.work, "push", "-q", str(stage.place.bare), "main")
    git(stage.place.work, "update-ref", "refs/remotes/origin/main", "HEAD")
    ref = f"refs/tiny-backspace/{git(stage.place.work, 'rev-parse', 'HEAD')}.lock"
    for lock in ("shallow.lock", "packed-refs.lock", ref):
        (mirror / lock).touch()
    was = oracles.before(stage)

    oracles.proposed(stage, was, stage.run())


def test_a_history_of_the_first_version_is_brought_up_to_date_and_kept(stage: Scene) -> None:
    stage.state.mkdir(parents=True, mode=0o700)
    stage.state.parent.chmod(0o700)
    with closing(sqlite3.connect(stage.state / "history.db")) as db, db:
        for statement in MIGRATIONS[0]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
        db.execute(
            "INSERT INTO runs (run_id, started_at, status, repo, prompt)"
            " VALUES ('01d00001', '2025-01-01T00:00:00.000000+00:00', 'running', 'a/b', 'old')"
        )
    was = oracles.before(stage)

    done = stage.run()

    oracles.proposed(stage, was, done)
    listed = stage.place.run("runs", "--json").lines
    assert [(row["run_id"], row["status"]) for row in listed] == [
        (done.lines[0]["run_id"], "succeeded"),
        ("01d00001", "crashed"),
    ]


def test_a_history_of_a_newer_version_is_left_alone_and_the_run_goes_on(stage: Scene) -> None:
    assert stage.run().exit_code == 0
    path = stage.state / "history.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    kept = path.read_bytes()

    done = stage.run()

    assert done.exit_code == 0
    assert any("written by a newer version" in w["message"] for w in done.of("warning"))
    assert path.read_bytes() == kept
    listed = stage.place.run("runs")
    assert (listed.exit_code, listed.stdout) == (2, "")
    assert "Update tiny-backspace" in listed.stderr


def test_what_a_killed_run_left_half_written_goes_with_clean(stage: Scene) -> None:
    assert stage.run().exit_code == 0
    dead = stage.state / "runs" / "dead0001"
    (dead / "home").mkdir(parents=True)
    for name in ("change.patch", "change.patch.new"):
        (dead / name).write_text("a patch")
    (stage.state / "live" / "dead0001").touch()

    assert stage.place.run("clean").exit_code == 0

    assert oracles.leftovers(stage) == []
    assert [path.name for path in dead.iterdir()] == ["change.patch"]
