"""A judged change on its way: pushed once, offered once, and nothing lost where only half of it works."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.program import git
from tests.repo.hostgit import opened
from tests.repo.served import Served, change, served
from tests.servers.git_faults import Decide, no_fault
from tiny_backspace.destinations import DryRun, Offer
from tiny_backspace.errors import ForgeDenied, ForgeError, UsageError
from tiny_backspace.events import PullRequestCreation, WorkSaved
from tiny_backspace.forges.interface import Forge, Proposal, PullRequest, Repository
from tiny_backspace.publishing import OnForge, Wanted, _base_branch
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.origin import local_base
from tiny_backspace.repo.quarantine import Quarantine
from tiny_backspace.repo.source import Remote, parse

HERE = Repository("o/n", "main", may_push=True)


@dataclass
class FakeForge:
    """Opens what it is asked to, or refuses it for good."""

    refusal: ForgeError | None = None
    opened: list[Proposal] = field(default_factory=list)
    updated: list[tuple[str, str]] = field(default_factory=list)

    def repository(self) -> Repository:
        return HERE

    def find_pull_request(self, head: str, *, ended: bool = False) -> PullRequest | None:
        return None

    def open_pull_request(self, proposal: Proposal) -> PullRequest:
        if self.refusal is not None:
            raise self.refusal
        self.opened.append(proposal)
        return PullRequest(len(self.opened), f"http://forge/o/n/pull/{len(self.opened)}")

    def update_fork(self, branch: str, commit: str) -> None:
        self.updated.append((branch, commit))


def remote(place: Served) -> Remote:
    found = parse(place.url)
    assert isinstance(found, Remote)
    return found


def on(place: Served, forge: Forge | None, repository: Repository | None = HERE) -> OnForge:
    wanted = Wanted(reviewers=("ann",), assignees=("bob",))
    return OnForge(remote(place), place.git(), forge, repository, wanted)


@dataclass
class Job:
    """A change of the served repository's main, and how often it was committed."""

    place: Served
    cage: Quarantine
    branch: str
    title: str
    body: str
    draft: bool
    labels: tuple[str, ...]
    patch: Path
    commits: int = 0

    @property
    def offer(self) -> Offer:
        return Offer(
            self.branch, self.title, self.body, self.draft, self.labels, self.patch, self.cage, "0" * 40,
            self.commit,
        )  # fmt: skip

    def commit(self) -> str:
        self.commits += 1
        return change(self.cage, b"agent\n")

    @property
    def saved(self) -> dict[str, object]:
        """Where the work is, as all events together tell it."""
        told: dict[str, object] = {}
        for event in self.place.events:
            if isinstance(event, WorkSaved):
                told |= event.model_dump(exclude_defaults=True)
        return told


@contextmanager
def job(
    folder: Path, branch: str = "tb/x", fault: Decide = no_fault, *, draft: bool = True
) -> Generator[Job]:
    with served(folder, fault=fault) as place, place.caged(place.git()) as cage:
        patch = folder / "run" / "change.patch"
        patch.parent.mkdir()
        yield Job(
            place, cage, branch, "[draft] It's done", "## What and why\n", draft, ("ours",), patch
        )


def test_one_branch_is_pushed_and_proposed_with_every_word(tmp_path: Path) -> None:
    forge = FakeForge()
    with job(tmp_path) as ours:
        destination = on(ours.place, forge)
        destination.check(ours.cage.base, "tb/x")

        closing = destination.take(ours.offer, ours.place.events.append)

        (created,) = (e for e in ours.place.events if isinstance(e, PullRequestCreation))
        tip = git(ours.place.bare, "rev-parse", "tb/x")
    assert closing == "Pull request created successfully!"
    assert forge.opened == [
        Proposal(
            "main", "tb/x", "It's done", "## What and why\n", draft=True, labels=("ours",),
            reviewers=("ann",), assignees=("bob",),
        )
    ]  # fmt: skip
    assert ours.saved["commit"] == tip
    assert (ours.saved["branch"], ours.saved["pr_url"]) == ("tb/x", "http://forge/o/n/pull/1")
    assert shlex.split(created.command)[-1] == "--draft"
    assert ours.commits == 1


