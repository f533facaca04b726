"""What goes wrong with a server that speaks as OpenAI does, in our words. The one error map of both dialects."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from tiny_backspace.entries import Entry
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError
from tiny_backspace.providers.retry_after import retry_after
from tiny_backspace.redact import clean_line, redactor

VENDOR = "https://api.openai.com/v1"
_MESSAGE = 300  # characters
_SHORT = 64  # characters of a code, or of a request's id

_Kind: TypeAlias = Literal["busy", "final", "key", "quota", "model", "overflow", "policy"]
_Way: TypeAlias = Literal[
    "status", "told", "unreachable", "silent", "cut", "unsent", "garbled", "ours"
]

# Which way each exception is explained, by its class: the tests find a class that is missing here.
DECIDED: Mapping[str, _Way] = {
    **dict.fromkeys(
        (
            "APIStatusError", "BadRequestError", "AuthenticationError", "OAuthError",
            "PermissionDeniedError", "NotFoundError", "ConflictError", "UnprocessableEntityError",
            "RateLimitError", "InternalServerError",
        ),
        "status",
    ),
    "APIError": "told",  # within a stream
    **dict.fromkeys(("ConnectError", "ConnectTimeout", "ProxyError", "SSLError"), "unreachable"),
    **dict.fromkeys(("APITimeoutError", "TimeoutException", "ReadTimeout"), "silent"),
    **dict.fromkeys(
        (
            "APIConnectionError", "TransportError", "NetworkError", "ReadError", "WriteError",
            "CloseError", "WriteTimeout", "PoolTimeout", "ProtocolError", "RemoteProtocolError",
        ),
        "cut",
    ),
    "LocalProtocolError": "unsent",
    **dict.fromkeys(
        ("APIResponseValidationError", "SSEError", "DecodingError", "ValueError", "RecursionError"), "garbled"
    ),
    **dict.fromkeys(
        (
            "UnsupportedProtocol", "TooManyRedirects", "UnicodeEncodeError", "OpenAIError",
            # what nothing that we call raises
            "SubjectTokenProviderError", "LengthFinishReasonError", "ContentFilterFinishReasonError",
            "InvalidWebhookSignatureError", "WebSocketConnectionClosedError", "WebSocketQueueFullError",
            "StreamAlreadyConsumed", "MutuallyExclusiveAuthError", "APIRemovedInV1",
            "_AmbiguousModuleClientUsageError", "MissingDependencyError", "AgentFilePreparationError",
            "AgentFileStagingError", "AgentOutputParseError", "AgentTurnResultError",
        ),
        "ours",
    ),
}  # fmt: skip

CODES: Mapping[str, _Kind] = {
    **dict.fromkeys(("rate_limit_exceeded", "server_error", "vector_store_timeout"), "busy"),
    **dict.fromkeys(("insufficient_quota", "billing_hard_limit_reached"), "quota"),
    **dict.fromkeys(("context_length_exceeded", "exceed_context_size_error"), "overflow"),
    "invalid_api_key": "key",
    "model_not_found": "model",
    **dict.fromkeys(
        (
            "invalid_prompt", "bio_policy", "misalignment_policy_violation",
            "image_content_policy_violation",
        ),
        "policy",
    ),
    **dict.fromkeys(
        (
            "data_residency_mismatch",
            # we send no images: whoever complains of one will do so again
            "invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url",
            "image_too_large", "image_too_small", "image_parse_error", "invalid_image_mode",
            "image_file_too_large", "unsupported_image_media_type", "empty_image_file",
            "failed_to_download_image", "image_file_not_found",
        ),
        "final",
    ),
}  # fmt: skip
_STATUSES: Mapping[int, _Kind] = {
    401: "key", 402: "quota", 403: "key", 404: "model",
    408: "busy", 409: "busy", 413: "overflow", 429: "busy",
}  # fmt: skip
_TYPES: Mapping[str, _Kind] = {  # they count where there is neither a known code nor a status
    "invalid_request_error": "final", "authentication_error": "key",
    "permission_error": "key", "not_found_error": "model",
}  # fmt: skip
_LOOKED_AT = 4096  # characters of what a server says; who shows it shows less
_TOO_LONG = re.compile(
    r"context (?:length|size|window)|maximum model length|(?:prompt|input) is too long",
    re.IGNORECASE,
)


class Declined(ProviderError):
    """The vendor's policy forbids an answer. It is a refusal: whether somebody else is asked, the user decides."""


def translated(error: Exception, entry: Entry) -> ProviderError:
    """An exception of the SDK, or of the transport beneath it, as ours."""
    import openai

    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else None
    way = (_way(cause) if cause else None) or _way(error)
    match error:
        case openai.APIStatusError() if way == "status":
            return told(
                entry, _words(error.body), codes=(error.code, error.type), status=error.status_code,
                headers=error.response.headers, reference=error.request_id,
            )  # fmt: skip
        case openai.APIError() if way == "told":
            words = _words(error.body) or str(error)
            return told(entry, words, codes=(error.code, error.type))
        case _:
            return _unheard(entry, way, cause or error)


