"""The endpoints of a loopback GitHub that are about pull requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.servers import github_bodies as bodies
from tests.servers.github_call import Answer, Call, Refused, invalid, not_found
from tests.servers.github_state import Comment, Pull, Repo, commits_between, take_over

_LONGEST_TITLE, _LONGEST_BODY = 256, 65_536  # characters


def list_pulls(call: Call) -> Answer:
    """The newest first. A `head` without an owner is no filter at all, as on GitHub."""
    state, head, base = (call.query.get(name, "") for name in ("state", "head", "base"))
    found = [
        each
        for each in reversed(call.repo.pulls)
        if (state == "all" or each.open == (state != "closed"))
        and (":" not in head or _label(call, each).lower() == head.lower())
        and base in {"", each.base}
    ]
    if call.query.get("direction") == "asc":
        found.reverse()
    page = call.page(found)
    told = [bodies.pull_in_list(call.world, call.repo, each) for each in page.body]
    return Answer(200, told, page.headers)


def _label(call: Call, pull: Pull) -> str:
    owner = (pull.head_repository or call.repo.full_name).partition("/")[0]
    return f"{owner}:{pull.head}"


def get_pull(call: Call) -> Answer:
    told = bodies.pull(call.world, call.repo, call.pull())
    _copy_head(call, told)
    return Answer(200, told)


def _copy_head(call: Call, told: dict[str, Any]) -> None:
    """Where a pull request's branch is can be read in the repository that it goes to."""
    head = told["head"]
    source = call.world.repository(head["repo"]["full_name"]) if head["repo"] else None
    if source and source.git_folder and call.repo.git_folder:
        ref = f"refs/pull/{told['number']}/head"
        take_over(source.git_folder, call.repo.git_folder, head["sha"], ref)


@dataclass(frozen=True, slots=True)
class _Head:
    repo: Repo
    branch: str
    sha: str


def create_pull(call: Call) -> Answer:
    """Opened, if GitHub would open it."""
    body, repo = call.body, call.repo
    assert call.who is not None
    if call.who.kind == "actions" and not repo.actions_may_propose:
        words = "GitHub Actions is not permitted to create or approve pull requests."
        raise Refused(403, words)
    if "title" not in body:
        raise invalid("Issue", "title", "missing_field")
    judge_words(body)
    head = _head(call)
    base_sha = repo.tip(body["base"])
    if base_sha is None:
        raise invalid("PullRequest", "base", "invalid")
    _judge(call, head, base_sha)
    if body.get("draft") and not repo.has_drafts:
        raise Refused(422, "Draft pull requests are not supported in this repository.")
    opened = Pull(
        repo.next_number(),
        body["title"],
        body.get("body", ""),
        author=call.login,
        base=body["base"],
        head=head.branch,
        head_repository=head.repo.full_name,
        head_sha=head.sha,
        base_sha=base_sha,
        draft=body.get("draft", False),
        maintainer_can_modify=body.get("maintainer_can_modify", False),
    )
    repo.pulls.append(opened)
    told = bodies.pull(call.world, repo, opened)
    return Answer(201, told, {"location": told["url"]})


def judge_words(body: dict[str, str]) -> None:
    """Raises:
    Refused: a title or a text is too long, or there is no title in it.
    """
    if not body.get("title", "x").strip():
        raise invalid("Issue", "title", "missing_field")
    if len(body.get("title", "")) > _LONGEST_TITLE:
        words = f"title is too long (maximum is {_LONGEST_TITLE} characters)"
        raise invalid("Issue", "title", "custom", words)
    if len(body.get("body", "")) > _LONGEST_BODY:
        words = f"body is too long (maximum is {_LONGEST_BODY} characters)"
        raise invalid("Issue", "body", "custom", words)


def _head(call: Call) -> _Head:
    """`branch`, or `owner:branch` of a repository in the same network."""
    repo, wanted = call.repo, call.body["head"]
    owner, colon, branch = wanted.partition(":")
    if not colon:
        owner, branch = repo.owner, wanted
    network = [repo, *(each for each in call.world.repositories if _related(each, repo))]
    named = call.body.get("head_repo")
    for each in network:
        if each.owner.lower() == owner.lower() and named in {None, each.full_name}:
            sha = each.tip(branch)
            if sha is not None:
                return _Head(each, branch, sha)
    raise invalid("PullRequest", "head", "invalid")


def _related(one: Repo, other: Repo) -> bool:
    return one is not other and (one.full_name == other.fork_of or other.full_name == one.fork_of)


def _judge(call: Call, head: _Head, base_sha: str) -> None:
    """What may be wrong between a head and a base that are both there."""
    repo, base = call.repo, call.body["base"]
    if not head.repo.push:
        raise invalid("PullRequest", None, "custom", "must be a collaborator")
    if call.body.get("maintainer_can_modify") and head.repo.owner not in {call.login, repo.owner}:
        words = "Fork collab can't be granted by someone without permission"
        raise invalid("PullRequest", "fork_collab", "custom", words)
    label = f"{head.repo.owner}:{head.branch}"
    for each in repo.pulls:
        if each.open and each.base == base and _label(call, each) == label:
            words = f"A pull request already exists for {label}."
            raise invalid("PullRequest", None, "custom", words)
    if not commits_between(repo, base_sha, head.repo, head.sha):
        between = (base, head.branch) if head.repo is repo else (f"{repo.owner}:{base}", label)
        words = "No commits between {} and {}".format(*between)
        raise invalid("PullRequest", None, "custom", words)


def update_pull(call: Call) -> Answer:
    pull, body = call.pull(), call.body
    if not call.may_push and pull.author != call.login:
        raise not_found()
    judge_words(body)
    if "base" in body and call.repo.tip(body["base"]) is None:
        raise invalid("PullRequest", "base", "invalid")
    pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
    pull.base = body.get("base", pull.base)
    pull.open = body.get("state", "open" if pull.open else "closed") == "open"
    return get_pull(call)


def list_review_comments(call: Call) -> Answer:
    pull = call.pull()
    page = call.page([each for thread in pull.threads for each in thread.comments])
    comments: list[Comment] = page.body
    told = [bodies.review_comment(call.world, call.repo, pull, each) for each in comments]
    return Answer(200, told, page.headers)


def list_reviews(call: Call) -> Answer:
    pull = call.pull()
    page = call.page(pull.reviews)
    told = [bodies.review(call.world, call.repo, pull, each) for each in page.body]
    return Answer(200, told, page.headers)


def request_reviewers(call: Call) -> Answer:
    pull, repo = call.pull(), call.repo
    wanted = call.body.get("reviewers", [])
    if not call.may_push:
        raise not_found()
    if pull.author in wanted:
        raise Refused(422, "Review cannot be requested from pull request author.")
    if not set(wanted) <= repo.collaborators or call.body.get("team_reviewers"):
        raise Refused(
            422,
            "Reviews may only be requested from collaborators. One or more of the users or teams you "
            f"specified is not a collaborator of the {repo.full_name} repository.",
        )
    pull.reviewers += [login for login in wanted if login not in pull.reviewers]
    return Answer(201, bodies.pull_in_list(call.world, repo, pull))
