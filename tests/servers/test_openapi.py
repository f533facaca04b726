"""GitHub's description of its API is read where it is installed, and told apart from another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.servers.github_fitting import body_of, query_misfits
from tests.servers.openapi import Misfit, find, read_description

PACKAGE = "node_modules/@octokit/openapi"


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    lock = tmp_path / "package-lock.json"
    lock.write_text(json.dumps({"packages": {PACKAGE: {"version": "2.0.0"}}}))
    return lock


def test_where_it_is_not_installed_a_sentence_says_what_to_run(
    tmp_path: Path, pinned: Path
) -> None:
    with pytest.raises(RuntimeError, match="is not installed; run: make test"):
        read_description(tmp_path, pinned)


def test_another_version_than_the_locked_one_is_not_read(tmp_path: Path, pinned: Path) -> None:
    package = tmp_path / PACKAGE
    (package / "generated").mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1.0.0"}')
    (package / "generated/api.github.com.json").write_text("{}")
    with pytest.raises(RuntimeError, match=r"is 1\.0\.0 and should be 2\.0\.0; run: make test"):
        read_description(tmp_path, pinned)
    (package / "package.json").write_text('{"version": "2.0.0"}')
    assert read_description(tmp_path, pinned) == {}


@pytest.mark.parametrize(
    ("path", "template", "arguments"),
    [
        ("/user", "/user", {}),
        ("/repos/o/r", "/repos/{owner}/{repo}", {"owner": "o", "repo": "r"}),
        (
            "/repos/o/r/branches/tb/x%20y",
            "/repos/{owner}/{repo}/branches/{branch}",
            {"owner": "o", "repo": "r", "branch": "tb/x y"},
        ),
        (
            "/repos/o/r/branches/tb/x/protection",
            "/repos/{owner}/{repo}/branches/{branch}/protection",
            {"owner": "o", "repo": "r", "branch": "tb/x"},
        ),
        (
            "/repos/o/r/issues/comments/7",
            "/repos/{owner}/{repo}/issues/comments/{comment_id}",
            {"owner": "o", "repo": "r", "comment_id": "7"},
        ),
    ],
)
def test_a_path_is_found_with_its_arguments(
    path: str, template: str, arguments: dict[str, str]
) -> None:
    found = find("GET", path)
    assert (found.template, found.arguments) == (template, arguments)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/repos/o/r/pulling", "There is no path like /repos/o/r/pulling."),
        ("GET", "/repos/o/r/issues/seven", "There is no path like"),
        ("PUT", "/repos/o/r/pulls", "/repos/{owner}/{repo}/pulls does not take PUT."),
        ("GET", "/repos/o/../user", "has a segment that is empty or dots."),
        ("GET", "/repos/o%2F../%2e%2e/user", "has a segment that is empty or dots."),
        ("GET", "/repos/o/r/", "has a segment that is empty or dots."),
    ],
)
def test_what_the_description_does_not_have_is_not_found(
    method: str, path: str, words: str
) -> None:
    with pytest.raises(Misfit) as refused:
        find(method, path)
    assert words in str(refused.value)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/repos/o/r/pulls", [("state", "opened")], "is not one of ['open', 'closed', 'all']"),
        ("/repos/o/r/pulls", [("per_page", "many")], "is not of type 'integer'"),
        ("/repos/o/r/pulls", [("author", "me")], "has no query parameter 'author'"),
        ("/repos/o/r/pulls", [("page", "1"), ("page", "2")], "'page' once"),
        ("/search/issues", [], "needs the query parameter 'q'"),
    ],
)
def test_a_query_that_does_not_fit_is_told(
    path: str, query: list[tuple[str, str]], words: str
) -> None:
    assert words in " ".join(query_misfits(find("GET", path), query))


def test_a_query_that_fits_has_nothing_wrong() -> None:
    query = [("state", "all"), ("head", "o:b"), ("per_page", "100"), ("page", "2")]
    assert list(query_misfits(find("GET", "/repos/o/r/pulls"), query)) == []


@pytest.mark.parametrize(
    ("path", "data", "status", "words"),
    [
        ("pulls", b"", 422, "needs a body"),
        ("pulls", b"{", 400, "Problems parsing JSON"),
        ("pulls", b'{"head": "b", "title": "T"}', 422, "'base' is a required property"),
        ("pulls", b'{"head": "b", "base": "m", "title": 7}', 422, "For 'title', 7 is not"),
        ("pulls", b'{"head": "b", "base": "m", "body": null}', 422, "For 'body', None is not"),
        ("pulls", b'{"head": "b", "base": "m", "labels": []}', 422, '"labels" is not a permitted'),
        ("issues/7/labels", b'{"labels": "bug"}', 422, "is not valid"),
        ("issues/7/labels", b"[]", 422, "is not valid"),
        ("issues/7/assignees", b'{"assignees": [7]}', 422, "For 'assignees/0', 7"),
    ],
)
def test_a_body_that_does_not_fit_is_told(path: str, data: bytes, status: int, words: str) -> None:
    with pytest.raises(Misfit) as refused:
        body_of(find("POST", f"/repos/o/r/{path}"), data)
    assert words in str(refused.value)
    assert refused.value.status == status


def test_null_is_a_body_only_where_the_description_says_so() -> None:
    assert body_of(find("POST", "/repos/o/r/forks"), b"null") is None
    with pytest.raises(Misfit, match="None is not of type 'object'"):
        body_of(find("POST", "/repos/o/r/merge-upstream"), b"null")
    with pytest.raises(Misfit, match="takes no body"):
        body_of(find("GET", "/user"), b'{"a": 1}')
