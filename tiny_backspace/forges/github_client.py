"""Asking GitHub: one question, one answer or the reason why there is none, after a few tries."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import finalize

from pydantic import SecretStr

from tiny_backspace.events import Emit, Retry, Warned, timed
from tiny_backspace.forges.github_failures import Failure, Subject, failure, line, unheard
from tiny_backspace.forges.github_transport import Api, NoSuccess, graphql_url, opened
from tiny_backspace.forges.github_wire import may_propose
from tiny_backspace.redact import redactor
from tiny_backspace.watchdog import Connections, watched

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

GRAPHQL = "graphql"
TRIES = 5
_PATIENCE = 300.0  # seconds after which a question is no longer asked again
_LONGEST_RESET = 120.0  # seconds that a used up limit is waited for
_FIRST_LIMIT = 60.0  # seconds, doubling, where GitHub does not say how long to wait


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """`operation` as ghapi names it ("pulls.create"), or "graphql"; `url` in place of its own.

    `read` makes the answer of its JSON, or raises a ValueError. `repeatable` if asking twice does no harm.
    """

    operation: str
    params: Mapping[str, object]
    read: Callable[[object], T]
    subject: Subject
    repeatable: bool = True
    url: str = ""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    value: T
    headers: Mapping[str, str]

    @property
    def more(self) -> bool:
        """Whether another page follows. Its address is not followed: pages have numbers."""
        return 'rel="next"' in self.headers.get("link", "")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is impure. `now` is the time of day in seconds since 1970, as GitHub's limits have it.

    `longest`: seconds from a question to the last byte of its answer.
    """

    emit: Emit
    wait: Callable[[float], None]
    clock: Callable[[], float]
    jitter: Callable[[], float]
    now: Callable[[], float]
    longest: float
    transport: httpx2.BaseTransport | None = None


class Client:
    """Made with the first question, and kept for the next ones. Every wait is an event before it begins."""

    def __init__(self, token: SecretStr, api_url: str, around: Surroundings) -> None:
        self.api_url = api_url.rstrip("/")
        self._token = token
        self._around = around
        self._redact = redactor((token.get_secret_value(),))
        self._connections = Connections()
        self._api: Api | None = None

    def need(self, question: Question[T]) -> Answer[T]:
        """The answer.

        Raises:
            ForgeError: there is none.
        """
        match self.ask(question):
            case Failure(error=error):
                raise error
            case answer:
                return answer

    def ask(self, question: Question[T]) -> Answer[T] | Failure:
        """The answer, or why there is none, after as many tries as make sense."""
        end = self._around.clock() + _PATIENCE
        for attempt in count(1):
            outcome = self._once(question)
            if isinstance(outcome, Answer):
                return outcome
            seconds = self._pause(outcome, attempt, question.repeatable)
            if seconds is None:
                return outcome
            if attempt == TRIES or self._around.clock() + seconds > end:
                return _in_vain(outcome, attempt)
            self.pause(str(outcome.error), attempt, seconds)
        raise AssertionError  # count() has no end

    def pause(self, reason: str, attempt: int, seconds: float | None = None) -> None:
        """Say that something is tried again, and wait: these seconds, or longer each time."""
        if seconds is None:
            seconds = self._backoff(attempt)
        reason = line(self._redact, reason)
        wait_s = round(seconds, 3)
        self._around.emit(Retry(provider="github", reason=reason, attempt=attempt, wait_s=wait_s))
        self._around.wait(seconds)

    def may_propose(self, headers: Mapping[str, str]) -> bool:
        """Whether the token may, by the scopes that come with an answer."""
        return may_propose(headers.get("x-oauth-scopes"), self._token.get_secret_value())

    def warn(self, message: str) -> None:
        self._around.emit(Warned(message=line(self._redact, message)))

    def _pause(self, outcome: Failure, attempt: int, repeatable: bool) -> float | None:
        """Seconds until another try, None where that would change nothing or do harm."""
        match outcome.reason:
            case "primary" if outcome.wait is not None:
                return outcome.wait if outcome.wait < _LONGEST_RESET else None
            case "primary" | "secondary":
                doubling: float = _FIRST_LIMIT * 2 ** (attempt - 1)
                return doubling if outcome.wait is None else max(outcome.wait, 1.0)
            case "unavailable" | "unanswered" if repeatable:
                return max(self._backoff(attempt), outcome.wait or 0.0)
            case _:
                return None

    def _backoff(self, attempt: int) -> float:
        """Doubling, with half of it by chance, so that many runs do not come back all at once."""
        seconds: float = 2.0 ** (attempt - 1) * (0.5 + self._around.jitter() / 2)
        return seconds

    def _once(self, question: Question[T]) -> Answer[T] | Failure:
        import httpx2

        if self._api is None:
            transport, trace = self._around.transport, self._connections.trace
            self._api, close = opened(self.api_url, self._token, transport, trace)
            finalize(self, close)
        api = self._api
        try:
            with timed(f"github.{question.operation}", self._around.emit):
                response = self._asked(api, question)
                value = json.loads(response.content)
                if (
                    question.operation == GRAPHQL
                    and isinstance(value, dict)
                    and value.get("errors")
                ):
                    raise NoSuccess(response)  # noqa: TRY301 - told with status 200
                return Answer(question.read(value), response.headers)
        except NoSuccess as told:
            return self._failed(told.response, question.subject)
        except (httpx2.RequestError, httpx2.InvalidURL, ValueError, RecursionError) as error:
            return unheard(error, redact=self._redact)

    def _asked(self, api: Api, question: Question[T]) -> httpx2.Response:
        """A read timeout alone is satisfied by a byte now and then."""
        import httpx2

        end = monotonic() + self._around.longest
        with watched(self._connections.hang_up, idle=inf, until=end) as watch:
            try:
                response = self._sent(api, question)
                if not watch.ended:
                    return response
            except httpx2.RequestError:
                if not watch.ended:
                    raise
        raise httpx2.ReadTimeout("it took too long")

    def _sent(self, api: Api, question: Question[T]) -> httpx2.Response:
        if question.operation == GRAPHQL:
            return api.send("POST", graphql_url(self.api_url), question.params)
        if question.url:
            return api.send("GET", question.url, None)
        return api.call(question.operation, question.params)

    def _failed(self, response: httpx2.Response, subject: Subject) -> Failure:
        text = response.content.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = text
        return failure(
            response.status_code,
            response.headers,
            body,
            subject,
            redact=self._redact,
            now=self._around.now(),
        )


def _in_vain(outcome: Failure, attempts: int) -> Failure:
    error = type(outcome.error)(
        f"{outcome.error} (asked {attempts} times)" if attempts > 1 else str(outcome.error),
        hint=outcome.error.hint,
    )
    return Failure(outcome.reason, error, outcome.wait, outcome.location)
