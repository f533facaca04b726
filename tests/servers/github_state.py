"""What a loopback GitHub knows: repositories with their pull requests and issues, and its tokens."""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ME = "octocat"  # whose token it is, unless it says otherwise
TokenKind = Literal["classic", "fine-grained", "actions"]


@dataclass(frozen=True, slots=True)
class Token:
    """`lacks` are permissions that a fine-grained or an Actions token was not given, as GitHub names
    them (`pull_requests`, `contents`); a classic token has `scopes` in their place.
    """

    value: str
    login: str = ME
    scopes: tuple[str, ...] = ("repo", "workflow")
    lacks: frozenset[str] = frozenset()
    expires: str | None = None

    @property
    def kind(self) -> TokenKind:
        """As the beginning of the text says it."""
        if self.value.startswith("github_pat_"):
            return "fine-grained"
        return "actions" if self.value.startswith("ghs_") else "classic"


CLASSIC = Token("ghp_" + "canary0123456789abcdef")
FINE_GRAINED = Token("github_pat_" + "canary0123456789abcdef")
ACTIONS = Token(
    "ghs_" + "canary0123456789abcdef",
    login="github-actions[bot]",
    lacks=frozenset({"administration"}),  # which no workflow is ever given
)


@dataclass(slots=True)
class Comment:
    author: str
    text: str
    path: str | None = None
    line: int | None = None


@dataclass(slots=True)
class Review:
    author: str
    text: str = ""
    state: Literal["APPROVED", "CHANGES_REQUESTED", "COMMENTED", "DISMISSED"] = "COMMENTED"


@dataclass(slots=True)
class Thread:
    """A conversation about a line of a pull request."""

    comments: list[Comment]
    resolved: bool = False
    outdated: bool = False


@dataclass(slots=True)
class Issue:
    number: int
    title: str
    body: str = ""
    author: str = ME
    open: bool = True
    deleted: bool = False
    comments: list[Comment] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Pull(Issue):
    """`head_repository` is owner/name, empty for the repository itself and None where it was deleted;
    `head_sha` is where the branch was last, for when it is gone."""

    base: str = "main"
    head: str = ""
    head_repository: str | None = ""
    head_sha: str = "0" * 40
    base_sha: str = "0" * 40
    draft: bool = False
    maintainer_can_modify: bool = False
    reviewers: list[str] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)


@dataclass(slots=True)
class Repo:
    """A repository. Its branches are those of `git_folder`, a bare repository; where there is none,
    those of `branches` (name to commit), and no two commits are the same.

    `pull` and `push` are what the token's owner may do, whatever the token was given. A fork of it is
    told of at once, but has no branch yet in the first `fork_polls` requests for it or its branches.
    """

    full_name: str
    default_branch: str = "main"
    private: bool = False
    archived: bool = False
    disabled: bool = False
    pull: bool = True
    push: bool = True
    sso: bool = False  # its organisation wants tokens that SAML has authorised
    has_issues: bool = True
    has_drafts: bool = True
    forkable: bool = True
    actions_may_propose: bool = True
    git_folder: Path | None = None
    branches: dict[str, str] | None = None
    pulls: list[Pull] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    labels: set[str] = field(default_factory=lambda: {"bug", "enhancement"})
    collaborators: set[str] = field(default_factory=lambda: {ME})
    renamed_to: str | None = None
    fork_of: str | None = None
    fork_polls: int = 0
    pending: int = 0  # the request for this fork that will find it ready, counted from now

    def __post_init__(self) -> None:
        if self.branches is None:
            self.branches = {self.default_branch: f"{self.id:040x}"}

    @property
    def id(self) -> int:
        return zlib.crc32(self.full_name.lower().encode())

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        return self.full_name.partition("/")[2]

    @property
    def is_empty(self) -> bool:
        if self.git_folder is None:
            return not self.branches
        return not _git(self.git_folder, "for-each-ref", "refs/heads").stdout

    def next_number(self) -> int:
        """Issues and pull requests are counted together."""
        return 1 + max((each.number for each in (*self.issues, *self.pulls)), default=0)

    def tip(self, branch: str) -> str | None:
        """The commit a branch is at, as it is now."""
        if self.pending:
            return None
        if self.git_folder is None:
            return (self.branches or {}).get(branch)
        found = _git(self.git_folder, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
        return found.stdout.strip() or None


def commits_between(base: Repo, base_sha: str, head: Repo, head_sha: str) -> int:
    if base.git_folder is None or head.git_folder is None:
        return int(base_sha != head_sha)
    found = _git(
        head.git_folder,
        "rev-list",
        "--count",
        f"{base_sha}..{head_sha}",
        objects=[base.git_folder / "objects"],
    )
    return int(found.stdout or 0)


def clone(parent: Path, fork: Path) -> None:
    fork.parent.mkdir(parents=True, exist_ok=True)
    _git(parent.parent, "clone", "--quiet", "--bare", str(parent), str(fork)).check_returncode()


def fast_forward(parent: Path, fork: Path, branch: str) -> bool:
    """Bring a fork's branch to where the parent's is; False where that takes more than forwarding."""
    ref = f"refs/heads/{branch}"
    return _git(fork, "fetch", "--quiet", str(parent), f"{ref}:{ref}").returncode == 0


def take_over(source: Path, folder: Path, sha: str, ref: str) -> bool:
    """Have a commit of `source` in `folder`, by that ref; False where there is none."""
    command = ("-c", "uploadpack.allowAnySHA1InWant=true", "fetch", "--quiet", str(source))
    return _git(folder, *command, f"+{sha}:{ref}").returncode == 0


def _git(
    folder: Path, *argv: str, objects: Iterable[Path] = ()
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(map(str, objects)),
    }
    return subprocess.run(
        ["git", *argv], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
