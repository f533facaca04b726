from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, get_args

import httpx2
import openai
import pytest
from openai.types.responses import ResponseError

from tests.providers.streaming import CANARY, entry
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError
from tiny_backspace.providers.openai_errors import CODES, DECIDED, Declined, told, translated

REQUEST = httpx2.Request("POST", "http://model.test/v1/responses")
STATUS = {
    "APIStatusError": 418, "BadRequestError": 400, "AuthenticationError": 401, "OAuthError": 401,
    "PermissionDeniedError": 403, "NotFoundError": 404, "ConflictError": 409,
    "UnprocessableEntityError": 422, "RateLimitError": 429, "InternalServerError": 500,
}  # fmt: skip
BUSY = {
    "status": {"ConflictError", "RateLimitError", "InternalServerError"},
    "told": {"APIError"},
}


def below(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from below(child)


def every_class() -> list[type[BaseException]]:
    """All that the package defines, also in the parts of it that nobody has imported."""
    for module in pkgutil.walk_packages(openai.__path__, "openai.", onerror=lambda name: None):
        if module.name.split(".")[1] in ("types", "resources", "cli", "__main__"):
            continue  # no exceptions, many modules
        try:
            importlib.import_module(module.name)
        except (ImportError, openai.OpenAIError):
            continue  # it wants an optional package
    found = [*below(openai.OpenAIError), *below(httpx2.RequestError)]
    ours = [c for c in found if c.__module__.split(".")[0] in ("openai", "httpx2")]
    ours.remove(httpx2.RequestError)
    return sorted({*ours, openai.InvalidWebhookSignatureError}, key=lambda c: c.__name__)


def made(kind: type[BaseException]) -> BaseException:
    """One of them, whatever its constructor wants."""
    response = httpx2.Response(STATUS.get(kind.__name__, 200), request=REQUEST)
    known: dict[str, Any] = {
        "message": "words", "request": REQUEST, "response": response, "body": None,
        "completion": SimpleNamespace(usage=None), "unsent_messages": [], "symbol": "x",
        "result": None, "prepared": None, "uploaded_file_id": "f", "reason": "failed",
        "turn": None, "session_id": None, "messages": [], "required_actions": [],
    }  # fmt: skip
    parameters = inspect.signature(kind.__init__).parameters.values()
    wanted = [
        p
        for p in parameters
        if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    return kind(**{p.name: known[p.name] for p in wanted if p.default is p.empty})


def test_every_exception_of_the_sdk_and_its_transport_is_decided_by_name() -> None:
    classes = every_class()
    assert len(classes) > 40
    assert {kind.__name__ for kind in classes} - DECIDED.keys() == set()
    for kind in classes:
        error = made(kind)
        assert isinstance(error, Exception)
        outcome = translated(error, entry())
        way = DECIDED[kind.__name__]
        busy = kind.__name__ in BUSY.get(way, ()) or way in (
            "unreachable",
            "silent",
            "cut",
            "unsent",
            "garbled",
        )
        assert type(outcome) is (ProviderBusy if busy else ProviderError), kind
        assert str(outcome).startswith("openai"), kind


def test_nothing_is_decided_of_classes_that_do_not_exist() -> None:
    others = {"SSLError", "ValueError", "RecursionError", "UnicodeEncodeError"}
    assert DECIDED.keys() == {kind.__name__ for kind in every_class()} | others


def test_every_code_of_a_failed_response_is_decided() -> None:
    codes = get_args(ResponseError.model_fields["code"].annotation)
    assert "bio_policy" in codes
    assert set(codes) - CODES.keys() == set()


def failing(status: int, body: object, **headers: str) -> ProviderError:
    """What becomes of such an HTTP answer, by the SDK's own way from the one to the other."""
    text = body if isinstance(body, str) else json.dumps(body)
    response = httpx2.Response(status, text=text, headers=headers, request=REQUEST)
    client = openai.OpenAI(api_key="x", base_url="http://model.test/v1")
    try:
        return translated(client._make_status_error_from_response(response), entry())
    finally:
        client.close()


def vendor(code: str | None, message: str = "words", kind: str = "invalid_request_error") -> object:
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (302, "", ProviderError),
        (400, vendor(None), ProviderError),
        (400, vendor("context_length_exceeded"), ContextOverflow),
        (400, vendor("invalid_prompt"), Declined),
        (401, vendor("invalid_api_key"), ProviderError),
        (402, vendor(None), ProviderError),
        (403, vendor(None), ProviderError),
        (404, vendor("model_not_found"), ProviderError),
        (405, vendor(None), ProviderError),
        (408, vendor(None), ProviderBusy),
        (409, vendor(None), ProviderBusy),
        (413, "", ContextOverflow),
        (422, vendor(None), ProviderError),
        (429, vendor("rate_limit_exceeded"), ProviderBusy),
        (429, vendor(None, "Your context window of requests is used up."), ProviderBusy),
        (429, vendor("insufficient_quota"), ProviderError),
        (429, vendor(None, kind="insufficient_quota"), ProviderError),
        (500, vendor("server_error"), ProviderBusy),
        (503, "<html>", ProviderBusy),
        (529, "", ProviderBusy),
        # what compatible servers say of a conversation that is too long
        (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens."}, ContextOverflow),
        (400, {"error": {"message": "longer than the maximum model length of 2048", "code": 400}}, ContextOverflow),
        (400, {"error": {"code": 400, "message": "…", "type": "exceed_context_size_error"}}, ContextOverflow),
        (400, {"error": "the input length exceeds the context length"}, ContextOverflow),
        (500, {"error": "the request exceeds the available context size, try increasing it"}, ContextOverflow),
    ],
)  # fmt: skip
def test_a_status_and_its_code_decide_together(
    status: int, body: object, outcome: type[ProviderError]
) -> None:
    assert type(failing(status, body)) is outcome


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "text"}, "openai: HTTP 400: text"),
        ({"error": {"message": "text", "code": 400}}, "openai: HTTP 400: text"),
        ({"error": {"message": "text", "code": "odd"}}, "openai: HTTP 400, odd: text"),
        ({"error": {"error": {"message": "text"}}}, "openai: HTTP 400: text"),
        ({"detail": "Not Found"}, "openai: HTTP 400: Not Found"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "openai: HTTP 400: field required"),
        ({"strange": 1}, 'openai: HTTP 400: {"strange": 1}'),
        ([], "openai: HTTP 400: []"),
        ("", "openai: HTTP 400"),
        ("plain\x1b[31m\nwords", "openai: HTTP 400: plain words"),
        ("<html><title>502 Bad\nGateway</title><body>…", "openai: HTTP 400: a web page: 502 Bad Gateway"),
        ("<!doctype html><p>", "openai: HTTP 400: a web page"),
    ],
)  # fmt: skip
def test_the_servers_words_are_found_in_whatever_form_they_come(body: object, words: str) -> None:
    assert str(failing(400, body)) == words


