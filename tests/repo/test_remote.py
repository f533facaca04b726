"""Before any money is spent: whether a push would be let in, and which names are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.program import git, snapshot
from tests.repo.hostgit import host_git, quiet
from tests.repo.served import served
from tests.servers.git_faults import Cut, Fault, Held, Moved, Words, either, on
from tests.servers.git_http import Asked
from tiny_backspace.errors import ForgeDenied, ForgeError, RepoError
from tiny_backspace.repo.mirror import Base, mirror_of
from tiny_backspace.repo.origin import remote_base
from tiny_backspace.repo.remote import branches, in_the_way, may_push
from tiny_backspace.repo.source import Remote

PACK = "git-receive-pack"


def test_who_may_push_is_told_the_branches_by_one_question(tmp_path: Path) -> None:
    with served(tmp_path, token="writer-0123") as place:
        git(place.bare, "branch", "tb/x", "main~1")
        git(place.bare, "tag", "v1")
        before, there = snapshot(place.bare), place.branches
        del there["refs/tags/v1"]

        assert may_push(place.git("writer-0123"), place.url) == there

        assert place.server.asked == [
            Asked("GET", "/o/n.git/info/refs?service=git-receive-pack", authorization=True)
        ]
        assert snapshot(place.bare) == before


def test_an_empty_repository_may_be_pushed_to(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        git(tmp_path, "init", "-q", "--bare", str(place.bare.with_name("empty.git")))

        assert may_push(place.git(), place.url.replace("n.git", "empty.git")) == {}


@pytest.mark.parametrize(
    ("token", "fault", "says", "hint"),
    [
        ("reader-0123", None, "may not push to .*not granted", "`contents: write`"),
        ("wrong-01234", None, "the token is refused", "expired"),
        (None, None, "cannot be pushed to without a token", "GITHUB_TOKEN"),
        ("writer-0123", Words(403, "archived: it is read-only"), "read-only", "contents: write"),
        ("writer-0123", Words(404, "no such thing"), "may not see it", "contents: write"),
        ("writer-0123", Moved("http://127.0.0.1:1"), "has moved", "new name"),
    ],
)
def test_who_may_not_push_is_told_what_is_missing(
    tmp_path: Path, token: str | None, fault: Fault | None, says: str, hint: str
) -> None:
    with (
        served(
            tmp_path, token="writer-0123", reader="reader-0123", fault=on("GET", PACK, fault)
        ) as place,
        pytest.raises(ForgeDenied, match=says) as raised,
    ):
        may_push(place.git(token), place.url)

    assert hint in (raised.value.hint or "")


def test_a_server_that_is_down_is_no_denial(tmp_path: Path) -> None:
    with served(tmp_path, fault=on("GET", PACK, Words(503, "later"))) as place:
        with pytest.raises(ForgeError, match="cannot be reached") as raised:
            may_push(place.git(), place.url, replace(place.patience, tries=1))
        assert not isinstance(raised.value, ForgeDenied)
    with pytest.raises(ForgeError, match="Couldn't connect"):
        may_push(place.git(), place.url, place.patience)
    assert [r.attempt for r in place.retries()] == [1, 2, 3]
    assert branches(place.git(), place.url) is None


@pytest.mark.parametrize("url", ["file:///tmp", "ext::touch x", "/tmp", "http://127.0.0.1:1/o/n"])
def test_only_the_protocols_that_were_named_are_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(ForgeError, match="not a place to push to"):
        may_push(host_git(tmp_path), url)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ((), None),
        (("main", "tb/xy", "tb/y/x", "x"), None),
        (("main", "tb/x"), "tb/x"),
        (("tb",), "tb"),
        (("tb/x/more",), "tb/x/more"),
    ],
)
def test_a_branch_may_stand_in_the_way_of_another(
    there: tuple[str, ...], found: str | None
) -> None:
    assert in_the_way(there, "tb/x") == found


@pytest.mark.parametrize(
    ("token", "fault", "hint"),
    [
        (None, None, "private or misspelt. For a private one set GITHUB_TOKEN"),
        (None, Words(404), "misspelt, or private: then set GITHUB_TOKEN"),
        ("wrong-01234", None, "is GITHUB_TOKEN still valid?"),
        ("writer-0123", Words(404), "GITHUB_TOKEN may not read it (`contents: read`)"),
        ("writer-0123", Words(403), "GITHUB_TOKEN may not read it (`contents: read`)"),
        ("writer-0123", Moved("http://127.0.0.1:1"), "new name"),
        ("writer-0123", Words(500), "It was tried 4 times. Is the network up?"),
    ],
)
def test_a_repository_that_cannot_be_read_has_a_hint_for_the_way_out(
    tmp_path: Path, token: str | None, fault: Fault | None, hint: str
) -> None:
    faults = on("GET", "git-upload-pack", *[fault] * 4)
    with (
        served(tmp_path, token="writer-0123", fault=faults) as place,
        pytest.raises(RepoError, match=r"cannot be read: ") as raised,
    ):
        remote_base(
            Remote(place.url, "127.0.0.1", "o", "n"), None, place.git(token), place.patience
        )

    assert (place.retries() != []) == (fault == Words(500))
    assert hint in (raised.value.hint or "")


def test_a_commit_that_is_not_there_is_told_with_a_way_out(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        mirror = mirror_of(tmp_path / "cache", place.url, place.git())
        with pytest.raises(RepoError, match="could not be fetched") as raised:
            mirror.fetch(place.url, Base("a" * 40, None), quiet)

    assert "check --base" in (raised.value.hint or "")


def test_a_private_repository_is_read_with_a_token(tmp_path: Path) -> None:
    with served(tmp_path, token="writer-0123") as place:
        ours = place.git("writer-0123")

        base = remote_base(Remote(place.url, "127.0.0.1", "o", "n"), None, ours)
        with place.caged(ours) as cage:
            assert cage.base.sha == base.sha == place.head
        assert all(asked.authorization for asked in place.server.asked)
        without, absent = replace(ours, credential=None), Base("a" * 40, None)
        mirror = mirror_of(tmp_path / "cache", place.url, without)
        with pytest.raises(RepoError, match="could not be fetched") as raised:
            mirror.fetch(place.url, absent, quiet)

    assert "set GITHUB_TOKEN" in (raised.value.hint or "")


@pytest.mark.parametrize("fault", [Cut(done=True), Words(503), Words(429)])
def test_a_connection_that_breaks_while_reading_is_waited_out(tmp_path: Path, fault: Fault) -> None:
    faults = either(
        on("GET", "git-upload-pack", fault), on("POST", "git-upload-pack", None, fault, fault)
    )
    with served(tmp_path, fault=faults) as place:
        remote = Remote(place.url, "127.0.0.1", "o", "n")

        base = remote_base(remote, None, place.git(), place.patience)
        mirror = mirror_of(tmp_path / "cache", place.url, place.git())
        mirror.fetch(place.url, base, place.events.append, place.patience)

    assert base.sha == place.head
    assert place.waited == [1.0, 1.0, 2.0]


def test_a_fetch_that_stalls_is_ended_and_made_again(tmp_path: Path) -> None:
    stall = Held()
    with served(tmp_path, fault=on("POST", "git-upload-pack", stall)) as place:
        ours = place.git(settings={"http.lowSpeedTime": "3"})
        mirror = mirror_of(tmp_path / "cache", place.url, ours)

        mirror.fetch(place.url, Base(place.head, "main"), place.events.append, place.patience)
        stall.go_on.set()

    assert mirror.git.run("cat-file", "-e", place.head, git_dir=mirror.path).ok
    assert ["too slow" in retry.reason for retry in place.retries()] == [True]