def test_what_is_ready_although_work_is_left_says_so_by_its_title(tmp_path: Path) -> None:
    forge = FakeForge()
    with job(tmp_path, draft=False) as ours:
        on(ours.place, forge).take(ours.offer, ours.place.events.append)

    assert [(each.title, each.draft) for each in forge.opened] == [("[draft] It's done", False)]


def test_without_a_forge_the_branch_is_all(tmp_path: Path) -> None:
    with job(tmp_path) as ours:
        closing = on(ours.place, None, None).take(ours.offer, ours.place.events.append)

    assert closing == f"Branch tb/x is at {ours.place.url}."
    assert "pr_url" not in ours.saved


@pytest.mark.parametrize(
    ("taken", "got"),
    [(("tb/x",), "tb/x-2"), (("tb/x/y",), "tb/x-2"), (("tb/x", "tb/x-2"), "tb/x-3")],
)
def test_a_name_that_was_taken_meanwhile_gets_a_number(
    tmp_path: Path, taken: tuple[str, ...], got: str
) -> None:
    forge = FakeForge()
    with job(tmp_path) as ours:
        destination = on(ours.place, forge)
        destination.check(ours.cage.base, "tb/x")
        for name in taken:
            git(ours.place.bare, "branch", name, "main~1")
        theirs = {name: ours.place.branches[name] for name in taken}

        destination.take(ours.offer, ours.place.events.append)

        assert ours.place.branches.items() >= theirs.items()
        assert ours.place.branches[got] == ours.saved["commit"]
    assert ([each.head for each in forge.opened], ours.saved["branch"]) == ([got], got)
    assert ours.commits == 1


def test_where_every_name_is_taken_nothing_is_proposed(tmp_path: Path) -> None:
    forge = FakeForge()
    with job(tmp_path) as ours:
        git(ours.place.bare, "branch", "tb", "main")  # there can be none below it

        with pytest.raises(ForgeError, match="from tb/x on") as raised:
            on(ours.place, forge).take(ours.offer, ours.place.events.append)

    assert "--branch" in str(raised.value.hint)
    assert (forge.opened, "branch" in ours.saved) == ([], False)


@pytest.mark.parametrize("kind", [ForgeError, ForgeDenied])
def test_a_pull_request_that_fails_leaves_the_branch_its_words_and_one_command(
    tmp_path: Path, kind: type[ForgeError]
) -> None:
    forge = FakeForge(kind("the token may not do this", hint="It needs pull_requests=write."))
    with job(tmp_path) as ours:
        destination = on(ours.place, forge)
        destination.check(ours.cage.base, "tb/x")

        with pytest.raises(ForgeError, match=r"tb/x is pushed, .*: the token may not") as raised:
            destination.take(ours.offer, ours.place.events.append)

        assert ours.place.branches["tb/x"] == ours.saved["commit"]
        host = ours.place.server.url.removeprefix("http://")
    text = tmp_path / "run" / "pull-request.md"
    why, _, command = str(raised.value.hint).partition(" To finish: ")
    assert type(raised.value) is kind
    assert why == "It needs pull_requests=write."
    assert shlex.split(command) == [
        "gh", "pr", "create", f"--repo={host}/o/n", "--base=main", "--head=tb/x",
        "--title=It's done", f"--body-file={text}", "--draft",
    ]  # fmt: skip
    assert text.read_text() == "## What and why\n"  # the title is in the command
    assert (ours.saved["branch"], "pr_url" in ours.saved) == ("tb/x", False)


