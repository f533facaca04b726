"""What GitHub answers is told as what it means, in one short line, without secrets."""

from __future__ import annotations

from typing import Any, get_args

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.forges.github_api import NOON, TOKEN, custom
from tiny_backspace.errors import ForgeDenied, ForgeError
from tiny_backspace.forges.github_errors import Reason, reason, words
from tiny_backspace.forges.github_failures import Failure, Subject, failure, unheard
from tiny_backspace.redact import clean_line, redactor

SUBJECT = Subject("repository me/it", "the permission Contents (read and write)", hidden=True)
SSO = "required; url=https://github.test/orgs/o/sso?authorization_request=AZ09"
LEFT = {"x-ratelimit-remaining": "4999"}
USED_UP = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOON) + 60)}


def body(message: str, *errors: object) -> dict[str, Any]:
    return {"message": message, "errors": list(errors)}


def field(name: str, code: str = "invalid", resource: str = "PullRequest") -> dict[str, str]:
    return {"resource": resource, "field": name, "code": code}


INVALID = "Validation Failed"
TABLE: tuple[tuple[int, dict[str, str], object, Reason], ...] = (
    (401, {}, body("Bad credentials"), "token"),
    (401, {}, body("Requires authentication"), "token"),
    (403, {"x-github-sso": SSO}, body("Resource protected by organization SAML enforcement."), "sso"),
    (403, {"x-github-sso": "partial-results; organizations=1"}, body("Forbidden"), "denied"),
    (403, LEFT, body("Resource not accessible by personal access token"), "permission"),
    (403, LEFT, body("Resource not accessible by integration"), "permission"),
    (403, {}, body("Must have admin rights to Repository."), "permission"),
    (403, {}, body("GitHub Actions is not permitted to create or approve pull requests."), "permission"),
    (403, {}, body("the `o` organization has an IP allow list enabled, and 1.2.3.4 is not permitted"), "denied"),
    (403, {}, body("`o` forbids access via a personal access token (classic)."), "denied"),
    (403, {}, body("Sorry. Your account was suspended."), "denied"),
    (403, {}, body("Repository was archived so is read-only."), "archived"),
    (403, {}, "", "denied"),
    (451, {}, body("Repository access blocked"), "denied"),
    (403, USED_UP, body("API rate limit exceeded for user ID 1."), "primary"),
    (429, USED_UP, body("API rate limit exceeded"), "primary"),
    (403, {"retry-after": "30"}, body("You have exceeded a secondary rate limit."), "secondary"),
    (429, {"retry-after": "30"} | USED_UP, body("Too fast"), "secondary"),
    (403, LEFT, body("You have exceeded a secondary rate limit."), "secondary"),
    (403, {}, body("You have triggered an abuse detection mechanism."), "secondary"),
    (429, {}, "", "secondary"),
    (422, {}, body(INVALID, custom("was submitted too quickly")), "secondary"),
    (404, {}, body("Not Found"), "missing"),
    (410, {}, body("Issues are disabled for this repo"), "missing"),
    (301, {}, body("Moved Permanently"), "moved"),
    (307, {}, "", "moved"),
    (308, {}, "", "moved"),
    (304, {}, "", "refused"),
    (408, {}, "", "unavailable"),
    (500, {}, body("Server Error"), "unavailable"),
    (502, {}, "<html><title>502 Bad Gateway</title>", "unavailable"),
    (503, {"retry-after": "5"}, "", "unavailable"),
    (409, {}, body("Git Repository is empty."), "conflict"),
    (422, {}, body(INVALID, custom("A pull request already exists for me:fix.")), "exists"),
    (422, {}, body(INVALID, custom("No commits between main and fix")), "no_commits"),
    (422, {}, body(INVALID, field("base")), "no_base"),
    (422, {}, body(INVALID, field("head")), "no_head"),
    (422, {}, body(INVALID, field("head_sha", "missing_field"), field("base_sha", "missing_field"),
        custom("No commits between main and x"), {"field": "head_ref", **custom("Head ref must be a branch")}), "no_head"),
    (422, {}, body(INVALID, field("head"), field("base")), "no_base"),
    (422, {}, body(INVALID, custom("The fix branch has no history in common with main")), "unrelated"),
    (422, {}, body("Draft pull requests are not supported in this repository."), "no_draft"),
    (422, {}, body(INVALID, custom("title is too long (maximum is 256 characters)", "Issue")), "too_long"),
    (422, {}, body(INVALID, custom("body is too long (maximum is 65536 characters)", "Issue")), "too_long"),
    (422, {}, body("Repository rule violations found"), "protected"),
    (422, {}, body(INVALID, field("title", "missing_field", "Issue")), "refused"),
    (422, {}, body(INVALID, "must be a collaborator"), "denied"),
    (422, {}, body(INVALID, 3, None, [], {"field": 1}), "refused"),
    (422, {}, {"errors": 1}, "refused"),
    (400, {}, body("Problems parsing JSON"), "refused"),
    (405, {}, "", "refused"),
    (501, {}, "", "refused"),
    (200, {}, {"data": None, "errors": [{"type": "NOT_FOUND", "message": "Could not resolve"}]}, "missing"),
    (200, {}, {"errors": [{"type": "INSUFFICIENT_SCOPES", "message": "m"}]}, "permission"),
    (200, {}, {"errors": [{"type": "RATE_LIMITED", "message": "m"}]}, "secondary"),
    (200, USED_UP, {"errors": [{"type": "RATE_LIMITED", "message": "m"}]}, "primary"),
    (200, {}, {"errors": [{"message": "Something went wrong"}, "odd", {"type": []}]}, "refused"),
)  # fmt: skip
DENIALS = {"token", "sso", "permission", "denied", "missing"}  # the last, as the subject is hidden


