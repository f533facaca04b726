"""The cache: fetched once, whole for everybody, and into the sandbox as it lies."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.fakes import FakeSandbox
from tests.program import git, make_repository, snapshot
from tests.repo.built import built, plain
from tests.repo.hostgit import checked_out, host_git, mirrored, opened, quiet
from tiny_backspace.errors import RepoError, SandboxError
from tiny_backspace.events import Event, GitOperation, HostCommand, ThoughtDelta, Warned
from tiny_backspace.repo.mirror import Base, Mirror, mirror_of
from tiny_backspace.repo.origin import local_base
from tiny_backspace.repo.quarantine import quarantine, take_out
from tiny_backspace.sandbox.interface import ExecResult


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "r", {"a.txt": "a\n", "sub/b.bin": bytes(range(256)) * 5000})


def commit(repository: Path, text: str) -> str:
    (repository / "a.txt").write_text(text)
    git(repository, "commit", "-q", "-a", "-m", text)
    return git(repository, "rev-parse", "HEAD")


def packs(path: Path) -> int:
    return len(list(path.glob("objects/pack/*.pack")))


def test_what_is_in_the_cache_is_not_fetched_again(repository: Path, tmp_path: Path) -> None:
    mirror, base = mirrored(repository, tmp_path)
    url = opened(repository, tmp_path).url
    before = snapshot(mirror.path)
    events: list[Event | ThoughtDelta] = []
    again = mirror_of(tmp_path / "cache", url, host_git(tmp_path, events.append))

    again.fetch(url, base, events.append)

    commands = [e.argv for e in events if isinstance(e, HostCommand)]
    assert commands == []
    assert [e.output for e in events if isinstance(e, GitOperation)] == ["in the cache already"]
    assert again.path == mirror.path
    assert snapshot(mirror.path) == before


def test_only_the_base_comes_and_none_of_its_history(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    commit(repository, "second")

    mirror, base = mirrored(repository, tmp_path)

    assert mirror.git.run("rev-list", base.sha, git_dir=mirror.path).text == base.sha
    assert not mirror.git.run("cat-file", "-e", first, git_dir=mirror.path).ok


def test_the_stream_is_a_tar_of_packs_and_what_is_shallow(repository: Path, tmp_path: Path) -> None:
    commit(repository, "second")
    mirror, base = mirrored(repository, tmp_path)
    chunks = list(mirror.stream(base))

    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        members = {m.name: tar.extractfile(m) for m in tar.getmembers()}

    branch = members.pop(f"refs/heads/{base.branch}")
    assert branch is not None
    assert branch.read().decode() == f"{base.sha}\n"
    assert max(map(len, chunks)) <= 1 << 20
    assert all(n == "shallow" or n.startswith("objects/pack/pack-") for n in members)
    assert {Path(n).suffix for n in members} >= {".pack", ".idx"}
    for name, file in members.items():
        assert file is not None
        assert file.read() == (mirror.path / name).read_bytes()


def test_what_is_checked_out_is_the_base_on_its_branch(repository: Path, tmp_path: Path) -> None:
    mirror, base = mirrored(repository, tmp_path)

    sandbox = checked_out(mirror, base, tmp_path / "w")

    assert (sandbox.folder / "sub/b.bin").read_bytes() == bytes(range(256)) * 5000
    assert git(sandbox.folder, "log", "--format=%H %D") == f"{base.sha} grafted, HEAD -> main"
    assert git(sandbox.folder, "status", "--porcelain") == ""
    assert git(sandbox.folder, "remote") == ""


def test_shallow_bare_and_linked_sources_come_in_too(repository: Path, tmp_path: Path) -> None:
    commit(repository, "second")
    shallow, bare, linked = (tmp_path / name for name in ("shallow", "bare.git", "linked"))
    git(repository, "clone", "-q", "--depth=1", f"file://{repository}", str(shallow))
    git(repository, "clone", "-q", "--bare", str(repository), str(bare))
    git(repository, "worktree", "add", "-q", "--detach", str(linked))

    for source in (shallow, bare, linked):
        mirror, base = mirrored(source, tmp_path)
        sandbox = checked_out(mirror, base, tmp_path / "in" / source.name)
        assert sandbox.read("a.txt") == b"second"
        assert (base.branch is None) == (source == linked)


def test_eight_processes_may_fetch_into_one_cache_at_once(repository: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.repo.hostgit import mirrored\n"
        "mirror, base = mirrored(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])\n"
        "print(base.sha, sum(map(len, mirror.stream(base))) > 0)"
    )
    bases = [git(repository, "rev-parse", "HEAD"), commit(repository, "second")]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(repository), str(tmp_path), bases[n % 2]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2], env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        for n in range(8)
    ]  # fmt: skip
    said = [process.communicate() for process in started]

    assert [err for _, err in said] == [""] * 8
    assert [out.split() for out, _ in said] == [[bases[n % 2], "True"] for n in range(8)]
    (mirror,) = (tmp_path / "cache" / "mirrors").glob("*.git")
    assert packs(mirror) == 2


def test_many_packs_are_folded_and_old_bases_go(repository: Path, tmp_path: Path) -> None:
    mirror, first = mirrored(repository, tmp_path)
    old = mirror.path / "refs/tiny-backspace" / first.sha
    for n in range(12):
        commit(repository, f"{n}\n")
        os.utime(old, (0, 0))
        mirrored(repository, tmp_path)
        if not old.exists():
            break

    mirror, last = mirrored(repository, tmp_path)
    sandbox = checked_out(mirror, last, tmp_path / "w")

    assert packs(mirror.path) == 1
    assert not mirror.git.run("cat-file", "-e", first.sha, git_dir=mirror.path).ok
    assert sandbox.read("a.txt") == (repository / "a.txt").read_bytes()
    assert mirror.git.run("fsck", "--strict", git_dir=mirror.path).ok


def test_folding_leaves_the_base_of_a_run_that_is_still_going_on(
    repository: Path, tmp_path: Path
) -> None:
    mirror, first = mirrored(repository, tmp_path)
    for n in range(10):
        commit(repository, f"{n}\n")
        mirrored(repository, tmp_path)

    assert packs(mirror.path) < 10
    assert checked_out(mirror, first, tmp_path / "w").read("a.txt") == b"a\n"


def test_a_commit_that_is_not_there_is_a_sentence_and_leaves_the_cache_usable(
    repository: Path, tmp_path: Path
) -> None:
    local = opened(repository, tmp_path)
    mirror = mirror_of(tmp_path / "cache", local.url, local.git)

    with pytest.raises(RepoError, match="could not be fetched"):
        mirror.fetch(local.url, Base("a" * 40, None), quiet)

    mirror.fetch(local.url, local_base(local, None), quiet)
    assert packs(mirror.path) == 1


def test_a_sandbox_that_is_full_says_how_to_get_room(repository: Path, tmp_path: Path) -> None:
    mirror, base = mirrored(repository, tmp_path)
    full = FakeSandbox(run=lambda _, __: ExecResult(2, b"", b"tar: x: No space left on device"))
    huge = FakeSandbox(run=lambda _, __: ExecResult(153, b"", b"File size limit exceeded"))
    broken = FakeSandbox(run=lambda _, __: ExecResult(1, b"", b"fatal: something else"))

    with pytest.raises(SandboxError, match="could not be checked out") as raised:
        mirror.bring_in(full, base)
    with pytest.raises(SandboxError, match="File size") as one:
        mirror.bring_in(huge, base)
    with pytest.raises(SandboxError, match="something else") as other:
        mirror.bring_in(broken, base)

    assert "--disk" in (raised.value.hint or "")
    assert "1 GiB" in (one.value.hint or "")
    assert other.value.hint is None


def test_the_name_of_a_cache_tells_nothing_and_leads_nowhere_else(tmp_path: Path) -> None:
    ours = host_git(tmp_path)
    paths = [
        mirror_of(tmp_path, u, ours).path for u in ("https://h/a", "https://h/../../b", "\udcff")
    ]

    assert len(set(paths)) == 3
    assert {path.parent for path in paths} == {tmp_path / "mirrors"}
    assert all(path.stem.isalnum() for path in paths)


def fetched(
    repository: Path, folder: Path, depth: int | None = 1
) -> tuple[Mirror, Base, list[Event | ThoughtDelta]]:
    events: list[Event | ThoughtDelta] = []
    local = opened(repository, folder)
    base = local_base(local, None)
    mirror = mirror_of(folder / "cache", local.url, local.git, depth)
    mirror.fetch(local.url, base, events.append)
    return mirror, base, events


def objects(pack: Path) -> int:
    """How many it holds, by its header."""
    return int.from_bytes(pack.read_bytes()[8:12])


def warned(events: list[Event | ThoughtDelta]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def test_the_full_history_comes_in_where_it_is_wanted_and_next_time_only_what_is_new(
    repository: Path, tmp_path: Path
) -> None:
    for n in range(5):
        commit(repository, f"{n}\n")
    mirror, base, events = fetched(repository, tmp_path, None)
    (first,) = mirror.path.glob("objects/pack/*.pack")
    assert objects(first) == 6 * 3 + 2  # a commit, a tree, a file each; and the folder
    shas = [base.sha, commit(repository, "new\n")]

    again, new, _ = fetched(repository, tmp_path, None)

    (second,) = set(again.path.glob("objects/pack/*.pack")) - {first}
    assert objects(second) == 3
    sandbox = checked_out(again, new, tmp_path / "w")
    log = git(sandbox.folder, "log", "--format=%H").splitlines()
    assert log == git(repository, "log", "--format=%H").splitlines()
    assert log[:2] == shas[::-1]
    assert "grafted" not in git(sandbox.folder, "log", "-1", "--format=%D")
    assert [e.command for e in events if isinstance(e, GitOperation)] == [
        f"git fetch --update-shallow {repository / '.git'} {base.sha}"
    ]


def test_whoever_wants_no_history_is_not_given_anothers(repository: Path, tmp_path: Path) -> None:
    commit(repository, "second")
    full, _, _ = fetched(repository, tmp_path, None)
    two, _, _ = fetched(repository, tmp_path, 2)
    one, base, _ = fetched(repository, tmp_path, 1)

    assert one.path == mirror_of(tmp_path / "cache", str(repository / ".git"), one.git).path
    assert len({full.path, two.path, one.path}) == 3
    assert one.git.run("rev-list", base.sha, git_dir=one.path).text == base.sha


def test_all_the_history_of_a_shallow_repository_is_what_it_has(
    repository: Path, tmp_path: Path
) -> None:
    commit(repository, "second")
    git(repository, "clone", "-q", "--depth=1", f"file://{repository}", str(tmp_path / "shallow"))

    mirror, base, _ = fetched(tmp_path / "shallow", tmp_path, None)

    assert checked_out(mirror, base, tmp_path / "w").read("a.txt") == b"second"


@pytest.mark.parametrize("kind", ["pack", "idx"])
@pytest.mark.parametrize("new_base", [True, False])
def test_a_pack_that_was_cut_off_is_seen_and_fetched_anew_once(
    repository: Path, tmp_path: Path, kind: str, new_base: bool
) -> None:
    mirror, _, _ = fetched(repository, tmp_path)
    (damaged,) = mirror.path.glob(f"objects/pack/*.{kind}")
    damaged.chmod(0o600)
    os.truncate(damaged, damaged.stat().st_size // 2)
    if new_base:
        commit(repository, "second\n")

    mirror, base, events = fetched(repository, tmp_path)

    assert len(warned(events)) == 1
    assert "damaged (pack-" in warned(events)[0]
    sandbox = checked_out(mirror, base, tmp_path / "w")
    assert sandbox.read("a.txt") == (repository / "a.txt").read_bytes()
    assert mirror.git.run("fsck", "--strict", git_dir=mirror.path).ok
    assert warned(fetched(repository, tmp_path)[2]) == []


def test_a_commit_that_cannot_be_read_any_more_is_found_when_the_next_fetch_fails(
    repository: Path, tmp_path: Path
) -> None:
    mirror, first, _ = fetched(repository, tmp_path, None)
    (pack,) = mirror.path.glob("objects/pack/*.pack")
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[12:40] = bytes(28)  # the first object: its checksums at the end are as they were
    pack.write_bytes(data)
    commit(repository, "second\n")

    mirror, base, events = fetched(repository, tmp_path, None)

    assert len(warned(events)) == 1
    assert mirror.git.run("fsck", "--strict", git_dir=mirror.path).ok
    assert mirror.git.run("cat-file", "-e", first.sha, git_dir=mirror.path).ok
    assert base.sha == git(repository, "rev-parse", "HEAD")


def test_a_reference_that_a_power_cut_emptied_is_not_believed(
    repository: Path, tmp_path: Path
) -> None:
    mirror, base, _ = fetched(repository, tmp_path)
    (mirror.path / "refs/tiny-backspace" / base.sha).write_bytes(b"")

    mirror, base, _ = fetched(repository, tmp_path)

    assert mirror.git.run("rev-parse", f"refs/tiny-backspace/{base.sha}", git_dir=mirror.path).ok


def test_locks_and_pieces_of_a_fetch_that_was_killed_are_no_obstacle(
    repository: Path, tmp_path: Path
) -> None:
    mirror, _, _ = fetched(repository, tmp_path)
    new = commit(repository, "second\n")
    left = [
        mirror.path / name
        for name in ("shallow.lock", f"refs/tiny-backspace/{new}.lock", "objects/pack/tmp_pack_x")
    ]
    for path in left:
        path.write_bytes(b"half")

    _, base, events = fetched(repository, tmp_path)

    assert base.sha == new
    assert not any(path.exists() for path in left)
    assert warned(events) == []


def test_what_the_other_side_refuses_is_no_damage(repository: Path, tmp_path: Path) -> None:
    mirror, _, events = fetched(repository, tmp_path)
    before = snapshot(mirror.path)

    with pytest.raises(RepoError, match="could not be fetched"):
        mirror.fetch(str(repository / ".git"), Base("a" * 40, None), events.append)

    assert warned(events) == []
    assert snapshot(mirror.path) == before


def test_a_clone_without_its_files_is_a_sentence_and_nobody_is_asked_for_them(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--bare", "--filter=blob:none", f"file://{repository}", "partial")
    partial = tmp_path / "partial"

    with pytest.raises(RepoError, match="objects are missing there") as raised:
        mirrored(partial, tmp_path)

    assert "partial clone" in (raised.value.hint or "")
    assert list(partial.glob("objects/pack/*.promisor")) != []


def test_what_is_larger_than_a_fetch_may_be_is_a_sentence_and_leaves_nothing(
    repository: Path, tmp_path: Path
) -> None:
    """A git that stops as one does whose pack has reached the limit: at 2 GiB, which are a hole here."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git").write_text(
        '#!/bin/sh\n[ "$2" = fetch ] || exec '
        f'{shutil.which("git")} "$@"\ntruncate -s 2G "${{1#*=}}/objects/pack/tmp_pack_x"\nexit 128\n'
    )
    (tools / "git").chmod(0o755)
    ours = host_git(tmp_path, environment={"PATH": f"{tools}:{os.environ['PATH']}"})
    mirror = mirror_of(tmp_path / "cache", str(repository), ours, None)
    (mirror.path / "objects" / "pack").mkdir(parents=True)

    with pytest.raises(RepoError, match="larger than 2 GiB") as raised:
        mirror.fetch(str(repository), Base("a" * 40, None), quiet)

    assert raised.value.hint == "Leave out --history full."
    assert list(mirror.path.glob("objects/pack/*")) == []


