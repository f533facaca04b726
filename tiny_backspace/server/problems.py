"""Errors as problem JSON (RFC 9457): a sentence and a way out, never what is inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response

PROBLEM_JSON = "application/problem+json"
_MOST = 20  # faults that are told of one request


class Problem(Exception):
    """A request that is not answered as wished. `wait` is in seconds, for Retry-After."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        hint: str | None = None,
        wait: int | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint
        self.wait = wait
        self.errors = errors

    def response(self) -> Response:
        """It as an answer."""
        told: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            told["hint"] = self.hint
        if self.errors:
            told["errors"] = self.errors
        headers = {"Retry-After": str(self.wait)} if self.wait is not None else {}
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer realm="tiny-backspace"'
        return Response(f"{json.dumps(told)}\n", self.status, headers, PROBLEM_JSON)


def problem_of(error: RequestValidationError) -> Problem:
    """What is wrong in a request, field by field; nothing of what was sent is said back."""
    told = [
        {
            "field": ".".join(str(part)[:100] for part in each["loc"]),
            "message": str(each["msg"]).removeprefix("Value error, "),
        }
        for each in error.errors()[:_MOST]
    ]
    return Problem(422, "The request is not as it must be.", errors=told)
