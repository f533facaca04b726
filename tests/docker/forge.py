"""A GitHub on this machine for whole runs: its API, its git server, and the program that may use both."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from tests.program import Finished, Program, git, make_repository
from tests.servers.git_faults import Decide, no_fault
from tests.servers.git_http import GitServer, git_server
from tests.servers.github import GitHubServer, github_server
from tests.servers.github_faults import Asked
from tests.servers.github_state import FINE_GRAINED, Pull, Repo, Token
from tiny_backspace.repo.environment import Credential

FILES = {
    "README.md": "helo! A small project.\n",
    "app.py": 'print("helo")\n',
    ".gitignore": "*.log\n",
}
PROMPT = "replace 'helo' with 'hello' in README.md"


@dataclass(frozen=True)
class Place:
    """`work` is a clone of `bare`, which is behind the git server; `repo` is what the API knows of it."""

    folder: Path
    token: Token
    git: GitServer
    api: GitHubServer
    repo: Repo
    bare: Path
    work: Path
    program: Program

    def run(self, *args: str, cwd: Path | None = None) -> Finished:
        return self.program.run(*args, cwd=cwd)

    def asked(self, *flags: str, prompt: str = PROMPT, repo: str = "owner/project") -> Finished:
        """A run on the repository, told in JSON lines."""
        return self.run("run", repo, prompt, *flags, "-o", "jsonl", cwd=self.work)

    @property
    def branches(self) -> list[str]:
        listed = git(self.bare, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
        return listed.split()

    @property
    def new(self) -> list[str]:
        """The branches besides main."""
        return [name for name in self.branches if name != "main"]

    @property
    def pull(self) -> Pull:
        """The only pull request there is."""
        (only,) = self.repo.pulls
        return only

    @property
    def calls(self) -> list[str]:
        """What the API was asked for."""
        return [f"{each.method} {each.path}" for each in self.api.requests]

    @property
    def packs(self) -> int:
        """How often something was pushed."""
        return sum(a.method == "POST" and "git-receive-pack" in a.path for a in self.git.asked)

    def at(self, branch: str, path: str) -> str:
        return git(self.bare, "show", f"{branch}:{path}")


@contextmanager
def github(
    folder: Path,
    *,
    token: Token = FINE_GRAINED,
    files: Mapping[str, str | bytes] = FILES,
    source: Path | None = None,
    environment: Mapping[str, str] | None = None,
    reads: bool = False,
    public: bool = False,
    name: str = "owner/project",
    fault: Decide = no_fault,
) -> Generator[Place]:
    """`name` on it, with one commit on main; or a copy of `source`, whatever that is.

    With `reads` the token may only read there, says the git server alone; with `public` it asks for none.
    """
    work = source or make_repository(folder / "work", files)
    bare = folder / "git" / f"{name}.git"
    bare.parent.mkdir(parents=True)
    git(folder, "clone", "-q", "--bare", str(work), str(bare))
    default = git(bare, "symbolic-ref", "--short", "HEAD")
    repo = Repo(name, default_branch=default, git_folder=bare)
    good = None if public or reads else token.value
    reader = token.value if reads else None
    with (
        git_server(folder / "git", token=good, reader=reader, fault=fault) as served,
        github_server([repo], token=token, web_url=served.url) as api,
    ):
        git(work, "remote", "add", "origin", f"{served.url}/{name}.git")
        settings = {
            "TINY_BACKSPACE_GITHUB_URL": served.url,
            "TINY_BACKSPACE_GITHUB_API_URL": api.api_url,
            "GITHUB_TOKEN": token.value,
            "PATH": f"{_nobody_logged_in(folder / 'bin')}:{os.environ['PATH']}",
        }
        home = folder / "home"
        home.mkdir()
        program = Program(home, {**settings, **(environment or {})})
        yield Place(folder, token, served, api, repo, bare, work, program)


def _nobody_logged_in(folder: Path) -> Path:
    """A `gh` that has no token, whoever runs the tests."""
    folder.mkdir()
    (folder / "gh").write_text("#!/bin/sh\nexit 1\n")
    (folder / "gh").chmod(0o755)
    return folder


@dataclass
class Watch:
    """Looks for a token from outside whenever one of the servers is asked: the run waits meanwhile.

    `seen` says where it was and may not be; `children` and `containers` are how many were looked at
    that had it in their environment, as they may, and that must not have it. `gits` holds what every
    git was started with, arguments and environment, each in a file of its own.
    """

    token: Token
    folders: tuple[Path, ...]
    gits: Path
    seen: list[str] = field(default_factory=list)
    children: int = 0
    containers: int = 0

    @property
    def forms(self) -> tuple[str, ...]:
        return Credential("x/", SecretStr(self.token.value)).forms

    def at_git(self, _method: str, _path: str) -> None:
        self.look()

    def at_api(self, _: Asked) -> None:
        self.look()

    def stand_before_git(self, folder: Path) -> None:
        """A `git` in that folder of the PATH that writes down what it was started with, and becomes git."""
        self.gits.mkdir()
        told = f"{{ printf '%s\\n' \"$@\"; env; }} >$(mktemp {self.gits}/XXXXXXXX)"
        script = folder / "git"
        script.write_text(f'#!/bin/sh\n{told}\nexec {shutil.which("git")} "$@"\n')
        script.chmod(0o755)

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            argv, environ = (_read(process / name) for name in ("cmdline", "environ"))
            if self.holds(argv):
                self.seen.append(f"the arguments of {argv!r}")
            if self.holds(environ) and b"-m\0tiny_backspace" not in argv:
                self.children += 1
                fetches = any(b"\0http://127.0.0.1" in above for above in _line(process.name))
                if not fetches and _read(process / "environ"):  # it has not ended meanwhile
                    self.seen.append(f"the environment of {argv!r}")
        for path in self.gits.iterdir():
            if self.holds(told := _read(path)) and b"\nhttp://127.0.0.1" not in told:
                self.seen.append(f"the environment of git {told.split(b'HOME=')[0]!r}")
        for path in self.files():
            if self.holds(_read(path)):
                self.seen.append(str(path))
        inspected = _inspected(next(iter(self.folders)))
        self.containers += inspected.count('"HostConfig"')
        if self.holds(inspected.encode()):
            self.seen.append("docker inspect")

    def holds(self, text: bytes) -> bool:
        return any(form.encode() in text for form in self.forms)

    def files(self) -> Iterator[Path]:
        for folder in self.folders:
            yield from (path for path in folder.rglob("*") if path.is_file())


def _line(pid: str) -> Iterator[bytes]:
    """The arguments of a process and of those it descends from, as long as they are there."""
    while pid not in {"", "0"}:
        yield _read(Path("/proc", pid, "cmdline"))
        stat = _read(Path("/proc", pid, "stat")).rpartition(b") ")[2].split()
        pid = stat[1].decode() if stat else ""


def _read(path: Path) -> bytes:
    with suppress(OSError):  # a process, or a file, may be gone by now, or be somebody else's
        return path.read_bytes()
    return b""


def _inspected(home: Path) -> str:
    """All that the engine tells of the containers of this home's runs."""
    owner = _read(home / "state" / "tiny-backspace" / "id").decode().strip()
    if not owner:
        return ""
    label = f"label=tiny-backspace.owner={owner}"
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--filter", label], capture_output=True, text=True, check=True
    ).stdout.split()
    found = subprocess.run(
        ["docker", "inspect", *listed], capture_output=True, text=True, check=False
    )
    return found.stdout if listed else ""
