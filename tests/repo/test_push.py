"""One commit on one branch, through broken connections and refusals, and never over another's work."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.program import git, snapshot
from tests.repo.served import change, served
from tests.servers.git_faults import Cut, Held, Words, either, hook, on
from tiny_backspace.errors import ForgeDenied, ForgeError, RepoError
from tiny_backspace.events import GitOperation, HostCommand
from tiny_backspace.repo.push import Pushed, RefTaken

PACK = "git-receive-pack"
LARGE = os.urandom(3 << 20)  # more than git sends in one piece


def test_one_commit_becomes_one_branch_and_nothing_else_is_changed(tmp_path: Path) -> None:
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        before, mirror = place.branches, snapshot(tmp_path / "cache")
        commit = change(cage)
        cage.git.must("update-ref", "refs/tags/t", commit, git_dir=cage.path, doing="x")

        assert place.push(cage, commit, "tb/x") == Pushed("tb/x", commit)

        assert (cage.path / "shallow").read_text() == f"{cage.base.sha}\n"
        assert snapshot(tmp_path / "cache") == mirror
        assert place.branches == before | {"tb/x": commit}
    assert git(place.bare, "rev-parse", "tb/x^") == before["main"]
    assert git(place.bare, "fsck", "--strict") == ""
    (told,) = [e for e in place.events if isinstance(e, GitOperation)]
    (ran,) = [e for e in place.events if isinstance(e, HostCommand) and "push" in e.argv]
    assert told.command.split() == [part for part in ran.argv if "--git-dir" not in part]
    assert told.output == f"tb/x is {commit}"


def test_a_large_change_arrives_and_no_hook_of_the_quarantine_runs(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        hook(cage.path, "pre-push", f"touch {canary}")
        commit = change(cage, LARGE)

        assert place.push(cage, commit, "x") == Pushed("x", commit)

    assert int(git(place.bare, "cat-file", "-s", "x:a.txt")) == len(LARGE)
    assert not canary.exists()


def test_that_the_base_branch_has_moved_on_is_no_obstacle(tmp_path: Path) -> None:
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        git(place.work, "commit", "-q", "--allow-empty", "-m", "meanwhile")
        git(place.work, "push", "-q", str(place.bare), "main")
        commit = change(cage)

        assert place.push(cage, commit, "x") == Pushed("x", commit)

    assert git(place.bare, "fsck", "--strict") == ""
    assert git(place.bare, "rev-list", "--count", "x") == "3"


def test_a_remote_that_has_lost_the_base_refuses_and_the_hint_says_why(tmp_path: Path) -> None:
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        git(place.work, "checkout", "-q", "--orphan", "new")
        git(place.work, "commit", "-q", "-m", "from scratch")
        git(place.work, "push", "-q", "-f", str(place.bare), "new:main")
        git(place.bare, "gc", "-q", "--prune=now")

        with pytest.raises(ForgeError, match="shallow update not allowed") as raised:
            place.push(cage, change(cage), "x")

    assert raised.value.hint is not None
    assert "no longer there" in raised.value.hint
    assert "x" not in place.branches


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(Cut(done=False), id="at once"),
        pytest.param(Cut(done=False, read=200), id="while uploading"),
        pytest.param(Words(502), id="bad gateway"),
        pytest.param(Words(429, "slow down"), id="too many requests"),
    ],
)
def test_a_push_that_broke_before_it_counted_is_made_again(
    tmp_path: Path, cut: Cut | Words
) -> None:
    with (
        served(tmp_path, fault=on("POST", PACK, cut, cut)) as place,
        place.caged(place.git()) as cage,
    ):
        commit = change(cage)

        assert place.push(cage, commit, "x") == Pushed("x", commit)

    assert place.branches["x"] == commit
    assert place.waited == [1.0, 2.0]
    assert [(r.provider, r.attempt, r.wait_s) for r in place.retries()] == [
        ("git", 1, 1.0),
        ("git", 2, 2.0),
    ]
    assert place.pushes() == 3


def test_a_large_push_that_is_cut_while_uploading_is_made_again(tmp_path: Path) -> None:
    faults = on("POST", PACK, None, Cut(done=False, read=1 << 20))  # the first only asks
    with served(tmp_path, fault=faults) as place, place.caged(place.git()) as cage:
        commit = change(cage, LARGE)

        assert place.push(cage, commit, "x") == Pushed("x", commit)

    assert len(place.retries()) == 1
    assert place.branches["x"] == commit


def test_a_push_whose_answer_was_lost_is_a_success(tmp_path: Path) -> None:
    with (
        served(tmp_path, fault=on("POST", PACK, Cut(done=True))) as place,
        place.caged(place.git()) as cage,
    ):
        commit = change(cage)

        assert place.push(cage, commit, "x") == Pushed("x", commit)

    assert place.branches["x"] == commit
    assert place.pushes() == 1
    assert place.retries() == []
    told = [e for e in place.events if isinstance(e, GitOperation)]
    assert [e.command.split()[1] for e in told] == ["push", "ls-remote"]
    assert told[1].output == f"x is {commit}"


def test_an_answer_and_the_question_after_it_may_both_be_lost(tmp_path: Path) -> None:
    """The retry finds the same commit there: it is as good as having pushed it."""
    pushing = on("POST", PACK, Cut(done=True))
    asking = on("GET", "git-upload-pack", None, Words(503))  # the first is the fetch's
    with (
        served(tmp_path, fault=either(pushing, asking)) as place,
        place.caged(place.git()) as cage,
    ):
        commit = change(cage)

        assert place.push(cage, commit, "x") == Pushed("x", commit)

    assert len(place.retries()) == 1
    assert place.pushes() == 1


def test_after_four_tries_it_is_an_error(tmp_path: Path) -> None:
    with (
        served(tmp_path, fault=on("POST", PACK, *[Cut(done=False)] * 9)) as place,
        place.caged(place.git()) as cage,
        pytest.raises(ForgeError, match=r"could not be pushed .* \(tried 4 times\)\.$"),
    ):
        place.push(cage, change(cage), "x")

    assert (place.pushes(), place.waited) == (4, [1.0, 2.0, 4.0])
    assert "x" not in place.branches


def test_without_a_server_nobody_knows_whether_it_arrived(tmp_path: Path) -> None:
    with served(tmp_path / "gone") as gone:
        pass
    with (
        served(tmp_path / "there") as place,
        place.caged(place.git()) as cage,
        pytest.raises(ForgeError, match=r"Couldn't connect.*Whether it arrived is not known\."),
    ):
        gone.push(cage, change(cage), "x")

    assert len(gone.retries()) == 3


def test_a_stalled_push_is_ended_and_made_again(tmp_path: Path) -> None:
    stall = Held()
    impatient = {"http.lowSpeedTime": "3"}  # a busy machine may take a second to answer
    with (
        served(tmp_path, fault=on("POST", PACK, stall)) as place,
        place.caged(place.git(settings=impatient)) as cage,
    ):
        commit = change(cage)

        pushed = place.push(cage, commit, "x")
        stall.go_on.set()

    assert pushed == Pushed("x", commit)
    assert len(place.retries()) == 1
    assert place.branches["x"] == commit


@pytest.mark.parametrize(
    ("there", "wanted"), [("tb/x", "tb/x"), ("tb", "tb/x"), ("tb/x/y", "tb/x")]
)
def test_a_name_that_is_taken_is_told_and_left_alone(
    tmp_path: Path, there: str, wanted: str
) -> None:
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        git(place.bare, "branch", there, "main~1")
        before, commit = place.branches, change(cage)

        assert place.push(cage, commit, wanted) == RefTaken(wanted, there, before[there])
        assert place.branches == before
        assert place.push(cage, commit, "other") == Pushed("other", commit)


def test_a_branch_that_appears_while_we_push_is_not_overwritten(tmp_path: Path) -> None:
    held = Held()
    with (
        served(tmp_path, fault=on("POST", PACK, held)) as place,
        place.caged(place.git()) as cage,
    ):
        commit = change(cage)

        def meanwhile() -> None:
            held.reached.wait(20)
            git(place.bare, "branch", "x", "main~1")
            held.go_on.set()

        somebody = threading.Thread(target=meanwhile)
        somebody.start()
        pushed = place.push(cage, commit, "x")
        somebody.join()

        assert pushed == RefTaken("x", "x", git(place.bare, "rev-parse", "main~1"))
        assert place.branches["x"] != commit


def test_what_is_there_already_is_as_good_as_pushed(tmp_path: Path) -> None:
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        commit = change(cage)
        place.push(cage, commit, "x")

        assert place.push(cage, commit, "x") == Pushed("x", commit)

    assert place.pushes() == 1


@pytest.mark.parametrize(
    ("name", "words", "hint"),
    [
        ("pre-receive", "E1: this is a protected branch", "protected"),
        ("pre-receive", "E2: a repository rule violation was found", "rule"),
        ("pre-receive", "E3: push protection: a rule violation in a workflow", "secret"),
        ("pre-receive", "E4: big.bin is over the file size limit of 100 MB", "too large"),
        ("update", "a token may not change a workflow without its permission", "workflows: write"),
        ("update", "we just do not want it", None),
    ],
)
def test_a_refusal_is_told_in_the_servers_words_and_not_tried_again(
    tmp_path: Path, name: str, words: str, hint: str | None
) -> None:
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        hook(place.bare, name, f"printf '\\033[31m%s\\n---\\n' '{words}' >&2; exit 1")

        with pytest.raises(ForgeError) as raised:
            place.push(cage, change(cage), "x")

    assert words in str(raised.value)
    assert str(raised.value).isprintable()
    assert "---" not in str(raised.value)
    assert not isinstance(raised.value, ForgeDenied)
    assert (raised.value.hint is None) if hint is None else (hint in (raised.value.hint or ""))
    assert place.retries() == []
    assert "x" not in place.branches


def test_a_server_that_says_a_lot_is_cut_short(tmp_path: Path) -> None:
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        hook(place.bare, "pre-receive", "seq 1 9999 >&2; exit 1")

        with pytest.raises(ForgeError, match="1 2 3 4") as raised:
            place.push(cage, change(cage), "x")

    assert len(str(raised.value)) < 700
    assert str(raised.value).endswith("…")


def test_a_token_that_may_not_push_is_told_what_it_lacks(tmp_path: Path) -> None:
    with (
        served(tmp_path, token="writer-0123", reader="reader-0123") as place,
        place.caged(place.git("reader-0123")) as cage,
        pytest.raises(ForgeDenied, match=r"may not push to .*not granted") as raised,
    ):
        place.push(cage, change(cage), "x")

    assert "`contents: write`" in (raised.value.hint or "")
    assert place.retries() == []


def test_a_token_that_expired_meanwhile_is_refused(tmp_path: Path) -> None:
    with (
        served(tmp_path, fault=on("GET", PACK, Words(401))) as place,
        place.caged(place.git("expired-0123")) as cage,
        pytest.raises(ForgeDenied, match="the token is refused"),
    ):
        place.push(cage, change(cage), "x")

    assert place.pushes() == 0


def test_a_branch_of_a_pull_request_gets_a_commit_on_top_of_the_expected_one(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as place:
        git(place.bare, "branch", "pr", "main")
        expected = place.branches["pr"]
        with place.caged(place.git()) as cage:
            first, second = change(cage, b"1"), change(cage, b"2")

            assert place.push(cage, first, "pr", expected=expected) == Pushed("pr", first)
            assert place.push(cage, second, "pr", expected=expected) == RefTaken("pr", "pr", first)
            assert place.branches["pr"] == first
            git(place.bare, "branch", "-D", "pr")
            assert place.push(cage, second, "pr", expected=expected) == RefTaken("pr", "pr", None)
            assert "pr" not in place.branches
            with pytest.raises(ValueError, match="not on top"):
                place.push(cage, second, "pr", expected=first)


def test_what_would_delete_a_branch_or_is_no_name_is_not_pushed(tmp_path: Path) -> None:
    with served(tmp_path) as place, place.caged(place.git()) as cage:
        before, commit = place.branches, change(cage)

        for nothing in ("", "HEAD", "refs/heads/main"):
            with pytest.raises(ValueError, match="full name"):
                place.push(cage, nothing, "main")
        for name in ("a:b", "a*", "", "a..b", "a b", "a.lock"):
            with pytest.raises(RepoError, match="no name for a branch"):
                place.push(cage, commit, name)

        assert place.branches == before
        assert place.pushes() == 0
