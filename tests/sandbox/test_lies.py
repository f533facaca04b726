"""A file session that does not keep to its protocol: whoever has the server's uid can write into its pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.serving import PATIENCE, Served, serving
from tiny_backspace.errors import SandboxLost

RUN = {"op": "run", "argv": ["true"], "timeout": PATIENCE}
LIAR = """
import sys, time
out = sys.stdout.buffer
out.write(b"H" + bytes(3) + b"\x011")
out.flush()
sys.stdin.buffer.read(1)
out.write(open("lie", "rb").read())
out.flush()
time.sleep(60)
"""
RIGHT = b'{"exit_code": 0, "timed_out": false}'


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload


LIES = {
    "an unknown frame": frame(b"?") + frame(b"X", RIGHT),
    "a second hello": frame(b"H") + frame(b"X", RIGHT),
    "an immense frame": b"1\xff\xff\xff\xff",
    "no JSON": frame(b"X", b"none"),
    "no text": frame(b"X", b"\xff\xfe\xfd"),
    "deep JSON": frame(b"X", b"[" * (1 << 17)),
    "no object": frame(b"X", b"[]"),
    "nothing in it": frame(b"X", b"{}"),
    "words for numbers": frame(b"X", b'{"exit_code": "0", "timed_out": "false"}'),
    "a strange error": frame(b"X", b'{"errno": "x"}'),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def liar(folder: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server that answers its first request with these bytes."""
    (folder / "lie").write_bytes(request.param)
    with serving(folder, [sys.executable, "-c", LIAR]) as served:
        yield served


@pytest.mark.parametrize("liar", LIES.values(), ids=LIES, indirect=True)
def test_an_answer_that_is_none_is_a_lost_sandbox(liar: Served) -> None:
    with pytest.raises(SandboxLost, match="does not keep to its protocol"):
        liar.session.request(RUN, timeout=PATIENCE)
    assert not liar.session.alive()


@pytest.mark.parametrize("liar", [frame(b"X", RIGHT) * 2], ids=["twice"], indirect=True)
def test_an_answer_nobody_asked_for_is_not_taken_for_the_next_one(liar: Served) -> None:
    assert liar.session.request(RUN, timeout=PATIENCE)["exit_code"] == 0
    assert not liar.session.alive()


@pytest.mark.parametrize("words", ["OCI runtime exec failed: no python3", "X"])
def test_words_instead_of_a_greeting_are_no_server(folder: Path, words: str) -> None:
    with pytest.raises(SandboxLost), serving(folder, ["printf", words]):
        pass


@pytest.mark.parametrize("number", [b"", b"x", b"-1", b"1" * 11])
def test_a_greeting_without_a_process_number_is_no_server(folder: Path, number: bytes) -> None:
    (folder / "lie").write_bytes(frame(b"H", number))
    with (
        pytest.raises(SandboxLost, match="does not keep to its protocol"),
        serving(folder, ["cat", "lie"]),
    ):
        pass
