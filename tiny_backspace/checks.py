"""What is looked at when the agent says that it is done, and when it is enough."""

from __future__ import annotations

from typing import Literal

from tiny_backspace import syntax, verification
from tiny_backspace.events import Emit, Warned
from tiny_backspace.repo.quarantine import JUDGED_LIMIT, Patch
from tiny_backspace.sandbox.interface import Sandbox
from tiny_backspace.verification import Verifier


class Checks:
    """Of one run: the syntax of the changed files, told once; then the user's verification, if there is one."""

    def __init__(self, verifier: Verifier | None, sandbox: Sandbox, base: str, emit: Emit) -> None:
        self._verifier, self._sandbox, self._base, self._emit = verifier, sandbox, base, emit
        self._attempt = 0
        self._warned = False
        self._last: Literal["syntax", "verification"] | None = None

    def complaint(self, patch: Patch, *, acted: bool) -> str | None:
        """What the agent is to repair; None if all is well, or if there is no use in asking again.

        `patch` is the work as it was taken out, `acted` that the agent did something since it was
        last told.
        """
        if self._last == "verification" and not acted:
            return None
        return self._syntax(patch.tree) or self._verified(patch)

    def _syntax(self, tree: str) -> str | None:
        checked = syntax.check(self._sandbox, self._base, tree, self._emit)
        if checked.ok:
            return None
        if self._last is None:
            self._last = "syntax"
            return syntax.complaint(checked)
        if not self._warned:  # it was told before: it may be meant so
            self._warned = True
            problems = "; ".join(checked.problems[:3])
            self._emit(Warned(message=f"The change has files that cannot be parsed: {problems}"))
        return None

    def _verified(self, patch: Patch) -> str | None:
        verifier = self._verifier
        if verifier is None or patch.size > JUDGED_LIMIT:  # so large a change goes nowhere
            return None
        self._last = "verification"
        self._attempt += 1
        verdict = verifier.verify(patch, self._attempt)
        before = verifier.before()
        if verdict.ok or self._attempt >= verifier.attempts:
            return None
        return verification.complaint(verdict, before)
