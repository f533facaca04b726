"""A change on its way to a forge: pushed as one branch, and offered as a pull request."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tiny_backspace.destinations import Left, Offer
from tiny_backspace.earlier import Earlier, fetched
from tiny_backspace.errors import ForgeDenied, ForgeError, UsageError
from tiny_backspace.events import Emit, PullRequestCreation, Warned, WorkSaved, timed
from tiny_backspace.forges import proposal
from tiny_backspace.forges.interface import Forge, Proposal, PullRequest, Repository
from tiny_backspace.redact import clean_line
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.origin import LocalRepository, is_pushed
from tiny_backspace.repo.push import Pushed, RefTaken, push
from tiny_backspace.repo.remote import branches, in_the_way, may_push
from tiny_backspace.repo.source import Remote
from tiny_backspace.statedir import write_private

_SPARE = 3  # names that are tried where the first is taken meanwhile


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user said of the pull request, beyond its words."""

    reviewers: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()


@dataclass(slots=True)
class OnForge:
    """A branch at `remote`, and a pull request from it where `forge` is there to open one in `repository`.

    `local` is the user's clone if the base comes from there: it has to be pushed already. `fork` is where
    the branch goes instead, where the right to push is wanting. `left` is the branch of an earlier run
    whose work this is: if nobody touched it, and nothing was done since, it needs no other one. `there`
    waits for the branches at `place`, if that was asked for the right to push already. `once` is the key of
    what is done only once, whoever does it.
    """

    remote: Remote
    git: Git
    forge: Forge | None
    repository: Repository | None
    wanted: Wanted = Wanted()
    local: LocalRepository | None = None
    fork: Remote | None = None
    left: Left | None = None
    there: Callable[[], Mapping[str, str]] | None = None
    once: str | None = None
    _base: str = ""

    @property
    def doing(self) -> str:
        return "Creating pull request..." if self.forge else "Pushing branch..."

    @property
    def place(self) -> Remote:
        """Where the branch is pushed."""
        return self.fork or self.remote

    def check(self, base: Base, branch: str) -> None:
        """Ask for all that will be needed: access, the right to push, the base branch, the name.

        Raises:
            ForgeDenied: the token may not do it; the sentence says what is missing.
            ForgeError: it cannot be done there.
            UsageError: the base, or the name, is none for it.
        """
        repository = self.repository
        if repository is not None:
            _check_open(repository, forked=self.fork is not None)
        there = self.there() if self.there else may_push(self.git, self.place.url)
        named_before = (
            self.left is not None
        )  # where that is taken, another one is found when it is pushed
        self._see_left(there)
        if not named_before and (other := in_the_way(there, branch)) is not None:
            raise UsageError(
                f"{self.place.url} has a branch {other} already",
                hint="Name another one: --branch NAME.",
            )
        if self.fork is not None:
            there = _listed(self.git, self.remote)  # where the pull request goes
        if self.local is not None and not is_pushed(self.local, base, there.values()):
            raise UsageError(
                f"the commit {base.sha[:12]} is not at {self.remote.url} yet, and a pull request starts from there",
                hint=f"git push origin {base.branch or 'HEAD:refs/heads/BRANCH'}, and run again.",
            )
        if repository is not None:
            self._base = _base_branch(base, there, repository, local=self.local is not None)
            _check_name(self.git, self._base)
        if self.fork is not None and self.forge is not None:
            # what is pushed has no history below the base: that has to be in the fork
            self.forge.update_fork(self._base, there.get(self._base, base.sha))

    def _see_left(self, there: Mapping[str, str]) -> None:
        """One that is elsewhere, has gone, or has somebody's commits on it by now is not ours to offer."""
        left = self.left
        if left is None or (left.remote, there.get(left.branch)) == (self.place.url, left.commit):
            return
        self.left = None
        self.git.emit(
            Warned(message=f"The branch {left.branch} is not as it was left: another one is made.")
        )

    def take(self, offer: Offer, emit: Emit) -> str:
        pushed = self._left_there(offer) or self._new(offer, emit)
        if pushed is None:
            return self._quicker(offer, emit)
        place = {"tree": offer.tree, "remote": self.place.url}
        emit(WorkSaved(branch=pushed.branch, commit=pushed.commit, **place))
        if self.forge is None:
            return f"Branch {pushed.branch} is at {self.place.url}."
        wanted = self._proposal(offer, pushed.branch)
        try:
            with timed("pull_request", emit):
                opened = self.forge.open_pull_request(wanted)
        except ForgeError as error:
            text = offer.patch.with_name("pull-request.md")
            write_private(text, offer.body.encode())  # the command has the title
            emit(WorkSaved(pull_request_text=str(text)))
            finish = shlex.join(_command(self.remote, wanted, body=f"--body-file={text}"))
            raise type(error)(
                f"the branch {pushed.branch} is pushed, and no pull request could be opened: {error}",
                hint=f"{f'{error.hint} ' if error.hint else ''}To finish: {finish}",
            ) from error
        _tell(self.remote, wanted, opened, emit)
        return "Pull request created successfully!"

    def _left_there(self, offer: Offer) -> Pushed | None:
        """What an earlier run pushed, if it is this change."""
        left = self.left
        return Pushed(left.branch, left.commit) if left and left.tree == offer.tree else None

    def earlier(self, base: Base, branch: str, emit: Emit) -> str | None:
        """The closing sentence, where a run with the same key has left its branch there. Where it ended before it could
        open the pull request, that is done now.

        Raises:
            AgentError: it is unfinished work.
            ForgeError: it cannot be found out now, or the pull request cannot be opened.
        """
        if self.once is None:
            return None
        there = _listed(self.git, self.place)
        found = fetched(self.git, self.place.url, branch, self.once) if branch in there else None
        if found is None:
            return None
        emit(WorkSaved(branch=branch, commit=found.commit, remote=self.place.url))
        opened = self._opened_for(found, base, branch, there)
        if opened is not None:
            emit(WorkSaved(pr_url=opened.url))
        address = opened.url if opened else None
        found.check_finished(branch, address)
        return f"{address or f'Branch {branch}'} is there already: nothing was done."

    def _opened_for(
        self, found: Earlier, base: Base, branch: str, there: Mapping[str, str]
    ) -> PullRequest | None:
        """The pull request of that branch, whatever has become of it since; opened, if there never was one."""
        if self.forge is None or self.repository is None:
            return None
        head = f"{self.fork.owner}:{branch}" if self.fork else branch
        if (known := self.forge.find_pull_request(head, ended=True)) is not None:
            return known
        if self.fork is not None:
            there = _listed(self.git, self.remote)
        to = _base_branch(base, there, self.repository, local=True)
        title = proposal.title(found.title.removeprefix(proposal.DRAFT), "")
        words = Proposal(to, head, title, found.body, draft=True, labels=("tiny-backspace",))
        return self.forge.open_pull_request(words)

    def _quicker(self, offer: Offer, emit: Emit) -> str:
        """Somebody has taken the name since it was looked for: another run with the same key, or a stranger.

        Raises:
            ForgeError: a stranger.
        """
        if said := self.earlier(offer.cage.base, offer.branch, emit):
            return said
        raise ForgeError(
            f"{self.place.url} has a branch {offer.branch} by now, of somebody else",
            hint="The change is kept as a patch. Name another one: --branch NAME.",
        )

    def _new(self, offer: Offer, emit: Emit) -> Pushed | None:
        with timed("commit", emit):
            commit = offer.commit()
        with timed("push", emit):
            return self._pushed(offer, commit, emit)

    def _pushed(self, offer: Offer, commit: str, emit: Emit) -> Pushed | None:
        """Under its name, or under another one where somebody took it since it was looked for.

        What is done only once has one name: None, if that is taken.
        """
        names = [offer.branch, *(f"{offer.branch}-{n}" for n in range(2, _SPARE + 1))]
        for name in names:
            match push(self.git, offer.cage.path, self.place.url, commit, name, emit):
                case Pushed() as pushed:
                    return pushed
                case RefTaken() if self.once is not None:
                    return None
                case RefTaken():
                    continue
        raise ForgeError(
            f"{self.place.url} has branches of all the names that were tried, from {offer.branch} on",
            hint="The change is kept as a patch. Name another one: --branch NAME.",
        )

    def _proposal(self, offer: Offer, branch: str) -> Proposal:
        return Proposal(
            base=self._base,
            head=f"{self.fork.owner}:{branch}" if self.fork else branch,
            title=offer.title.removeprefix(proposal.DRAFT) if offer.draft else offer.title,
            body=offer.body,
            draft=offer.draft,
            labels=offer.labels,
            reviewers=self.wanted.reviewers,
            assignees=self.wanted.assignees,
        )


