"""The token for git: in the environment of the one child that needs it, and nowhere else at all."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.repo.hostgit import host_git
from tests.repo.served import Served, change, served
from tests.servers.git_faults import Held, Moved, Words, either, on
from tests.servers.git_http import git_server
from tiny_backspace.errors import ForgeError
from tiny_backspace.events import HostCommand
from tiny_backspace.redact import MASK
from tiny_backspace.repo.environment import Credential
from tiny_backspace.repo.git import TRANSFER
from tiny_backspace.repo.mirror import mirror_of
from tiny_backspace.repo.origin import remote_base
from tiny_backspace.repo.push import Pushed
from tiny_backspace.repo.remote import may_push
from tiny_backspace.repo.source import Remote

TOKEN = "canary-token-0123456789"
FORMS = (
    TOKEN,
    base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode(),
    base64.b64encode(TOKEN.encode()).decode(),
)


def holds(text: bytes) -> bool:
    return any(form.encode() in text for form in FORMS)


def descendants() -> dict[int, bytes]:
    """Our children and theirs, with their command lines."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(status[1])
            lines[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
    ours, size = {os.getpid()}, 0
    while len(ours) > size:
        size = len(ours)
        ours |= {pid for pid, parent in parents.items() if parent in ours}
    return {pid: lines[pid] for pid in ours - {os.getpid()}}


def environment(pid: int) -> bytes:
    """Empty of a process that has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def looked_at(place: Served, held: Held, act: Callable[[], object]) -> None:
    """Do it, and look around while the server makes git wait: who runs, and what the files hold."""
    acting = threading.Thread(target=act)
    acting.start()
    try:
        assert held.reached.wait(20)
        running = descendants()
        knowing = [pid for pid in running if holds(environment(pid))]
        files = [path for path in place.folder.rglob("*") if path.is_file()]
        assert any(b"remote-http" in running[pid] for pid in knowing)  # it is not searched in vain
        assert not any(holds(line) for line in running.values())
        assert len(files) > 20
        assert not any(holds(path.read_bytes()) for path in files)
    finally:
        held.go_on.set()
        acting.join()


def test_during_a_fetch_and_a_push_it_is_in_no_command_line_and_no_file(tmp_path: Path) -> None:
    fetching, pushing = Held(), Held()
    faults = either(
        on("POST", "git-upload-pack", None, fetching),  # the first asks for the branches
        on("POST", "git-receive-pack", pushing),
    )
    with served(tmp_path, token=TOKEN, fault=faults) as place:
        ours = place.git(TOKEN)
        base = remote_base(Remote(place.url, "127.0.0.1", "o", "n"), None, ours)
        mirror = mirror_of(tmp_path / "cache", place.url, ours)

        looked_at(place, fetching, lambda: mirror.fetch(place.url, base, place.events.append))
        with place.caged(ours) as cage:
            commit, results = change(cage), list[object]()
            looked_at(place, pushing, lambda: results.append(place.push(cage, commit, "x")))

        assert results == [Pushed("x", commit)]
        told = [event for event in place.events if isinstance(event, HostCommand)]
        assert {"fetch", "push"} <= {part for event in told for part in event.argv}
        assert not holds(repr(place.events).encode())


def test_a_server_that_says_it_back_is_not_quoted(tmp_path: Path) -> None:
    echo = Words(403, "you sent " + " and ".join(FORMS))
    with served(tmp_path, fault=on("GET", "git-receive-pack", echo)) as place:
        ours = place.git(TOKEN)
        with pytest.raises(ForgeError, match="you sent") as raised:
            may_push(ours, place.url)
        unread = ours.run("ls-remote", f"{place.url}/{TOKEN}", limits=TRANSFER)

    assert str(raised.value).count(MASK) == 3
    assert not holds(str(raised.value).encode())
    assert not unread.ok
    assert not holds(unread.stdout + unread.stderr)


def test_another_host_never_gets_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    everywhere = on("GET", "git-upload-pack", *[Words(401)] * 3)
    with git_server(tmp_path / "empty", fault=everywhere) as other:
        redirect = Moved(other.url)
        moved = either(
            on("GET", "git-upload-pack", None, redirect),
            on("POST", "git-receive-pack", redirect),
            on("GET", "git-receive-pack", None, redirect),
        )
        with served(tmp_path, token=TOKEN, fault=moved) as place:
            ours = place.git(TOKEN)
            with place.caged(ours) as cage, pytest.raises(ForgeError, match="has moved"):
                place.push(cage, change(cage), "x")
            asked = len(place.server.asked)
            elsewhere = ours.run("ls-remote", f"{other.url}/o/n.git", limits=TRANSFER)
            follows = replace(ours, settings=(("http.followRedirects", "true"),))
            followed = follows.run("ls-remote", f"{other.url}/o/n.git", limits=TRANSFER)
            # a child that has the token, for its last argument, and asks somebody else
            named = ours.run("ls-remote", f"{other.url}/o/n.git", place.url, limits=TRANSFER)

    assert "could not read Username" in elsewhere.complaint
    assert not followed.ok
    assert not named.ok
    assert asked > 3
    assert len(other.asked) == 3  # no redirect was followed
    assert not any(request.authorization for request in other.asked)


def test_even_a_redirect_that_is_followed_takes_it_nowhere(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with (
        git_server(tmp_path / "empty") as other,
        served(
            tmp_path, token=TOKEN, fault=on("GET", "git-upload-pack", Moved(other.url))
        ) as place,
    ):
        ours = place.git(TOKEN, {"http.followRedirects": "true"})
        done = ours.run("ls-remote", place.url, limits=TRANSFER)

    assert not done.ok
    assert [request.authorization for request in place.server.asked] == [True]
    assert [request.path.partition("?")[0] for request in other.asked] == ["/o/n.git/info/refs"]


def test_only_a_child_that_speaks_to_the_place_gets_it(tmp_path: Path) -> None:
    ours = replace(
        host_git(tmp_path),
        protocols=("file",),
        credential=Credential("https://forge.example/", SecretStr(TOKEN)),
    )
    shell = ("-c", "alias.x=!env #", "x")  # what follows is a comment

    def sees_it(*args: str, network: bool = True) -> bool:
        return b"extraHeader" in ours.run(
            *shell, *args, limits=replace(TRANSFER, network=network)
        ).stdout  # fmt: skip

    assert sees_it("https://forge.example/o/n.git")
    assert not sees_it("https://forge.example/o/n.git", network=False)
    assert not sees_it("https://forge.example.evil.example/o/n.git")
    assert not sees_it("https://other.example/https://forge.example/")
    assert not sees_it("http://forge.example/o/n.git")
    assert not sees_it()
    said = ours.run(*shell, "https://forge.example/", limits=TRANSFER).stdout
    assert MASK.encode() in said
    assert not holds(said)


def test_no_repr_shows_it_and_the_place_ends_with_a_slash(tmp_path: Path) -> None:
    credential = Credential("https://forge.example/", SecretStr(TOKEN))
    ours = replace(
        host_git(tmp_path, environment={"PATH": os.environ["PATH"], "GITHUB_TOKEN": TOKEN}),
        credential=credential,
    )

    assert not holds(f"{credential!r} {credential} {ours!r} {ours}".encode())
    assert credential.forms == FORMS
    with pytest.raises(ValueError, match="slash"):
        Credential("https://forge.example", SecretStr(TOKEN))
