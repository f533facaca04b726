"""The built package: a wheel in an empty environment, every dependency held against its hash, runs by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tiny_backspace import __version__
from tiny_backspace.sandbox import image

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def ran(*argv: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")
    } | environment
    done = subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    ran(
        UV,
        "build",
        "--quiet",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        folder,
        ROOT,
        cwd=folder,
    )
    return folder


def test_the_wheel_has_what_the_image_is_built_from_and_nothing_that_it_needs_not(
    built: Path,
) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    context = {
        p.relative_to(ROOT / "sandbox-image").as_posix()
        for p in (ROOT / "sandbox-image").rglob("*")
        if p.is_file()
    }

    assert {f"tiny_backspace/sandbox/context/{name}" for name in context} <= names
    assert {"tiny_backspace/sandbox/seccomp.json", "tiny_backspace/agent/system.md"} <= names
    assert not any(name.startswith(("tests/", "docs/")) or "__pycache__" in name for name in names)
    assert len(list(built.glob("*.tar.gz"))) == 1


@pytest.mark.timeout(300)
def test_installed_with_its_hashes_it_runs_the_demonstration_outside_of_the_checkout(
    built: Path, tmp_path: Path
) -> None:
    (wheel,) = built.glob("*.whl")
    python = tmp_path / "venv" / "bin" / "python"
    ran(UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path)
    ran(
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--require-hashes",
        "-r",
        ROOT / "requirements.lock",
        cwd=tmp_path,
    )
    ran(UV, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel, cwd=tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    folders = {f"XDG_{n}_HOME": str(home / n.lower()) for n in ("STATE", "CACHE", "CONFIG")}
    program = python.with_name("tiny-backspace")

    version = ran(program, "--version", cwd=home, HOME=str(home), **folders)
    assert version.stdout == f"tiny-backspace {__version__}\n"
    where = ran(python, "-c", "import tiny_backspace; print(tiny_backspace.__file__)", cwd=home)
    assert str(tmp_path) in where.stdout
    demo = ran(program, "demo", cwd=home, HOME=str(home), **folders)
    assert "+hello! This is a very small API" in demo.stdout


def test_the_packaged_context_makes_the_same_image_as_the_checkouts(
    built: Path, tmp_path: Path
) -> None:
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    packaged = tmp_path / "tiny_backspace" / "sandbox" / "context"
    for path in packaged.rglob("*"):  # a wheel's own installers keep the modes; zipfile does not
        ours = ROOT / "sandbox-image" / path.relative_to(packaged)
        path.chmod(ours.stat().st_mode)

    assert image.content_tag("b", packaged) == image.content_tag("b", ROOT / "sandbox-image")
