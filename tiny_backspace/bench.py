"""Where the agent's work is taken out to: while it goes on, after each turn, and when it is over.

Each time the agent has acted, its change comes out as one patch while the model thinks about the next
turn, and is kept with the conversation: from there a run can be resumed, and nothing done is lost.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import Protocol

from tiny_backspace.conversation import Message
from tiny_backspace.errors import AgentError, TinyBackspaceError
from tiny_backspace.events import Emit, Warned, WorkSaved, timed
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.quarantine import JUDGED_LIMIT, Patch, take_out
from tiny_backspace.sandbox.interface import Sandbox
from tiny_backspace.telemetry.turns import Checkpoint

_TIME = 60.0  # seconds for one taking out
_RESCUE = 1.7  # an interrupted run ends within two or so
_STARTING = 0.5  # for a thread to begin
_POLL = 0.001


class Turns(Protocol):
    """Who keeps the work of each turn."""

    def keep(self, work: Checkpoint, *, changed: bool) -> None: ...


class _Keeping:
    """One turn being kept by a thread. Plain fields, no locks: a signal may come between any two steps."""

    def __init__(self) -> None:
        self._owner: dict[str, str] = {}
        self.done = False

    def taken_by(self, who: str) -> bool:
        """Whether it is this one's to do: whoever asks first has it."""
        return self._owner.setdefault("", who) == who


class Bench:
    """Holds the latest patch at `target`. It is the agent's journal (agent/loop.py)."""

    def __init__(
        self, sandbox: Sandbox, base: Base, target: Path, turns: Turns, emit: Emit
    ) -> None:
        self._sandbox, self._base, self._target = sandbox, base, target
        self._turns, self._emit = turns, emit
        self._patch: Patch | None = None  # None: nothing is known of the work tree as it is now
        self._kept_tree = ""
        self._keeping: _Keeping | None = None
        self._told = ""
        self._unkept = False  # it is said once: it may go on like this for sixty turns
        self._over = False

    def adopt(self, work: Checkpoint) -> None:
        """Go on with the work of an earlier run, which was put into the sandbox.

        Raises:
            AgentError: it is not the same any more.
        """
        if work.patch and self._current(_TIME).tree != work.tree:
            raise AgentError("the work of the earlier run could not be put back as it was")
        self._kept_tree = work.tree

    def settle(self) -> None:
        """The work tree is about to change: wait until the last turn is kept."""
        self._wait(inf)
        self._patch = None

    def completed(self, conversation: tuple[Message, ...], *, acted: bool) -> None:
        """Keep the turn, in a thread of its own."""
        self._wait(inf)
        if acted:
            self._patch = None
        keeping = self._keeping = _Keeping()
        threading.Thread(
            target=self._keep, args=(keeping, conversation), name="keep-turn", daemon=True
        ).start()

    def latest(self, *, timeout: float = 2 * _TIME) -> Patch:
        """What the agent has done by now; told in an event.

        Raises:
            AgentError: it cannot be taken out (in time). What was taken out before is told instead.
            RepoError: the host has no room for it.
        """
        until = monotonic() + timeout
        try:
            self._wait(timeout)
            patch = self._current(max(0.1, until - monotonic()))
        except (TinyBackspaceError, OSError):
            with suppress(OSError):
                if self._target.stat().st_size:
                    self._tell(str(self._target))
            raise
        self._tell(str(self._target) if patch.size else "")
        if not patch.size:
            self._target.unlink(missing_ok=True)
        return patch

    def rescue(self) -> None:
        """The work so far, in the little time an interrupted run has; the last that is done here."""
        try:
            self.latest(timeout=_RESCUE)
        except (TinyBackspaceError, OSError) as error:
            earlier = "; the patch is of an earlier turn" if self._told else ""
            self._say(f"The last of the work could not be taken out: {error}{earlier}")
        self._over = True

    def _wait(self, seconds: float) -> None:
        keeping, until, patience = self._keeping, monotonic() + seconds, monotonic() + _STARTING
        while keeping is not None and not keeping.done:
            now = monotonic()
            if now > patience and keeping.taken_by("nobody"):
                break  # a signal came before its thread was started
            if now > until:
                raise AgentError(f"the change did not come out of the sandbox in {seconds:g} s")
            sleep(_POLL)

    def _keep(self, keeping: _Keeping, conversation: tuple[Message, ...]) -> None:
        try:
            if keeping.taken_by("thread"):
                self._kept(conversation)
        except (TinyBackspaceError, OSError) as error:
            if not self._unkept:
                self._unkept = True
                self._say(f"A turn could not be kept for `resume`: {error}")
        finally:
            keeping.done = True

    def _kept(self, conversation: tuple[Message, ...]) -> None:
        patch = self._current(_TIME)
        if patch.size > JUDGED_LIMIT:
            raise AgentError(f"the change is larger than {JUDGED_LIMIT >> 20} MiB")
        changed = patch.tree != self._kept_tree
        content = patch.path.read_bytes() if changed and patch.size else b""
        self._turns.keep(Checkpoint(conversation, patch.tree, content), changed=changed)
        self._kept_tree = patch.tree

    def _current(self, timeout: float) -> Patch:
        """The change as it is now; it is not taken out twice."""
        if self._patch is None:
            with timed("pack_out", self._emit):
                patch = take_out(self._sandbox, self._base, self._target, timeout=timeout)
            if not patch.complete:
                self._say(f"Some files could not be taken out: {patch.left_out}")
            self._patch = patch
        return self._patch

    def _tell(self, where: str) -> None:
        if where != self._told:
            self._told = where
            self._emit(WorkSaved(patch=where))

    def _say(self, message: str) -> None:
        if not self._over:
            self._emit(Warned(message=message))
