"""What another repository answers over the network: which branches it has, or why it will not say."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from time import sleep

from tiny_backspace.errors import ForgeDenied, ForgeError, RepoError
from tiny_backspace.events import Emit, Retry
from tiny_backspace.redact import clean_line
from tiny_backspace.repo.git import TRANSFER, Done, Git

_HEADS = "refs/heads/"
_SAID = "remote: "  # how git marks the lines that are the server's
_LONGEST = 600  # characters of a server's words
_MOVED = "A renamed repository is asked for by its new name: no token is sent after a redirect."

# What git and curl say of a connection that may be better the next time.
_BROKEN = (
    "Could not resolve", "Failed to connect", "Couldn't connect", "timed out", "too slow", "RPC failed",
    "Connection reset", "Empty reply", "early EOF", "returned error: 429", "returned error: 5",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patience:
    """How a broken connection is waited out: seconds that double, half of them by chance."""

    tries: int = 4
    wait: Callable[[float], None] = sleep
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int, reason: str, emit: Emit) -> None:
        seconds = 2.0 ** (attempt - 1) * (0.5 + self.jitter() / 2)
        emit(Retry(provider="git", reason=reason, attempt=attempt, wait_s=round(seconds, 3)))
        self.wait(seconds)

    def asking(self, ask: Callable[[], Done], emit: Emit) -> Done:
        """Ask until there is an answer, whatever it is: for questions that change nothing."""
        for attempt in range(1, self.tries):
            done = ask()
            if done.ok or not any(marker in "\n".join(_lines(done)) for marker in _BROKEN):
                return done
            self.pause(attempt, done.complaint, emit)
        return ask()


PATIENCE = Patience()


class Refusal(Enum):
    """The answers that stay the same however often one asks, with what git says of them (LC_ALL=C)."""

    TOKEN = ("could not read Username", "could not read Password", "Authentication failed")
    PERMISSION = ("returned error: 403",)
    ABSENT = ("' not found", "returned error: 404", "returned error: 410")
    MOVED = tuple(f"returned error: {status}" for status in (301, 302, 303, 307, 308))


def refusal(done: Done) -> Refusal | None:
    """Why the server would not speak to us; None where it is anything else, such as the network."""
    said = "\n".join(line for line in _lines(done) if not line.startswith(_SAID))
    return next((r for r in Refusal if any(marker in said for marker in r.value)), None)


def server_words(done: Done) -> str:
    """What the server itself said, for a message: on one line, nothing hidden in it, not endless."""
    lines = (
        clean_line(line.removeprefix(_SAID)) for line in _lines(done) if line.startswith(_SAID)
    )
    said = " ".join(line for line in lines if any(c.isalnum() for c in line))
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _lines(done: Done) -> list[str]:
    return done.stderr.decode(errors="replace").splitlines()


def may_push(git: Git, url: str, patience: Patience = PATIENCE) -> dict[str, str]:
    """The branches there and their commits, as only somebody who may push is told them.

    It asks what the first request of a push asks (git's own helper does), and changes nothing.

    Raises:
        ForgeDenied: pushing is not possible; the sentence says what is missing.
        ForgeError: it cannot be found out now.
        RepoError: it took too long.
    """
    scheme = url.partition("://")[0]
    if scheme not in {"https", *git.protocols}:  # the helper itself would not ask
        raise ForgeError(f"{url} is not a place to push to")
    asking = b"list for-push\n\n"
    done = patience.asking(
        lambda: git.run(f"remote-{scheme}", url, url, stdin=asking, limits=TRANSFER), git.emit
    )
    if done.ok:
        return _branches(done, " ")
    raise denied(git, url, done) or ForgeError(f"{url} cannot be reached: {done.complaint}")


def branches(git: Git, url: str) -> dict[str, str] | None:
    """The branches there and their commits; None where it does not answer."""
    try:
        done = git.run("ls-remote", "-q", "--heads", "--end-of-options", url, limits=TRANSFER)
    except RepoError:  # it took too long
        return None
    return _branches(done, "\t") if done.ok else None


def _branches(done: Done, separator: str) -> dict[str, str]:
    pairs = (line.partition(separator) for line in done.text.splitlines())
    return {ref.removeprefix(_HEADS): sha for sha, _, ref in pairs if ref.startswith(_HEADS)}


def in_the_way(there: Iterable[str], wanted: str) -> str | None:
    """The branch because of which there can be no new `wanted`: git keeps them as files in folders."""
    return next(
        (
            name
            for name in there
            if name == wanted or wanted.startswith(f"{name}/") or name.startswith(f"{wanted}/")
        ),
        None,
    )


def denied(git: Git, url: str, done: Done) -> ForgeDenied | None:
    """The error of a push that is not let in; None where something else is wrong."""
    words = server_words(done)
    reason = f": {words}" if words else ""
    match refusal(done):
        case Refusal.TOKEN if _has_token(git, url):
            return ForgeDenied(
                f"the token is refused by {url}{reason}",
                hint="It may have expired. Set GITHUB_TOKEN to one with `contents: write`.",
            )
        case Refusal.TOKEN:
            return ForgeDenied(
                f"{url} cannot be pushed to without a token",
                hint="Set GITHUB_TOKEN to a token with the permission `contents: write` there.",
            )
        case Refusal.PERMISSION:
            return ForgeDenied(
                f"the token may not push to {url}{reason}",
                hint="It needs the permission `contents: write` on that repository.",
            )
        case Refusal.ABSENT:
            return ForgeDenied(
                f"{url} is not there, or the token may not see it{reason}",
                hint="It needs the permission `contents: write` on that repository.",
            )
        case Refusal.MOVED:
            return ForgeDenied(f"{url} has moved", hint=_MOVED)
        case None:
            return None


def unreadable(git: Git, url: str, done: Done, what: str) -> RepoError:
    """The error of a fetch: `what` could not be done."""
    sentence = f"{what}: {done.complaint}"
    match refusal(done):
        case Refusal.TOKEN if _has_token(git, url):
            return RepoError(sentence, hint="The token is refused: is GITHUB_TOKEN still valid?")
        case Refusal.TOKEN:
            return RepoError(
                sentence,
                hint="It is private or misspelt. For a private one set GITHUB_TOKEN to a token "
                "that may read it (`contents: read`).",
            )
        case Refusal.PERMISSION | Refusal.ABSENT if _has_token(git, url):
            return RepoError(
                sentence,
                hint="It is misspelt, or the token in GITHUB_TOKEN may not read it (`contents: read`).",
            )
        case Refusal.PERMISSION | Refusal.ABSENT:
            return RepoError(
                sentence,
                hint="It is misspelt, or private: then set GITHUB_TOKEN to a token for it.",
            )
        case Refusal.MOVED:
            return RepoError(sentence, hint=_MOVED)
        case None:
            return RepoError(sentence, hint=_way_on(done))


def _way_on(done: Done) -> str | None:
    """What to do where it is not the repository or the token that is wrong."""
    if any(marker in done.complaint for marker in _BROKEN):
        return f"It was tried {PATIENCE.tries} times. Is the network up? Otherwise try again in some minutes."
    if "not our ref" in done.complaint:
        return (
            "There is no such commit there, or none that can be fetched by its name: check --base."
        )
    return None


def _has_token(git: Git, url: str) -> bool:
    return git.credential is not None and git.credential.serves((url,))
