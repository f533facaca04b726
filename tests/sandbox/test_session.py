"""Both ends of the file session, without a container: what is asked, and a server that may be anything."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.serving import PATIENCE, Served, attached, serving
from tiny_backspace.errors import SandboxLost
from tiny_backspace.sandbox.session import Session

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with serving(folder) as served:
        yield served


def run(
    served: Served, *argv: str, timeout: float = PATIENCE, stdin: Any = ()
) -> tuple[dict[str, Any], bytes, bytes]:
    got = {b"1": bytearray(), b"2": bytearray()}
    result = served.session.request(
        {"op": "run", "argv": argv, "timeout": timeout},
        timeout=timeout,
        stdin=stdin,
        on_frame=lambda kind, data: got[kind].extend(data),
    )
    return result, bytes(got[b"1"]), bytes(got[b"2"])


def others(served: Served, *ours: int) -> list[int]:
    """The processes beside the server, those that are ours left out."""
    request = {"op": "others", "ours": ours}
    pids: list[int] = served.session.request(request, timeout=PATIENCE)["pids"]
    return pids


def still_works(served: Served) -> bool:
    return served.session.alive() and run(served, "echo", "next")[1] == b"next\n"


def test_a_command_runs_in_the_folder_and_its_outputs_are_kept_apart(
    served: Served, folder: Path
) -> None:
    result, out, err = run(served, "sh", "-c", "pwd; echo err >&2; exit 7")
    assert result == {"exit_code": 7, "timed_out": False}
    assert (out.decode().strip(), err) == (str(folder), b"err\n")


def test_much_goes_in_while_much_comes_out(served: Served) -> None:
    data = os.urandom(30 * MIB)
    result, out, _ = run(
        served, "cat", stdin=(data[at : at + MIB] for at in range(0, len(data), MIB))
    )
    assert result["exit_code"] == 0
    assert out == data


def test_input_nobody_reads_is_taken_in(served: Served) -> None:
    assert run(served, "head", "-c1", stdin=repeat(b"x" * MIB, 20))[1] == b"x"
    assert run(served, "true", stdin=repeat(b"x" * MIB, 20))[0]["exit_code"] == 0
    assert still_works(served)


def test_input_that_comes_with_the_request_is_used_at_once(served: Served) -> None:
    for _ in range(20):
        assert run(served, "cat", stdin=[b"a", b"", b"b"])[1] == b"ab"


@pytest.mark.parametrize("close", ["", "exec >&- 2>&-; "], ids=["silent", "outputs closed"])
def test_a_command_is_ended_when_its_time_is_up(served: Served, close: str) -> None:
    result, _, _ = run(served, "sh", "-c", f"{close}trap '' TERM; sleep 60", timeout=0.3)
    assert result == {"exit_code": -signal.SIGKILL, "timed_out": True}
    assert still_works(served)


def test_a_command_in_the_background_holds_nothing_up_and_is_ended(served: Served) -> None:
    result, out, _ = run(served, "sh", "-c", "sleep 60 & echo $!")
    assert result == {"exit_code": 0, "timed_out": False}
    assert int(out) not in others(served)


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["no-such-program"], FileNotFoundError),
        (["/"], PermissionError),
        (["echo", "x" * (1 << 18)], OSError),
    ],
    ids=["unknown", "a folder", "too long an argument"],
)
def test_a_program_that_cannot_be_started_is_an_error_and_no_more(
    served: Served, argv: list[str], kind: type[OSError]
) -> None:
    with pytest.raises(kind):
        run(served, *argv, stdin=repeat(b"x" * MIB, 3))
    assert still_works(served)


def test_a_file_is_written_through_its_link_and_keeps_its_mode(
    served: Served, folder: Path
) -> None:
    (folder / "script").write_text("old")
    (folder / "script").chmod(0o750)
    (folder / "link").symlink_to("script")
    data = os.urandom(3 * MIB)

    written = served.session.request(
        {"op": "write", "path": "link"}, timeout=PATIENCE, stdin=[data]
    )

    assert written == {}
    assert (folder / "script").read_bytes() == data
    assert (folder / "script").stat().st_mode & 0o777 == 0o750
    assert (folder / "link").is_symlink()
    assert {file.name for file in folder.iterdir()} == {"script", "link"}


def test_a_file_is_read_as_far_as_it_is_asked_for(served: Served, folder: Path) -> None:
    (folder / "file").write_bytes(b"x" * MIB)
    got = bytearray()
    result = served.session.request(
        {"op": "read", "path": "file", "limit": 100_000},
        timeout=PATIENCE,
        on_frame=lambda _, data: got.extend(data),
    )
    assert result == {"size": MIB}
    assert got == b"x" * 100_000


@pytest.mark.parametrize(
    ("operation", "path", "number"),
    [
        ("read", "missing", errno.ENOENT),
        ("read", "folder", errno.EISDIR),
        ("read", "fifo", errno.EINVAL),
        ("read", "/dev/zero", errno.EINVAL),
        ("read", "loop", errno.ELOOP),
        ("write", "folder", errno.EISDIR),
        ("write", "file/below", errno.EEXIST),
    ],
)
def test_what_the_kernel_says_inside_is_raised_outside(
    served: Served, folder: Path, operation: str, path: str, number: int
) -> None:
    (folder / "folder").mkdir()
    (folder / "file").touch()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")

    request = {"op": operation, "path": path, "limit": 100}
    with pytest.raises(OSError, match=path) as refused:
        served.session.request(request, timeout=PATIENCE, stdin=repeat(b"x" * MIB, 3))

    assert (refused.value.errno, refused.value.filename) == (number, path)
    assert {file.name for file in folder.iterdir()} == {"folder", "file", "loop", "fifo"}
    assert still_works(served)


def test_processes_that_are_left_are_named_and_servers_are_not(served: Served) -> None:
    in_its_session = 'until [ "$(cut -d " " -f 6 /proc/$!/stat)" = $! ]; do :; done'
    _, out, _ = run(
        served, "sh", "-c", f"setsid sleep 60 >/dev/null 2>&1 & {in_its_session}; echo $!"
    )
    left = int(out)
    try:
        found, unknown = others(served), others(served, left)
    finally:
        os.kill(left, signal.SIGKILL)
    assert left in found
    assert left not in unknown
    assert served.server.pid not in found


def test_a_server_that_was_killed_is_a_lost_sandbox(served: Served) -> None:
    assert still_works(served)
    served.server.kill()
    with pytest.raises(SandboxLost, match="the engine closed the stream"):
        run(served, "sleep", "60")
    assert not served.session.alive()


def test_a_server_that_is_killed_by_its_command_is_a_lost_sandbox(served: Served) -> None:
    with pytest.raises(SandboxLost):
        run(served, "sh", "-c", "kill -9 $PPID")


def test_the_end_of_the_stream_ends_the_server(folder: Path) -> None:
    with serving(folder) as served:
        served.session.close()
        assert served.server.wait(PATIENCE) == 0


def broken() -> Iterator[bytes]:
    yield b"some"
    raise OSError(errno.EIO, "on the host")


def test_a_request_that_was_broken_off_is_not_followed_by_another(served: Served) -> None:
    with pytest.raises(OSError, match="on the host"):
        run(served, "cat", stdin=broken())
    assert not served.session.alive()


def test_a_program_that_is_no_server_is_a_lost_sandbox_with_its_last_words(folder: Path) -> None:
    with (
        pytest.raises(SandboxLost, match=r"ended: sh: boom$"),
        serving(folder, ["sh", "-c", "echo first >&2; echo sh: boom >&2; exit 1"]),
    ):
        pass


def test_a_server_that_says_nothing_is_not_waited_for_beyond_its_time(folder: Path) -> None:
    with (
        attached(folder, ["sleep", "60"]) as (stream, _),
        pytest.raises(SandboxLost, match="the time was up"),
    ):
        Session(stream, 0.1)