def _unheard(entry: Entry, way: _Way | None, error: BaseException) -> ProviderError:
    """A failure of which the server itself says nothing."""
    match way:
        case "unreachable":
            return _unreachable(entry, error)
        case "silent":
            return silent(entry)
        case "cut":
            head = f"{entry.name}: the connection broke"
            return ProviderBusy(one_line(entry, head, str(error)))
        case "unsent":  # its words may quote what was to be sent, the key included
            return ProviderBusy(f"{entry.name}: the request could not be sent")
        case "garbled":
            head = f"{entry.name}: its answer cannot be read"
            return ProviderBusy(one_line(entry, head, str(error)))
        case _:
            head = f"{entry.name}: {type(error).__name__}"
            return ProviderError(one_line(entry, head, str(error)))


def told(
    entry: Entry,
    words: str,
    *,
    codes: Sequence[object] = (),
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    reference: str | None = None,
) -> ProviderError:
    """What the server says went wrong: a code (and a type) of its own, an HTTP status if it is no stream yet."""
    names = [clean_line(str(code))[:_SHORT] for code in codes if code]
    about = [f"HTTP {status}"] if status else []
    about += [name for name in names[:1] if name != str(status)]
    head = f"{entry.name}: {', '.join(about) or 'it failed'}"
    message = one_line(entry, head, words, f" (request {reference})" if reference else "")
    match _kind(names, status, words):
        case "busy":
            return ProviderBusy(message, retry_after=retry_after(headers or {}))
        case "overflow":
            return ContextOverflow(message)
        case "policy":
            return Declined(message)
        case kind:
            return ProviderError(message, hint=_hint(entry, kind))


def silent(entry: Entry) -> ProviderBusy:
    return ProviderBusy(f"{entry.name} said nothing for {entry.idle_timeout:g} s")


def _way(error: BaseException) -> _Way | None:
    known = (DECIDED.get(kind.__name__) for kind in type(error).__mro__)
    return next((way for way in known if way), None)


def _kind(codes: Sequence[str], status: int | None, words: str) -> _Kind:
    by_code = next((CODES[code] for code in codes if code in CODES), None)
    if by_code:
        return by_code
    numbers = (int(code) for code in codes if re.fullmatch("[1-5][0-9][0-9]", code))
    number = status or next(numbers, None)  # vLLM tells a status within a stream too
    by_number = _STATUSES.get(number or 0)
    if by_number is None and _TOO_LONG.search(words):
        return "overflow"
    if number:
        return by_number or ("busy" if number >= 500 else "final")  # noqa: PLR2004 - HTTP's own
    return next((_TYPES[code] for code in codes if code in _TYPES), "busy")


def _hint(entry: Entry, kind: _Kind) -> str | None:
    match kind:
        case "key" if entry.key_variable:
            return f"Is the key in {entry.key_variable} right, and may it use {entry.model_name}?"
        case "key":
            return (
                f"It wants a key: name its variable with key_variable in [providers.{entry.name}]."
            )
        case "quota":
            return "Look at the plan and the balance of the account."
        case "model" if entry.dialect == "chat":
            where = entry.base_url or VENDOR
            return f"Is {entry.model_name} pulled, and is {where} the right address?"
        case "model":
            return (
                f"Is there a model {entry.model_name}? --agents {entry.name}:MODEL names another."
            )
        case _:
            return None


def _unreachable(entry: Entry, error: BaseException) -> ProviderBusy:
    where = entry.base_url or VENDOR
    hint = "Is the server running?" if entry.dialect == "chat" else None
    if _refused(error):
        return ProviderBusy(one_line(entry, f"{entry.name}: nobody answers at {where}"), hint=hint)
    head = f"{entry.name}: {where} cannot be reached"
    return ProviderBusy(one_line(entry, head, str(error)), hint=hint)


def _refused(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def _words(body: object) -> str:
    """The sentence in an error's body; compatible servers have many forms for it."""
    while isinstance(body, dict | list):
        if isinstance(body, dict):
            forms = (body.get(key) for key in ("message", "detail", "error", "msg"))
            inner = next((form for form in forms if form), None)
        else:
            inner = body[0] if body else None
        body = json.dumps(body, ensure_ascii=False) if inner is None else inner
    text = "" if body is None else str(body)[:_LOOKED_AT]
    if text.lstrip().startswith("<"):
        title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
        return f"a web page: {title[1]}" if title else "a web page"
    return text


def one_line(entry: Entry, head: str, words: str = "", tail: str = "") -> str:
    """One line that shows no key and is not long, whatever the server said."""
    key = entry.key.get_secret_value() if entry.key else ""
    redact = redactor((key,))
    head, words, tail = (redact(clean_line(part)) for part in (head, words, tail))
    tail = f" {tail}"[: _SHORT + len(" (request )")] if tail else ""
    line = f"{head}: {words}" if words else head
    return line[: _MESSAGE - len(tail)] + tail