def test_the_message_is_one_short_line_with_the_requests_id_and_without_the_key() -> None:
    error = failing(
        401,
        vendor("invalid_api_key", f"Incorrect key {CANARY}\n" + "x" * 900),
        **{"x-request-id": "req_1"},
    )
    assert len(str(error)) == 300
    assert str(error).startswith("openai: HTTP 401, invalid_api_key: Incorrect key [redacted] xx")
    assert str(error).endswith("xx (request req_1)")
    assert error.hint == "Is the key in OPENAI_API_KEY right, and may it use gpt-6.2-sol?"


def test_a_wish_to_wait_is_passed_on() -> None:
    busy = failing(429, vendor(None), **{"retry-after-ms": "1500"})
    assert isinstance(busy, ProviderBusy)
    assert busy.retry_after == 1.5
    nonsense = failing(503, vendor(None), **{"retry-after": "nan"})
    assert isinstance(nonsense, ProviderBusy)
    assert nonsense.retry_after is None


def test_an_error_within_a_stream_is_judged_by_its_code_or_its_type_or_a_status_it_names() -> None:
    def within(body: object) -> type[ProviderError]:
        return type(translated(openai.APIError("words", REQUEST, body=body), entry()))

    assert within({"code": "insufficient_quota"}) is ProviderError
    assert within({"type": "invalid_request_error"}) is ProviderError
    assert within({"code": 400, "type": "BadRequestError"}) is ProviderError
    assert within({"code": 503}) is ProviderBusy
    assert within({"code": "context_length_exceeded"}) is ContextOverflow
    assert within("it broke") is ProviderBusy


def test_who_is_refused_learns_that_nobody_answers() -> None:
    try:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as refused:
            raise httpx2.ConnectError("[Errno 111] Connection refused") from refused
    except httpx2.ConnectError as error:
        local = entry("chat", base_url="http://127.0.0.1:11434/v1")
        outcome = translated(error, local)
    assert str(outcome) == "ollama: nobody answers at http://127.0.0.1:11434/v1"
    assert outcome.hint == "Is the server running?"


def test_a_certificate_that_does_not_hold_is_told() -> None:
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = httpx2.ConnectError(
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
    )
    outcome = translated(error, entry())
    assert isinstance(outcome, ProviderBusy)
    assert "http://model.test/v1 cannot be reached: [SSL: CERTIFICATE_VERIFY_FAILED]" in str(
        outcome
    )


def test_a_request_that_cannot_be_sent_is_not_quoted() -> None:
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = httpx2.LocalProtocolError("Illegal header value b'Bearer secret'")
    assert str(translated(error, entry())) == "openai: the request could not be sent"


def test_each_final_failure_has_a_way_out() -> None:
    assert told(entry(), "", status=402).hint == "Look at the plan and the balance of the account."
    assert "--agents openai:MODEL" in str(told(entry(), "", status=404).hint)
    assert told(entry("chat"), "", status=404).hint == (
        "Is qwen pulled, and is http://model.test/v1 the right address?"
    )
    assert "key_variable in [providers.ollama]" in str(told(entry("chat"), "", status=401).hint)
