"""Where the agent's work is looked at: a bare repository of the run's own, apart from everything else.

The patch is applied by git to a temporary index, under limits; what is judged and committed is the
tree that comes of it. Nothing is checked out, and the mirror behind it is only read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tiny_backspace.errors import AgentError, RepoError
from tiny_backspace.repo.git import AGENTS_WORK, Done, Git
from tiny_backspace.repo.mirror import TOO_LARGE, Base, Mirror
from tiny_backspace.sandbox.interface import Sandbox

JUDGED_LIMIT = 20 << 20  # bytes of a patch; a larger one is kept, and not looked at
KEPT_LIMIT = 256 << 20
_APPLYING = replace(
    AGENTS_WORK, cpu=8
)  # seconds; what `JUDGED_LIMIT` allows takes one, if it is honest

# Argument: base. The index is a copy of the one made at check-out, so that nothing the agent did to
# its own (assume-unchanged, a lock left behind) hides a change. Git compares whole seconds, and would
# believe the copy about a file that was changed within the second of the check-out: so what the kernel
# knows to be touched since is forgotten there and read anew. Where that cannot be found out, the copy is
# as old as the check-out, and git reads every file of that second. diff-index reads no diff.* settings.
# New objects go to the home folder, so that a full work tree does not keep the change inside. What
# cannot be added does not take the rest with it: neither what git passes over when told so (a repository
# within, without a commit), nor what is fatal to it (a file that is not in its working-tree-encoding).
# The tree's id is the last line of standard error; the line before says why something was left out.
_TAKE_OUT = """
set -e
export GIT_DIR=$PWD/.git GIT_WORK_TREE=$PWD  # whatever core.worktree and core.bare say by now
ours='-c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.safecrlf=false'
git() { command git $ours "$@"; }
folder=$(mktemp -d -p "$HOME") && trap 'rm -rf "$folder"' EXIT
export GIT_INDEX_FILE=$folder/index
made=.git/tiny-backspace-index
{
  cp $made "$folder/index" &&
  find . -path ./.git -prune -o ! -type d -cnewer $made -print0 >"$folder/touched" &&
  xargs -0r git $ours --literal-pathspecs ls-files -s -z -- <"$folder/touched" >"$folder/forgotten" &&
  git update-index -z --index-info <"$folder/forgotten"
} 2>/dev/null || cp -p $made "$folder/index" 2>/dev/null || git read-tree "$1"
export GIT_ALTERNATE_OBJECT_DIRECTORIES=$PWD/.git/objects GIT_OBJECT_DIRECTORY=$HOME/.tiny-backspace-objects
mkdir -p "$GIT_OBJECT_DIRECTORY"
left_out=
git add -A 2>"$folder/said" >&2 || {
  left_out=$(tail -n 1 "$folder/said" | tr -d '\n')
  git add -A --ignore-errors >&2 || [ $? = 1 ] || git ls-files -zmdo --exclude-standard |
    xargs -0rn1 git $ours --literal-pathspecs add -A -- >&2 || [ $? = 123 ]
}
git diff-index --cached -p --binary --full-index --no-renames --no-color --no-ext-diff --no-textconv "$1"
echo "left out: $left_out" >&2
git write-tree >&2
"""

# A patch that came out of a sandbox, on its base, in another one. Its tree is checked out, as the base
# was, and its index is the one to take changes out with from here on: git would write some files anew
# in another way (line ends, encodings), and what nobody touched is not changed by that. Says the tree's id.
_PUT_IN = """
set -e
export GIT_DIR=$PWD/.git GIT_WORK_TREE=$PWD made=$PWD/.git/tiny-backspace-index
git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }
folder=$(mktemp -d -p "$HOME") && trap 'rm -rf "$folder"' EXIT
export GIT_ALTERNATE_OBJECT_DIRECTORIES=$PWD/.git/objects GIT_OBJECT_DIRECTORY=$HOME/.tiny-backspace-objects
mkdir -p "$GIT_OBJECT_DIRECTORY"
cp $made "$folder/index"
GIT_INDEX_FILE=$folder/index git apply --cached --binary --whitespace=nowarn -
tree=$(GIT_INDEX_FILE=$folder/index git write-tree)
GIT_INDEX_FILE=$made git read-tree --reset -u "$tree"
echo "$tree"
"""


@dataclass(frozen=True, slots=True)
class Patch:
    """What came out: a file on the host, and the tree the container says it leads to.

    `left_out` is git's reason where a file could not be added.
    """

    path: Path
    size: int
    tree: str
    left_out: str = ""

    @property
    def complete(self) -> bool:
        return not self.left_out


class _TooLarge(Exception):
    pass


def take_out(sandbox: Sandbox, base: Base, target: Path, *, timeout: float = 60) -> Patch:
    """Write the sandbox's change to `target` as one binary patch. An empty one means no change.

    Raises:
        AgentError: the change is immense, or git inside could not say what it is. What was taken
            out before stays as it is.
        RepoError: the host has no room for it.
    """
    new = target.with_name(f"{target.name}.new")
    try:
        patch = _taken_out(sandbox, base, new, timeout)
        new.replace(target)
    except OSError as error:
        raise RepoError(f"the patch cannot be written to {target}: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)
    return replace(patch, path=target)


def _taken_out(sandbox: Sandbox, base: Base, target: Path, timeout: float) -> Patch:
    size = 0
    private = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(private, "wb") as file:

        def keep(data: bytes) -> None:
            nonlocal size
            size += len(data)
            if size > KEPT_LIMIT:
                raise _TooLarge
            file.write(data)

        try:
            result = sandbox.call(
                ["sh", "-c", _TAKE_OUT, "sh", base.sha], timeout=timeout, on_output=keep
            )
        except _TooLarge:
            raise AgentError(
                f"the change is larger than {KEPT_LIMIT >> 20} MiB",
                hint="Did the agent leave build output behind? `tiny-backspace show` tells.",
            ) from None
    said = result.stderr.decode(errors="replace").strip()
    if not result.ok:
        raise AgentError(f"the change could not be taken out of the sandbox: {said[-300:]}")
    before, _, tree = said.rpartition("\n")
    left_out = before.rpartition("\n")[2].removeprefix("left out:").strip()
    if "No space left" in left_out:
        raise AgentError(
            "the sandbox is full: the change cannot be taken out of it",
            hint="Give it more room with --memory and --disk.",
        )
    if left_out and not size:
        raise AgentError(f"the change could not be taken out: {left_out}")
    return Patch(target, size, tree, left_out)


def put_in(sandbox: Sandbox, patch: bytes, tree: str) -> None:
    """Make a change that was taken out elsewhere again, in a work tree that is as its base.

    Raises:
        AgentError: it does not apply, or does not lead to `tree`.
    """
    done = sandbox.call(["sh", "-c", _PUT_IN], timeout=60, stdin=patch)
    if not done.ok:
        said = done.stderr.decode(errors="replace").strip()
        raise AgentError(f"the change could not be put into another sandbox: {said[-300:]}")
    led_to = done.stdout.decode(errors="replace").strip()
    if led_to != tree:
        raise AgentError(f"the change leads to tree {led_to[:12]}, and not to {tree[:12]}")


@dataclass(frozen=True, slots=True)
class Quarantine:
    path: Path
    git: Git
    base: Base

    def apply(self, patch: Patch) -> str:
        """The id of the tree that the patch makes of the base.

        Raises:
            AgentError: it does not apply, or leads to another tree than the container said.
        """
        index = {"GIT_INDEX_FILE": str(self.path / "index")}
        with patch.path.open("rb") as file:
            applied = self.git.run(
                "apply", "--cached", "--binary", "--whitespace=nowarn", "-",
                git_dir=self.path, stdin=file, env=index, limits=_APPLYING,
            )  # fmt: skip
        if not applied.ok:
            why = applied.complaint or "git was ended at its limits"
            raise AgentError(f"the patch does not apply to its base: {why}")
        tree = self.git.must(
            "write-tree", git_dir=self.path, env=index, doing="writing the tree"
        ).text
        if tree != patch.tree:
            raise AgentError(
                f"the patch leads to tree {tree[:12]}, the container said {patch.tree[:12]}"
            )
        return tree

    def write_patch(self, tree: str, target: Path) -> None:
        """Replace `target` by the difference between base and tree, in git's own words of the host.

        Raises:
            AgentError: it takes more memory than git may have.
            RepoError: git failed, or there is no room for it.
        """
        new = target.with_name(f"{target.name}.new")
        try:
            with os.fdopen(
                os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as file:
                done = self.git.run(
                    "diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--no-color",
                    "--no-ext-diff", "--no-textconv", self.base.sha, tree,
                    git_dir=self.path, stdout=file,
                )  # fmt: skip
            _must_be_looked_at(done)
            new.replace(target)
        except OSError as error:
            raise RepoError(f"the patch cannot be written to {target}: {error.strerror}") from error
        finally:
            new.unlink(missing_ok=True)

    def read(self, *args: str) -> bytes:
        """The output of a git command that reads objects here.

        Raises:
            AgentError: it takes more memory than git may have.
            RepoError: git failed.
        """
        done = self.git.run(*args, git_dir=self.path)
        _must_be_looked_at(done)
        return done.stdout

    def sizes(self, ids: list[str]) -> dict[str, int]:
        """Bytes of each blob."""
        if not ids:
            return {}
        done = self.git.must(
            "cat-file", "--batch-check=%(objectname) %(objectsize)", git_dir=self.path,
            stdin="".join(f"{i}\n" for i in ids).encode(), doing="measuring the change",
        )  # fmt: skip
        pairs = (line.split() for line in done.text.splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if pair[1].isdigit()}

    def commit(self, tree: str, message: str, identity: Mapping[str, str]) -> str:
        """The one commit of the run: this tree on the base. `identity` is git's GIT_AUTHOR_… variables."""
        done = self.git.must(
            "commit-tree", tree, "-p", self.base.sha, "-F", "-",
            git_dir=self.path, stdin=message.encode(), env=identity, doing="making the commit",
        )  # fmt: skip
        return done.text