@pytest.mark.parametrize(("status", "headers", "answer", "meaning"), TABLE)
def test_status_headers_and_body_decide_together(
    status: int, headers: dict[str, str], answer: object, meaning: Reason
) -> None:
    assert reason(status, headers, answer) == meaning
    told = failure(status, headers, answer, SUBJECT, now=NOON)
    assert told.reason == meaning
    assert type(told.error) is (ForgeDenied if meaning in DENIALS else ForgeError)
    assert str(told.error).startswith("GitHub: ")
    assert f"HTTP {status}" in str(told.error)


def test_every_reason_that_a_server_can_give_is_in_the_table() -> None:
    every: set[str] = set()
    for each in get_args(Reason):
        every |= set(get_args(each)) or {each}
    assert every - {row[3] for row in TABLE} == {"unanswered", "garbled", "unsent"}


@pytest.mark.parametrize(
    ("status", "headers", "answer", "wait"),
    [
        (403, USED_UP, body("API rate limit exceeded"), 61.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, "", 1.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, "", None),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 400}, "", None),
        (403, {"x-ratelimit-remaining": "0"}, "", None),
        (429, {"retry-after": "30"}, "", 30.0),
        (429, {"retry-after": "nan"}, "", None),
        (429, {"retry-after": "-1"}, "", None),
        (429, {}, "", None),
        (503, {"retry-after": "5"}, "", 5.0),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(
    status: int, headers: dict[str, str], answer: object, wait: float | None
) -> None:
    assert failure(status, headers, answer, SUBJECT, now=NOON).wait == wait


