"""A GitHub on this machine for whole runs: its API, its git server, and the program that may use both."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.program import Finished, Program, git, make_repository
from tests.servers.git_faults import Decide, no_fault
from tests.servers.git_http import GitServer, git_server
from tests.servers.github import GitHubServer, github_server
from tests.servers.github_state import FINE_GRAINED, Repo, Token

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

    @property
    def branches(self) -> list[str]:
        listed = git(self.bare, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
        return listed.split()

    def at(self, branch: str, path: str) -> str:
        return git(self.bare, "show", f"{branch}:{path}")


@contextmanager
def github(
    folder: Path,
    *,
    token: Token = FINE_GRAINED,
    files: Mapping[str, str | bytes] = FILES,
    environment: Mapping[str, str] | None = None,
    reader: str | None = None,
    fault: Decide = no_fault,
) -> Generator[Place]:
    """`owner/project` on it, with one commit on main."""
    work = make_repository(folder / "work", files)
    bare = folder / "git" / "owner" / "project.git"
    bare.parent.mkdir(parents=True)
    git(folder, "clone", "-q", "--bare", str(work), str(bare))
    repo = Repo("owner/project", git_folder=bare)
    with (
        git_server(folder / "git", token=token.value, reader=reader, fault=fault) as served,
        github_server([repo], token=token, web_url=served.url) as api,
    ):
        git(work, "remote", "add", "origin", f"{served.url}/owner/project.git")
        settings = {
            "TINY_BACKSPACE_GITHUB_URL": served.url,
            "TINY_BACKSPACE_GITHUB_API_URL": api.api_url,
            "GITHUB_TOKEN": token.value,
        }
        home = folder / "home"
        home.mkdir()
        program = Program(home, {**settings, **(environment or {})})
        yield Place(folder, token, served, api, repo, bare, work, program)
