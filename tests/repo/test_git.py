"""git on the host: nobody else's configuration, limits that hold, nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic, sleep

import pytest

from tests.program import git, make_repository
from tests.repo.hostgit import host_git, opened
from tiny_backspace.errors import RepoError
from tiny_backspace.events import Event, HostCommand, ThoughtDelta
from tiny_backspace.repo.git import AGENTS_WORK, TRANSFER, Git, Limits
from tiny_backspace.repo.origin import uncommitted

SHORT = replace(AGENTS_WORK, wall=0.3)


def shell(command: str) -> tuple[str, str, str]:
    """Arguments that make git run a command of the test's."""
    return "-c", f"alias.x=!{command}", "x"


def gone(pid: int) -> bool:
    """Whether the process ends soon: it is a zombie, or nothing, once it is killed."""
    until = monotonic() + 10
    while monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    return False


def test_no_variable_of_the_users_and_no_configuration_of_theirs_reaches_git(
    tmp_path: Path,
) -> None:
    canary = tmp_path / "canary"
    repository = make_repository(tmp_path / "r", {"a.txt": "a\n"})
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / ".gitconfig").write_text(
        f'[core]\n\tfsmonitor = touch {canary}\n\tsshCommand = touch {canary}\n[alias]\n\tx = "!touch {canary}"\n'
        f"[credential]\n\thelper = !touch {canary}\n"
    )
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(hostile), "XDG_CONFIG_HOME": str(hostile),
        "GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere", "GIT_INDEX_FILE": "/nowhere",
        "GIT_CONFIG_GLOBAL": str(hostile / ".gitconfig"), "GIT_TRACE": str(canary),
        "GIT_SSH_COMMAND": f"touch {canary}", "GIT_EXTERNAL_DIFF": f"touch {canary}",
        "GIT_EXEC_PATH": str(hostile), "GIT_PROXY_COMMAND": f"touch {canary}",
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor'='touch {canary}'", "LD_PRELOAD": "/nowhere.so",
    }  # fmt: skip
    ours = replace(host_git(tmp_path, environment=environment), safe=(repository,))

    status = ours.run("-C", str(repository), "status", "--porcelain")
    seen = ours.run(*shell("env"))

    assert (status.ok, status.text) == (True, "")
    assert ours.run("x").exit_code == 1  # the user's alias is not known
    assert not ours.run("ls-remote", "ssh://host/x").ok
    assert not canary.exists()
    assert "hostile" not in seen.text.replace(f"PATH={os.environ['PATH']}", "")
    assert "LD_PRELOAD" not in seen.text