@pytest.mark.parametrize(
    ("repository", "error", "said"),
    [
        (replace(HERE, archived=True), ForgeError, "o/n is archived"),
        (replace(HERE, disabled=True), ForgeError, "o/n is disabled"),
        (replace(HERE, empty=True), ForgeError, "no commit yet"),
        (replace(HERE, may_push=False), ForgeDenied, "may not push to o/n"),
    ],
)
def test_what_cannot_be_is_known_before_git_is_asked(
    tmp_path: Path, repository: Repository, error: type[ForgeError], said: str
) -> None:
    with served(tmp_path) as place:
        with pytest.raises(error, match=said) as raised:
            on(place, FakeForge(), repository).check(Base(place.head, "main"), "tb/x")

        assert type(raised.value) is error
        assert place.server.asked == []


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("name", ["tb/x", "tb", "tb/x/y"])
def test_a_name_that_is_taken_is_known_before_too(tmp_path: Path, name: str, *, dry: bool) -> None:
    with served(tmp_path) as place:
        git(place.bare, "branch", name, "main")
        found = on(place, FakeForge())

        with pytest.raises(UsageError, match=rf"a branch {name} already") as raised:
            (DryRun(found) if dry else found).check(Base(place.head, "main"), "tb/x")

    assert "--branch" in str(raised.value.hint)


SHA, OTHER = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("base", "there", "goes_to"),
    [
        (Base(SHA, "main"), {"main": SHA}, "main"),
        (Base(SHA, "release"), {"main": OTHER, "release": SHA}, "release"),
        (Base(SHA, "main"), {"main": OTHER}, "main"),  # it has moved on, or the clone is behind
        (Base(SHA, "mine"), {"main": SHA}, "main"),  # a branch of the user's alone, on a pushed commit
        (Base(SHA, None), {"main": SHA}, "main"),
        (Base(SHA, None), {"release": SHA, "main": OTHER}, "release"),
        (Base(SHA, None), {"release": SHA, "main": SHA}, "main"),
        (Base(SHA, None), {"main": OTHER}, None),
    ],
)  # fmt: skip
def test_the_pull_request_goes_to_the_branch_it_started_from(
    base: Base, there: dict[str, str], goes_to: str | None
) -> None:
    if goes_to is None:
        with pytest.raises(UsageError, match="is the tip of none"):
            _base_branch(base, there, HERE, local=False)
    else:
        assert _base_branch(base, there, HERE, local=False) == goes_to


def test_a_clones_base_has_to_be_there_already(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        local = opened(place.work, tmp_path)
        found = replace(on(place, FakeForge()), local=local)

        found.check(local_base(local, None), "tb/x")
        git(place.work, "commit", "-q", "--allow-empty", "-m", "mine alone")
        with pytest.raises(UsageError, match="not at http") as raised:
            found.check(local_base(local, None), "tb/x")
        git(place.work, "push", "-q", str(place.bare), "main")
        found.check(local_base(local, None), "tb/x")

    assert "git push origin main" in str(raised.value.hint)


def test_what_was_asked_already_is_not_asked_again(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        found = replace(
            on(place, FakeForge()), there=lambda: {"main": place.head, "tb/x": place.head}
        )

        with pytest.raises(UsageError, match="a branch tb/x already"):
            found.check(Base(place.head, "main"), "tb/x")

        assert place.server.asked == []


@pytest.mark.parametrize("branch", ["main", "release"])
def test_a_fork_gets_the_base_before_anything_is_pushed_to_it(tmp_path: Path, branch: str) -> None:
    """The branches of the repository that it goes to decide, whatever the fork has."""
    forge = FakeForge()
    with served(tmp_path) as place:
        git(place.bare, "branch", "release", "main~1")
        git(
            place.work,
            "clone",
            "-q",
            "--bare",
            str(place.bare),
            str(place.bare.parent / "mine.git"),
        )
        mine = place.bare.parent / "mine.git"
        git(mine, "branch", "-D", "release")
        git(mine, "branch", "tb/x", "main")
        fork = parse(f"{place.server.url}/o/mine")
        assert isinstance(fork, Remote)
        tip = place.branches[branch]
        found = replace(on(place, forge, replace(HERE, may_push=False)), fork=fork)

        with pytest.raises(UsageError, match=r"o/mine\.git has a branch tb/x already"):
            found.check(Base(tip, branch), "tb/x")
        assert forge.updated == []
        found.check(Base(tip, branch), "tb/y")

    assert (forge.updated, found._base) == ([(branch, tip)], branch)
