"""Where a change goes: by what the user wants, where the repository is, and whether there is a token."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.program import git, make_repository
from tests.repo.hostgit import host_git, opened
from tests.servers.github import GitHubServer, github_server
from tests.servers.github_state import CLASSIC, Repo
from tiny_backspace.destinations import Destination, DryRun, PatchFile, UsersRepository
from tiny_backspace.errors import ForgeDenied, RepoError, TinyBackspaceError, UsageError
from tiny_backspace.events import Event, ThoughtDelta, Warned
from tiny_backspace.forges.interface import PullRequest
from tiny_backspace.forges.login import with_gh_token
from tiny_backspace.hosts import Host, credential
from tiny_backspace.publishing import OnForge
from tiny_backspace.repo.origin import LocalRepository
from tiny_backspace.repo.source import Remote, parse
from tiny_backspace.revising import OnPullRequest
from tiny_backspace.settings import GitHubSettings, Settings

WEB = "http://127.0.0.1:7"  # nobody is asked there


@dataclass(frozen=True)
class Place:
    """`repository` is the user's, with an origin at `WEB`; `heard` is what was emitted."""

    folder: Path
    api: GitHubServer
    repository: Path
    heard: list[Event | ThoughtDelta]

    def host(
        self, publish: str | None = None, *, token: bool = True, dry_run: bool = False
    ) -> Host:
        known = SecretStr(CLASSIC.value) if token else None
        github = GitHubSettings(url=WEB, api_url=self.api.api_url, token=known)
        settings = Settings.model_validate({"publish": publish, "dry_run": dry_run})
        settings = settings.model_copy(update={"github": github})
        return Host(settings, host_git(self.folder), self.heard.append)

    def origin(self, of: str) -> LocalRepository | Remote:
        """`local`, or the remote repository of that address."""
        if of == "local":
            return opened(self.repository, self.folder)
        found = parse(of, WEB)
        assert isinstance(found, Remote)
        return found

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.heard if isinstance(event, Warned)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    repository = make_repository(tmp_path / "r", {"a": "a\n"})
    git(repository, "remote", "add", "origin", f"{WEB}/owner/project.git")
    with github_server([Repo("owner/project")], web_url=WEB) as api:
        yield Place(tmp_path, api, repository, [])


def kind(found: Destination) -> str:
    match found:
        case DryRun(instead_of=inner):
            return f"dry run of {kind(inner)}"
        case OnForge(forge=None, remote=remote):
            return f"branch at {remote.owner}/{remote.name}"
        case OnForge(remote=remote, local=local, repository=repository):
            assert repository is not None
            return f"PR at {repository.full_name}{' from a clone' if local else ''}"
        case UsersRepository():
            return "branch"
        case PatchFile():
            return "patch"
    raise AssertionError(found)


def decided(place: Place, of: str, publish: str | None, *, token: bool) -> str:
    try:
        return kind(place.host(publish, token=token).destination(place.origin(of)))
    except TinyBackspaceError as error:
        return type(error).__name__


ELSEWHERE = "https://git.example.org/owner/project"


@pytest.mark.parametrize(
    ("of", "publish", "with_token", "without"),
    [
        ("local", None, "branch", "branch"),
        ("local", "branch", "branch", "branch"),
        ("local", "patch", "patch", "patch"),
        ("local", "pr", "PR at owner/project from a clone", "ForgeDenied"),
        ("owner/project", None, "PR at owner/project", "patch"),
        ("owner/project", "pr", "PR at owner/project", "ForgeDenied"),
        ("owner/project", "branch", "branch at owner/project", "ForgeDenied"),
        ("owner/project", "patch", "patch", "patch"),
        (ELSEWHERE, None, "patch", "patch"),
        (ELSEWHERE, "pr", "ForgeDenied", "ForgeDenied"),
        (ELSEWHERE, "branch", "ForgeDenied", "ForgeDenied"),
        (ELSEWHERE, "patch", "patch", "patch"),
    ],
)
def test_where_it_goes(
    place: Place, of: str, publish: str | None, with_token: str, without: str
) -> None:
    assert decided(place, of, publish, token=True) == with_token
    loud = len(place.warnings)
    assert decided(place, of, publish, token=False) == without
    instead = publish is None and of != "local"  # a patch that nobody asked for
    assert (loud, len(place.warnings) - loud) == (instead and of == ELSEWHERE, instead)


