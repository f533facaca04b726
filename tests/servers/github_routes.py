"""From a request to the endpoint of a loopback GitHub, past everything that stands before all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from tests.servers import github_issues as issues
from tests.servers import github_pulls as pulls
from tests.servers import github_repositories as repositories
from tests.servers.github_call import Answer, Call, Refused, World, not_found
from tests.servers.github_faults import Asked
from tests.servers.github_fitting import answer_problems, body_of, query_misfits
from tests.servers.github_graphql import Wrong, refusal, review_threads
from tests.servers.github_state import Repo, Token
from tests.servers.openapi import Misfit, Operation, find

Endpoint: TypeAlias = Callable[[Call], Answer]

_DOCUMENTATION = "https://docs.github.com/rest"
_REPO = "/repos/{owner}/{repo}"
_PULL = f"{_REPO}/pulls/{{pull_number}}"
_ISSUE = f"{_REPO}/issues/{{issue_number}}"
_ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", "/user"): repositories.get_user,
    ("GET", _REPO): repositories.get_repository,
    ("GET", f"{_REPO}/branches/{{branch}}"): repositories.get_branch,
    ("POST", f"{_REPO}/forks"): repositories.create_fork,
    ("POST", f"{_REPO}/merge-upstream"): repositories.merge_upstream,
    ("POST", f"{_REPO}/git/refs"): repositories.create_ref,
    ("GET", f"{_REPO}/pulls"): pulls.list_pulls,
    ("POST", f"{_REPO}/pulls"): pulls.create_pull,
    ("GET", _PULL): pulls.get_pull,
    ("PATCH", _PULL): pulls.update_pull,
    ("GET", f"{_PULL}/comments"): pulls.list_review_comments,
    ("GET", f"{_PULL}/reviews"): pulls.list_reviews,
    ("POST", f"{_PULL}/requested_reviewers"): pulls.request_reviewers,
    ("GET", _ISSUE): issues.get_issue,
    ("GET", f"{_ISSUE}/comments"): issues.list_comments,
    ("POST", f"{_ISSUE}/labels"): issues.add_labels,
    ("POST", f"{_ISSUE}/assignees"): issues.add_assignees,
    ("GET", "/search/issues"): issues.search_issues,
}
# Any one of them is enough; reading a public repository needs none.
_PERMISSIONS: Mapping[str, tuple[str, ...]] = {
    f"{_REPO}/branches/{{branch}}": ("contents",),
    f"{_REPO}/forks": ("administration",),
    f"{_REPO}/merge-upstream": ("contents",),
    f"{_REPO}/git/refs": ("contents",),
    f"{_REPO}/pulls": ("pull_requests",),
    _PULL: ("pull_requests",),
    f"{_PULL}/comments": ("pull_requests",),
    f"{_PULL}/reviews": ("pull_requests",),
    f"{_PULL}/requested_reviewers": ("pull_requests",),
    _ISSUE: ("issues", "pull_requests"),
    f"{_ISSUE}/comments": ("issues", "pull_requests"),
    f"{_ISSUE}/labels": ("issues", "pull_requests"),
    f"{_ISSUE}/assignees": ("issues", "pull_requests"),
}
_BY_NUMBER = re.compile(r"/repositories/([0-9]+)(/.*)?")


def bearer(asked: Asked) -> str | None:
    """The token in a request, right or wrong."""
    scheme, _, value = asked.headers.get("authorization", "").partition(" ")
    return value if scheme.lower() in {"bearer", "token"} else None


def answered(world: World, asked: Asked, data: bytes, refused: list[str]) -> Answer:
    """What GitHub says; to `refused` a sentence is added where the request does not fit its description."""
    operation = None
    try:
        who = _authenticated(world, asked)
        if asked.path in {"/graphql", "/api/graphql"}:
            return _threads(world, who, asked, refused)
        operation = find(asked.method, _by_name(world, asked.path))
        call = _judged(world, operation, asked, data, who)
        answer = _ENDPOINTS[operation.method, operation.template](call)
    except Misfit as misfit:
        refused.append(str(misfit))
        message = "Not Found" if misfit.status == 404 else str(misfit)
        return Refused(misfit.status, message).answer(_documentation(operation))
    except Refused as refusal:
        answer = refusal.answer(_documentation(operation))
    if operation is not None:
        problems = answer_problems(operation, answer.status, answer.body)
        assert not problems, f"{operation} is answered as GitHub never would: {problems}"
    return answer


def _documentation(operation: Operation | None) -> str:
    return _DOCUMENTATION if operation is None else operation.documentation


def _authenticated(world: World, asked: Asked) -> Token | None:
    if not asked.headers.get("user-agent"):
        words = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header"
        raise Refused(403, words)
    if "authorization" not in asked.headers:
        return None
    if bearer(asked) != world.token.value:
        raise Refused(401, "Bad credentials")
    return world.token


def _by_name(world: World, path: str) -> str:
    """Links and redirects name a repository by its number, with no description of it."""
    found = _BY_NUMBER.fullmatch(path)
    if found is None:
        return path
    for repo in world.repositories:
        if str(repo.id) == found[1]:
            return f"/repos/{repo.full_name}{found[2] or ''}"
    raise not_found()


def _judged(
    world: World, operation: Operation, asked: Asked, data: bytes, who: Token | None
) -> Call:
    """The request as an endpoint may have it.

    Raises:
        Misfit: it does not fit the description.
        Refused: nobody, or not this token, may ask that of this repository.
    """
    for sentence in query_misfits(operation, asked.query):
        raise Misfit(sentence, 422)
    body = body_of(operation, data)
    if (operation.method, operation.template) not in _ENDPOINTS:
        raise Misfit(f"This server does not have {operation}.", 501)
    call = Call(world, operation, dict(asked.query), body, who)
    if "repo" in operation.arguments:
        _guard(call, call.repo)
    return call


def _guard(call: Call, repo: Repo) -> None:
    """What every endpoint of a repository asks first."""
    reading = call.operation.method == "GET"
    if repo.renamed_to is not None:
        raise _moved(call, repo.renamed_to)
    if not reading and call.who is None:
        raise Refused(401, "Requires authentication")
    if call.who is not None:
        _guard_token(call, repo, call.who, reading=reading)
    if repo.archived and not reading and not call.operation.template.endswith("/forks"):
        raise Refused(403, "Repository was archived so is read-only.")


def _moved(call: Call, name: str) -> Refused:
    """A request that changes something is sent on as it is, by 307."""
    now = call.world.repository(name)
    assert now is not None, f"{name} is not there"
    rest = call.operation.template.removeprefix(_REPO).format(**call.operation.arguments)
    there = f"{call.world.api_url}/repositories/{now.id}{rest}"
    status = 301 if call.operation.method == "GET" else 307
    return Refused(status, "Moved Permanently", headers={"location": there})


def _guard_token(call: Call, repo: Repo, token: Token, *, reading: bool) -> None:
    if repo.sso and token.kind != "actions":
        where = f"{call.world.web_url}/orgs/{repo.owner}/sso?authorization_request=A0"
        words = (
            "Resource protected by organization SAML enforcement. You must grant your Personal Access "
            "token access to this organization."
        )
        raise Refused(403, words, headers={"x-github-sso": f"required; url={where}"})
    if token.kind == "classic":
        if not reading and not {"repo", "public_repo"} & set(token.scopes):
            raise not_found()
        return
    needed = _PERMISSIONS.get(call.operation.template, ())
    if needed and token.lacks.issuperset(needed) and (repo.private or not reading):
        kind = "integration" if token.kind == "actions" else "personal access token"
        asked = "; ".join(f"{each}={'read' if reading else 'write'}" for each in needed)
        headers = {"x-accepted-github-permissions": asked}
        raise Refused(403, f"Resource not accessible by {kind}", headers=headers)


def _threads(world: World, who: Token | None, asked: Asked, refused: list[str]) -> Answer:
    if who is None:
        raise Refused(401, "Requires authentication")

    def visible(full_name: str) -> Repo | None:
        found = world.repository(full_name)
        return None if found is None or (found.private and not found.pull) else found

    if asked.method != "POST":
        raise Misfit(f"GraphQL does not take {asked.method}.", 404)
    try:
        return review_threads(world, visible, asked.body)
    except Wrong as wrong:
        if wrong.kind is None:
            refused.append(str(wrong))
        return refusal(wrong)
