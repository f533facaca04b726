"""The forge of a run: whether there is one, with which token, and what a change becomes there."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from tiny_backspace.destinations import (
    Approved,
    Destination,
    DryRun,
    Left,
    PatchFile,
    UsersRepository,
)
from tiny_backspace.errors import ForgeDenied, RepoError, UsageError
from tiny_backspace.events import Emit, Warned
from tiny_backspace.overlap import IMPORTING, opened_early
from tiny_backspace.publishing import OnForge, Wanted, reaching
from tiny_backspace.repo.environment import Credential
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.origin import LocalRepository
from tiny_backspace.repo.remote import may_push
from tiny_backspace.repo.source import Remote, page, parse
from tiny_backspace.revising import OnPullRequest
from tiny_backspace.settings import Settings
from tiny_backspace.tasks import Asked, from_page

if TYPE_CHECKING:
    from tiny_backspace.forges.github import GitHub
    from tiny_backspace.forges.interface import PullRequest, Repository

Ask: TypeAlias = Callable[[str, Path], bool]

_LABEL = 50  # characters of a label's name; GitHub says so when the pull request is open already
_SSH = re.compile(r"ssh://git@([\w.-]+)/([\w./-]+)")
_LOGIN = "Set GITHUB_TOKEN (it needs `contents` and `pull requests`, read and write), or log in with `gh auth login`."


def is_on(settings: Settings, remote: Remote) -> bool:
    """Whether the token is for this place."""
    return urlsplit(settings.github.url).netloc.lower() == remote.host


def credential(settings: Settings) -> Credential | None:
    token = settings.github.token
    return None if token is None else Credential(f"{settings.github.url}/", token)


class Host:
    """GitHub, or an Enterprise Server, as the settings have it. `git` has the credential for it.

    `revises` is the pull request that is to be gone on with, `left` the branch of a run that is resumed;
    `ask` whoever has to approve of a change.
    """

    def __init__(
        self,
        settings: Settings,
        git: Git,
        emit: Emit,
        revises: PullRequest | None = None,
        ask: Ask | None = None,
        left: Left | None = None,
    ) -> None:
        self.settings = settings
        self.git = git
        self.emit = emit
        self.revises = revises
        self.ask = ask
        self.left = left
        self._forges: dict[Remote, GitHub] = {}
        self._repositories: dict[Remote, Repository] = {}

    def forge(self, remote: Remote) -> GitHub | None:
        """Who can be asked about this repository; None where it is elsewhere, or there is no token."""
        github = self.settings.github
        if github.token is None or not is_on(self.settings, remote):
            return None
        if remote not in self._forges:
            with IMPORTING:
                from tiny_backspace.forges.github import GitHub
                from tiny_backspace.forges.github_transport import load

                load()
            self._forges[remote] = GitHub(
                remote.owner, remote.name, github.token, github.api, self.emit
            )
        return self._forges[remote]

    def repository(self, forge: GitHub, remote: Remote) -> Repository:
        """What is known of it; asked once."""
        if remote not in self._repositories:
            self._repositories[remote] = forge.repository()
        return self._repositories[remote]

    def located(self, remote: Remote) -> Remote:
        """Where the repository is now: one that was renamed answers under its old name to people only.

        Raises:
            ForgeDenied: the token may not see it.
        """
        forge = self.forge(remote)
        if forge is None and self.settings.publish in {"pr", "branch"}:
            raise self._impossible(remote)
        if forge is None:
            return remote
        repository = self.repository(forge, remote)
        if (repository.owner, repository.name) == (remote.owner, remote.name):
            return remote
        self.emit(
            Warned(
                message=f"{remote.owner}/{remote.name} is called {repository.full_name} now; that is where the change goes."
            )
        )
        now = self._remote(repository.full_name)
        self._forges[now], self._repositories[now] = forge, repository
        return now

    def destination(self, origin: LocalRepository | Remote) -> Destination:
        """Where a change of this repository goes, as the user wants it.

        Raises:
            UsageError, ForgeDenied: it cannot go there.
        """
        found = self._destination(origin)
        if self.settings.dry_run:
            return DryRun(found)
        return found if self.ask is None else Approved(found, self.ask)

    def earlier(
        self, origin: LocalRepository | Remote, base: Base, branch: str, emit: Emit
    ) -> str | None:
        """The closing sentence, where a run with the same key has done it already; None where it is to be done.

        Raises:
            UsageError, ForgeDenied: it could not go there.
            AgentError: what it left is unfinished.
        """
        match self._destination(origin):
            case (UsersRepository() | OnForge()) as place if not self.settings.dry_run:
                return place.earlier(base, branch, emit)
            case _:
                return None

    def _destination(self, origin: LocalRepository | Remote) -> Destination:
        publish = self.settings.publish
        match origin:
            case LocalRepository():
                if publish == "pr":
                    return self._on_forge(_origin_of(origin), origin)
                return (
                    PatchFile()
                    if publish == "patch"
                    else UsersRepository(origin, self.settings.once)
                )
            case Remote():
                why_not = self._why_not(origin)
                if publish != "patch" and why_not is None:
                    return self._on_forge(origin)
                if publish in {"pr", "branch"}:
                    raise self._impossible(origin)
                if why_not and publish is None:
                    hint = _LOGIN if is_on(self.settings, origin) else ""
                    self.emit(
                        Warned(message=f"{why_not}: the change will be a patch. {hint}".rstrip())
                    )
                return PatchFile()

    def _impossible(self, remote: Remote) -> ForgeDenied:
        hint = _LOGIN if is_on(self.settings, remote) else None
        return ForgeDenied(str(self._why_not(remote)), hint=hint)

    def _why_not(self, remote: Remote) -> str | None:
        if not is_on(self.settings, remote):
            return f"{remote.host} is not {self.settings.github.url} (github.url in the settings)"
        return None if self.settings.github.token else "there is no GitHub token"

    def _on_forge(self, named: Remote, local: LocalRepository | None = None) -> Destination:
        """Git is asked for the right to push while GitHub is asked what it is: neither answer needs the other."""
        if self._why_not(named) is not None:
            raise self._impossible(named)
        if self.revises is not None:
            return self._on_pull_request(self.located(named), self.revises)
        git = reaching(self.git, named)
        with ExitStack() as stack:
            asking = stack.enter_context(opened_early(_branches(git, named), "for-push"))
            remote = self.located(named)
            found = self._offering(remote, git, local)
            if found.place == named:
                found.there = asking
                stack.pop_all()  # it is waited for when it is needed
        return found

    def _offering(self, remote: Remote, git: Git, local: LocalRepository | None) -> OnForge:
        settings, forge = self.settings, self.forge(remote)
        if forge is None or settings.publish == "branch":
            return OnForge(remote, git, None, None, local=local, once=settings.once)
        if long := next((label for label in settings.label if len(label) > _LABEL), None):
            raise UsageError(
                f"the label {long!r} has {len(long)} characters",
                hint=f"GitHub takes at most {_LABEL}.",
            )
        wanted = Wanted(settings.reviewer, settings.assignee)
        repository = self.repository(forge, remote)
        fork = None
        if settings.fork and not repository.may_push:
            if settings.dry_run or self.ask:
                raise UsageError(
                    "--fork makes a fork before there is anything to show",
                    hint="Leave --dry-run or --approve out; --publish patch keeps the change as a file.",
                )
            fork = self._remote(forge.fork().full_name)
        return OnForge(
            remote, git, forge, repository, wanted, local, fork, self.left, once=settings.once
        )

    def _on_pull_request(self, remote: Remote, revises: PullRequest) -> OnPullRequest:
        """Its branch may be in a fork."""
        if revises.from_fork:
            remote = self._remote(revises.head_repository)
        return OnPullRequest(remote, reaching(self.git, remote), revises)

    def _remote(self, full_name: str) -> Remote:
        """A repository of GitHub's, by the name that it says."""
        found = parse(f"{self.settings.github.url}/{full_name}")
        assert isinstance(found, Remote)
        return found


