"""The cache as a whole keeps to its size, and takes nothing from under a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import make_repository
from tests.repo.hostgit import checked_out, opened, quiet
from tiny_backspace.repo.cache import in_use, locked, trim
from tiny_backspace.repo.mirror import Mirror, using
from tiny_backspace.repo.origin import local_base

ROOT = Path(__file__).parents[2]


def used(tmp_path: Path, name: str, limit: int = 1 << 30, size: int = 100_000) -> Path:
    """A run on a repository of about this size; its mirror's path."""
    repository = tmp_path / name
    if not repository.exists():
        make_repository(repository, {"a.bin": os.urandom(size)})
    local = opened(repository, tmp_path)
    with using(tmp_path / "cache", local.url, local.git, limit=limit) as mirror:
        mirror.fetch(local.url, local_base(local, None), quiet)
    return mirror.path


def at(path: Path, time: float) -> None:
    os.utime(f"{path}.used", (time, time))


def test_the_longest_unused_go_until_the_rest_fits(tmp_path: Path) -> None:
    first, second, third = (used(tmp_path, name) for name in ("a", "b", "c"))
    for time, path in enumerate((first, second, third)):
        at(path, time)
    used(tmp_path, "a")

    trim(first.parent, 250_000)

    assert [path.exists() for path in (first, second, third)] == [True, False, True]
    trim(first.parent, 250_000)
    assert first.exists()


def test_a_run_tidies_up_at_its_end_and_keeps_its_own(tmp_path: Path) -> None:
    old = used(tmp_path, "a")

    new = used(tmp_path, "b", limit=50_000)

    assert not old.exists()
    assert new.exists()


def test_a_run_that_fails_tidies_up_too(tmp_path: Path) -> None:
    old = used(tmp_path, "a")
    local = opened(tmp_path / "a", tmp_path)

    def fail() -> None:
        with using(tmp_path / "cache", "elsewhere", local.git, limit=0):
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert not old.exists()


def test_what_was_removed_is_fetched_again(tmp_path: Path) -> None:
    path = used(tmp_path, "a")
    trim(path.parent, 0)
    assert not path.exists()

    assert used(tmp_path, "a") == path

    local = opened(tmp_path / "a", tmp_path)
    sandbox = checked_out(Mirror(path, local.git), local_base(local, None), tmp_path / "w")
    assert sandbox.read("a.bin") == (tmp_path / "a" / "a.bin").read_bytes()


def test_one_in_use_or_being_written_stays_however_old_it_is(tmp_path: Path) -> None:
    first, second, third = (used(tmp_path, name) for name in ("a", "b", "c"))
    with in_use(first), in_use(first), locked(second, shared=True):
        trim(first.parent, 0)
        assert [path.exists() for path in (first, second, third)] == [True, True, False]

    trim(first.parent, 0)
    assert not first.exists()
    assert not second.exists()


def test_another_process_holds_its_mirror_until_it_dies(tmp_path: Path) -> None:
    path = used(tmp_path, "a")
    at(path, 1)
    program = (
        "import sys; from pathlib import Path; from tiny_backspace.repo.cache import in_use\n"
        "with in_use(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env={"PATH": os.environ["PATH"]},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        trim(path.parent, 0)
        assert (path / "HEAD").exists()
        process.kill()
        process.wait()
        assert Path(f"{path}.used").stat().st_mtime > 1
        trim(path.parent, 0)
    assert not path.exists()


def test_what_a_killed_removal_left_is_no_mirror_and_goes_next_time(tmp_path: Path) -> None:
    path = used(tmp_path, "a")
    (path / "HEAD").unlink()

    assert used(tmp_path, "a") == path
    assert (path / "HEAD").exists()
    (path / "HEAD").unlink()
    trim(path.parent, 0)
    assert not path.exists()


def test_one_of_a_version_that_kept_no_time_goes_by_its_own(tmp_path: Path) -> None:
    first, second = used(tmp_path, "a"), used(tmp_path, "b")
    Path(f"{second}.used").unlink()
    os.utime(second, (1, 1))

    trim(first.parent, 150_000)

    assert first.exists()
    assert not second.exists()


def test_without_a_cache_there_is_nothing_to_do(tmp_path: Path) -> None:
    trim(tmp_path / "nowhere", 0)
    assert not (tmp_path / "nowhere").exists()
