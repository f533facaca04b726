"""Which new paths the base's own rules ignore: git in a work tree is asked too, and says the same."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes import ScriptedProvider
from tests.pipeline import Job, bash, says
from tests.program import git, make_repository
from tests.repo.hostgit import mirrored
from tiny_backspace.events import PolicyDecided
from tiny_backspace.repo.ignored import ignored_by_base
from tiny_backspace.repo.quarantine import quarantine

FILES: dict[str, str | bytes] = {
    ".gitignore": "*.log\n!keep.log\n/root.txt\nbuild/\n!build/kept\ndocs/**/draft\n#x\n\\#y\nspace\\ \n",
    "sub/.gitignore": "!*.log\ndeep.log\n*.tmp\n",
    "sub/deeper/.gitignore": b"!deep.log\n*.dat\r\n",
    "src/a.py": "x\n",
}
PATHS = (
    b"a.log", b"keep.log", b"x/a.log", b"x/keep.log", b"root.txt", b"x/root.txt",
    b"build", b"x/build", b"build/o", b"build/kept", b"x/build/deep/o",
    b"docs/draft", b"docs/a/b/draft", b"docs/a/drafts", b"#x", b"#y", b"space ", b"space",
    b"sub/a.log", b"sub/deep.log", b"sub/a.tmp", b"a.tmp", b"sub/build/o",
    b"sub/deeper/deep.log", b"sub/deeper/a.log", b"sub/deeper/a.dat", b"sub/deeper/new/a.tmp",
    b"src/a.log/b", b"src/.gitignore", b"src/b.py",
)  # fmt: skip
ODD = (
    b"new\nline.log", b"tab\t.log", b'quo"te.log', b"back\\slash.log", b"caf\xe9.log", b"-x.log",
    b":(top)x.log", b":!x.log", b"*.log", b"?/[a].log", b" .log", "\u65e5\u672c.log".encode(), b"--.log/-",
    b"caf\xe9", b"--", b":", b"*", b'"',
)  # fmt: skip


def by_us(repository: Path, folder: Path, paths: Sequence[bytes]) -> frozenset[bytes]:
    mirror, base = mirrored(repository, folder)
    with quarantine(folder / "q.git", mirror, base) as cage:
        found = ignored_by_base(cage, paths)
        assert ignored_by_base(cage, paths) == found
        return found


def by_git(work: Path, paths: Sequence[bytes]) -> frozenset[bytes]:
    """What plain git would not add there; the files are made, so that it knows which are folders."""
    for path in paths:
        file = os.path.join(os.fsencode(work), path)  # noqa: PTH118 - a path of bytes
        if not os.path.lexists(file) and not os.path.isdir(file):  # noqa: PTH112
            os.makedirs(os.path.dirname(file), exist_ok=True)  # noqa: PTH103, PTH120
            os.close(os.open(file, os.O_CREAT))
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--ignored", "--exclude-standard"],
        cwd=work, capture_output=True, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(work.parent), "GIT_CONFIG_NOSYSTEM": "1"},
    )  # fmt: skip
    return frozenset(listed.stdout.split(b"\0")) & frozenset(paths)


def test_it_is_what_git_says_of_files_that_are_there(tmp_path: Path) -> None:
    """Rules of several folders, negations, rules for folders only, and odd bytes in names."""
    repository = make_repository(tmp_path / "r", FILES)
    files = [path for path in (*PATHS, *ODD) if path not in {b"build", b"x/build"}]

    found = by_us(repository, tmp_path, [*PATHS, *ODD])

    assert found == by_git(repository, files)
    assert {b"a.log", b"build/kept", b"sub/deep.log", b"caf\xe9.log", b":(top)x.log"} < found
    assert {b"keep.log", b"build", b"sub/a.log", b"sub/deeper/deep.log", b"*"}.isdisjoint(found)


def test_without_rules_or_without_new_paths_nothing_is_ignored(tmp_path: Path) -> None:
    plain = make_repository(tmp_path / "plain", {"a": "a\n", "x/.gitignores": "*\n"})
    ruled = make_repository(tmp_path / "ruled", FILES)

    assert by_us(plain, tmp_path, PATHS) == frozenset()
    assert by_us(ruled, tmp_path, []) == frozenset()


def test_a_rule_that_ignores_everything_ignores_other_rules_too(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {"src/a.py": "x\n"})
    (repository / ".gitignore").write_text("*\n")
    git(repository, "add", "-f", ".gitignore")
    git(repository, "commit", "-q", "-m", "rules")

    assert by_us(repository, tmp_path, [b"a", b"x/.gitignore"]) == {b"a", b"x/.gitignore"}


def test_rules_behind_a_link_do_not_count_nor_do_those_of_the_host(tmp_path: Path) -> None:
    """Git follows no link to rules, and the user's own rules are not the repository's."""
    repository = make_repository(
        tmp_path / "r", {"rules": "*.log\n", "dir/.gitignore/x": "*.log\n"}
    )
    (repository / ".gitignore").symlink_to("rules")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "a link")
    (repository / ".git" / "info" / "exclude").write_text("*.log\n")
    for home in ("home-of-git", "."):
        (tmp_path / home / ".config" / "git").mkdir(parents=True)
        (tmp_path / home / ".config" / "git" / "ignore").write_text("*.log\n")

    assert by_us(repository, tmp_path, [b"a.log", b"dir/a.log"]) == frozenset()


@pytest.mark.parametrize("name", ["caf\udce9", "a\nb", ":(top)", "-x", "*"])
def test_rules_may_stand_in_a_folder_of_an_odd_name(tmp_path: Path, name: str) -> None:
    repository = make_repository(
        tmp_path / "r", {f"{name}/.gitignore": "*.log\n", "other/a": "a\n"}
    )
    folder = os.fsencode(name)

    found = by_us(repository, tmp_path, [folder + b"/a.log", folder + b"/a", b"other/a.log"])

    assert found == {folder + b"/a.log"}


def test_a_change_of_the_rules_is_judged_by_the_old_ones(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {".gitignore": "*.log\n", "a": "a\n"})
    commands = "echo '*.tmp' >.gitignore; echo x >x.log; echo x >x.tmp; git add -f x.tmp"
    provider = ScriptedProvider(says("go", bash(commands)), says("done"))

    ran = Job(repository, tmp_path, provider).go()

    told = [(d.rule, d.path, d.decision) for d in ran.of(PolicyDecided)]
    assert ("ignored-file", "x.log", "flag") in told
    assert not any(path == "x.tmp" for _, path, _ in told)
