"""What comes out of a sandbox: all that was changed, or a refusal that leaves nothing."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep, time

import pytest
from typing_extensions import override

from tests.fakes import FakeSandbox, FolderSandbox
from tests.program import git, make_repository, snapshot
from tests.repo.built import built
from tests.repo.hostgit import checked_out, mirrored
from tiny_backspace.errors import AgentError, RepoError, SandboxLost
from tiny_backspace.repo.mirror import Base, Mirror
from tiny_backspace.repo.quarantine import KEPT_LIMIT, Patch, put_in, quarantine, take_out
from tiny_backspace.sandbox.interface import ExecResult, OnOutput, Stdin

FILES: dict[str, str | bytes] = {
    "a.txt": "one\ntwo\nthree\n",
    "crlf.txt": b"one\r\ntwo\r\n",
    "binary": bytes(range(256)) * 20,
    "run.sh": "#!/bin/sh\n",
    "old/name.txt": "x\n" * 50,
    "gone.txt": "gone\n",
}


@dataclass(frozen=True)
class Place:
    folder: Path
    mirror: Mirror
    base: Base
    sandbox: FolderSandbox

    @property
    def tree(self) -> Path:
        return self.sandbox.folder

    def run(self, command: str) -> None:
        """As the agent would, in its work tree."""
        done = self.sandbox.exec(["sh", "-ec", command])
        assert done.ok, done.stderr.decode()

    def out(self) -> Patch:
        return take_out(self.sandbox, self.base, self.folder / "change.patch")

    def apply(self, patch: Patch) -> dict[str, tuple[str, bytes]]:
        """Mode and content of every file of the tree that comes of it."""
        with quarantine(self.folder / "q.git", self.mirror, self.base) as cage:
            tree = cage.apply(patch)
            listed = cage.read("ls-tree", "-r", "-z", tree).decode().split("\0")[:-1]
            found = {}
            for line in listed:
                mode, kind, rest = line.split(" ", 2)
                sha, path = rest.split("\t", 1)
                found[path] = (mode, b"" if kind == "commit" else cage.read("cat-file", kind, sha))
            return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    repository = make_repository(tmp_path / "r", FILES)
    mirror, base = mirrored(repository, tmp_path)
    return Place(tmp_path, mirror, base, checked_out(mirror, base, tmp_path / "in" / "w"))


def test_every_kind_of_change_comes_out_as_it_is(place: Place) -> None:
    place.run(
        "printf 'one\\r\\nTWO\\r\\n' >crlf.txt; printf '\\0\\1\\377' >>binary; chmod +x run.sh; rm gone.txt\n"
        "mkdir new; mv old/name.txt new/name.txt; ln -s /etc/passwd link; printf 'no newline' >'sp ace\té'\n"
        ": >empty; rm a.txt; mkdir a.txt; echo in >a.txt/file; echo '*.log' >.gitignore; : >x.log"
    )
    mirror = snapshot(place.mirror.path)

    patch = place.out()

    found = place.apply(patch)
    assert found == {
        ".gitignore": ("100644", b"*.log\n"),
        "a.txt/file": ("100644", b"in\n"),
        "binary": ("100644", bytes(range(256)) * 20 + b"\0\1\xff"),
        "crlf.txt": ("100644", b"one\r\nTWO\r\n"),
        "empty": ("100644", b""),
        "link": ("120000", b"/etc/passwd"),
        "new/name.txt": ("100644", b"x\n" * 50),
        "run.sh": ("100755", b"#!/bin/sh\n"),
        "sp ace\té": ("100644", b"no newline"),
    }
    assert patch.size == patch.path.stat().st_size
    assert patch.path.stat().st_mode & 0o777 == 0o600
    assert snapshot(place.mirror.path) == mirror
    assert not (place.folder / "q.git").exists()


def test_no_change_is_an_empty_patch(place: Place) -> None:
    place.run("echo x >>a.txt; git checkout -q a.txt; touch a.txt; mkdir empty-folder")

    assert place.out().size == 0


@pytest.mark.parametrize(
    "command",
    [
        "git update-index --assume-unchanged a.txt",
        "git update-index --skip-worktree a.txt",
        "touch .git/index.lock",
        "rm .git/index",
        "echo garbage >.git/index",
        "rm .git/tiny-backspace-index",
        "git config diff.noprefix true; git config diff.mnemonicPrefix true; git config color.ui always",
        "git config core.fsmonitor 'touch ../canary'; git config core.hooksPath .; git config core.pager false",
        "git config diff.external 'touch ../canary'; git config diff.context 0; git config diff.orderFile /nowhere",
        "git config diff.d.command false; git config diff.d.textconv false; echo '* diff=d' >.git/info/attributes",
        "git config user.name a; git config user.email b; rm gone.txt; git commit -aqm mine; git checkout -q @~ gone.txt",
        "git checkout -q --orphan other; git rm -rq --cached .",
        "rm -rf .git/refs .git/HEAD.lock; mkdir .git/refs; echo ref: refs/heads/none >.git/HEAD",
        "printf '#!/bin/sh\\nexit 1\\n' >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ],
)  # fmt: skip
def test_nothing_an_agent_does_to_its_git_hides_its_change(place: Place, command: str) -> None:
    place.run(f"mkdir -p .git/info .git/hooks; {command}\nprintf 'one\\nTWO\\n' >a.txt; : >new")

    found = place.apply(place.out())

    assert found["a.txt"] == ("100644", b"one\nTWO\n")
    assert found["new"] == ("100644", b"")
    assert set(found) == {*FILES, "new"}


def test_a_repository_within_the_repository_comes_out_as_what_policy_can_see(place: Place) -> None:
    place.run("git init -q n; git -C n -c user.name=a -c user.email=b commit -q --allow-empty -m x")

    assert place.apply(place.out())["n"][0] == "160000"


def test_what_cannot_be_added_does_not_take_the_rest_with_it(place: Place) -> None:
    place.run("git init -q n; : >n/file; : >new")  # without a commit git cannot add it

    patch = place.out()

    assert not patch.complete
    assert set(place.apply(patch)) == {*FILES, "new"}


UTF16 = "echo '*.rc text working-tree-encoding=UTF-16' >.gitattributes"


def test_a_file_that_is_fatal_to_git_does_not_take_the_rest_with_it(place: Place) -> None:
    place.run(f"{UTF16}; echo plain >x.rc; : >new; rm gone.txt; printf 'TWO\\n' >a.txt")

    patch = place.out()

    assert "x.rc" in patch.left_out
    found = place.apply(patch)
    assert set(found) == {*FILES, "new", ".gitattributes"} - {"gone.txt"}
    assert found["a.txt"][1] == b"TWO\n"


def test_what_came_out_before_stays_where_nothing_comes_out_any_more(place: Place) -> None:
    place.run("echo two >a.txt")
    place.out()
    place.run(
        f"git checkout -q a.txt; mkdir n; {UTF16.replace('.gitattributes', '.git/info/attributes')}"
    )
    place.run("echo plain >x.rc")

    with pytest.raises(AgentError, match=r"x\.rc"):
        place.out()

    assert b"-three" in (place.folder / "change.patch").read_bytes()


@pytest.mark.parametrize("setting", ["core.bare true", "core.worktree /tmp"])
def test_where_the_agent_tells_git_to_look_is_no_matter(place: Place, setting: str) -> None:
    place.run(f"git config {setting}; echo two >a.txt")

    found = place.apply(place.out())

    assert found["a.txt"][1] == b"two\n"
    assert set(found) == set(FILES)


@pytest.mark.parametrize(
    "attributes", ["* text eol=crlf", "*.txt text working-tree-encoding=UTF-16LE"]
)
def test_a_change_is_put_in_as_it_was_whatever_git_would_write_anew(
    place: Place, attributes: str
) -> None:
    """Files that were committed otherwise than their attributes say are no change."""
    repository = place.folder / "odd"
    make_repository(repository, {"w.txt": b"one\r\ntwo\r\n", "b.txt": "b\n"})
    (repository / ".gitattributes").write_text(f"{attributes}\n")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "-q", "-m", "attributes")
    (place.folder / "m").mkdir()
    mirror, base = mirrored(repository, place.folder / "m")
    first = checked_out(mirror, base, place.folder / "first" / "w")
    (first.folder / "new.py").write_text("x = 1\n")
    (first.folder / "sub").mkdir()
    (first.folder / "sub" / "a").write_text("a\n")
    before = take_out(first, base, place.folder / "first.patch")
    second = checked_out(mirror, base, place.folder / "second" / "w")

    put_in(second, before.path.read_bytes(), before.tree)

    assert take_out(second, base, place.folder / "second.patch").tree == before.tree
    assert (second.folder / "sub" / "a").read_text() == "a\n"
    with pytest.raises(AgentError, match="leads to tree"):
        put_in(
            checked_out(mirror, base, place.folder / "third" / "w"),
            before.path.read_bytes(),
            "0" * 40,
        )


def test_a_change_that_cannot_be_taken_out_is_a_sentence_and_leaves_no_file(place: Place) -> None:
    place.run("rm -rf .git")

    with pytest.raises(AgentError, match="could not be taken out"):
        place.out()

    assert not (place.folder / "change.patch").exists()


def test_too_large_a_change_is_refused_before_it_is_all_here(place: Place) -> None:
    handed = 0

    class Endless(FakeSandbox):
        @override
        def exec(
            self, argv: object, *, timeout: float = 0, stdin: Stdin = b"", on_output: OnOutput | None = None
        ) -> ExecResult:  # fmt: skip
            nonlocal handed
            assert on_output is not None
            while True:
                handed += 1 << 20
                on_output(bytes(1 << 20))

        call = exec

    with pytest.raises(AgentError, match="larger than 256 MiB"):
        take_out(Endless(), place.base, place.folder / "change.patch")

    assert handed == KEPT_LIMIT + (1 << 20)
    assert not (place.folder / "change.patch").exists()


def test_a_sandbox_that_is_lost_leaves_no_half_a_patch(place: Place) -> None:
    def lost(argv: object, stdin: bytes) -> ExecResult:
        raise SandboxLost("gone")

    with pytest.raises(SandboxLost):
        take_out(FakeSandbox(run=lost), place.base, place.folder / "change.patch")

    assert not (place.folder / "change.patch").exists()


def new_file(path: str, mode: str = "100644") -> bytes:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\nindex 0000000..e965047\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+Hello\n"
    ).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0\xff" * 500, b"diff --git a/a.txt b/a.txt\n", b"--- a/a.txt\n+++ b/a.txt\n@@ -9 +9 @@\n-x\n+y\n",
        b"diff --git a/a.txt b/a.txt\ndeleted file mode 100644\n--- a/a.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
        new_file("../out"), new_file("/tmp/out"), new_file("a/../../out"), new_file(".git/hooks/post-commit"),
        new_file("sub/.GIT/config"), new_file("a.txt/below"), new_file("x", "104755"), new_file("x", "160000"),
        b"diff --git a/b b/b\nGIT binary patch\nliteral 99999999999\nzcmZ\n",
    ],
    ids=range(14),
)  # fmt: skip
def test_a_patch_that_is_not_what_it_should_be_is_refused(place: Place, data: bytes) -> None:
    path = place.folder / "bad.patch"
    path.write_bytes(data)
    before, outside = snapshot(place.mirror.path), sorted(p.name for p in place.folder.iterdir())

    with pytest.raises(AgentError):
        place.apply(Patch(path, len(data), "0" * 40))

    assert snapshot(place.mirror.path) == before
    assert sorted(p.name for p in place.folder.iterdir()) == outside


def test_a_patch_that_was_cut_or_is_for_another_base_or_tree_is_refused(place: Place) -> None:
    place.run("printf 'one\\nTWO\\nthree\\nfour\\n' >a.txt; head -c 3000 /dev/urandom >blob")
    patch = place.out()
    whole = patch.path.read_bytes()
    before = snapshot(place.mirror.path)

    for cut in (1, 40, len(whole) // 2, len(whole) - 30):
        patch.path.write_bytes(whole[:cut])
        with pytest.raises(AgentError):
            place.apply(patch)
    patch.path.write_bytes(whole.replace(b"-two", b"-2wo"))
    with pytest.raises(AgentError, match="does not apply"):
        place.apply(patch)
    patch.path.write_bytes(whole.replace(b"+TWO", b"+tWO"))
    with pytest.raises(AgentError, match="leads to tree"):
        place.apply(patch)
    patch.path.write_bytes(whole)
    with pytest.raises(AgentError, match="the container said"):
        place.apply(replace(patch, tree="a" * 40))

    assert set(place.apply(patch)) == {*FILES, "blob"}
    assert snapshot(place.mirror.path) == before
    assert not (place.folder / "q.git").exists()


def test_nothing_is_ever_checked_out_beside_a_quarantine(place: Place) -> None:
    place.run("printf '* filter=x ident\\n' >.gitattributes; echo '$Id$' >new")
    with (place.mirror.path / "config").open("a") as config:
        config.write(f'[filter "x"]\n\tsmudge = touch {place.folder}/canary\n\tclean = cat\n')

    found = place.apply(place.out())

    assert found["new"] == ("100644", b"$Id$\n")
    assert not (place.folder / "canary").exists()
    status = subprocess.run(
        ["git", "-C", place.tree, "log", "--oneline"], capture_output=True, check=True
    )
    assert status.stdout.count(b"\n") == 1
    assert git(place.folder / "r", "status", "--porcelain") == ""


def _check_an_edit_in_the_second_of_the_check_out(place: Place, also: str = "true") -> None:
    """Git compares seconds and sizes; an index that looks newer than it is would be believed."""
    sleep(1.02 - time() % 1)  # a second has just begun: all that follows is within it
    place.run(
        "git checkout -q -f HEAD && touch a.txt && git add a.txt && cp -pf .git/index .git/tiny-backspace-index"
    )
    sleep(0.05)
    changed = place.tree / "a.txt"
    changed.write_bytes(bytes(reversed(changed.read_bytes())))
    place.run(also)

    sleep(1.02 - time() % 1)

    assert place.apply(place.out())["a.txt"][1] == changed.read_bytes()


def test_an_edit_in_the_second_of_the_check_out_is_seen_in_a_later_one(place: Place) -> None:
    _check_an_edit_in_the_second_of_the_check_out(place)


@pytest.mark.parametrize(
    "hindrance",
    [
        "touch -d 2001-01-01 a.txt",  # the kernel knows better
        "mv a.txt b.txt; mv gone.txt a.txt; mv b.txt gone.txt",
        "git init -q n; : >n/file; git -C n add file; mkdir n/sub; git init -q n/sub",
        "ln -s /etc/passwd ':(exclude)*'; : >'*'; : >' a\n b'",
        "rm .git/tiny-backspace-index",
    ],
)
def test_it_is_seen_whatever_else_is_there(place: Place, hindrance: str) -> None:
    _check_an_edit_in_the_second_of_the_check_out(place, hindrance)


def test_it_is_seen_where_no_tool_tells_what_was_touched(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.folder / "bin"
    folder.mkdir()
    for name in ("find", "xargs"):  # as in an image without them, or with others
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    _check_an_edit_in_the_second_of_the_check_out(place)


def test_a_tracked_file_that_is_ignored_comes_out_as_it_is(place: Place) -> None:
    """To forget it would be to lose it: what is ignored is not added."""
    place.run("echo a.txt >.gitignore; touch a.txt; echo more >>crlf.txt")

    found = place.apply(place.out())

    assert found["a.txt"] == ("100644", b"one\ntwo\nthree\n")
    assert set(found) == {*FILES, ".gitignore"}


def test_a_tree_that_git_cannot_check_out_is_a_sentence_and_the_cache_is_not_blamed(
    tmp_path: Path,
) -> None:
    deep = b"a/" * 5000 + b"a"
    for name, path, said in (
        ("n", b".GIT/x", "git refuses a path"),
        ("d", deep, "git cannot read the tree"),
    ):
        folder = tmp_path / name
        source = built(folder / "r", {b"README.md": b"x", path: b"x"})
        mirror, base = mirrored(source, folder)
        with pytest.raises(RepoError, match=said) as raised, quarantine(folder / "q", mirror, base):
            pass
        assert "Remove" not in (raised.value.hint or "")