def _must_be_looked_at(done: Done) -> None:
    """What git cannot hold is the agent's doing; any other end of it is not."""
    if done.too_large:
        raise AgentError("the change is too large to be looked at: git has not the memory")
    if not done.ok:
        raise RepoError(f"git failed while reading the change: {done.complaint}")


@contextmanager
def quarantine(path: Path, mirror: Mirror, base: Base) -> Iterator[Quarantine]:
    """A fresh one that borrows the mirror's objects, with the base in its index; gone afterwards."""
    try:
        _prepare(path, mirror, base)
        yield Quarantine(path, mirror.git, base)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _prepare(path: Path, mirror: Mirror, base: Base) -> None:
    mirror.git.must(
        "init",
        "-q",
        "--bare",
        "--shared=0600",
        "--template=",
        str(path),
        doing="making a quarantine",
    )
    try:
        (path / "objects" / "info").mkdir(exist_ok=True)
        (path / "objects" / "info" / "alternates").write_text(f"{mirror.path / 'objects'}\n")
        if (mirror.path / "shallow").exists():
            shutil.copyfile(mirror.path / "shallow", path / "shallow")
    except OSError as error:
        raise RepoError(f"{path} cannot be written: {error.strerror}") from error
    index = {"GIT_INDEX_FILE": str(path / "index")}
    read = mirror.git.run("read-tree", base.sha, git_dir=path, env=index)
    if not read.ok:
        raise _unreadable(read, mirror, base)


def _unreadable(read: Done, mirror: Mirror, base: Base) -> RepoError:
    """Why the base's tree cannot be read: git does not want it, or it is not there whole."""
    if "invalid path" in read.complaint:
        return RepoError(
            f"git refuses a path of this repository: {read.complaint}",
            hint="It could be checked out nowhere. Start from a commit without it: --base REF.",
        )
    if read.too_large:
        what = f"the tree of {base.sha[:12]} does not fit into {AGENTS_WORK.memory >> 20} MiB"
        return RepoError(what, hint=TOO_LARGE)
    if read.exit_code < 0 or "tree depth" in read.complaint:  # older ones crash
        return RepoError(
            f"git cannot read the tree of {base.sha[:12]}: {read.complaint or 'it crashed'}",
            hint="Folders that are thousands of levels deep could be checked out nowhere.",
        )
    return RepoError(
        f"the cached copy of the repository is damaged: {read.complaint}",
        hint=f"Remove {mirror.path} and run again: it is fetched anew.",
    )
