"""How a failure with GitHub is told: one short line without secrets, and a way out. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from pydantic import ValidationError

from tiny_backspace.errors import ForgeDenied, ForgeError
from tiny_backspace.forges.github_errors import Denial, Reason, reason, wait, words
from tiny_backspace.redact import Redact, clean_line

_MESSAGE = 300  # characters


@dataclass(frozen=True, slots=True)
class Subject:
    """What was asked for, in the words of an error. `hidden` if it is there for others, though not found.

    `needs` is the permission that a fine-grained token must have for it.
    """

    what: str
    needs: str
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer. `error` is what the user is told when it is for good; `wait` the seconds
    GitHub wants to be left alone; `location` where a thing that has moved is now.
    """

    reason: Reason
    error: ForgeError
    wait: float | None = None
    location: str = ""


_SENTENCES: Mapping[Reason, tuple[str, str | None]] = {
    "token": ("the token is refused", "It may be mistyped, expired or revoked: make a new one."),
    "sso": ("the organisation wants the token to be authorised for its single sign-on", None),
    "permission": ("the token may not do this", None),
    "denied": ("access is denied", None),
    "archived": ("{what} is archived: it can only be read", "Its owner can unarchive it."),
    "moved": ("{what} has moved", None),
    "conflict": ("{what} is not in a state for this", None),
    "refused": ("it refuses this", None),
    "primary": ("all requests that the token may make for now are used up", "Try again then."),
    "secondary": ("too many requests in a short time", "Try again in some minutes."),
    "unavailable": ("it cannot answer now", "Try again in some minutes."),
    "exists": ("the branch has an open pull request already", None),
    "no_commits": ("there is no commit between the base and the branch", "The base has the change already."),
    "no_base": ("the base branch is not there", "Was it renamed or deleted since?"),
    "no_head": ("the branch of the pull request is not there", "Was it pushed, to this repository or a fork of it?"),
    "unrelated": ("the branch and its base have no history in common", None),
    "no_draft": ("drafts of pull requests are not supported in this repository", None),
    "too_long": ("a text is too long for it", "It takes 256 characters of a title, 65,536 of a description, 50 of a label."),
    "protected": ("a rule that protects a branch forbids it", None),
}  # fmt: skip

# A failure of the connection, by the class of the exception or the nearest one above it.
_UNHEARD: Mapping[str, tuple[Reason, str]] = {
    "ConnectError": ("unanswered", "it cannot be reached"),
    "ConnectTimeout": ("unanswered", "it cannot be reached in time"),
    "ProxyError": ("unanswered", "the proxy lets nothing through"),
    "TimeoutException": ("unanswered", "it did not answer in time"),
    "TransportError": ("unanswered", "the connection broke"),
    "UnsupportedProtocol": ("unsent", "its address is none"),
    "InvalidURL": ("unsent", "its address is none"),
    "LocalProtocolError": ("unsent", "the request could not be sent"),
    "UnicodeEncodeError": ("unsent", "the request could not be sent"),
    "Exception": ("garbled", "its answer cannot be read"),
}

_WAYS_ON: Mapping[Reason, str] = {
    "unsent": "Is the address of its API right (github.api_url)?",
    "unanswered": "Is the network up, and the address of its API right (github.api_url)?",
    "garbled": "Is that GitHub (github.api_url), and no log-in page of a network in between?",
}


def failure(
    status: int,
    headers: Mapping[str, str],
    body: object,
    subject: Subject,
    *,
    redact: Redact = str,
    now: float = 0.0,
) -> Failure:
    """What an answer means that is none: a status other than 2xx, or a GraphQL answer with errors.

    `body` is its JSON, or its text where it is none; names of headers are in lower case, or know none.
    """
    said = words(body)
    why = reason(status, headers, body)
    pause = wait(why, headers, now)
    sentence, hint = _told(why, headers, said, subject, redact)
    if why == "primary" and pause is not None:
        sentence += f" until {datetime.fromtimestamp(now + pause, UTC):%Y-%m-%d %H:%M:%S} UTC"
    kind = ForgeError
    if why in get_args(Denial) or (why == "missing" and subject.hidden):
        kind = ForgeDenied
    about = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    return Failure(
        why,
        kind(line(redact, f"GitHub: {sentence}", about), hint=hint),
        pause,
        headers.get("location", "") if why == "moved" else "",
    )


def unheard(error: BaseException, *, redact: Redact = str) -> Failure:
    """What an exception means that came in place of an answer."""
    names = (kind.__name__ for kind in type(error).__mro__)
    why, sentence = next(_UNHEARD[name] for name in (*names, "Exception") if name in _UNHEARD)
    # words about what could not be sent may quote it, the token included
    about = "" if why == "unsent" else _words(error)
    hint = _WAYS_ON.get(why)
    return Failure(why, ForgeError(line(redact, f"GitHub: {sentence}", about), hint=hint))


def _words(error: BaseException) -> str:
    if isinstance(error, ValidationError):  # its own text quotes whole answers
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[: 4 * _MESSAGE]
    return str(error)[: 4 * _MESSAGE]


def line(redact: Redact, sentence: str, about: str = "") -> str:
    """One line that shows no secret, no control sequence, and is not long, whatever was said."""
    sentence, about = (redact(clean_line(part)) for part in (sentence, about))
    if not about:
        return sentence[:_MESSAGE]
    return f"{sentence} ({about[: max(0, _MESSAGE - len(sentence) - 3)]})"[:_MESSAGE]


def _told(
    why: Reason, headers: Mapping[str, str], said: str, subject: Subject, redact: Redact
) -> tuple[str, str | None]:
    """A sentence and a way out."""
    if why == "missing":
        return (
            f"there is no {subject.what}, or the token has no access to it",
            f"It may be private: a fine-grained token needs {subject.needs}, a classic one the scope repo.",
        )
    sentence, hint = _SENTENCES.get(why, ("it refuses this", None))
    if why == "sso":
        url = re.search(r"url=(https://[\x21-\x7e]{1,400})", headers.get("x-github-sso", ""))
        where = redact(url[1]) if url else "the token's page in GitHub's settings"
        hint = f"Authorise it: {where}"
    elif why == "permission" and "not permitted to create or approve" in said:
        hint = "Allow GitHub Actions to create pull requests, in the settings of the repository."
    elif why == "permission":
        accepted = redact(clean_line(headers.get("x-accepted-github-permissions", "")))[:200]
        hint = f"It needs {accepted or subject.needs}; a classic one needs the scope repo."
    return sentence.format(what=subject.what), hint
