"""Everything that can go wrong in a way we can explain.

TinyBackspaceError                 70  never raised itself
├── UsageError                     2   the command line or the settings
├── RepoError                      3   clone, patch, commit, branch
├── SandboxError                   4   the container, not the command in it
│   ├── SandboxLost                    it was there and has gone
│   ├── SandboxUnverified              it is not as locked down as it must be
│   └── SetupFailed                    the user's setup ended badly; no model was asked
├── ProviderError                  5   one model call
│   ├── ProviderBusy                   worth another try
│   ├── ContextOverflow                the conversation is too long for the model
│   └── Unfinished                     nobody is left who could go on
├── AgentError                     6   the run as a whole
│   ├── Refused                        the model will not do it; nothing is offered
│   └── LimitReached
│       └── Repetition                 it goes round in circles
├── ForgeError                     7   pull requests
│   └── ForgeDenied                    the token is refused, or may not do what it is asked for
├── PolicyRefused                  8   the change may not leave; it is kept as a patch
└── VerificationFailed             9   the change is offered as a draft

Stopped                            128 + signal: 130 interrupted, 143 terminated
"""

from __future__ import annotations

import signal
from typing import ClassVar


class TinyBackspaceError(Exception):
    """A failure with a message for the user, and possibly a way out.

    `kind` is the stable word for it in records (`sandbox_lost`, `limit_reached`);
    it defaults to the class name in snake case.
    """

    exit_code: ClassVar[int] = 70
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(TinyBackspaceError):
    exit_code = 2
    kind = "usage"


class RepoError(TinyBackspaceError):
    exit_code = 3
    kind = "repository"


class SandboxError(TinyBackspaceError):
    exit_code = 4
    kind = "sandbox"


class SandboxLost(SandboxError):
    kind = "sandbox_lost"


class SandboxUnverified(SandboxError):
    kind = "sandbox_unverified"


class SetupFailed(SandboxError):
    kind = "setup_failed"


class ProviderError(TinyBackspaceError):
    exit_code = 5
    kind = "provider"


class ProviderBusy(ProviderError):
    """Overloaded, rate limited or unreachable: the same call may work later."""

    kind = "provider_busy"

    def __init__(
        self, message: str, *, hint: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class ContextOverflow(ProviderError):
    kind = "context_overflow"


class Unfinished(ProviderError):
    kind = "unfinished"


class AgentError(TinyBackspaceError):
    exit_code = 6
    kind = "agent"


class Refused(AgentError):
    kind = "refused"


class LimitReached(AgentError):
    kind = "limit_reached"


class Repetition(LimitReached):
    kind = "repetition"


class ForgeError(TinyBackspaceError):
    exit_code = 7
    kind = "forge"


class ForgeDenied(ForgeError):
    kind = "forge_denied"


class PolicyRefused(TinyBackspaceError):
    exit_code = 8
    kind = "policy_refused"


class VerificationFailed(TinyBackspaceError):
    exit_code = 9
    kind = "verification_failed"


class Stopped(BaseException):
    """A signal asked the run to end. Not an `Exception`: nothing on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.exit_code = 128 + number

    @property
    def kind(self) -> str:
        return {130: "interrupted", 143: "terminated"}.get(self.exit_code, "stopped")
