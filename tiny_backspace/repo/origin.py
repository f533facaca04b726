"""Where a run's base comes from, and where its branch goes: the user's own repository, or a remote one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

from tiny_backspace.errors import RepoError
from tiny_backspace.events import Emit, GitOperation
from tiny_backspace.repo.git import TRANSFER, Git
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.remote import PATIENCE, Patience, unreadable
from tiny_backspace.repo.source import Local, Remote

_NO_OBJECT = "0" * 40
_SHA = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LocalRepository:
    """A repository of the user's. Its work tree, index and HEAD are never touched; one branch is added."""

    git_dir: Path
    work_tree: Path | None
    git: Git

    @property
    def url(self) -> str:
        """What git fetches from: the path as it is, as git would decode a `%` in a file:// URL."""
        return str(self.git_dir)


def open_local(source: Local, git: Git) -> LocalRepository:
    """Find the repository that holds this path.

    Raises:
        RepoError: there is none, or it is of a kind we cannot take.
    """
    path = Path(source.path).expanduser().resolve()
    if not path.is_dir():
        raise RepoError(f"there is no folder {source.path}")
    # whoever names a repository trusts it; what it could run is switched off anyway
    top = next((p for p in (path, *path.parents) if (p / ".git").exists()), path)
    git = replace(git, safe=(top, top / ".git"), protocols=("file",))
    found = git.run(
        "-C", str(path), "rev-parse", "--path-format=absolute",
        "--git-common-dir", "--is-bare-repository", "--show-object-format",
    )  # fmt: skip
    if not found.ok and "not a git repository" not in found.complaint:
        raise RepoError(f"{source.path} cannot be opened: {found.complaint}")
    if not found.ok:
        raise RepoError(
            f"{source.path} is not in a git repository",
            hint="`git init` makes one; or name a remote repository: owner/name.",
        )
    # from the right: a path may hold a line break
    git_dir, bare, object_format = os.fsdecode(found.stdout).rstrip("\n").rsplit("\n", 2)
    if object_format != "sha1":
        raise RepoError(
            f"{source.path} uses {object_format} object names, which we cannot take yet"
        )
    # of a linked work tree or a submodule it is elsewhere, and git asks whose that is too
    git = replace(git, safe=(*git.safe, Path(git_dir)))
    return LocalRepository(Path(git_dir), None if bare == "true" else top, git)


def local_base(repository: LocalRepository, wanted: str | None) -> Base:
    """The commit to start from: HEAD of the work tree that was named, or `wanted`.

    Raises:
        RepoError: it does not exist, or there is no commit yet.
    """
    git = repository.git
    where = ("-C", str(repository.work_tree)) if repository.work_tree else ()
    git_dir = None if where else repository.git_dir
    ref = f"refs/heads/{wanted}"  # before a tag of the same name, which git would take first
    branch = bool(wanted) and git.run(
        *where, "show-ref", "-q", "--verify", ref, git_dir=git_dir
    ).ok  # fmt: skip
    spec = ref if branch else wanted or "HEAD"
    found = git.run(
        *where, "rev-parse", "-q", "--verify", "--end-of-options", f"{spec}^{{commit}}",
        git_dir=git_dir,
    )  # fmt: skip
    if not found.ok:
        raise RepoError(
            f"there is no commit {wanted!r} in this repository"
            if wanted
            else "this repository has no commit yet, or none on the branch it is on",
            hint="`git branch --all` lists what there is."
            if wanted
            else "Make a first commit: a run starts from one. Or name a branch: --base NAME.",
        )
    if wanted:
        return Base(found.text, wanted if branch else None)
    head = git.run(*where, "symbolic-ref", "-q", "HEAD", git_dir=git_dir).text
    return Base(found.text, head.removeprefix("refs/heads/") or None)


def uncommitted(repository: LocalRepository) -> int:
    """How many files of the work tree are not as in HEAD, untracked ones included."""
    git = repository.git
    if repository.work_tree is None:
        return 0
    where = ("-C", str(repository.work_tree))
    # A content filter of the repository's configuration would be a program run on the host: of all
    # of it, included files and a work tree's own too. `-c` would cut a key that holds a `=`.
    listed = git.run(*where, "config", "--get-regexp", "-z", r"^filter\.")
    said = os.fsdecode(listed.stdout)  # a name that is not UTF-8 is a name all the same
    keys = (entry.partition("\n")[0] for entry in said.split("\0") if entry)
    off = tuple((key, _off(key)) for key in dict.fromkeys(keys))
    try:
        status = replace(git, settings=off).run(
            *where, "status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=all"
        )
    except RepoError:  # so many, or so slow to count: no reason not to run
        return 0
    return status.stdout.count(b"\0") if status.ok else 0


