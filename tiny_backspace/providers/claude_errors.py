"""What the anthropic SDK and httpx2 raise, as our errors. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

from tiny_backspace.entries import Entry
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError
from tiny_backspace.providers.retry_after import retry_after
from tiny_backspace.redact import clean_line, redactor

if TYPE_CHECKING:
    import anthropic

# What the SDK's parser raises for a stream that is none; it checks little before it uses it.
GARBLED = (ValueError, TypeError, AttributeError, LookupError, RuntimeError)

Verdict: TypeAlias = Literal["busy", "key", "money", "model", "long", "final"]

STATUSES: dict[int, Verdict] = {
    400: "final",
    401: "key",
    402: "money",
    403: "key",
    404: "model",
    408: "busy",
    409: "busy",
    412: "final",
    413: "long",
    422: "final",
    429: "busy",
    431: "final",
    499: "busy",
}

# Where the code says something else than the status. Those that a request for messages cannot
# bring about are left to their status.
CODES: dict[str, Verdict] = {
    "enforced_spend_limit_reached": "money",
    "contract_spend_limit_reached": "money",
    "organization_on_hold": "key",
    "claude_code_key_creator_not_member": "key",
    "request_body_timeout": "busy",
    "thread_continue_in_flight": "busy",
    "skill_read_blocked_undecryptable": "final",
}

# An error event comes within an answer of status 200: its type stands for the status.
TYPES: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "memory_path_conflict_error": 409,
    "memory_precondition_failed_error": 412,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TOO_LONG = re.compile(
    r"(?:prompt|input).{0,9}too.long|exceeds?.(?:the.)?(?:\w{1,30}.)?context|context.length.exceeded"
    r"|maximum.context.(?:length|window)",
    re.IGNORECASE,
)
_LONGEST = 300
_LOOKED_AT = 4096  # characters
_WORDS = 160  # characters of what the vendor says


def translated(error: BaseException, entry: Entry) -> ProviderError:
    """The one map of what a call can raise to what it means for the run."""
    import anthropic
    import httpx2

    kind, what = ProviderError, "cannot be asked"
    match error:
        case anthropic.APIStatusError():
            return _answered(error, entry)
        case anthropic.APIConnectionError() if isinstance(error.__cause__, httpx2.HTTPError):
            return translated(error.__cause__, entry)
        case httpx2.ReadTimeout():
            return silent(entry)
        case httpx2.LocalProtocolError():  # its words may hold the key
            return ProviderError(f"{entry.name}: the request cannot be sent", hint=_odd_key(entry))
        case httpx2.UnsupportedProtocol():
            pass
        case anthropic.APIConnectionError() | httpx2.TransportError():
            kind, what = ProviderBusy, "the connection failed"
        case anthropic.APIError() | anthropic.RetryableError():
            kind, what = ProviderBusy, "the answer cannot be read"
        case anthropic.AnthropicError():
            pass
        case _:
            kind, what = ProviderBusy, "the answer cannot be read"
    return kind(_line(entry, f"{what}: {_words(error, entry)}"))


def silent(entry: Entry) -> ProviderBusy:
    """It was asked and says nothing."""
    return ProviderBusy(f"{entry.name} said nothing for {entry.idle_timeout:g} s")


def _answered(error: anthropic.APIStatusError, entry: Entry) -> ProviderError:
    told = _told(error, entry)
    match verdict(error):
        case "busy":
            wait = retry_after(error.response.headers)
            return ProviderBusy(_line(entry, told), retry_after=wait)
        case "key":
            hint = f"Is {entry.key_variable} right?" if entry.key_variable else None
            return ProviderError(_line(entry, f"the key was refused: {told}"), hint=hint)
        case "money":
            return ProviderError(
                _line(entry, f"nothing is left to spend: {told}"),
                hint="Add credit or raise the limit in the vendor's console.",
            )
        case "model":
            return ProviderError(
                _line(entry, f"there is no model {entry.model_name!r}: {told}"),
                hint=f"Name another one: --agents {entry.name}:MODEL",
            )
        case "long":
            return ContextOverflow(_line(entry, f"the conversation is too long: {told}"))
        case "final":
            return ProviderError(_line(entry, f"refused the request: {told}"), hint=_moved(error))


def verdict(error: anthropic.APIStatusError) -> Verdict:
    """By the code, then by the status, or by the type where that stands for it."""
    if (known := CODES.get(str(error.error_code))) is not None:
        return known
    status = error.status_code
    if status < 300:  # noqa: PLR2004 - HTTP: it began well
        status = TYPES.get(str(error.type), 500)
    if status in {400, 422} and _TOO_LONG.search(f"{_said(error)} {error.error_code}"):
        return "long"
    return STATUSES.get(status, "busy" if status >= 500 else "final")  # noqa: PLR2004 - HTTP: its own fault


def _told(error: anthropic.APIStatusError, entry: Entry) -> str:
    kind = error.error_code or error.type
    request = f" (request {error.request_id})" if error.request_id else ""
    named = f" {kind}" if kind else ""
    return f"{error.status_code}{named}: {_short(_masked(entry, _said(error)))}{request}"


def _said(error: anthropic.APIStatusError) -> str:
    """The vendor's own words, or what somebody in between wrote instead."""
    return str(error.api_message or error.body or error.response.reason_phrase)[:_LOOKED_AT]


def _words(error: BaseException, entry: Entry) -> str:
    return _short(_masked(entry, str(error) or type(error).__name__))


def _masked(entry: Entry, text: str) -> str:
    """Before anything is cut off: half of a key is recognised by nobody."""
    return redactor([entry.key.get_secret_value()] if entry.key else [])(text)


def _short(text: str) -> str:
    text = clean_line(text)
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"


def _line(entry: Entry, text: str) -> str:
    line = clean_line(_masked(entry, f"{entry.name}: {text}"))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _odd_key(entry: Entry) -> str | None:
    if entry.key_variable is None:
        return None
    return f"Is there something in {entry.key_variable} that no key has, such as a line break?"


def _moved(error: anthropic.APIStatusError) -> str | None:
    redirected = 300 <= error.status_code < 400  # noqa: PLR2004 - HTTP
    return (
        "It points elsewhere, which is not followed: set base_url to where it is."
        if redirected
        else None
    )
