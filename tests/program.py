"""The installed program, run as a user runs it: its own process, its own folders, real streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "tiny_backspace")


@dataclass(frozen=True)
class Finished:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == kind]


@dataclass(frozen=True)
class Program:
    """`home` holds its state, cache and configuration; `environment` is all it sees besides PATH."""

    home: Path
    environment: Mapping[str, str]

    @property
    def env(self) -> dict[str, str]:
        folders = {
            f"XDG_{n}_HOME": str(self.home / n.lower()) for n in ("STATE", "CACHE", "CONFIG")
        }
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), **folders, **self.environment}

    def start(self, *args: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=self.env, cwd=cwd or self.home,
        )  # fmt: skip

    def run(self, *args: str, stdin: str = "", cwd: Path | None = None) -> Finished:
        done = subprocess.run(
            [*COMMAND, *args],
            input=stdin, capture_output=True, text=True, env=self.env, cwd=cwd or self.home,
            timeout=100, check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout, done.stderr)

    @property
    def state(self) -> Path:
        return self.home / "state" / "tiny-backspace"


def git(folder: Path, *args: str) -> str:
    """Plain git as a user has it, for setting up and for looking at what came of it."""
    identity = [
        f"GIT_{r}_{p}=t@example.org" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")
    ]
    env = dict(e.split("=", 1) for e in identity)
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *args],
        cwd=folder, capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **env},
    )  # fmt: skip
    return done.stdout.strip()


def make_repository(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A repository with one commit on `main`."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def snapshot(folder: Path, *, leaving_out: Sequence[str] = ()) -> dict[str, bytes]:
    """Every file below a folder with its content, `.git` included: what must not have changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(name.startswith(prefix) for prefix in leaving_out):
            found[name] = path.read_bytes()
    return found
