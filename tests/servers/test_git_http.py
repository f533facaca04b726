"""The git server of the tests serves real git."""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
import threading
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers.git_faults import Cut, Fault, Held, Moved, Words, either, hook, on
from tests.servers.git_http import GitServer, git_server

TOKEN = "open-sesame"
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "LC_ALL": "C",
}


def git(*argv: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *map(str, argv)], env=ENVIRONMENT, capture_output=True, text=True, check=check
    )


def authorized(token: str) -> str:
    value = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return f"http.extraHeader=Authorization: Basic {value}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`owner/name.git` with one file, in a folder to be served."""
    served = tmp_path / "served"
    work = tmp_path / "work"
    git("init", "-q", "-b", "main", work)
    (work / "hello.txt").write_text("hello\n")
    git("-C", work, "add", ".")
    git("-C", work, "commit", "-q", "-m", "First")
    git("clone", "-q", "--bare", work, served / "owner/name.git")
    return served


@pytest.mark.parametrize("version", ["0", "2"])
def test_a_repository_is_cloned_by_either_protocol(
    folder: Path, tmp_path: Path, version: str
) -> None:
    with git_server(folder) as server:
        url = f"{server.url}/owner/name.git"
        git("-c", f"protocol.version={version}", "clone", "-q", url, tmp_path / "clone")
    assert (tmp_path / "clone/hello.txt").read_text() == "hello\n"
    assert server.asked[0].path == "/owner/name.git/info/refs?service=git-upload-pack"
    assert {asked.method for asked in server.asked} == {"GET", "POST"}
    assert not any(asked.authorization for asked in server.asked)


def test_nobody_enters_without_the_token(folder: Path, tmp_path: Path) -> None:
    with git_server(folder, token=TOKEN) as server:
        url = f"{server.url}/owner/name.git"
        without = git("clone", "-q", url, tmp_path / "clone", check=False)
        wrong = git("-c", authorized("guess"), "clone", "-q", url, tmp_path / "clone", check=False)
        nonsense = "http.extraHeader=Authorization: Basic %%%"
        strange = git("-c", nonsense, "clone", "-q", url, tmp_path / "clone", check=False)
    assert "could not read Username" in without.stderr
    assert [result.returncode for result in (without, wrong, strange)] == [128, 128, 128]
    assert not (tmp_path / "clone").exists()
    assert [asked.authorization for asked in server.asked] == [False, True, True]


def test_a_request_without_the_token_is_answered_with_401(folder: Path) -> None:
    with git_server(folder, token=TOKEN) as server:
        connection = HTTPConnection(urlsplit(server.url).netloc)
        connection.request("GET", "/owner/name.git/HEAD")
        answer = connection.getresponse()
        answer.read()
        connection.close()
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="git"'


def test_the_token_opens_fetching_and_pushing(folder: Path, tmp_path: Path) -> None:
    with git_server(folder, token=TOKEN) as server:
        url = f"{server.url}/owner/name.git"
        clone = tmp_path / "clone"
        git("-c", authorized(TOKEN), "clone", "-q", url, clone)
        git("-C", clone, "-c", authorized(TOKEN), "push", "-q", "origin", "HEAD:refs/heads/new")
    assert all(asked.authorization for asked in server.asked)
    refs = git("-C", folder / "owner/name.git", "for-each-ref", "--format=%(refname)").stdout
    assert refs.split() == ["refs/heads/main", "refs/heads/new"]


def test_a_compressed_request_of_protocol_two_is_understood(folder: Path) -> None:
    question = b"0014command=ls-refs\n0001001bref-prefix refs/heads/\n0000"
    with git_server(folder) as server:
        connection = HTTPConnection(urlsplit(server.url).netloc)
        headers = {
            "Git-Protocol": "version=2",
            "Content-Encoding": "gzip",
            "Content-Type": "application/x-git-upload-pack-request",
        }
        path = "/owner/name.git/git-upload-pack"
        connection.request("POST", path, gzip.compress(question), headers)
        answer = connection.getresponse().read()
        connection.close()
    tip = git("-C", folder / "owner/name.git", "rev-parse", "main").stdout.strip()
    assert answer == f"003d{tip} refs/heads/main\n0000".encode()


def test_a_repository_that_is_not_there_is_not_found(folder: Path, tmp_path: Path) -> None:
    with git_server(folder) as server:
        result = git("clone", f"{server.url}/owner/other.git", tmp_path / "clone", check=False)
    assert result.returncode == 128
    assert "not found" in result.stderr


