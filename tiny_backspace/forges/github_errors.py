"""What GitHub's answers mean: the one map from status, headers and body to a reason. Pure.

Names of headers are in lower case here, or belong to a mapping that knows no case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Literal, TypeAlias

_LONGEST = 1200  # characters of one error's words
_MOST = 10  # errors of one answer

Denial: TypeAlias = Literal["token", "sso", "permission", "denied"]
_Refusal: TypeAlias = Literal[
    "exists", "no_commits", "no_base", "no_head", "unrelated", "no_draft", "too_long", "protected"
]
_Retryable: TypeAlias = Literal["primary", "secondary", "unavailable", "unanswered"]
_Final: TypeAlias = Literal[
    "archived", "missing", "moved", "conflict", "refused", "garbled", "unsent"
]
Reason: TypeAlias = Denial | _Refusal | _Retryable | _Final

# Looked for in the words of a 422 (or 400), in this order …
_REFUSALS: tuple[tuple[str, Reason], ...] = (
    ("submitted too quickly|secondary rate limit", "secondary"),
    ("pull request already exists", "exists"),
    ("head ref must be|head sha can't be blank|head_sha: missing", "no_head"),
    ("no commits between", "no_commits"),
    ("draft pull requests? (?:are|is) not supported", "no_draft"),
    ("no history in common|no common ancestor|unrelated histor", "unrelated"),
    (r"\btoo long\b|too_long", "too_long"),
    ("rule violation|protected branch", "protected"),
    ("archived so|was archived|is archived", "archived"),
    ("must be a collaborator", "denied"),
)
# … and, where those say nothing, the fields that are wrong.
_FIELDS: Mapping[str, Reason] = {"base": "no_base", "head": "no_head"}
_GRAPHQL: Mapping[str, Reason] = {
    "NOT_FOUND": "missing", "FORBIDDEN": "permission", "INSUFFICIENT_SCOPES": "permission",
    "RATE_LIMITED": "secondary", "RATE_LIMIT": "secondary", "SERVICE_UNAVAILABLE": "unavailable",
}  # fmt: skip
_LIMITED = re.compile(r"rate limit|abuse detection|temporarily blocked", re.IGNORECASE)
_NOT_PERMITTED = re.compile(
    r"not accessible by|must have .{0,40}(?:access|rights)|not permitted to create or approve"
    r"|requires? one of the following scopes|not been granted",
    re.IGNORECASE,
)
_STATUSES: Mapping[int, Reason] = {
    **dict.fromkeys((301, 302, 307, 308), "moved"),
    401: "token", 404: "missing", 408: "unavailable", 409: "conflict", 410: "missing", 501: "refused",
}  # fmt: skip


def reason(status: int, headers: Mapping[str, str], body: object) -> Reason:
    said = words(body)
    if limit := _limit(status, headers, said):
        return limit
    if status < 300:  # noqa: PLR2004 - HTTP's own; GraphQL tells its errors so
        return _graphql(headers, body)
    if status in (403, 451):
        return _forbidden(headers, said)
    if status in (400, 422):
        return _invalid(said, body)
    return _STATUSES.get(status, "unavailable" if status >= 500 else "refused")  # noqa: PLR2004 - HTTP's own


def words(body: object) -> str:
    """The sentences in an error's body."""
    match body:
        case dict():
            return "; ".join(filter(None, map(_one, [body.get("message"), *_errors(body)])))
        case str() if body.lstrip().startswith("<"):
            title = re.search(r"<title[^>]*>([^<]{0,200})", body[:10_000], re.IGNORECASE)
            return f"a web page: {title[1]}" if title else "a web page"
        case str():
            return body[:_LONGEST]
        case _:
            return ""


def _limit(status: int, headers: Mapping[str, str], said: str) -> Reason | None:
    """GitHub's own order of looking: `retry-after`, then what remains, then the words."""
    if status not in (403, 429):
        return None
    if "retry-after" in headers:
        return "secondary"
    if headers.get("x-ratelimit-remaining") == "0":
        return "primary"
    return "secondary" if status == 429 or _LIMITED.search(said) else None  # noqa: PLR2004 - HTTP's own


def wait(why: Reason, headers: Mapping[str, str], now: float) -> float | None:
    if why == "primary":
        reset = _number(headers.get("x-ratelimit-reset"))
        return None if reset is None else max(0.0, reset - now) + 1  # its clock is not ours
    return _number(headers.get("retry-after"))


def _number(told: str | None) -> float | None:
    try:
        number = float(told or "")
    except ValueError:
        return None
    year_9999 = 253_402_300_000
    return number if isfinite(number) and 0 <= number < year_9999 else None


def _graphql(headers: Mapping[str, str], body: object) -> Reason:
    kinds = [error.get("type") for error in _errors(body) if isinstance(error, dict)]
    known = (_GRAPHQL[kind] for kind in kinds if isinstance(kind, str) and kind in _GRAPHQL)
    why: Reason = next(known, "refused")
    return "primary" if why == "secondary" and headers.get("x-ratelimit-remaining") == "0" else why


def _forbidden(headers: Mapping[str, str], said: str) -> Reason:
    if headers.get("x-github-sso", "").startswith("required"):
        return "sso"
    if re.search("archived so|was archived|is archived", said):
        return "archived"
    return "permission" if _NOT_PERMITTED.search(said) else "denied"


def _invalid(said: str, body: object) -> Reason:
    for pattern, why in _REFUSALS:
        if re.search(pattern, said, re.IGNORECASE):
            return why
    fields = [error.get("field") for error in _errors(body) if isinstance(error, dict)]
    return next((why for field, why in _FIELDS.items() if field in fields), "refused")


def _errors(body: object) -> list[object]:
    errors = body.get("errors") if isinstance(body, dict) else None
    return errors[:_MOST] if isinstance(errors, list) else [errors]


def _one(part: object) -> str:
    """One error: a sentence, or a field and what is wrong with it."""
    match part:
        case str():
            return part[:_LONGEST]
        case {"message": str(message)}:
            return message[:_LONGEST]
        case {"field": str(field), "code": str(code)}:
            return f"{field}: {code}"[:_LONGEST]
        case {"code": str(code)}:
            return code[:_LONGEST]
        case _:
            return ""
