"""Whatever ends a run becomes one closing event and one exit code; a bug leaves a report."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiny_backspace import errors
from tiny_backspace.errors import ProviderBusy, Stopped, TinyBackspaceError
from tiny_backspace.events import Event, RunFailed, RunSucceeded, ThoughtDelta, WorkSaved
from tiny_backspace.failure import concluded, crash_report
from tiny_backspace.redact import redactor
from tiny_backspace.views.state import RunState

SECRET = "hunter2-canary"
CODES = {
    "TinyBackspaceError": (70, "error"),
    "UsageError": (2, "usage"),
    "RepoError": (3, "repository"),
    "SandboxError": (4, "sandbox"),
    "SandboxLost": (4, "sandbox_lost"),
    "SetupFailed": (4, "setup_failed"),
    "SandboxUnverified": (4, "sandbox_unverified"),
    "ProviderError": (5, "provider"),
    "ProviderBusy": (5, "provider_busy"),
    "ContextOverflow": (5, "context_overflow"),
    "Unfinished": (5, "unfinished"),
    "AgentError": (6, "agent"),
    "Refused": (6, "refused"),
    "LimitReached": (6, "limit_reached"),
    "Repetition": (6, "repetition"),
    "ForgeError": (7, "forge"),
    "ForgeDenied": (7, "forge_denied"),
    "PolicyRefused": (8, "policy_refused"),
    "VerificationFailed": (9, "verification_failed"),
}


def tree(kind: type[TinyBackspaceError]) -> Iterator[type[TinyBackspaceError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def conclude(
    folder: Path, error: BaseException | None, state: RunState | None = None
) -> tuple[int, RunSucceeded | RunFailed]:
    said: list[Event | ThoughtDelta] = []

    def pipeline() -> str:
        if error is not None:
            raise error
        return "done"

    code = concluded(
        pipeline,
        said.append,
        state=lambda: state or RunState(),
        seconds=lambda: 2.0,
        crash=crash_report(folder, "r", redactor((SECRET,))),
    )
    (closing,) = said
    assert isinstance(closing, RunSucceeded | RunFailed)
    assert closing.exit_code == code
    return code, closing


def test_the_codes_are_known_for_every_error_there_is() -> None:
    drawn = {k.__name__ for k in tree(TinyBackspaceError) if k.__module__ == errors.__name__}

    assert drawn == set(CODES)


@pytest.mark.parametrize("name", CODES)
def test_an_expected_failure_has_its_own_code_and_kind(tmp_path: Path, name: str) -> None:
    error = getattr(errors, name)("what happened", hint="what to do")

    code, closing = conclude(tmp_path, error)

    assert isinstance(closing, RunFailed)
    assert (code, closing.error) == CODES[name]
    assert (closing.message, closing.hint) == ("what happened", "what to do")
    assert closing.crash_report is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_bug_wherever_it_is_met(tmp_path: Path, number: int) -> None:
    code, closing = conclude(tmp_path, OSError(number, os.strerror(number), "/a/file"))

    assert isinstance(closing, RunFailed)
    assert (code, closing.error, closing.crash_report) == (2, "usage", None)
    assert closing.message == f"there is no room for /a/file: {os.strerror(number)}"
    assert "Make room" in str(closing.hint)
    assert conclude(tmp_path, OSError(errno.EIO, "broken"))[0] == 70


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [(2, 130, "interrupted"), (15, 143, "terminated"), (1, 129, "stopped")],
)
def test_a_signal_has_the_code_a_shell_gives_it(
    tmp_path: Path, number: int, code: int, kind: str
) -> None:
    found, closing = conclude(tmp_path, Stopped(number))

    assert isinstance(closing, RunFailed)
    assert (found, closing.error) == (code, kind)


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (WorkSaved(), "Nothing was changed"),
        (WorkSaved(patch="p"), "in the patch"),
        (WorkSaved(patch="p", branch="b"), "branch b was made"),
        (WorkSaved(patch="p", branch="b", remote="r"), "branch b was pushed to r"),
        (WorkSaved(patch="p", branch="b", pr_url="u"), "pull request was opened"),
    ],
)
def test_a_stopped_run_says_where_the_work_is(tmp_path: Path, saved: WorkSaved, said: str) -> None:
    _, closing = conclude(tmp_path, Stopped(2), RunState(saved=saved))

    assert isinstance(closing, RunFailed)
    assert said in (closing.hint or "")
    assert (closing.patch, closing.branch) == (saved.patch, saved.branch)


@pytest.mark.parametrize("error", [None, ProviderBusy("busy", retry_after=3)])
def test_the_totals_are_those_of_the_records(
    tmp_path: Path, error: TinyBackspaceError | None
) -> None:
    saved = WorkSaved(branch="b", files_changed=2, insertions=3, deletions=4)
    state = RunState(
        saved=saved, cost_usd=None, input_tokens=5, output_tokens=6, providers=("claude",)
    )

    _, closing = conclude(tmp_path, error, state)

    assert (closing.files_changed, closing.insertions, closing.deletions) == (2, 3, 4)
    assert (closing.cost_usd, closing.input_tokens, closing.output_tokens) == (None, 5, 6)
    assert (closing.duration_ms, closing.providers, closing.branch) == (2000.0, ("claude",), "b")


def buggy(key: str) -> None:
    inside = f"a value {key[:4]}{key[4:]} that only a variable holds"
    raise KeyError(f"no {key} in {len(inside)}")


def test_a_bug_leaves_a_private_report_without_values_and_secrets(tmp_path: Path) -> None:
    with pytest.raises(KeyError) as raised:
        buggy(SECRET)

    code, closing = conclude(tmp_path, raised.value)

    assert isinstance(closing, RunFailed)
    assert (code, closing.error, closing.crash_report) == (70, "bug", str(tmp_path / "crash-r.txt"))
    report = tmp_path / "crash-r.txt"
    text = report.read_text()
    assert report.stat().st_mode & 0o777 == 0o600
    assert "KeyError" in text
    assert "in buggy" in text
    assert SECRET not in text + closing.model_dump_json()
    assert "a value hunt" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["crash-r.txt"]


def test_a_bug_on_a_full_disk_still_has_its_closing_event(tmp_path: Path) -> None:
    code, closing = conclude(tmp_path / "there is no such folder", ZeroDivisionError())

    assert isinstance(closing, RunFailed)
    assert (code, closing.error, closing.crash_report) == (70, "bug", None)
    assert "could not be written" in (closing.hint or "")
