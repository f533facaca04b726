"""The one question to a loopback GitHub that REST has no answer to: which threads are resolved.

A query is read and answered with the fields it asks for; one that is not there is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.servers.github_bodies import moment
from tests.servers.github_call import Answer, World
from tests.servers.github_state import Comment, Pull, Repo, Thread
from tests.servers.openapi import Json

_TOKEN = re.compile(r'\$?[A-Za-z_]\w*|"[^"]*"|-?\d+|[{}():!=]|[\s,]+|.')
_MOST = 100  # of a connection at once
_KINDS = {"String": str, "Int": int, "ID": str, "Boolean": bool}


class Wrong(Exception):
    """A query that GitHub would not answer; with `kind`, the type of error it names."""

    def __init__(self, message: str, kind: str | None = None, path: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.path = path


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    arguments: dict[str, Any]
    selected: list[_Field]


def review_threads(world: World, repo_of: Callable[[str], Repo | None], body: Any) -> Answer:
    """Raises:
    Wrong: with what is wrong with the query.
    """
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise Wrong("A query attribute must be specified and must be a string.")
    if "reviewThreads" not in body["query"]:
        raise Wrong("This server only knows of reviewThreads.")
    given = body.get("variables") or {}
    query = _Reader([t for t in _TOKEN.findall(body["query"]) if t.strip(" \t\r\n,")], given)

    def repository(owner: str, name: str) -> Json:
        repo = repo_of(f"{owner}/{name}")
        if repo is None:
            words = f"Could not resolve to a Repository with the name '{owner}/{name}'."
            raise Wrong(words, "NOT_FOUND", ["repository"])
        return {"pullRequest": lambda number: _pull(world, repo, number)}

    return Answer(200, {"data": _project({"repository": repository}, query.document(), "Query")})


def refusal(wrong: Wrong) -> Answer:
    """Errors are told with status 200."""
    error: Json = {"message": str(wrong)}
    if wrong.kind is None:
        return Answer(200, {"errors": [error]})
    error |= {"type": wrong.kind, "path": list(wrong.path)}
    return Answer(200, {"data": {wrong.path[0]: None}, "errors": [error]})


def _pull(world: World, repo: Repo, number: int) -> Json:
    for pull in repo.pulls:
        if pull.number == number:
            threads = [_thread(world, repo, pull, each) for each in pull.threads]
            return {
                "number": number,
                "reviewDecision": None,
                "reviewThreads": _connection("reviewThreads", threads),
            }
    words = f"Could not resolve to a PullRequest with the number of {number}."
    raise Wrong(words, "NOT_FOUND", ["repository", "pullRequest"])


def _thread(world: World, repo: Repo, pull: Pull, thread: Thread) -> Json:
    comments = [_comment(world, repo, pull, each) for each in thread.comments]
    first = thread.comments[0]
    return {
        "id": f"PRRT_{repo.id}_{pull.number}_{pull.threads.index(thread)}",
        "isResolved": thread.resolved,
        "isOutdated": thread.outdated,
        "path": first.path,
        "line": None if thread.outdated else first.line,
        "originalLine": first.line,
        "comments": _connection("comments", comments),
    }


def _comment(world: World, repo: Repo, pull: Pull, comment: Comment) -> Json:
    return {
        "author": {"login": comment.author.removesuffix("[bot]")},
        "body": comment.text,
        "path": comment.path,
        "line": comment.line,
        "createdAt": moment(world),
        "url": f"{world.web_url}/{repo.full_name}/pull/{pull.number}",
    }


def _connection(name: str, nodes: list[Json]) -> Callable[..., Json]:
    """A list in parts; a cursor is the number of those before it."""

    def part(first: int | None = None, last: int | None = None, after: str | None = None) -> Json:
        size = first or last
        if size is None:
            raise Wrong(
                f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
            )
        if size > _MOST:
            raise Wrong(
                f"Requesting {size} records on the `{name}` connection exceeds the `first` limit of {_MOST} records."
            )
        start = int(after or 0) if first else max(0, len(nodes) - size)
        end = min(start + size, len(nodes))
        info = {"hasNextPage": end < len(nodes), "endCursor": str(end) if nodes else None}
        return {"nodes": nodes[start:end], "totalCount": len(nodes), "pageInfo": info}

    return part


def _project(value: Any, selected: list[_Field], place: str) -> Any:
    """Of a value, what is asked for."""
    if isinstance(value, list):
        return [_project(each, selected, place) for each in value]
    if not isinstance(value, dict):
        if selected:
            raise Wrong(f"Selections can't be made on scalars (field '{place}' has some)")
        return value
    if not selected:
        raise Wrong(f"Field must have selections (field '{place}' has none)")
    told = {}
    for field in selected:
        if field.name not in value:
            raise Wrong(f"Field '{field.name}' doesn't exist on type '{place}'")
        inner = value[field.name]
        if callable(inner):
            try:
                inner = inner(**field.arguments)
            except TypeError as error:
                raise Wrong(f"Field '{field.name}': its arguments do not fit") from error
        told[field.name] = _project(inner, field.selected, field.name)
    return told


class _Reader:
    """Of a query what this server needs: fields, arguments and variables. No fragment, no alias."""

    def __init__(self, tokens: list[str], given: Json) -> None:
        self._tokens: Iterator[str] = iter([*tokens, "", ""])
        self._next = next(self._tokens)
        self._given = given
        self._variables: Json = {}

    def document(self) -> list[_Field]:
        if self._next == "query":
            self._take()
            if self._next not in {"(", "{"}:
                self._take()  # its name
            if self._next == "(":
                self._declarations()
        fields = self._selection()
        if self._next:
            raise Wrong(f'Parse error on "{self._next}"')
        return fields

    def _take(self, expected: str | None = None) -> str:
        token = self._next
        if not token or expected not in {None, token}:
            raise Wrong(f'Parse error on "{token}", expected "{expected or "more"}"')
        self._next = next(self._tokens)
        return token

    def _declarations(self) -> None:
        self._take("(")
        while self._next != ")":
            name = self._take().removeprefix("$")
            self._take(":")
            kind = self._take()
            needed = self._next == "!"
            if needed:
                self._take()
            value = self._given.get(name)
            fits = not needed if value is None else type(value) is _KINDS.get(kind)
            if not fits:
                words = f"Variable ${name} of type {kind}{'!' * needed} was provided invalid value"
                raise Wrong(words)
            self._variables[name] = value
        self._take(")")

    def _selection(self) -> list[_Field]:
        fields = []
        self._take("{")
        while self._next != "}":
            name = self._take()
            arguments = self._arguments() if self._next == "(" else {}
            selected = self._selection() if self._next == "{" else []
            fields.append(_Field(name, arguments, selected))
        self._take("}")
        return fields

    def _arguments(self) -> Json:
        arguments = {}
        self._take("(")
        while self._next != ")":
            name = self._take()
            self._take(":")
            arguments[name] = self._value(self._take())
        self._take(")")
        return arguments

    def _value(self, token: str) -> Any:
        if token.startswith("$"):
            if token[1:] not in self._variables:
                raise Wrong(f"Variable {token} is used but not declared")
            return self._variables[token[1:]]
        return token.strip('"') if token.startswith('"') else int(token)