def _off(key: str) -> str:
    return "false" if key.endswith(".required") else ""


def remote_base(
    remote: Remote, wanted: str | None, git: Git, patience: Patience = PATIENCE
) -> Base:
    """The remote's default branch, or the branch, tag, commit or ref by its full name that was asked for.

    It is asked in any case: what is in the cache is for whoever may still read it there.

    Raises:
        RepoError: it cannot be reached or read, or has no such branch.
    """
    commit = wanted if wanted and _SHA.fullmatch(wanted) else None
    tag = f"refs/tags/{wanted}"  # followed by ^{}: the commit of an annotated one
    names = (f"refs/heads/{wanted}", f"{tag}^{{}}", tag) if wanted and not commit else ("HEAD",)
    if wanted and wanted.startswith("refs/"):
        names = (*names, wanted)
    asking = ("ls-remote", "-q", "--symref", "--end-of-options", remote.url, *names)
    done = patience.asking(lambda: git.run(*asking, limits=TRANSFER), git.emit)
    if not done.ok:
        raise unreadable(git, remote.url, done, f"{remote.url} cannot be read")
    if commit:
        return Base(commit, None)
    branch, shas = wanted, dict[str, str]()
    for line in done.text.splitlines():
        left, _, name = line.partition("\t")
        if left.startswith("ref: refs/heads/"):
            branch = left.removeprefix("ref: refs/heads/")
        elif _SHA.fullmatch(left):
            shas[name] = left
        elif _SHA256.fullmatch(left):
            raise RepoError(f"{remote.url} uses sha256 object names, which we cannot take yet")
    for name in names:  # git takes them for patterns, so that it may have found others too
        if name in shas:
            return Base(shas[name], None if name.startswith((tag, "refs/pull/")) else branch)
    raise RepoError(
        f"{remote.url} has no branch or tag {wanted!r}"
        if wanted
        else f"{remote.url} is empty, or has no commit on its default branch",
        hint="Check --base."
        if wanted
        else "Make a first commit there: a run starts from one. Or name a branch: --base NAME.",
    )


def leave_branch(
    repository: LocalRepository, branch: str, commit: str, base: Base, quarantine: Path, emit: Emit
) -> None:
    """Give the user's repository the commit and a new branch on it, and nothing else.

    Raises:
        RepoError: the branch exists, or the repository cannot be written.
    """
    git = repository.git
    with TemporaryFile() as pack:
        git.must(
            "pack-objects", "-q", "--revs", "--thin", "--stdout", git_dir=quarantine,
            stdin=f"{commit}\n^{base.sha}\n".encode(), stdout=pack, doing="packing the commit",
        )  # fmt: skip
        pack.seek(0)
        git.must(
            "unpack-objects", "-q", "--strict", git_dir=repository.git_dir, stdin=pack,
            doing=f"writing to {repository.git_dir}",
        )  # fmt: skip
    ref = f"refs/heads/{branch}"
    git.must(
        "update-ref", "-m", "tiny-backspace run", ref, commit, _NO_OBJECT,
        git_dir=repository.git_dir, doing=f"making the branch {branch}",
    )  # fmt: skip
    emit(GitOperation(command=f"git update-ref {ref} {commit}", output=f"branch {branch}"))


def is_pushed(repository: LocalRepository, base: Base, tips: Iterable[str]) -> bool:
    """Whether the base is in the history of one of these commits, or of what was last fetched from `origin`."""
    fetched = repository.git.run(
        "for-each-ref", "--count=1", f"--contains={base.sha}", "refs/remotes/origin",
        git_dir=repository.git_dir,
    )  # fmt: skip
    if fetched.ok and fetched.stdout:
        return True
    for tip in dict.fromkeys(tips):
        if tip == base.sha:
            return True
        within = repository.git.run(
            "merge-base",
            "--is-ancestor",
            "--end-of-options",
            base.sha,
            tip,
            git_dir=repository.git_dir,
        )
        if within.ok:
            return True
    return False