def _check_name(git: Git, branch: str) -> None:
    """A repository can be made to have a branch `-x` or `HEAD`, which no command takes for one."""
    if not git.run("check-ref-format", "--branch", branch).ok:
        raise ForgeError(
            f"a pull request would go to the branch {clean_line(branch)!r}, and git takes that for no branch's name",
            hint="Rename it; or --base names another branch, --publish branch opens no pull request.",
        )


def _check_open(repository: Repository, *, forked: bool) -> None:
    if repository.disabled:
        raise ForgeError(
            f"{repository.full_name} is disabled by GitHub: nothing can be pushed to it",
            hint="Its owners are told why on its page. --publish patch keeps the change as a file.",
        )
    if repository.archived:
        raise ForgeError(
            f"{repository.full_name} is archived: nothing can be pushed to it",
            hint="--publish patch keeps the change as a file.",
        )
    if repository.empty:
        raise ForgeError(f"{repository.full_name} has no commit yet, and a run starts from one")
    if not (repository.may_push or forked):
        raise ForgeDenied(
            f"the token may not push to {repository.full_name}",
            hint="It needs `contents: write` and `pull requests: write` there (a classic one: `repo`); or --fork goes by way of a fork of yours.",
        )


def _listed(git: Git, remote: Remote) -> dict[str, str]:
    """The branches there; reading is enough.

    Raises:
        ForgeError: it does not answer.
    """
    there = branches(git, remote.url)
    if there is None:
        raise ForgeError(f"{remote.url} cannot be asked for its branches", hint="Try again later.")
    return there