@contextmanager
def _branches(git: Git, remote: Remote) -> Generator[dict[str, str]]:
    yield may_push(git, remote.url)


def task(asked: Asked, settings: Settings, emit: Emit) -> Asked | str:
    """What is asked for, read from the forge where it stands there; a sentence, if it needs nothing done.

    Raises:
        UsageError, ForgeError: it is no page for us, or it cannot be read.
    """
    found = page(asked.repo)
    if found is None:
        if asked.revising:
            raise UsageError(
                "what is to be revised is named by its address",
                hint="tiny-backspace revise https://github.com/owner/name/pull/12",
            )
        return asked
    token = settings.github.token
    if not is_on(settings, found.remote):
        raise UsageError(
            f"{found.remote.host} is not {settings.github.url} (github.url in the settings)"
        )
    if token is None:
        raise ForgeDenied("there is no GitHub token", hint=_LOGIN)
    from tiny_backspace.forges.github import GitHub

    tracker = GitHub(found.remote.owner, found.remote.name, token, settings.github.api, emit)
    return from_page(asked, found, tracker, force=settings.force)


def _origin_of(repository: LocalRepository) -> Remote:
    """Where the user's clone came from. Only its address is taken from there: no `pushurl`, no `insteadOf`.

    Raises:
        RepoError, UsageError: it has no such origin.
    """
    asked = repository.git.run("config", "--get", "remote.origin.url", git_dir=repository.git_dir)
    if not asked.ok:
        raise RepoError(
            "this repository has no remote `origin` to open a pull request at",
            hint="git remote add origin URL; or leave --publish pr out, for a branch here.",
        )
    ssh = _SSH.fullmatch(asked.text)  # as usual as git@host:owner/name, and the same place
    found = parse(f"git@{ssh[1]}:{ssh[2]}" if ssh else asked.text)
    if not isinstance(found, Remote):
        raise UsageError(
            "the origin of this repository is a local folder, where no pull request can be opened"
        )
    return found
