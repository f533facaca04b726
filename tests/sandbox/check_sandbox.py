"""What every sandbox does, the fakes as well as the real one. Called in an empty work tree; leaves files there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Protocol

import pytest

from tiny_backspace.sandbox.interface import ExecResult, OnOutput, Sandbox, Stdin

EVERY_BYTE = bytes(range(256)) * 1000 + b"\r\n\xff\x00"


class Verb(Protocol):
    """`exec` or `call`: where they do the same, both are asked."""

    def __call__(
        self,
        argv: list[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult: ...


def check_sandbox(sandbox: Sandbox) -> None:
    for verb in (sandbox.exec, sandbox.call):
        for check in (outcomes, input_arrives, output_is_handed_over, time_is_up):
            check(verb)
    for look in (reading, what_cannot_be_read, writing, modes_and_links, what_cannot_be_written):
        look(sandbox)


def outcomes(run: Verb) -> None:
    assert run(["true"]) == ExecResult(0)
    said = run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert said == ExecResult(7, b"out\n", b"err\n")
    assert not said.ok
    assert run(["printf", "%s|", "two words", "$HOME", "*", ""]).stdout == b"two words|$HOME|*||"
    unknown = run(["no-such-program-at-all"])
    assert (unknown.exit_code, unknown.stdout) == (127, b"")
    assert b"no-such-program-at-all" in unknown.stderr
    assert not run(["sh", "-c", "kill -9 $$"]).ok


def input_arrives(run: Verb) -> None:
    def pieces() -> Iterator[bytes]:
        yield b""
        yield from (bytes([byte]) for byte in b"one at a time")
        yield EVERY_BYTE

    assert run(["cat"]) == ExecResult(0)
    assert run(["cat"], stdin=EVERY_BYTE) == ExecResult(0, EVERY_BYTE)
    assert run(["cat"], stdin=pieces()).stdout == b"one at a time" + EVERY_BYTE
    assert run(["cat"], stdin=[]) == ExecResult(0)
    assert run(["head", "-c1"], stdin=repeat(b"x" * 4096, 1000)) == ExecResult(0, b"x")


def output_is_handed_over(run: Verb) -> None:
    pieces: list[bytes] = []
    result = run(["sh", "-c", "cat; echo err >&2"], stdin=EVERY_BYTE, on_output=pieces.append)
    assert result == ExecResult(0, b"", b"err\n")
    assert b"".join(pieces) == EVERY_BYTE


def time_is_up(run: Verb) -> None:
    late = run(["sleep", "60"], timeout=0.3)
    assert late.timed_out
    assert not late.ok
    assert run(["echo", "next"]).stdout == b"next\n"


def reading(sandbox: Sandbox) -> None:
    assert sandbox.call(["sh", "-c", "printf 0123456789 >'read me'; : >empty"]).ok
    here = sandbox.call(["pwd"]).stdout.decode().strip()
    assert sandbox.read("read me") == b"0123456789"
    assert sandbox.read(f"{here}/read me") == b"0123456789"
    assert sandbox.read("read me", limit=4) == b"0123"
    assert sandbox.read("read me", limit=0) == b""
    assert sandbox.read("empty") == b""
    assert sandbox.call(["ln", "-s", "read me", "link"]).ok
    assert sandbox.read("link") == b"0123456789"


def what_cannot_be_read(sandbox: Sandbox) -> None:
    assert sandbox.call(["sh", "-c", "mkdir folder; mkfifo fifo; ln -s nowhere dangling"]).ok
    with pytest.raises(FileNotFoundError) as missing:
        sandbox.read("missing")
    assert "missing" in str(missing.value.filename)
    with pytest.raises(FileNotFoundError):
        sandbox.read("dangling")
    with pytest.raises(IsADirectoryError):
        sandbox.read("folder")
    for never_ending in ("fifo", "/dev/zero"):
        with pytest.raises(OSError, match=r"(?i)not a regular file|invalid argument"):
            sandbox.read(never_ending)


def writing(sandbox: Sandbox) -> None:
    for data in (EVERY_BYTE, b"shorter", b""):
        sandbox.write("new/deep er/-file", data)
        assert sandbox.read("new/deep er/-file") == data
    assert sandbox.call(["sh", "-c", "ls -A 'new/deep er'"]).stdout == b"-file\n"
    assert mode(sandbox, "new/deep er/-file") == "644"


def modes_and_links(sandbox: Sandbox) -> None:
    make = (
        "echo old >run.sh; chmod 751 run.sh; mkdir far; ln -s ../run.sh far/link; ln -s born unborn"
    )
    assert sandbox.call(["sh", "-c", make]).ok
    sandbox.write("far/link", b"through")
    sandbox.write("unborn", b"through")
    assert sandbox.read("run.sh") == b"through"
    assert mode(sandbox, "run.sh") == "751"
    assert sandbox.read("born") == b"through"
    links = sandbox.call(["readlink", "far/link", "unborn"]).stdout
    assert links == b"../run.sh\nborn\n"


def what_cannot_be_written(sandbox: Sandbox) -> None:
    assert sandbox.call(["sh", "-c", "mkdir full; echo x >plain; echo x >full/kept"]).ok
    with pytest.raises(IsADirectoryError):
        sandbox.write("full", b"no")
    with pytest.raises(OSError, match="plain"):
        sandbox.write("plain/under", b"no")
    assert sandbox.call(["ls", "-A", "full", "plain"]).stdout == b"plain\n\nfull:\nkept\n"
    assert sandbox.read("plain") == b"x\n"


def mode(sandbox: Sandbox, path: str) -> str:
    return sandbox.call(["stat", "-c", "%a", "--", path]).stdout.decode().strip()
