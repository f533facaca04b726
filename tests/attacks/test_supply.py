"""A12, A13, A81, A82, A84, A86: an engine, an image, a package or a program that is not the one it seems to be."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import pytest
from docker import APIClient

from tests.attacks.oracles import holding
from tests.attacks.scene import DONE, EDITING, Scene, hostile
from tests.program import Finished
from tests.servers.models import serving
from tiny_backspace.sandbox import image

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scheme", ["tcp", "ssh"])
def test_a12_an_engine_on_another_machine_is_refused_and_told_nothing(
    tmp_path: Path, scheme: str
) -> None:
    """Expected: refused; no trace of the token sent."""
    with serving(lambda _: DONE) as elsewhere:
        host = {"DOCKER_HOST": elsewhere.url.replace("http", scheme)}
        with hostile(tmp_path, environment=host) as scene, holding(scene):
            done = scene.run()

        assert (done.exit_code, elsewhere.raw, scene.models.raw) == (2, [], [])


# What the engine is asked for, and what an engine that ignores it does; of the same length, as the body's is told.
IGNORED = {
    "the number of processes": (b'"PidsLimit": 512', b'"PidsLimit": 0  '),
    "the read-only root": (b'"ReadonlyRootfs": true', b'"ReadonlyRootfs":false'),
    "the capabilities": (b'"CapDrop": ["ALL"]', b'"CapDrop": []     '),
    "new privileges": (b'"no-new-privileges", ', b"                     "),
}


@pytest.mark.parametrize("what", IGNORED)
def test_a13_an_engine_that_ignores_what_it_is_asked_is_not_used(scene: Scene, what: str) -> None:
    """Expected: the run fails as `sandbox_unverified`."""
    wanted, given = IGNORED[what]
    assert len(wanted) == len(given)
    changed: list[str] = []

    def ignoring(path: str, body: bytes) -> bytes:
        if wanted in body:
            changed.append(path)
        return body.replace(wanted, given)

    scene.tap.change = ignoring
    done = scene.run()

    assert changed == ["/containers/create"]
    assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox_unverified")
    assert scene.models.raw == []


def test_a81_an_image_that_is_not_here_is_not_fetched(scene: Scene) -> None:
    """Expected: no pull (the oracle); the error names a way."""
    done = scene.run("--image", "squatted/tiny-backspace-sandbox:latest")

    assert (done.exit_code, scene.models.raw) == (4, [])
    assert "never pulls" in done.lines[-1]["hint"]
    assert scene.tap.of("/containers/create") == []


# The base's name is part of the image's; nobody else's runs look for the image on this one.
BASE = "tiny-backspace-base:attacked"


@contextmanager
def two_images() -> Generator[Callable[[Literal["ours", "theirs"]], None]]:
    """Gives the name of the image on `BASE` to `ours` or to `theirs`, which is like it in all but a label."""
    name, _, version = image.content_tag(BASE, image.context_dir()).partition(":")
    with closing(APIClient("unix:///var/run/docker.sock", version="auto")) as api:
        ours = image.ensure(api, emit=lambda _: None)
        made = api.create_container(ours, ["true"])["Id"]
        theirs = api.commit(made, changes=["LABEL swapped=1"])["Id"]
        api.remove_container(made)

        def give(who: Literal["ours", "theirs"]) -> None:
            api.tag(ours if who == "ours" else theirs, name, version)

        try:
            yield give
        finally:
            api.remove_image(f"{name}:{version}")
            api.remove_image(theirs)


def test_a82_an_image_that_took_the_name_of_ours_is_not_used(tmp_path: Path) -> None:
    """Expected: refused, as its ID is not the one that is known."""
    on_base = {"TINY_BACKSPACE_BASE_IMAGE": BASE}
    with two_images() as give, hostile(tmp_path, environment=on_base) as scene, holding(scene):
        scene.answer = EDITING
        give("ours")
        assert scene.run().exit_code == 0
        asked = len(scene.models.raw)

        give("theirs")
        done = scene.run()
        doctor = scene.command("doctor")

        assert (done.exit_code, done.lines[-1]["error"]) == (4, "sandbox_unverified")
        assert "tiny-backspace image build" in done.lines[-1]["hint"]
        assert len(scene.models.raw) == asked
        assert "is not the one your runs used first" in doctor.stdout
        give("ours")
        assert scene.run().exit_code == 0


def lock() -> dict[str, str]:
    """Name to what is locked of it."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {re.split(r"[=<>;\[ ]", line)[0]: line for line in lines}


def test_a84_what_is_installed_is_pinned_by_version_and_hash() -> None:
    """Expected: a hash-locked install."""
    assert "--require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text()
    locked = lock()
    for name, line in locked.items():
        assert re.search(rf"^{re.escape(name)}(\[[^]]*\])?==", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    assert {re.split(r"[=<>;\[ ]", each)[0] for each in wanted} <= set(locked)


def test_a84_a_package_that_is_not_the_one_that_was_locked_is_not_installed(tmp_path: Path) -> None:
    """Expected: fails on drift."""
    wheel = tmp_path / "drifted-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("drifted.py", "")
        made.writestr("drifted-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: drifted\nVersion: 1.0\n")  # fmt: skip
        made.writestr("drifted-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")  # fmt: skip
        made.writestr("drifted-1.0.dist-info/RECORD", "")

    def installed(digest: str) -> int:
        (tmp_path / "lock").write_text(f"drifted==1.0 --hash=sha256:{digest}\n")
        return subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--find-links", str(tmp_path),
             "--disable-pip-version-check", "--no-deps", "--target", str(tmp_path / "to"), "--require-hashes", "-r", str(tmp_path / "lock")],
            capture_output=True, check=False,
        ).returncode  # fmt: skip

    assert installed("0" * 64) == 1
    assert not (tmp_path / "to").exists()
    assert installed(hashlib.sha256(wheel.read_bytes()).hexdigest()) == 0


PROGRAMS = ("git", "gh", "docker", "sh", "ssh", "env", "python3", "rg")
MODULES = ("docker", "anthropic", "httpx2", "json", "typing", "typer", "rich", "tiny_backspace", "sitecustomize")  # fmt: skip


def test_a86_nothing_of_the_current_folder_is_run_or_imported(tmp_path: Path) -> None:
    """Expected: an absolute path, no module from there; also where PATH has a point in it.

    The program as it is installed: `python -m` puts the current folder first, by Python's own rule.
    """
    with hostile(tmp_path) as scene:
        here = tmp_path / "here"
        here.mkdir()
        for name in PROGRAMS:
            (here / name).write_text(f"#!/bin/sh\ntouch {scene.pwned}\n")
            (here / name).chmod(0o755)
        for name in MODULES:
            (here / f"{name}.py").write_text(f"open({str(scene.pwned)!r}, 'w')\n")
        with holding(scene):
            scene.answer = EDITING
            env = scene.place.program.env
            done = subprocess.run(
                [Path(sys.executable).with_name("tiny-backspace"), "run", "owner/project", "x", "--agents", "claude"],
                cwd=here, env={**env, "PATH": f".:{env['PATH']}"}, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            scene.finished.append(Finished(done.returncode, done.stdout, done.stderr))
            assert done.returncode == 0, done.stderr
