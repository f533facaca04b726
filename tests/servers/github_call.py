"""A request to a loopback GitHub as its endpoints see it, and what they answer or refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.servers.github_state import Issue, Pull, Repo, Token
from tests.servers.openapi import Json, Operation

_PAGE, _LONGEST_PAGE = 30, 100


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """GitHub's error, in its form."""

    def __init__(
        self,
        status: int,
        message: str,
        *errors: Json,
        headers: Mapping[str, str] | None = None,
        documentation: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.errors = errors
        self.headers = headers or {}
        self.documentation = documentation

    def answer(self, documentation: str) -> Answer:
        body: Json = {"message": str(self)}
        if self.errors:
            body["errors"] = list(self.errors)
        body |= {
            "documentation_url": self.documentation or documentation,
            "status": str(self.status),
        }
        return Answer(self.status, body, self.headers)


def invalid(resource: str, field_: str | None, code: str, message: str | None = None) -> Refused:
    """What is said of a value that does not fit; `custom` is the code of those with a message."""
    error = {"resource": resource, "code": code}
    if field_ is not None:
        error["field"] = field_
    if message is not None:
        error["message"] = message
    return Refused(422, "Validation Failed", error)


def not_found() -> Refused:
    return Refused(404, "Not Found")


@dataclass(frozen=True, slots=True)
class World:
    """All there is. `now` is when it all happens, in Unix seconds."""

    api_url: str
    web_url: str
    token: Token
    repositories: list[Repo]
    now: int

    def repository(self, full_name: str) -> Repo | None:
        """By its name, in whatever case, as GitHub has it."""
        named = (each for each in self.repositories if each.full_name.lower() == full_name.lower())
        return next(named, None)


@dataclass(frozen=True, slots=True)
class Call:
    """`who` is None without a token; `body` was judged by the description already."""

    world: World
    operation: Operation
    query: Mapping[str, str]
    body: Any
    who: Token | None

    @property
    def login(self) -> str:
        assert self.who is not None
        return self.who.login

    @property
    def repo(self) -> Repo:
        """The repository it is about, as far as this caller may see it."""
        arguments = self.operation.arguments
        found = self.world.repository(f"{arguments['owner']}/{arguments['repo']}")
        if found is None or not self._may_see(found):
            raise not_found()
        return found

    def _may_see(self, repo: Repo) -> bool:
        if not repo.private:
            return True
        scoped = self.who is not None and (self.who.kind != "classic" or "repo" in self.who.scopes)
        return scoped and repo.pull

    @property
    def may_push(self) -> bool:
        return self.who is not None and self.repo.push

    def issue(self) -> Issue:
        """An issue, or a pull request by the same number."""
        number = int(self.operation.arguments["issue_number"])
        for each in (*self.repo.pulls, *self.repo.issues):
            if each.number == number:
                self._exists(each)
                return each
        raise not_found() if self.repo.has_issues else _no_issues()

    def _exists(self, issue: Issue) -> None:
        if issue.deleted:
            raise Refused(410, "This issue was deleted")
        if not self.repo.has_issues and not isinstance(issue, Pull):
            raise _no_issues()

    def pull(self) -> Pull:
        number = int(self.operation.arguments["pull_number"])
        for each in self.repo.pulls:
            if each.number == number:
                return each
        raise not_found()

    def page(self, whole: Sequence[Any]) -> Answer:
        """The part of a list that is asked for, with links to the others."""
        size = max(1, min(int(self.query.get("per_page", _PAGE)), _LONGEST_PAGE))
        number, last = max(1, int(self.query.get("page", 1))), max(1, -(-len(whole) // size))
        links = {"first": 1, "prev": number - 1} if number > 1 else {}
        if number < last:
            links |= {"next": number + 1, "last": last}
        header = ", ".join(f'<{self._at_page(to)}>; rel="{name}"' for name, to in links.items())
        part = list(whole[(number - 1) * size : number * size])
        return Answer(200, part, {"link": header} if header else {})

    def _at_page(self, number: int) -> str:
        """Links go by a repository's number, which outlives its name."""
        rest = self.operation.template.removeprefix("/repos/{owner}/{repo}")
        path = rest.format(**self.operation.arguments)
        query = "&".join(f"{k}={v}" for k, v in {**self.query, "page": number}.items())
        return f"{self.world.api_url}/repositories/{self.repo.id}{path}?{query}"


def _no_issues() -> Refused:
    return Refused(410, "Issues are disabled for this repo")