def plant(repository: Path, canary: Path) -> None:
    """Everything in a repository's own configuration that would run a program for `git status`."""
    program = f'"touch {canary}; cat"'
    (repository / ".git/more").write_text(f'[filter "included"]\n\tclean = {program}\n')
    with (repository / ".git/config").open("a") as file:
        file.write(
            f"[core]\n\tfsmonitor = touch {canary}\n\thooksPath = {repository}/hooks\n"
            f'[filter "plain"]\n\tclean = {program}\n\trequired = true\n'
            f'[filter "a=b"]\n\tclean = {program}\n[filter "Long"]\n\tprocess = {program}\n'
            f"[include]\n\tpath = more\n[extensions]\n\tworktreeConfig = true\n"
        )
    (repository / ".git/config.worktree").write_text(f'[filter "tree"]\n\tclean = {program}\n')
    for folder in (repository / "hooks", repository / ".git/hooks"):
        folder.mkdir(exist_ok=True)
        for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
            (folder / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
            (folder / name).chmod(0o755)


def test_a_repository_that_runs_programs_for_its_user_runs_none_for_us(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    names = ("plain", "a=b", "Long", "included", "tree")
    attributes = "".join(f"{n}.txt filter={f}\n" for n, f in enumerate(names))
    files = {".gitattributes": attributes} | {f"{n}.txt": "a\n" for n in range(len(names))}
    repository = make_repository(tmp_path / "r", files)
    plant(repository, canary)
    for n in range(len(names)):
        (repository / f"{n}.txt").write_text("b\n")  # of the same size: git has to look inside

    changed = uncommitted(opened(repository, tmp_path))

    assert not canary.exists()
    assert changed == len(names) + 1  # and the folder of hooks
    subprocess.run(["git", "status"], cwd=repository, capture_output=True, check=False)
    assert canary.exists()  # git as a user has it would have run them


def test_what_takes_too_long_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    with pytest.raises(RepoError, match=r"took longer than 0.3 s"):
        host_git(tmp_path).run(
            *shell(f"sleep 60 & echo $! >{pids}; echo $$ >>{pids}; sleep 60"), limits=SHORT
        )

    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_what_says_too_much_is_ended(tmp_path: Path) -> None:
    little = replace(AGENTS_WORK, output=10_000)

    with pytest.raises(RepoError, match="more than 10000 bytes"):
        host_git(tmp_path).run(*shell("yes"), limits=little)
    with pytest.raises(RepoError, match="more than 10000 bytes"):
        host_git(tmp_path).run(*shell("yes >&2"), limits=little)


def test_a_file_does_not_grow_above_its_limit(tmp_path: Path) -> None:
    small = replace(AGENTS_WORK, file=1 << 20)
    with TemporaryFile() as file:
        done = host_git(tmp_path).run(*shell("cat /dev/zero"), stdout=file, limits=small)
        size = file.seek(0, os.SEEK_END)

    assert not done.ok
    assert size <= 1 << 20


def test_memory_and_processor_time_are_limited(tmp_path: Path) -> None:
    said = host_git(tmp_path).run(
        *shell("ulimit -v; ulimit -d; ulimit -t; ulimit -c"),
        limits=Limits(1 << 30, 1 << 29, 7, 1 << 20, 10),
    )

    assert said.text.split() == [str(1 << 20), str(1 << 19), "7", "0"]


def test_a_pack_larger_than_the_memory_can_be_read(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {"a": "a"})
    git(repository, "config", "core.compression", "0")  # quick
    (repository / "b").write_bytes(os.urandom(80 << 20))
    git(repository, "add", "b")
    git(repository, "commit", "-q", "-m", "second")
    git(repository, "repack", "-adq")
    small = replace(AGENTS_WORK, memory=64 << 20)

    read = opened(repository, tmp_path).git.run(
        "cat-file", "blob", "HEAD:a", git_dir=repository / ".git", limits=small
    )

    assert (read.stdout, read.stderr) == (b"a", b"")


def test_every_run_is_recorded_also_one_that_failed_or_was_ended(tmp_path: Path) -> None:
    events: list[Event | ThoughtDelta] = []
    ours = host_git(tmp_path, events.append)

    ours.run("version")
    ours.run("rev-parse", "nothing")
    with pytest.raises(RepoError):
        ours.run(*shell("sleep 60"), limits=SHORT)

    told = [e for e in events if isinstance(e, HostCommand)]
    assert [e.argv[:2] for e in told[:2]] == [("git", "version"), ("git", "rev-parse")]
    assert [e.exit_code for e in told] == [0, 128, -signal.SIGKILL]


def test_a_failure_is_a_value_for_run_and_a_sentence_for_must(tmp_path: Path) -> None:
    ours = host_git(tmp_path)

    assert "not a git repository" in ours.run("rev-parse", "HEAD").complaint
    with pytest.raises(RepoError, match="git failed while looking: not a git repository"):
        ours.must("rev-parse", "HEAD", doing="looking")


def test_a_complaint_is_one_line_without_control_sequences(tmp_path: Path) -> None:
    said = host_git(tmp_path).run(*shell("printf 'a\\033[31mb\\n\\nc' >&2; exit 1"))

    assert said.complaint == "ab c"


def test_without_git_there_is_a_sentence_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(RepoError, match="git cannot be started") as raised:
        host_git(tmp_path, environment={"PATH": str(tmp_path)}).run("version")

    assert raised.value.hint == "Install git 2.39.4 or newer."


def test_standard_input_may_be_bytes_or_a_file(tmp_path: Path) -> None:
    ours = host_git(tmp_path)
    data = b"x" * 300_000
    with TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        by_file = ours.run("hash-object", "--stdin", stdin=file).text

    assert ours.run("hash-object", "--stdin", stdin=data).text == by_file
    assert ours.run("hash-object", "--stdin").text == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_only_the_protocols_that_were_named_are_spoken(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {"a": "a"})
    ours: Git = host_git(tmp_path)
    url = f"file://{repository}"

    refused = ours.run("ls-remote", url)
    allowed = replace(ours, protocols=("file",)).run("ls-remote", url, limits=TRANSFER)
    elsewhere = replace(ours, protocols=("file",)).run("ls-remote", url)

    assert "transport 'file' not allowed" in refused.complaint
    assert "transport 'file' not allowed" in elsewhere.complaint  # it moves no objects
    assert git(repository, "rev-parse", "HEAD") in allowed.text
    assert "not allowed" in ours.run("ls-remote", "ext::sh -c id").complaint
