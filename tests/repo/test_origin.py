"""Where a run starts from and where its branch goes: the user's repository, changed by one branch alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import git, make_repository, snapshot
from tests.repo.hostgit import host_git, mirrored, opened, quiet
from tests.servers.git_http import git_server
from tiny_backspace.errors import RepoError
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.origin import (
    leave_branch,
    local_base,
    open_local,
    remote_base,
    uncommitted,
)
from tiny_backspace.repo.quarantine import quarantine
from tiny_backspace.repo.source import Local, Remote

NEW = (".git/objects", ".git/refs/heads/tiny", ".git/logs/refs/heads/tiny")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "r", {"a.txt": "a\n", "sub/b.txt": "b\n"})


def head(repository: Path) -> str:
    return git(repository, "rev-parse", "HEAD")


def test_the_repository_is_found_from_a_folder_in_it(repository: Path, tmp_path: Path) -> None:
    found = opened(repository / "sub", tmp_path)

    assert (found.git_dir, found.work_tree) == (repository / ".git", repository)
    assert local_base(found, None) == Base(head(repository), "main")


def test_a_worktree_has_its_own_head_and_the_common_folder(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "w"))
    git(tmp_path / "w", "commit", "-q", "--allow-empty", "-m", "second")

    found = opened(tmp_path / "w", tmp_path)

    assert found.git_dir == repository / ".git"
    assert local_base(found, None) == Base(head(tmp_path / "w"), "side")


def test_a_bare_repository_has_a_base_and_nothing_uncommitted(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "clone", "-q", "--bare", str(repository), str(tmp_path / "b.git"))

    found = opened(tmp_path / "b.git", tmp_path)

    assert found.work_tree is None
    assert local_base(found, None) == Base(head(repository), "main")
    assert local_base(found, "main") == Base(head(repository), "main")
    assert uncommitted(found) == 0


def test_a_base_may_be_a_branch_a_tag_or_a_commit(repository: Path, tmp_path: Path) -> None:
    first = head(repository)
    git(repository, "tag", "-a", "v1", "-m", "tag")
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    git(repository, "branch", "old", first)
    found = opened(repository, tmp_path)

    assert local_base(found, "old") == Base(first, "old")
    assert local_base(found, "v1") == Base(first, None)
    assert local_base(found, first[:10]) == Base(first, None)


@pytest.mark.parametrize("wanted", ["nowhere", "--all", "HEAD:a.txt", "main..main", "$(id)", ""])
def test_a_base_that_is_no_commit_is_a_sentence(
    repository: Path, tmp_path: Path, wanted: str
) -> None:
    found = opened(repository, tmp_path)
    if not wanted:
        assert local_base(found, wanted) == local_base(found, None)
        return
    with pytest.raises(RepoError, match="there is no commit"):
        local_base(found, wanted)


def test_a_branch_comes_before_a_tag_of_its_name(repository: Path, tmp_path: Path) -> None:
    git(repository, "tag", "main")
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    found = opened(repository, tmp_path)

    assert local_base(found, "main") == local_base(found, None) == Base(head(repository), "main")


def test_what_is_no_repository_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    git(tmp_path, "init", "-q", str(tmp_path / "empty"))
    git(tmp_path, "init", "-q", "--object-format=sha256", str(tmp_path / "long"))

    with pytest.raises(RepoError, match="not in a git repository"):
        opened(tmp_path, tmp_path)
    with pytest.raises(RepoError, match="no folder"):
        opened(tmp_path / "file", tmp_path)
    with pytest.raises(RepoError, match="no commit yet"):
        local_base(opened(tmp_path / "empty", tmp_path), None)
    with pytest.raises(RepoError, match="sha256"):
        opened(tmp_path / "long", tmp_path)
    git(tmp_path / "empty", "config", "core.repositoryFormatVersion", "1")
    git(tmp_path / "empty", "config", "extensions.new", "true")
    with pytest.raises(RepoError, match="cannot be opened: unknown repository extension"):
        opened(tmp_path / "empty", tmp_path)


def test_without_git_it_is_not_the_repository_that_is_blamed(
    repository: Path, tmp_path: Path
) -> None:
    none = Git({"PATH": str(tmp_path)}, tmp_path, quiet)

    with pytest.raises(RepoError, match="git cannot be started"):
        open_local(Local(str(repository)), none)


def test_a_folder_with_odd_signs_in_its_name_is_taken(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / 'a "b" \\c [d]=e é', {"a": "a"})

    mirror, base = mirrored(repository, tmp_path)

    assert mirror.git.run("cat-file", "-e", base.sha, git_dir=mirror.path).ok


def test_changed_new_and_staged_files_are_counted_and_ignored_ones_are_not(
    repository: Path, tmp_path: Path
) -> None:
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "x.log").write_text("")
    (repository / "a.txt").write_text("changed\n")
    (repository / "new").write_text("")
    git(repository, "add", "new")
    before = snapshot(repository)

    assert uncommitted(opened(repository, tmp_path)) == 3
    assert snapshot(repository) == before


def test_a_branch_is_added_and_nothing_else_is_touched(repository: Path, tmp_path: Path) -> None:
    (repository / "a.txt").write_text("changed by hand\n")
    mirror, base = mirrored(repository, tmp_path)
    local = opened(repository, tmp_path)
    before = snapshot(repository, leaving_out=NEW)
    with quarantine(tmp_path / "q.git", mirror, base) as cage:
        tree = mirror.git.must(
            "mktree", git_dir=cage.path, stdin=b"", doing="making a tree"
        ).text  # fmt: skip
        identity = {f"GIT_{r}_{p}": "x" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")}
        commit = cage.commit(tree, "all gone\n", identity)
        leave_branch(local, "tiny/x", commit, base, cage.path, quiet)
        with pytest.raises(RepoError, match="making the branch tiny/x"):
            leave_branch(local, "tiny/x", commit, base, cage.path, quiet)
        with pytest.raises(RepoError, match="making the branch"):
            leave_branch(local, "tiny/x/y", commit, base, cage.path, quiet)

    assert git(repository, "rev-parse", "tiny/x^") == base.sha
    assert git(repository, "ls-tree", "tiny/x") == ""
    assert snapshot(repository, leaving_out=NEW) == before


def test_a_remote_tells_its_default_branch_a_branch_and_a_tag(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "tag", "v1")
    git(repository, "tag", "-a", "annotated", "-m", "tag")
    git(repository, "branch", "side")
    git(repository, "clone", "-q", "--bare", str(repository), str(tmp_path / "s" / "o" / "n.git"))
    git(tmp_path, "init", "-q", "--bare", str(tmp_path / "s" / "o" / "empty.git"))
    long = tmp_path / "long"
    git(tmp_path, "init", "-q", "--object-format=sha256", str(long))
    git(long, "commit", "-q", "--allow-empty", "-m", "first")
    git(tmp_path, "clone", "-q", "--bare", str(long), str(tmp_path / "s" / "o" / "long.git"))
    ours = host_git(tmp_path)
    http = Git(ours.environment, ours.home, quiet, protocols=("http",))
    with git_server(tmp_path / "s") as server:
        remote = Remote(f"{server.url}/o/n.git", "127.0.0.1", "o", "n")
        empty = Remote(f"{server.url}/o/empty.git", "127.0.0.1", "o", "empty")

        assert remote_base(remote, None, http) == Base(head(repository), "main")
        assert remote_base(remote, "side", http) == Base(head(repository), "side")
        assert remote_base(remote, "v1", http) == Base(head(repository), None)
        assert remote_base(remote, "annotated", http) == Base(head(repository), None)
        assert remote_base(remote, "a" * 40, http) == Base("a" * 40, None)
        git(tmp_path / "s" / "o" / "n.git", "update-ref", "refs/pull/7/head", "side")
        assert remote_base(remote, "refs/pull/7/head", http) == Base(head(repository), None)
        with pytest.raises(RepoError, match="no branch or tag 'absent'"):
            remote_base(remote, "absent", http)
        with pytest.raises(RepoError, match="no branch or tag"):
            remote_base(remote, "*", http)
        with pytest.raises(RepoError, match="is empty"):
            remote_base(empty, None, http)
        with pytest.raises(RepoError, match="sha256"):
            remote_base(Remote(f"{server.url}/o/long.git", "127.0.0.1", "o", "long"), None, http)
        for wanted in (
            None,
            "a" * 40,
        ):  # a commit may be in the cache: it is for who may read it there
            with pytest.raises(RepoError, match="cannot be read"):
                remote_base(Remote(f"{server.url}/o/no.git", "127.0.0.1", "o", "no"), wanted, http)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(
            "[core]\nrepositoryformatversion = 1\n[extensions]\npartialClone = origin\n"
            '[remote "origin"]\nurl = file:///nowhere\npromisor = true\nuploadpack = "touch {0}; false"\n',
            id="promisor",
        ),
        pytest.param(
            "[core]\nrepositoryformatversion = 1\n[extensions]\npartialClone = origin\n"
            '[protocol "ext"]\nallow = always\n'
            '[remote "origin"]\nurl = "ext::sh -c touch% {0}"\npromisor = true\n',
            id="ext",
        ),
    ],
)
def test_a_missing_object_is_asked_of_nobody(tmp_path: Path, config: str) -> None:
    repository, canary = make_repository(tmp_path / "r", {"a": "a"}), tmp_path / "canary"
    head = git(repository, "rev-parse", "HEAD")
    (repository / ".git" / "config").write_text(config.format(canary))
    (repository / ".git" / "objects" / head[:2] / head[2:]).unlink()

    with pytest.raises(RepoError):
        local_base(opened(repository, tmp_path), None)

    assert not canary.exists()


def test_a_filter_whose_name_is_not_utf_8_is_switched_off_too(tmp_path: Path) -> None:
    repository, canary = make_repository(tmp_path / "r", {"a": "a"}), tmp_path / "canary"
    with (repository / ".git" / "config").open("ab") as config:
        config.write(b'[filter "\xff"]\nclean = touch %s\n' % bytes(canary))
    (repository / ".gitattributes").write_bytes(b"* filter=\xff\n")
    (repository / "a").write_text("changed")

    assert uncommitted(opened(repository, tmp_path)) == 2
    assert not canary.exists()


@pytest.mark.parametrize("name", ["p%20q", "line\nbreak", "a b"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    repository = make_repository(tmp_path / name, {"a": "a"})

    mirror, base = mirrored(repository, tmp_path)

    assert mirror.git.run("cat-file", "-e", base.sha, git_dir=mirror.path).ok