@pytest.mark.parametrize("length", [50, 51])
def test_a_label_that_github_would_not_take_is_known_before(place: Place, length: int) -> None:
    host = place.host()
    host.settings = host.settings.model_copy(update={"label": ("ä" * length,)})

    if length > 50:
        with pytest.raises(UsageError, match=r"the label 'ä+' has 51 characters") as raised:
            host.destination(place.origin("owner/project"))
        assert "50" in str(raised.value.hint)
    else:
        assert kind(host.destination(place.origin("owner/project"))) == "PR at owner/project"


def test_the_branch_of_a_pull_request_from_a_fork_is_in_the_fork(place: Place) -> None:
    host = place.host()
    for head, from_fork in (("owner/project", False), ("ann/project", True)):
        host.revises = PullRequest(
            7, f"{WEB}/owner/project/pull/7", head="x", head_repository=head, from_fork=from_fork
        )
        found = host.destination(place.origin("owner/project"))

        assert isinstance(found, OnPullRequest)
        assert found.remote.url == f"{WEB}/{head}.git"


def test_a_dry_run_is_of_the_very_same(place: Place) -> None:
    host = place.host(dry_run=True)

    assert kind(host.destination(place.origin("owner/project"))) == "dry run of PR at owner/project"
    assert kind(host.destination(place.origin("local"))) == "dry run of branch"


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        (None, RepoError, "no remote `origin`"),
        ("../other", UsageError, "a local folder"),
        (ELSEWHERE, ForgeDenied, "git.example.org is not"),
        ("https://me:hunter2@github.com/o/n", UsageError, "token"),
    ],
)
def test_a_clone_of_nothing_on_github_gets_no_pull_request(
    place: Place, url: str | None, error: type[TinyBackspaceError], said: str
) -> None:
    git(place.repository, "remote", "remove", "origin")
    if url is not None:
        git(place.repository, "remote", "add", "origin", url)

    with pytest.raises(error, match=said) as raised:
        place.host("pr").destination(place.origin("local"))

    assert "hunter2" not in f"{raised.value}{raised.value.hint}"
    assert place.api.requests == []


def test_only_the_address_of_an_origin_counts(place: Place) -> None:
    """A repository's configuration is not the user's word: it could send the token anywhere."""
    evil = "http://127.0.0.1:9/"
    git(place.repository, "config", "remote.origin.pushurl", f"{evil}owner/project.git")
    git(place.repository, "config", f"url.{evil}.insteadOf", f"{WEB}/")
    git(place.repository, "config", f"url.{evil}.pushInsteadOf", f"{WEB}/")

    found = place.host("pr").destination(place.origin("local"))

    assert isinstance(found, OnForge)
    assert found.remote.url == f"{WEB}/owner/project.git"
    assert found.git.protocols == ("http",)


def test_a_repository_is_asked_about_once_and_found_by_its_new_name(place: Place) -> None:
    place.api.repositories.append(Repo("owner/old", renamed_to="owner/project"))
    host, old = place.host(), place.origin("owner/old")
    assert isinstance(old, Remote)

    now = host.located(old)
    found = host.destination(now)

    assert (now.owner, now.name, now.url) == ("owner", "project", f"{WEB}/owner/project.git")
    assert kind(found) == "PR at owner/project"
    assert len(place.api.asked("GET", "/repos/owner/old")) == 1
    assert place.api.asked("GET", "/repos/owner/project") == []
    assert [message.split(" is ")[0] for message in place.warnings] == ["owner/old"]
    assert place.api.refused == []


def test_a_clone_of_a_repository_that_was_renamed_goes_to_its_new_name(place: Place) -> None:
    """Git is not sent on with a token, so the old name would be refused."""
    place.api.repositories.append(Repo("owner/old", renamed_to="owner/project"))
    git(place.repository, "remote", "set-url", "origin", f"{WEB}/owner/old.git")

    found = place.host("pr").destination(place.origin("local"))

    assert isinstance(found, OnForge)
    assert found.remote.url == f"{WEB}/owner/project.git"