def test_when_the_block_ends_nobody_listens(folder: Path) -> None:
    with git_server(folder) as server:
        pass
    connection = HTTPConnection(urlsplit(server.url).netloc)
    with pytest.raises(ConnectionRefusedError):
        connection.connect()


def push(folder: Path, server: GitServer, tmp_path: Path, *options: str) -> tuple[int, str]:
    """A new branch from a fresh clone: the exit code and what git complained of."""
    clone = tmp_path / "clone"
    git("clone", "-q", folder / "owner/name.git", clone)
    git("-C", clone, "commit", "-q", "--allow-empty", "-m", "Second")
    url = f"{server.url}/owner/name.git"
    done = git("-C", clone, *options, "push", url, "HEAD:refs/heads/new", check=False)
    return done.returncode, done.stderr


def has_new(folder: Path) -> bool:
    refs = git("-C", folder / "owner/name.git", "for-each-ref", "--format=%(refname)").stdout
    return "refs/heads/new" in refs.split()


def test_a_token_for_reading_fetches_and_does_not_push(folder: Path, tmp_path: Path) -> None:
    with git_server(folder, token=TOKEN, reader="read") as server:
        url = f"{server.url}/owner/name.git"
        git("-c", authorized("read"), "ls-remote", url)
        code, said = push(folder, server, tmp_path, "-c", authorized("read"))
        none = git("ls-remote", url, check=False)
    assert code == 128
    assert "remote: Write access to repository not granted." in said
    assert "returned error: 403" in said
    assert "could not read Username" in none.stderr
    assert not has_new(folder)


@pytest.mark.parametrize(
    ("fault", "arrives", "says"),
    [
        (Cut(done=False), False, "hung up"),
        (Cut(done=False, read=50), False, "hung up"),
        (Cut(done=True), True, "hung up"),
        (Words(500, "a bad day"), False, "500"),
        (Moved("http://127.0.0.1:1"), False, "302"),
    ],
)
def test_a_fault_happens_once_and_only_where_it_is_wanted(
    folder: Path, tmp_path: Path, fault: Fault, arrives: bool, says: str
) -> None:
    options = ("-c", "http.followRedirects=false")
    with git_server(folder, fault=on("POST", "git-receive-pack", fault)) as server:
        code, said = push(folder, server, tmp_path, *options)
        assert code != 0
        assert says in said
        assert has_new(folder) == arrives
        url = f"{server.url}/owner/name.git"
        git("-C", tmp_path / "clone", *options, "push", "-q", url, "HEAD:refs/heads/new")
    assert has_new(folder)


def test_a_request_is_held_until_it_may_go_on(folder: Path, tmp_path: Path) -> None:
    held = Held()
    faults = either(on("POST", "elsewhere", Words(500)), on("POST", "git-receive-pack", held))
    with git_server(folder, fault=faults) as server:
        results: list[tuple[int, str]] = []
        pushing = threading.Thread(target=lambda: results.append(push(folder, server, tmp_path)))
        pushing.start()
        assert held.reached.wait(20)
        assert not has_new(folder)
        held.go_on.set()
        pushing.join()
    assert results[0][0] == 0
    assert has_new(folder)


def test_a_hook_has_the_last_word(folder: Path, tmp_path: Path) -> None:
    hook(folder / "owner/name.git", "pre-receive", "echo not on my watch >&2; exit 1")
    with git_server(folder) as server:
        code, said = push(folder, server, tmp_path)
    assert code == 1
    assert "remote: not on my watch" in said
    assert not has_new(folder)


def test_a_push_too_large_for_one_piece_arrives(folder: Path, tmp_path: Path) -> None:
    clone, data = tmp_path / "large", os.urandom(3 << 20)
    git("clone", "-q", folder / "owner/name.git", clone)
    (clone / "large.bin").write_bytes(data)
    git("-C", clone, "add", ".")
    git("-C", clone, "commit", "-q", "-m", "Large")
    with git_server(folder) as server:
        url = f"{server.url}/owner/name.git"
        git("-C", clone, "push", "-q", url, "HEAD:refs/heads/new")
    assert has_new(folder)
    size = git("-C", folder / "owner/name.git", "cat-file", "-s", "new:large.bin").stdout
    assert int(size) == len(data)
