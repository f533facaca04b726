"""Every error of the SDK and of its transport means something for the run, and somebody decided what."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from typing import Any, get_args

import anthropic
import httpx2
import pytest
from anthropic._error_classes import ERROR_CLASSES
from anthropic.types.shared.error_type import ErrorType

from tiny_backspace.entries import Entry
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError
from tiny_backspace.providers.claude import translated
from tiny_backspace.providers.claude_errors import STATUSES, TYPES

KEY = "sk-ant-" + "canary-0123456789abcdef"
ENTRY = Entry.model_validate(
    {
        "name": "claude",
        "dialect": "claude",
        "model": "claude-sonnet-5-5",
        "key_variable": "ANTHROPIC_API_KEY",
        "key": KEY,
    }
)
REQUEST = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")

# The decisions. A class that is in none of these fails the test below: a new version of the SDK has
# a new error, and somebody has to say what it means.
BUSY = """
    APIError APIConnectionError APITimeoutError APIResponseValidationError APIWebhookValidationError
    RetryableError RequestTimeoutError ConflictError RateLimitError ClientClosedRequestError
    InternalServerError HTTPNotImplementedError ServiceUnavailableError GatewayTimeoutError
    OverloadedError RampLimitExceededError CMEKKeyUnreachableError CMEKContextUnavailableError
    BetaRegistrationPendingError CompactionUnavailableError BetaRequestBodyTimeoutError
    ThreadContinueInFlightError ConcurrentMembershipChangeError ExternalKeyChangedError
    BetaScanPendingError BetaPluginNameTakenError BetaSkillNameTakenError
    BetaSlackChannelSetUpSettingsConflictError
    TransportError TimeoutException ConnectTimeout ReadTimeout WriteTimeout PoolTimeout NetworkError
    ConnectError ReadError WriteError CloseError ProxyError ProtocolError RemoteProtocolError
    RequestError DecodingError TooManyRedirects HTTPStatusError SSEError
"""
TOO_LONG = "ContentTooLargeError RequestBodyTooLargeAfterDecodingError"
FINAL = """
    UnsupportedProtocol LocalProtocolError
    APIStatusError BadRequestError PreconditionFailedError UnprocessableEntityError
    RequestHeaderFieldsTooLargeError SkillReadBlockedUndecryptableError
    AuthenticationError PermissionDeniedError PaymentRequiredError NotFoundError
    EnforcedSpendLimitReachedError ContractSpendLimitReachedError
    LinkedOrganizationBillingUnavailableError LinkedOrganizationSpendLimitReachedError
    CredentialsError IdentityTokenFileError WorkloadIdentityError StreamAlreadyConsumed
    MissingDependencyError MutuallyExclusiveAuthError ToolsetUsageError ToolsetConfigError
    ToolsetContractError ToolsetsFixedError ToolsetClosedError BrowserStateError NestedCallError
    AsyncOnSyncToolsetError SyncOnAsyncToolsetError
    AlreadyMemberError AvailableToolsLimitExceededError BetaAPIKeyScopeMissingError
    BetaBundleAttachmentNotSupportedError BetaBundleOnCallError BetaCMEKFeatureUnsupportedError
    BetaCannotSignOutManagedMemberError BetaCannotSignOutMembershipAdminError
    BetaCannotSignOutOwnerError BetaCannotSignOutPrimaryOwnerError
    BetaCannotSignOutPrivilegedMemberError BetaCannotSignOutSelfError
    BetaClaudeTagWritesNotEnabledError BetaComplianceConfigurationRestrictedError
    BetaEnvironmentArchivedError BetaEnvironmentCreateDisabledError BetaEnvironmentNotFoundError
    BetaEnvironmentUpdateDisabledError BetaHeartbeatPreconditionFailedError
    BetaInvalidConfigTypeChangeError BetaInvalidMetadataError
    BetaOrganizationLevelScopedAPIKeyRequiredError BetaOrganizationNotEnrolledInBetaError
    BetaRBACGroupManagedSettingsNotFoundError BetaRBACGroupNotFoundError
    BetaRBACGroupOrderLimitExceededError BetaScanFailedError BetaSettingsDocumentLimitExceededError
    BetaSettingsHistoryLimitExceededError BetaSlackChannelSetUpEnvironmentNotFoundError
    BetaSlackChannelSetUpSettingsRefusedError BetaSpendLimitsAdminAPIWritesNotEnabledError
    BetaUnsupportedCharsetError CMEKKeyDisabledError CMEKKeyNetworkBlockedError
    CannotInviteEmailsWithUnverifiedDomainsError CannotRemoveLastMemberError
    ClaudeCodeKeyCreatorNotMemberError ClaudeCodeVersionTooOldError CompactionBlockAmbiguousError
    CompactionBlockMisplacedError CompactionContentMismatchError CompactionIncompleteTurnError
    CompactionNothingToSummarizeError CompactionSignatureInvalidError
    CompactionToolChangesMismatchError CompactionTooManyToolReferencesError
    EmailDomainNotAllowedError ExternalKeyInWorkspacePolicyError ExternalKeyValidationFailedError
    ExternalKeyValidationTimedOutError FileExpiredError FileNotDownloadableError
    ImageDimensionsTooLargeError InviteAlreadyExistsError KeyProfileMismatchError
    OrgAPIKeyLimitExceededError OrgMemberLimitExceededError OrganizationOnHoldError
    OrganizationTypeNotSupportedError ParentOrganizationRequiredError
    RBACGroupGrantsOwnerAccessError RBACGroupOwnerAccessUnconfirmedError RBACRoleNotFoundError
    RequestBodyEncodingInvalidError RequestBodyEncodingUnsupportedError SandboxEgressRestrictedError
    StorageQuotaExceededError ThreadAlreadyContinuedError ThreadFingerprintMismatchError
    ThreadNotFoundError ThreadUnsupportedRequestError ToolNameConflictError
    ToolReferenceUnresolvedError UserProfileBillingNotAuthorizedError UserProfileNotBillableError
    UserProfileNotFoundError UserProfileRequiredError WorkspaceAPIKeyLimitExceededError
    WorkspaceMemberLimitExceededError WorkspacePolicyViolationError