def test_where_nothing_is_pushed_nobody_is_asked_where_it_is(place: Place) -> None:
    remote, elsewhere = place.origin("owner/project"), place.origin(ELSEWHERE)
    assert isinstance(remote, Remote)
    assert isinstance(elsewhere, Remote)

    assert place.host(token=False).located(remote) == remote
    assert place.host().located(elsewhere) == elsewhere
    assert place.api.requests == []


def test_the_credential_is_for_the_place_of_the_settings_alone() -> None:
    known = Settings(github=GitHubSettings(url=WEB, token=SecretStr("canary")))
    found = credential(known)

    assert credential(Settings()) is None
    assert found is not None
    assert found.serves((f"{WEB}/o/n.git",))
    assert not found.serves((f"{WEB}7/o/n.git",))  # another port


def logged_in(folder: Path, script: str) -> dict[str, str]:
    """An environment with a `gh` of the test's own; every call of it is a line in `calls`."""
    program = folder / "bin" / "gh"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\necho "$*" >>{folder}/calls\n{script}\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_the_token_of_githubs_own_program_is_taken_and_told_by_its_command_alone(
    tmp_path: Path,
) -> None:
    environment = logged_in(tmp_path, "echo gho_canary; echo careful >&2")
    elsewhere = Settings(github=GitHubSettings(url="https://ghe.example.org"))

    found, ran = with_gh_token(elsewhere, environment)

    assert found.github.token is not None
    assert found.github.token.get_secret_value() == "gho_canary"
    assert calls(tmp_path) == ["auth token --hostname ghe.example.org"]
    assert ran is not None
    assert (ran.argv[0], ran.exit_code) == ("gh", 0)
    assert "canary" not in f"{ran!r}{found!r}"


@pytest.mark.parametrize(
    "script", ["exit 1", "echo gho_canary; exit 4", "echo", "kill -9 $$"], ids=str
)
def test_a_program_that_has_no_token_leaves_the_settings_as_they_are(
    tmp_path: Path, script: str
) -> None:
    found, ran = with_gh_token(Settings(), logged_in(tmp_path, script))

    assert found == Settings()
    assert ran is not None
    assert calls(tmp_path) == ["auth token --hostname github.com"]


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    found, ran = with_gh_token(Settings(), logged_in(tmp_path, "exec sleep 100"), seconds=0.3)

    assert found == Settings()
    assert ran is not None
    assert ran.exit_code == -1


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """A `gh` may be a script around another one. What it started has a pipe open until it is ended."""
    started = tmp_path / "started"
    os.mkfifo(started)
    reader = os.open(started, os.O_RDONLY | os.O_NONBLOCK)
    environment = logged_in(tmp_path, f"sleep 100 >{started} & echo $! >&2; wait")

    found, _ = with_gh_token(Settings(), environment, seconds=0.5)

    assert found == Settings()
    assert len(calls(tmp_path)) == 1
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # nobody has it open any more
    os.close(reader)


def test_it_is_not_asked_where_there_is_a_token_and_may_be_missing_or_broken(
    tmp_path: Path,
) -> None:
    known = Settings(github=GitHubSettings(token=SecretStr("canary")))
    environment = logged_in(tmp_path, "echo other")

    assert with_gh_token(known, environment) == (known, None)
    assert calls(tmp_path) == []
    assert with_gh_token(Settings(), {"PATH": str(tmp_path)}) == (Settings(), None)
    assert with_gh_token(Settings(), {}) == (Settings(), None)
    (tmp_path / "bin" / "gh").write_text("#!/nowhere/sh\n")
    found, ran = with_gh_token(Settings(), environment)
    assert found == Settings()
    assert ran is not None
    assert ran.exit_code == -1


def test_a_program_of_the_current_folder_is_not_githubs(tmp_path: Path) -> None:
    """A86: whoever has a point in PATH must not run what a repository calls `gh`."""
    environment = logged_in(tmp_path, "echo gho_canary")

    with contextlib.chdir(tmp_path / "bin"):
        found = with_gh_token(Settings(), {**environment, "PATH": f".:{os.defpath}"})

    assert found == (Settings(), None)
    assert calls(tmp_path) == []