@pytest.mark.parametrize(
    ("told", "sentence", "hint"),
    [
        (failure(401, {}, body("Bad credentials"), SUBJECT),
            "the token is refused (HTTP 401: Bad credentials)", "make a new one"),
        (failure(404, {}, body("Not Found"), SUBJECT),
            "there is no repository me/it, or the token has no access to it", "needs the permission Contents (read and write), a classic one the scope repo"),
        (failure(403, {"x-github-sso": SSO}, "", SUBJECT),
            "single sign-on", "Authorise it: https://github.test/orgs/o/sso?authorization_request=AZ09"),
        (failure(403, {"x-github-sso": "required; url=javascript:\x1b[31m"}, "", SUBJECT),
            "single sign-on", "Authorise it: the token's page in GitHub's settings"),
        (failure(403, {"x-accepted-github-permissions": "pull_requests=write"}, body("Resource not accessible by integration"), SUBJECT),
            "may not do this", "It needs pull_requests=write;"),
        (failure(403, {}, body("Resource not accessible by integration"), SUBJECT),
            "may not do this", "It needs the permission Contents (read and write);"),
        (failure(403, {}, body("GitHub Actions is not permitted to create or approve pull requests."), SUBJECT),
            "may not do this", "Allow GitHub Actions to create pull requests"),
        (failure(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000000"}, "", SUBJECT, now=NOON - 3600),
            "used up until 2027-01-15 08:00:01 UTC", "Try again then"),
        (failure(422, {}, body(INVALID, field("base")), SUBJECT),
            "the base branch is not there (HTTP 422: Validation Failed; base: invalid)", "renamed or deleted"),
        (failure(403, {}, body("Repository was archived so is read-only."), SUBJECT),
            "repository me/it is archived", "unarchive"),
        (failure(422, {}, body(INVALID, custom("name is too long (maximum is 50 characters)")), SUBJECT),
            "a text is too long for it (HTTP 422: Validation Failed; name is too long", "50 of a label"),
        (unheard(ValueError("no JSON")), "its answer cannot be read (no JSON)", "no log-in page"),
        (unheard(httpx2.ConnectError("refused")), "it cannot be reached (refused)", "Is the network up"),
    ],
)  # fmt: skip
def test_each_failure_is_a_sentence_with_a_way_out(told: Failure, sentence: str, hint: str) -> None:
    assert sentence in str(told.error)
    assert hint in str(told.error.hint)


def test_a_message_is_one_short_line_without_token_or_control_sequences() -> None:
    redact = redactor((TOKEN,))
    split = TOKEN[:8] + "\x1b[0m" + TOKEN[8:]  # put together again by what takes the sequences out
    said = body(f"Resource not accessible by \x1b]0;title\x07 {TOKEN}\n{split}\u202e" + "x" * 900)
    permissions = {"x-accepted-github-permissions": f"{TOKEN}\n"}
    sso = {"x-github-sso": f"required; url=https://x.test/{TOKEN}"}
    for status, headers in (
        (401, {}),
        (403, permissions),
        (403, sso),
        (404, {}),
        (422, {}),
        (500, {}),
    ):
        told = failure(status, headers, said, SUBJECT, redact=redact).error
        assert len(str(told)) <= 300
        for text in (str(told), repr(told), str(told.hint)):
            assert TOKEN not in text
            assert "[0m" not in text
            assert text.isprintable()


@pytest.mark.parametrize(
    ("error", "meaning", "sentence"),
    [
        (httpx2.ConnectError("refused"), "unanswered", "GitHub: it cannot be reached (refused)"),
        (httpx2.ConnectTimeout("m"), "unanswered", "GitHub: it cannot be reached in time (m)"),
        (httpx2.ReadTimeout("m"), "unanswered", "GitHub: it did not answer in time (m)"),
        (httpx2.RemoteProtocolError("m"), "unanswered", "GitHub: the connection broke (m)"),
        (httpx2.ReadError("m"), "unanswered", "GitHub: the connection broke (m)"),
        (httpx2.ProxyError("m"), "unanswered", "GitHub: the proxy lets nothing through (m)"),
        (httpx2.LocalProtocolError(f"Bearer {TOKEN}"), "unsent", "GitHub: the request could not be sent"),
        (httpx2.UnsupportedProtocol("m"), "unsent", "GitHub: its address is none"),
        (httpx2.InvalidURL("m"), "unsent", "GitHub: its address is none"),
        (httpx2.DecodingError("m"), "garbled", "GitHub: its answer cannot be read (m)"),
        (ValueError("m"), "garbled", "GitHub: its answer cannot be read (m)"),
        (RecursionError("m"), "garbled", "GitHub: its answer cannot be read (m)"),
    ],
)  # fmt: skip
def test_an_exception_in_place_of_an_answer_is_told_too(
    error: Exception, meaning: Reason, sentence: str
) -> None:
    told = unheard(error)
    assert (told.reason, str(told.error)) == (meaning, sentence)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(("message", "errors", "field", "code", "type")), inner),
    max_leaves=8,
)  # fmt: skip


@given(st.integers(100, 599), st.dictionaries(st.sampled_from(("retry-after", "x-ratelimit-remaining", "x-ratelimit-reset", "x-github-sso", "location")), st.text()), junk)  # fmt: skip
def test_no_answer_whatever_is_without_a_meaning(
    status: int, headers: dict[str, str], answer: object
) -> None:
    told = failure(status, headers, answer, SUBJECT, now=NOON)
    assert clean_line(str(told.error)) == str(told.error)
    assert len(str(told.error)) <= 300
    assert isinstance(words(answer), str)
