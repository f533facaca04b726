"""The one error boundary: whatever ends a run becomes its closing event and its exit code."""

from __future__ import annotations

import errno
import platform
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_backspace import __version__
from tiny_backspace.errors import Stopped, TinyBackspaceError, UsageError
from tiny_backspace.events import Emit, RunFailed, RunSucceeded
from tiny_backspace.redact import Redact
from tiny_backspace.statedir import write_private
from tiny_backspace.views.state import RunState

BUG = 70
_FULL = (errno.ENOSPC, errno.EDQUOT)


def concluded(
    pipeline: Callable[[], str],
    emit: Emit,
    state: Callable[[], RunState],
    seconds: Callable[[], float],
    crash: Callable[[BaseException], Path],
    trace: Callable[[BaseException], None] = lambda _: None,
) -> int:
    """Run the pipeline; whatever comes of it, emit the closing event and return the exit code.

    The pipeline returns the closing sentence. Totals, and where the work is, come from `state`: the
    fold of the records so far. `trace` is told what went wrong, as it was raised.
    """

    def traced() -> str:
        try:
            return pipeline()
        except Exception as error:
            trace(error)
            raise

    try:
        closing = _outcome(traced, state, seconds, crash)
    except Stopped as stopped:
        closing = RunFailed(
            **_totals(state(), seconds()),
            exit_code=stopped.exit_code,
            error=stopped.kind,
            message=f"stopped by {stopped}",
            hint=_what_is_left(state()),
        )
    if isinstance(closing, RunFailed) and state().turns:
        on = f"To go on: tiny-backspace resume {state().run_id}"
        closing = closing.model_copy(
            update={"hint": f"{closing.hint} {on}" if closing.hint else on}
        )
    emit(closing)
    return closing.exit_code


def _outcome(
    pipeline: Callable[[], str],
    state: Callable[[], RunState],
    seconds: Callable[[], float],
    crash: Callable[[BaseException], Path],
) -> RunSucceeded | RunFailed:
    try:
        message = pipeline()
    except TinyBackspaceError as error:
        return _explained(error, state(), seconds())
    except Exception as error:  # noqa: BLE001 - a bug: the first of the two places where this is right
        if isinstance(error, OSError) and error.errno in _FULL:
            return _explained(_no_room(error), state(), seconds())
        report = _written(crash, error)
        return RunFailed(
            **_totals(state(), seconds()),
            exit_code=BUG,
            error="bug",
            message=f"this is a bug in tiny-backspace: {type(error).__name__}",
            hint=f"Please report it with {report}; it holds no code and no key of yours."
            if report
            else "A report of it could not be written.",
            crash_report=report,
        )
    return RunSucceeded(**_totals(state(), seconds()), message=message)


def _explained(error: TinyBackspaceError, state: RunState, seconds: float) -> RunFailed:
    return RunFailed(
        **_totals(state, seconds),
        exit_code=error.exit_code,
        error=error.kind,
        message=str(error),
        hint=error.hint,
    )


def _no_room(error: OSError) -> UsageError:
    """It can come to pass wherever a file is written."""
    where = f" for {error.filename}" if error.filename else ""
    return UsageError(
        f"there is no room{where}: {error.strerror}",
        hint="Make room, or set XDG_STATE_HOME, XDG_CACHE_HOME and TMPDIR to folders of another disk.",
    )


def _written(crash: Callable[[BaseException], Path], error: BaseException) -> str | None:
    """The report's path; None if there is no room for it, which must not cost the closing event."""
    try:
        return str(crash(error))
    except OSError:
        return None


def _totals(state: RunState, seconds: float) -> dict[str, Any]:
    saved = state.saved
    return {
        "pr_url": saved.pr_url,
        "branch": saved.branch,
        "patch": saved.patch or None,  # an empty one: what was taken out is no change any more
        "cost_usd": state.cost_usd,
        "input_tokens": state.input_tokens,
        "output_tokens": state.output_tokens,
        "duration_ms": round(seconds * 1000, 3),
        "files_changed": saved.files_changed,
        "insertions": saved.insertions,
        "deletions": saved.deletions,
        "providers": state.providers,
    }


def _what_is_left(state: RunState) -> str:
    if state.saved.pr_url:
        return "The pull request was opened before that."
    if state.saved.branch:
        where = f"pushed to {state.saved.remote}" if state.saved.remote else "made"
        return f"The branch {state.saved.branch} was {where} before that."
    if state.saved.patch:
        return "The work so far is in the patch; no branch was made."
    return "Nothing was changed outside the sandbox."


def crash_report(folder: Path, run_id: str, redact: Redact) -> Callable[[BaseException], Path]:
    """A function that writes a private report of a bug: where it happened, without the values of variables."""

    def write(error: BaseException) -> Path:
        lines = traceback.format_exception(error)
        text = (
            f"tiny-backspace {__version__}, run {run_id}\n"
            f"Python {sys.version.split()[0]}, {platform.platform()}\n\n{''.join(lines)}"
        )
        path = folder / f"crash-{run_id}.txt"
        write_private(path, redact(text).encode(errors="replace"))
        return path

    return write
