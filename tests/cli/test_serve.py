"""`serve` as it is begun: where it may listen, what it says, and what it needs."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner, Result
from typing_extensions import override

from tests.program import Program
from tests.server.serving import serving
from tiny_backspace.cli import app
from tiny_backspace.errors import UsageError
from tiny_backspace.server.auth import hashed
from tiny_backspace.server.listening import check, is_loopback
from tiny_backspace.settings import config_file, load


def asked(home: Path, *args: str) -> Result:
    return CliRunner().invoke(
        app, ["serve", *args], env={"XDG_CONFIG_HOME": str(home), "XDG_STATE_HOME": str(home)}
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "10.0.0.1", "bot.example.org", ""])
def test_without_a_token_only_this_machine_is_listened_to(tmp_path: Path, host: str) -> None:
    error = asked(tmp_path, "--host", host).exception
    assert isinstance(error, UsageError)
    assert "Without a token" in str(error)
    assert error.hint
    assert "--new-token" in error.hint
    check(host, tokens=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert is_loopback(host)
    check(host, tokens=False)


def test_a_new_token_is_shown_once_with_what_belongs_into_the_settings(tmp_path: Path) -> None:
    done = asked(tmp_path, "--new-token", "ci")

    token = done.stdout.strip()
    assert re.fullmatch(r"tbs_[\w-]{43}", token)
    assert token not in done.stderr
    path = config_file({"XDG_CONFIG_HOME": str(tmp_path)})
    assert str(path) in done.stderr
    path.parent.mkdir(parents=True)
    path.write_text(done.stderr.partition("\n\n")[2])
    assert load({}, {}, path).server.tokens == {"ci": hashed(token)}


@pytest.mark.parametrize("name", ["a b", "", "x" * 65, "ä", 'a"b'])
def test_a_name_that_could_be_something_else_is_none(tmp_path: Path, name: str) -> None:
    error = asked(tmp_path, "--new-token", name).exception
    assert isinstance(error, UsageError)
    assert "token's name" in str(error)


def test_a_place_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = asked(tmp_path, "--port", str(port)).exception
    assert isinstance(error, UsageError)
    assert f"127.0.0.1:{port}" in str(error)
    assert "--port" in str(error.hint)


class _Without(importlib.abc.MetaPathFinder):
    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in ("fastapi", "uvicorn"):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def test_without_its_packages_it_says_how_to_get_them(tmp_path: Path) -> None:
    ours = [n for n in sys.modules if n.startswith(("fastapi", "uvicorn", "tiny_backspace.server"))]
    gone = {name: sys.modules.pop(name) for name in ours}
    without = _Without()
    sys.meta_path.insert(0, without)
    try:
        error = asked(tmp_path).exception
    finally:
        sys.meta_path.remove(without)
        for name in [n for n in sys.modules if n.startswith("tiny_backspace.server")]:
            del sys.modules[name]
        sys.modules.update(gone)
    assert isinstance(error, UsageError)
    assert "is not installed" in str(error)
    assert error.hint == "pip install 'tiny-backspace[server]'"


def test_it_says_where_it_listens_and_for_whom_and_ends_in_order(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    program = Program(tmp_path / "home", {})
    kept = hashed("x")
    with serving(program, settings=f'[server.tokens]\nci = "{kept}"') as served:
        assert served.ask("GET", "/livez").status == 200
        served.process.terminate()
        assert served.process.wait(30) == 0
    said = served.errors.read_text().splitlines()
    assert said[0].startswith(f"Serving at {served.url} ")
    assert said[1].startswith("Tokens: ci.")
    assert said[2:] == ["Ended: all runs are over."]
    assert kept not in "".join(said)
