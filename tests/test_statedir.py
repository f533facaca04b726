"""The folders that hold a person's runs, and the locks that tell which runs are alive."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tiny_backspace.errors import UsageError
from tiny_backspace.statedir import (
    cache_dir,
    forget_dead,
    hold,
    is_live,
    owner_id,
    private_dir,
    state_dir,
    write_private,
)

_SPAWN = multiprocessing.get_context("spawn")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@contextmanager
def _umask(mask: int) -> Generator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_the_folders_follow_the_xdg_variables_and_fall_back_to_the_home_folder() -> None:
    env = {"HOME": "/home/me", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}
    assert state_dir(env) == Path("/s/tiny-backspace")
    assert cache_dir(env) == Path("/c/tiny-backspace")
    assert state_dir({"HOME": "/home/me"}) == Path("/home/me/.local/state/tiny-backspace")
    assert cache_dir({"HOME": "/home/me"}) == Path("/home/me/.cache/tiny-backspace")


@pytest.mark.parametrize("value", ["", "relative/path", "~/x"])
def test_an_xdg_value_that_is_not_absolute_is_ignored(value: str) -> None:
    found = state_dir({"HOME": "/home/me", "XDG_STATE_HOME": value})
    assert found == Path("/home/me/.local/state/tiny-backspace")


def test_without_home_the_home_folder_of_the_account_is_used() -> None:
    assert state_dir({}).is_absolute()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_a_private_folder_and_its_new_parents_are_the_owners_alone_whatever_the_umask(
    tmp_path: Path, mask: int
) -> None:
    tmp_path.chmod(0o755)
    with _umask(mask):
        made = private_dir(tmp_path / "a" / "b")
    assert [_mode(made), _mode(made.parent), _mode(tmp_path)] == [0o700, 0o700, 0o755]
    assert private_dir(made) == made


def test_a_link_in_place_of_a_private_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    for target in ("real", "missing"):
        link = tmp_path / f"to-{target}"
        link.symlink_to(tmp_path / target)
        with pytest.raises(UsageError, match="a link"):
            private_dir(link)
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_in_is_refused_with_a_way_out(
    tmp_path: Path, mode: int
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(UsageError, match="others may write") as refused:
        private_dir(folder)
    assert refused.value.hint is not None


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = Path("/")  # root's, for everybody but root
    if os.getuid() == 0:
        folder = tmp_path / "theirs"
        folder.mkdir(mode=0o700)
        os.chown(folder, 12345, 12345)
    with pytest.raises(UsageError, match="belongs to user"):
        private_dir(folder)


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="not a folder"):
        private_dir(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot be used"):
        private_dir(tmp_path / "file" / "below")


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_a_private_file_is_replaced_as_a_whole_and_readable_by_its_owner_alone(
    tmp_path: Path, mask: int
) -> None:
    path = tmp_path / "notes"
    path.write_bytes(b"old and longer")
    path.chmod(0o666)
    with _umask(mask):
        write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_place_of_a_private_file_is_replaced_and_its_target_untouched(
    tmp_path: Path,
) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"theirs")
    link.symlink_to(target)
    write_private(link, b"ours")
    assert (target.read_bytes(), link.read_bytes(), link.is_symlink()) == (
        b"theirs",
        b"ours",
        False,
    )


def test_a_private_file_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(tmp_path / "taken", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def _tell_owner(state: Path, answer: Connection) -> None:
    answer.send(owner_id(state))


def test_processes_that_ask_for_the_owner_at_once_all_get_the_same_id(tmp_path: Path) -> None:
    state = tmp_path / "state"
    pipes = [_SPAWN.Pipe(duplex=False) for _ in range(6)]
    processes = [_SPAWN.Process(target=_tell_owner, args=(state, send)) for _, send in pipes]
    for process in processes:
        process.start()
    told = {receive.recv() for receive, _ in pipes}
    for process in processes:
        process.join()
    assert told == {owner_id(state)}
    assert [path.name for path in state.iterdir()] == ["id"]
    assert _mode(state / "id") == 0o600
    assert owner_id(tmp_path / "another") not in told


@pytest.mark.parametrize("content", [b"", b"../../etc", b"0123456789ABCDEF", b"\xff\xfe"])
def test_an_id_file_that_holds_no_id_is_an_error_and_not_replaced(
    tmp_path: Path, content: bytes
) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "id").write_bytes(content)
    with pytest.raises(UsageError, match="does not hold an id"):
        owner_id(tmp_path)
    assert (tmp_path / "id").read_bytes() == content


def test_an_id_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "elsewhere").write_text("0123456789abcdef")
    (tmp_path / "id").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="cannot be used"):
        owner_id(tmp_path)


def test_a_run_is_live_while_it_is_held_and_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert not is_live(state, "0a1b2c3d")
    assert not state.exists()
    with hold(state, "0a1b2c3d"):
        assert [is_live(state, "0a1b2c3d") for _ in range(3)] == [True, True, True]
        assert not is_live(state, "ffffffff")
    assert not is_live(state, "0a1b2c3d")
    assert list((state / "live").iterdir()) == []


def test_a_run_that_is_live_cannot_be_held_twice(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with (
        hold(state, "0a1b2c3d"),
        pytest.raises(UsageError, match="going on"),
        hold(state, "0a1b2c3d"),
    ):
        pass


@pytest.mark.parametrize("name", ["", "..", "../id", "a/b", "a.b"])
def test_what_can_be_no_runs_id_is_never_a_path(tmp_path: Path, name: str) -> None:
    assert not is_live(tmp_path, name)
    with pytest.raises(ValueError), hold(tmp_path, name):
        pass


def _live_on(state: Path, ready: Connection) -> None:
    """Hold a run, start a program that outlives us, wait to be killed."""
    with hold(state, "0a1b2c3d"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        ready.send(child.pid)
        child.wait()


def test_a_killed_process_is_not_live_even_if_a_program_it_started_is(tmp_path: Path) -> None:
    state = tmp_path / "state"
    receive, send = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_live_on, args=(state, send))
    process.start()
    child = receive.recv()
    try:
        assert is_live(state, "0a1b2c3d")
        process.kill()
        process.join()
        os.kill(child, 0)  # is still there
        assert not is_live(state, "0a1b2c3d")
    finally:
        os.kill(child, 9)


def _hold_and_die(state: Path, ready: Connection) -> None:
    with hold(state, "dead0001"):
        ready.send(True)
        os.kill(os.getpid(), 9)


def test_the_files_of_dead_runs_are_removed_and_never_one_of_a_living_run(tmp_path: Path) -> None:
    state = tmp_path / "state"
    receive, send = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_hold_and_die, args=(state, send))
    process.start()
    receive.recv()
    process.join()
    with hold(state, "11fe0001"):
        assert {path.name for path in (state / "live").iterdir()} == {"dead0001", "11fe0001"}

        forget_dead(state)

        assert [path.name for path in (state / "live").iterdir()] == ["11fe0001"]
        assert is_live(state, "11fe0001")


def _hold_again_and_again(state: Path, ready: Connection) -> None:
    """Say for each time whether it was live while it was held."""
    for _ in range(300):
        with hold(state, "0a1b2c3d"):
            ready.send(is_live(state, "0a1b2c3d"))


def test_a_run_that_begins_while_somebody_tidies_up_is_live(tmp_path: Path) -> None:
    state = private_dir(tmp_path / "state")
    receive, send = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_hold_again_and_again, args=(state, send))
    process.start()
    while process.is_alive():
        forget_dead(state)
    assert [receive.recv() for _ in range(300)] == [True] * 300
    process.join()
