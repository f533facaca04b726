"""The GitHub of the tests tells which threads of a pull request are resolved, and only what is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers.github import github_server
from tests.servers.github_client import Reply, ask
from tests.servers.github_state import Comment, Pull, Thread
from tests.servers.test_github import hello

QUERY = """
query Threads($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 2, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes { isResolved path line comments(first: 10) { nodes { author { login } body } } }
      }
    }
  }
}
"""
VARIABLES = {"owner": "octo", "name": "hello", "number": 1}


def asked(query: str = QUERY, prefix: str = "", **variables: Any) -> tuple[Reply, list[str]]:
    """The answer, and what was wrong with the question."""
    threads = [
        Thread([Comment("anna", f"Why {number}?", "app.py", number)], resolved=number == 2)
        for number in (1, 2, 3)
    ]
    repo = hello(pulls=[Pull(1, "Mend it", head="tb/x", threads=threads)])
    with github_server([repo], prefix=prefix) as server:
        body = {"query": query, "variables": VARIABLES | variables}
        if prefix:
            server.api_url = server.api_url.removesuffix("/v3")
        return ask(server, "POST", "/graphql", body), server.refused


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
def test_threads_are_told_in_parts_with_what_was_asked_of_them(prefix: str) -> None:
    first, refused = asked(prefix=prefix)
    told = first.body["data"]["repository"]["pullRequest"]["reviewThreads"]
    rest, _ = asked(prefix=prefix, after=told["pageInfo"]["endCursor"])
    last = rest.body["data"]["repository"]["pullRequest"]["reviewThreads"]
    assert told["pageInfo"] == {"hasNextPage": True, "endCursor": "2"}
    assert told["nodes"][0] == {
        "isResolved": False,
        "path": "app.py",
        "line": 1,
        "comments": {"nodes": [{"author": {"login": "anna"}, "body": "Why 1?"}]},
    }
    assert [each["isResolved"] for each in told["nodes"] + last["nodes"]] == [False, True, False]
    assert not last["pageInfo"]["hasNextPage"]
    assert refused == []


@pytest.mark.parametrize(
    ("variables", "kind"), [({"name": "other"}, "NOT_FOUND"), ({"number": 5}, "NOT_FOUND")]
)
def test_what_is_not_there_is_an_error_with_status_200(
    variables: dict[str, Any], kind: str
) -> None:
    reply, refused = asked(**variables)
    assert reply.status == 200
    assert reply.body["errors"][0]["type"] == kind
    assert reply.body["data"] == {"repository": None}
    assert refused == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("isResolved", "resolved", "Field 'resolved' doesn't exist on type 'nodes'"),
        ("(first: 2, after: $after)", "", "You must provide a `first` or `last` value"),
        ("first: 2", "first: 101", "exceeds the `first` limit of 100"),
        ("author { login }", "author", "Field must have selections"),
        ("body }", "body { text } }", "Selections can't be made on scalars"),
        ("$number: Int!", "$number: String!", "Variable $number of type String!"),
        ("number: $number", "number: $no", "Variable $no is used but not declared"),
        ("(number: $number)", "(no: $number)", "its arguments do not fit"),
        ("}\n}\n", "}\n", "Parse error"),
        ("reviewThreads", "reviews", "only knows of reviewThreads"),
    ],
)
def test_a_question_that_github_would_not_understand_is_noticed(
    old: str, new: str, words: str
) -> None:
    reply, refused = asked(QUERY.replace(old, new))
    assert words in reply.body["errors"][0]["message"]
    assert refused == [reply.body["errors"][0]["message"]]
