"""The shared contract, on sandboxes that are folders of the host; the real one is in tests/docker."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.fakes import FolderSandbox
from tests.sandbox.check_sandbox import check_sandbox
from tiny_backspace.sandbox import plain
from tiny_backspace.sandbox.interface import ExecResult


class PlainFolder:
    """A folder whose files are read and written by the commands that plain.py runs."""

    def __init__(self, folder: Path) -> None:
        self.exec = self.call = FolderSandbox(folder).exec

    def read(self, path: str, *, limit: int = 16 << 20) -> bytes:
        return plain.read(self._run, path, limit)

    def write(self, path: str, data: bytes) -> None:
        plain.write(self._run, path, data)

    def _run(
        self,
        argv: Sequence[str],
        timeout: float,
        stdin: bytes,
        on_output: Callable[[bytes], None] | None,
    ) -> ExecResult:
        return self.exec(argv, timeout=timeout, stdin=stdin, on_output=on_output)


@pytest.mark.parametrize("kind", [FolderSandbox, PlainFolder])
def test_a_folder_keeps_the_contract(
    kind: type[FolderSandbox | PlainFolder], tmp_path: Path
) -> None:
    check_sandbox(kind(tmp_path))


@pytest.mark.parametrize(
    "path", ["-n", "--help", "$(touch injected)", "a'b\"c", "x;touch injected"]
)
def test_a_path_is_never_an_option_nor_a_command(path: str, tmp_path: Path) -> None:
    folder = PlainFolder(tmp_path)

    folder.write(path, b"content")

    assert folder.read(path) == b"content"
    assert [file.name for file in tmp_path.iterdir()] == [path]


def test_a_full_disk_leaves_the_old_content_and_no_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    def full(
        argv: Sequence[str],
        timeout: float,
        stdin: bytes,
        on_output: Callable[[bytes], None] | None,
    ) -> ExecResult:
        shell, flag, script, *arguments = argv
        limited = [shell, flag, f"ulimit -f 1; trap '' XFSZ\n{script}", *arguments]
        return FolderSandbox(tmp_path).exec(limited, timeout=timeout, stdin=stdin)

    with pytest.raises(OSError, match="file") as refused:
        plain.write(full, "file", b"x" * 100_000)

    assert refused.value.errno == errno.ENOSPC
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "old")]
