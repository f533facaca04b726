"""What is looked at when the agent says that it is done, and when it is enough."""

from __future__ import annotations

from typing import Literal

from tiny_backspace import syntax, verification
from tiny_backspace.events import Emit, Warned
from tiny_backspace.repo.quarantine import put_back
from tiny_backspace.sandbox.interface import Sandbox
from tiny_backspace.verification import Verification


class Checks:
    """Of one run: the syntax of the changed files, told once; then the user's verification, if there is one."""

    def __init__(
        self, wanted: Verification | None, sandbox: Sandbox, base: str, emit: Emit
    ) -> None:
        self._wanted, self._sandbox, self._base, self._emit = wanted, sandbox, base, emit
        self._attempt = 0
        self._warned = False
        self._last: Literal["syntax", "verification"] | None = None

    def complaint(self, tree: str, *, acted: bool) -> str | None:
        """What the agent is to repair; None if all is well, or if there is no use in asking again.

        `tree` is the work tree as it was taken out, `acted` that the agent did something since it was
        last told.
        """
        if self._last == "verification" and not acted:
            return None
        return self._syntax(tree) or self._verified(tree)

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

    def _verified(self, tree: str) -> str | None:
        wanted = self._wanted
        if wanted is None:
            return None
        self._last = "verification"
        self._attempt += 1
        verdict = verification.verify(wanted, self._attempt, self._sandbox, self._emit)
        if verdict.ok or self._attempt >= wanted.attempts:
            return None
        put_back(self._sandbox, tree)
        return verification.complaint(verdict)