"""
DECIDED: dict[str, type[ProviderError]] = {
    **dict.fromkeys(BUSY.split(), ProviderBusy),
    **dict.fromkeys(TOO_LONG.split(), ContextOverflow),
    **dict.fromkeys(FINAL.split(), ProviderError),
}
_WITHOUT_STATUS: dict[Any, tuple[int, None]] = {
    anthropic.APIStatusError: (418, None),
    anthropic.InternalServerError: (500, None),
}
_CODES: dict[Any, tuple[int, str | None]] = {cls: place for place, cls in ERROR_CLASSES.items()}


def below(cls: type[BaseException]) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from below(sub)


CLASSES = sorted(
    {*below(anthropic.AnthropicError), *below(httpx2.HTTPError)}, key=lambda cls: cls.__name__
)


def made(cls: Any) -> Any:
    """One of these, as the SDK would make it."""
    if issubclass(cls, anthropic.APIStatusError):
        status, code = _CODES.get(cls) or _WITHOUT_STATUS[cls]
        return status_error(status, code=code, cls=cls)
    known = {"request": REQUEST, "response": httpx2.Response(500, request=REQUEST), "body": None}
    _, *parameters = signature(cls.__init__).parameters.values()
    given = {
        p.name: known.get(p.name, "wrong")
        for p in parameters
        if p.default is p.empty and p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}
    }
    return cls(**given)


def status_error(
    status: int,
    message: str = "It went wrong.",
    *,
    kind: str = "some_error",
    code: str | None = None,
    headers: dict[str, str] | None = None,
    cls: type[anthropic.APIStatusError] = anthropic.APIStatusError,
) -> anthropic.APIStatusError:
    given = {"request-id": "req_7"} | (headers or {})
    response = httpx2.Response(status, request=REQUEST, headers=given)
    error = {"type": kind, "message": message} | ({"details": {"error_code": code}} if code else {})
    return cls(f"Error code: {status}", response=response, body={"error": error})


def test_there_is_a_decision_for_every_class() -> None:
    assert [cls.__name__ for cls in CLASSES if cls.__name__ not in DECIDED] == []
    assert len(CLASSES) > 130


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_means_what_was_decided(cls: type[Any]) -> None:
    error = translated(made(cls), ENTRY)

    assert type(error) is DECIDED[cls.__name__]
    assert str(error).startswith("claude")
    assert len(str(error)) <= 300


def test_every_status_that_has_a_class_is_in_the_map() -> None:
    assert {status for status, _ in ERROR_CLASSES if status < 500} == set(STATUSES)


def test_every_type_of_an_error_event_stands_for_a_status() -> None:
    assert set(get_args(ErrorType)) <= set(TYPES)


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("overloaded_error", ProviderBusy),
        ("rate_limit_error", ProviderBusy),
        ("api_error", ProviderBusy),
        ("timeout_error", ProviderBusy),
        ("some_error_of_tomorrow", ProviderBusy),
        ("invalid_request_error", ProviderError),
        ("authentication_error", ProviderError),
        ("billing_error", ProviderError),
        ("request_too_large", ContextOverflow),
    ],
)
def test_an_error_event_is_told_by_its_type(kind: str, meant: type[ProviderError]) -> None:
    assert type(translated(status_error(200, kind=kind), ENTRY)) is meant


@pytest.mark.parametrize(
    "words",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
        "This model's maximum context length is 32768 tokens",
        "the request exceeds the available context window",
    ],
)
def test_a_prompt_that_is_too_long_is_known_by_the_words(words: str) -> None:
    assert type(translated(status_error(400, words), ENTRY)) is ContextOverflow


def test_other_bad_requests_are_final() -> None:
    refused = translated(status_error(400, "max_tokens: Field required"), ENTRY)
    assert type(refused) is ProviderError
    assert "max_tokens: Field required" in str(refused)


def test_a_message_has_the_status_the_words_and_the_request() -> None:
    error = translated(status_error(529, "Overloaded", kind="overloaded_error"), ENTRY)
    assert str(error) == "claude: 529 overloaded_error: Overloaded (request req_7)"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable(status: int) -> None:
    error = translated(status_error(status), ENTRY)
    assert "claude: the key was refused" in str(error)
    assert "ANTHROPIC_API_KEY" in (error.hint or "")


def test_an_unknown_model_is_named() -> None:
    error = translated(status_error(404), ENTRY)
    assert "there is no model 'claude-sonnet-5-5'" in str(error)
    assert error.hint == "Name another one: --agents claude:MODEL"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_passed_on(headers: dict[str, str], seconds: float | None) -> None:
    error = translated(status_error(429, headers=headers), ENTRY)
    assert isinstance(error, ProviderBusy)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "error",
    [
        status_error(401, f"invalid bearer token {KEY}\x1b[31m\n" + "x" * 5000),
        httpx2.LocalProtocolError(f"Illegal header value b'Bearer {KEY}\\n'"),
        httpx2.ConnectError(f"cannot connect with {KEY}"),
        ValueError(f"{KEY} is no JSON"),
    ],
)
def test_a_message_is_one_short_line_without_the_key(error: Exception) -> None:
    shown = translated(error, ENTRY)

    assert KEY not in f"{shown} {shown.hint}"
    assert len(str(shown)) <= 300
    assert str(shown).isprintable()


def test_a_page_instead_of_an_answer_is_told_in_short() -> None:
    response = httpx2.Response(502, request=REQUEST)
    page = anthropic.InternalServerError("…", response=response, body="<html>" + "<p>" * 500)
    assert type(translated(page, ENTRY)) is ProviderBusy
    assert len(str(translated(page, ENTRY))) <= 300


@pytest.mark.parametrize(
    ("cause", "meant", "words"),
    [
        (
            httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"),
            ProviderBusy,
            "CERTIFICATE_VERIFY",
        ),
        (httpx2.ProxyError("407 Proxy Authentication Required"), ProviderBusy, "407 Proxy"),
        (httpx2.ReadTimeout("timed out"), ProviderBusy, "said nothing for 90 s"),
        (httpx2.LocalProtocolError("Illegal header"), ProviderError, "cannot be sent"),
    ],
)
def test_behind_a_failed_connection_its_cause_counts(
    cause: Exception, meant: type[ProviderError], words: str
) -> None:
    error = anthropic.APIConnectionError(request=REQUEST)
    error.__cause__ = cause

    assert type(translated(error, ENTRY)) is meant
    assert words in str(translated(error, ENTRY))


def test_a_redirect_is_told_and_says_what_to_do() -> None:
    error = translated(status_error(307), ENTRY)
    assert type(error) is ProviderError
    assert "base_url" in (error.hint or "")


@pytest.mark.parametrize("before", [0, 60, 100, 150, 159])
def test_no_part_of_a_key_is_left_where_a_message_is_cut(before: int) -> None:
    key = "k" + "0123456789abcdef" * 6
    ours = Entry.model_validate({"name": "claude", "dialect": "claude", "model": "m", "key": key})
    body = {
        "type": "error",
        "error": {"type": "authentication_error", "message": "x" * before + key},
    }
    response = httpx2.Response(401, json=body, request=httpx2.Request("POST", "http://x"))
    error = anthropic.AuthenticationError("no", response=response, body=body)

    assert "0123456789" not in str(translated(error, ours))