def _base_branch(
    base: Base, there: Mapping[str, str], repository: Repository, *, local: bool
) -> str:
    """The branch that the pull request goes to: the base's own, or one that it is the tip of, the default first.

    A commit of a clone that is there already, in whatever history, goes to the default branch.

    Raises:
        UsageError: the base is a commit of none.
    """
    if base.branch in there:
        return str(base.branch)
    tips = [name for name, sha in there.items() if sha == base.sha]
    if tips and repository.default_branch not in tips:
        return tips[0]
    if not (tips or local):
        raise UsageError(
            f"a pull request goes to a branch, and {base.sha[:12]} is the tip of none",
            hint="--base names a branch; --publish branch pushes without a pull request.",
        )
    return repository.default_branch


def _tell(remote: Remote, wanted: Proposal, opened: PullRequest, emit: Emit) -> None:
    command = shlex.join(_command(remote, wanted, body="--body=…"))
    emit(PullRequestCreation(command=command, output=opened.url, simulated=True))
    emit(WorkSaved(pr_url=opened.url))


def _command(remote: Remote, wanted: Proposal, *, body: str) -> list[str]:
    """What does the same with GitHub's own program."""
    return [
        *("gh", "pr", "create", f"--repo={remote.host}/{remote.owner}/{remote.name}"),
        *(f"--base={wanted.base}", f"--head={wanted.head}", f"--title={wanted.title}", body),
        *(("--draft",) if wanted.draft else ()),
    ]


def reaching(git: Git, remote: Remote) -> Git:
    """A git that may speak to that place; plain http is for this machine, says the parser."""
    return replace(git, protocols=("http",)) if remote.url.startswith("http://") else git
