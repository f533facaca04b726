"""Where the agent's work is taken out to: while it goes on, after each turn, and when it is over.

Each time the agent has acted, its change comes out as one patch while the model thinks about the next
turn, and is kept with the conversation: from there a run can be resumed, and nothing done is lost.
"""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic
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


class Turns(Protocol):
    """Who keeps the work of each turn."""

    def keep(self, work: Checkpoint, *, changed: bool) -> None: ...


class Bench:
    """Holds the latest patch at `target`. It is the agent's journal (agent/loop.py)."""

    def __init__(
        self, sandbox: Sandbox, base: Base, target: Path, turns: Turns, emit: Emit
    ) -> None:
        self._sandbox, self._base, self._target = sandbox, base, target
        self._turns, self._emit = turns, emit
        self._patch: Patch | None = None  # None: nothing is known of the work tree as it is now
        self._kept_tree = ""
        self._idle = threading.Event()  # no turn is being kept
        self._idle.set()
        self._told = ""
        self._silent = False

    def adopt(self, work: Checkpoint) -> None:
        """Go on with the work of an earlier run, which was put into the sandbox.

        Raises:
            AgentError: it is not the same any more.
        """
        if work.patch and self._current(_TIME).tree != work.tree:
            raise AgentError("the work of the earlier run could not be put back as it was")
        self._turns.keep(work, changed=True)
        self._kept_tree = work.tree

    def settle(self) -> None:
        """The work tree is about to change: wait until the last turn is kept."""
        self._idle.wait()
        self._patch = None

    def completed(self, conversation: tuple[Message, ...], *, acted: bool) -> None:
        """Keep the turn, in a thread of its own."""
        self._idle.wait()
        if acted:
            self._patch = None
        keeping = threading.Thread(
            target=self._keep, args=(conversation,), name="keep-turn", daemon=True
        )
        try:
            self._idle.clear()
            keeping.start()
        except BaseException:  # a signal came in between
            if not keeping.is_alive():
                self._idle.set()
            raise

    def latest(self, *, timeout: float = 2 * _TIME) -> Patch:
        """What the agent has done by now; told in an event.

        Raises:
            AgentError: it cannot be taken out (in time).
            RepoError: the host has no room for it.
        """
        until = monotonic() + timeout
        if not self._idle.wait(timeout):
            raise AgentError(f"the change could not be taken out of the sandbox in {timeout:g} s")
        patch = self._current(max(0.1, until - monotonic()))
        where = str(self._target) if patch.size else ""
        if where != self._told:
            self._told = where
            self._emit(WorkSaved(patch=where))
        if not patch.size:
            self._target.unlink(missing_ok=True)
        return patch

    def rescue(self) -> None:
        """The work so far, in the little time an interrupted run has; the last that is done here."""
        try:
            self.latest(timeout=_RESCUE)
        except (TinyBackspaceError, OSError) as error:
            self._say(f"The last of the work could not be taken out: {error}")
        self._silent = True

    def _keep(self, conversation: tuple[Message, ...]) -> None:
        try:
            patch = self._current(_TIME)
            changed = patch.tree != self._kept_tree and patch.size <= JUDGED_LIMIT
            content = patch.path.read_bytes() if changed and patch.size else b""
            self._turns.keep(Checkpoint(conversation, patch.tree, content), changed=changed)
            self._kept_tree = patch.tree
        except (TinyBackspaceError, OSError) as error:
            self._say(f"A turn could not be kept for `resume`: {error}")
            self._silent = True  # it may go on like this for sixty turns
        finally:
            self._idle.set()

    def _current(self, timeout: float) -> Patch:
        """The change as it is now; it is not taken out twice."""
        if self._patch is None:
            with timed("pack_out", self._emit):
                patch = take_out(self._sandbox, self._base, self._target, timeout=timeout)
            if not patch.complete:
                self._say(f"Some files could not be taken out: {patch.left_out}")
            self._patch = patch
        return self._patch

    def _say(self, message: str) -> None:
        if not self._silent:
            self._emit(Warned(message=message))
