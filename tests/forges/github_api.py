"""A GitHub in memory that answers as it is told, and what a test hears of a `GitHub` that asks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
from pydantic import SecretStr

from tiny_backspace.events import Event, Retry, ThoughtDelta, Warned
from tiny_backspace.forges.github import GitHub

TOKEN = "ghp_" + "canary0123456789abcdef"
API = "http://github.test"
NOON = 1_800_000_000.0  # seconds since 1970
Said = str | int | list[Any] | dict[str, Any] | None
Answered = httpx2.Response | Exception


class Server(httpx2.MockTransport):
    """Answers each request with the next answer; `asked` are method and path with query, in order."""

    def __init__(self, *answers: Answered) -> None:
        super().__init__(self._answer)
        self.requests: list[httpx2.Request] = []
        self.answers = list(answers)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def asked(self) -> list[str]:
        return [f"{each.method} {each.url.raw_path.decode()}" for each in self.requests]

    def body(self, which: int = -1) -> Any:
        return json.loads(self.requests[which].content)


class Talk:
    """A `GitHub`, its server, its events, and a clock that moves only when it waits."""

    def __init__(self, *answers: Answered, place: str = "me/it", api_url: str = API) -> None:
        self.server = Server(*answers)
        self.events: list[Event | ThoughtDelta] = []
        self.waited: list[float] = []
        owner, _, name = place.partition("/")
        self.github = GitHub(
            owner, name, SecretStr(TOKEN), api_url, self.events.append,
            transport=self.server,
            wait=self._wait,
            clock=lambda: sum(self.waited),
            jitter=lambda: 1.0,
            now=lambda: NOON + sum(self.waited),
        )  # fmt: skip

    def _wait(self, seconds: float) -> None:
        assert isinstance(self.events[-1], Retry), "a wait is told before it begins"
        self.waited.append(seconds)

    @property
    def asked(self) -> list[str]:
        return self.server.asked

    @property
    def retries(self) -> list[Retry]:
        return [event for event in self.events if isinstance(event, Retry)]

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warned)]


def ok(value: Said = None, status: int = 200, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx2.Response(status, json=value, headers=named)


def no(status: int, message: str = "", *errors: Said, **headers: str) -> httpx2.Response:
    body: dict[str, Said] = {"message": message} | ({"errors": list(errors)} if errors else {})
    return ok(body, status, **headers)


def custom(message: str, resource: str = "PullRequest") -> dict[str, Any]:
    return {"resource": resource, "code": "custom", "message": message}


def repo(full_name: str = "me/it", **fields: Any) -> dict[str, Any]:
    usual = {
        "full_name": full_name, "default_branch": "main", "private": False, "size": 12,
        "permissions": {"admin": False, "push": True, "pull": True},
    }  # fmt: skip
    return usual | fields


def pull(number: int = 7, head: str = "me:fix", **fields: Any) -> dict[str, Any]:
    owner, _, branch = head.partition(":")
    usual = {
        "number": number, "html_url": f"https://github.test/me/it/pull/{number}", "title": "A fix",
        "body": "Why", "state": "open", "draft": False, "user": {"login": "me"}, "labels": [],
        "base": {"ref": "main", "label": "me:main", "repo": {"full_name": "me/it"}},
        "head": {"ref": branch, "label": head, "repo": {"full_name": f"{owner}/it"}},
    }  # fmt: skip
    return usual | fields


def issue(number: int = 12, **fields: Any) -> dict[str, Any]:
    usual = {
        "number": number, "html_url": f"https://github.test/me/it/issues/{number}", "title": "It breaks",
        "body": "Here.", "state": "open", "comments": 0, "assignees": [],
    }  # fmt: skip
    return usual | fields


def comment(text: str, author: str | None = "ann") -> dict[str, Any]:
    return {"user": {"login": author} if author else None, "body": text}


def raised(call: Callable[[], object]) -> Exception:
    """What it raises."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the test says which it should be
        return error
    raise AssertionError("nothing was raised")