LONG = b"/".join([b"n" * 200] * 49 + [b"leaf"])


def test_a_path_that_no_file_system_holds_is_left_alone_and_stays(tmp_path: Path) -> None:
    """10 kB in all, or 256 bytes in one part; one of 4,095 and one of 255 bytes are there."""
    paths = (LONG, b"k" * 256, b"/".join([b"d" * 199] * 20 + [b"e" * 95]), b"l" * 255, b"z")
    source = built(tmp_path / "r", dict.fromkeys(paths, b"x\n"))
    mirror, base = mirrored(source, tmp_path)

    sandbox = checked_out(mirror, base, tmp_path / "w")

    marked = plain(sandbox.folder, "ls-files", "-tz").split(b"\0")[:-1]
    assert [mark[:1] for mark in sorted(marked, key=lambda m: m[2:])] == [
        b"H",
        b"S",
        b"H",
        b"S",
        b"H",
    ]
    assert (sandbox.folder / ("l" * 255)).read_text() == "x\n"
    (sandbox.folder / "z").write_text("new\n")
    patch = take_out(sandbox, base, tmp_path / "patch")
    with quarantine(tmp_path / "q.git", mirror, base) as cage:
        tree = cage.apply(patch)
        assert cage.read("diff-tree", "-r", "-z", "--name-only", base.sha, tree) == b"z\0"
