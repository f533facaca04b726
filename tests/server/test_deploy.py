"""The files that start the service elsewhere say what the service knows."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML

from tests.program import Program

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "deploy" / "tiny-backspace.service").read_text("utf-8")
COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text("utf-8")
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


def pins(path: Path) -> set[tuple[str, str]]:
    return set(PIN.findall(path.read_text("utf-8")))


def test_both_start_it_with_keys_out_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    keys = tmp_path / "keys.env"
    keys.write_text("TINY_BACKSPACE_MAX_TURNS=none\n")
    (started,) = re.findall(r"^ExecStart=\S+/tiny-backspace (.*)$", UNIT, re.MULTILINE)
    command = YAML(typ="safe").load(COMPOSE)["services"]["tiny-backspace"]["command"]
    for words in (started.split(), command):
        told = [str(keys) if word.endswith("/keys.env") else word for word in words]
        done = Program(tmp_path / "home", {}).run(*told)
        assert done.exit_code == 2
        assert f"TINY_BACKSPACE_MAX_TURNS in {keys}" in done.stderr


def test_no_key_and_no_default_socket_stands_in_them() -> None:
    service = YAML(typ="safe").load(COMPOSE)["services"]["tiny-backspace"]
    assert service["volumes"][0]["source"].startswith("${ENGINE_SOCKET:?")
    assert service["ports"] == ["127.0.0.1:${PORT:-8321}:8321"]
    for text in (UNIT, COMPOSE):
        assert "/var/run/docker.sock" not in text
        assert not re.search(r"(KEY|TOKEN)=\S", text)


def test_its_image_has_the_versions_that_were_tested() -> None:
    ours, its = pins(ROOT / "requirements.lock"), pins(ROOT / "deploy" / "requirements.lock")
    assert {"fastapi", "uvicorn", "docker"} <= {name for name, _ in its}
    assert its <= ours


def test_systemd_waits_longer_than_runs_are_given() -> None:
    assert "KillMode=mixed" in UNIT
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert int(seconds) > 30 + 5
