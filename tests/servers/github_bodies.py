"""Answers with every field that GitHub's have: its own examples, made to speak of our repositories."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime

from tests.servers.github_call import World
from tests.servers.github_state import Comment, Issue, Pull, Repo, Review, Token, commits_between
from tests.servers.openapi import Json, example


def moment(world: World) -> str:
    return datetime.fromtimestamp(world.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _example(world: World, name: str, repo: Repo, number: int = 0) -> Json:
    text = example(name)
    for theirs, ours in (
        ("octocat/Hello-World", repo.full_name),
        ("https://api.github.com", world.api_url),
        ("https://github.com", world.web_url),
        ("/1347", f"/{number}"),
        ("2011-01-26T19:01:12Z", moment(world)),
        ("2011-04-10T20:09:31Z", moment(world)),
        ("2011-04-14T16:00:49Z", moment(world)),
    ):
        text = text.replace(theirs, ours)
    read: Json = json.loads(text)
    return read


def _identity(kind: str, *names: object) -> Json:
    number = zlib.crc32(repr((kind, *names)).encode())
    node = base64.b64encode(f"{kind}:{number}".encode()).decode()
    return {"id": number, "node_id": node}


def user(world: World, login: str) -> Json:
    text = json.dumps(json.loads(example("pull-request"))["user"])
    text = text.replace("https://api.github.com", world.api_url).replace("octocat", login)
    whole: Json = json.loads(text.replace("https://github.com", world.web_url))
    kind = "Bot" if login.endswith("[bot]") else "User"
    return whole | _identity("User", login) | {"type": kind}


def me(world: World, token: Token) -> Json:
    name = "private-user-response-with-public-and-private-profile-information"
    whole: Json = json.loads(example(name))
    return whole | user(world, token.login) | {"name": token.login, "email": None}


def repository(world: World, repo: Repo, who: Token | None) -> Json:
    """All that is told of a repository; what it allows only to somebody with a token."""
    whole = _example(world, "full-repository-default-response", repo)
    for absent in ("template_repository", "organization", "parent", "source", "permissions"):
        whole.pop(absent, None)
    whole |= _short(world, repo) | {
        "default_branch": repo.default_branch,
        "visibility": "private" if repo.private else "public",
        "archived": repo.archived,
        "disabled": repo.disabled,
        "has_issues": repo.has_issues,
        "has_discussions": False,
        "allow_forking": repo.forkable,
        "language": None,
        "size": 0 if repo.is_empty else 108,
        "clone_url": f"{world.web_url}/{repo.full_name}.git",
    }
    if who is not None:
        rights = {"admin": False, "maintain": False, "triage": repo.push}
        whole["permissions"] = rights | {"push": repo.push, "pull": repo.pull}
    if repo.fork_of and (parent := world.repository(repo.fork_of)):
        whole["parent"] = whole["source"] = repository(world, parent, None)
    return whole


def _short(world: World, repo: Repo) -> Json:
    return _identity("Repository", repo.id) | {
        "id": repo.id,
        "name": repo.name,
        "full_name": repo.full_name,
        "owner": user(world, repo.owner),
        "private": repo.private,
        "fork": repo.fork_of is not None,
        "default_branch": repo.default_branch,
    }


def branch(world: World, repo: Repo, name: str, sha: str) -> Json:
    whole = _example(world, "branch-get", repo)
    whole["name"] = name
    whole["commit"]["sha"] = sha
    whole["protected"] = False
    return whole


def ref(world: World, repo: Repo, name: str, sha: str) -> Json:
    whole = _example(world, "git-ref", repo)
    whole["ref"] = name
    whole["object"] |= {"type": "commit", "sha": sha}
    return whole


def pull(world: World, repo: Repo, pull: Pull) -> Json:
    whole = _example(world, "pull-request", repo, pull.number)
    whole |= _talk(world, repo, pull) | {
        "draft": pull.draft,
        "merged": False,
        "merged_at": None,
        "merged_by": None,
        "merge_commit_sha": None,
        "mergeable": None,  # it is worked out later
        "mergeable_state": "unknown",
        "auto_merge": None,
        "maintainer_can_modify": pull.maintainer_can_modify,
        "requested_reviewers": [user(world, login) for login in pull.reviewers],
        "requested_teams": [],
        "review_comments": sum(len(thread.comments) for thread in pull.threads),
        "base": _side(world, whole["base"], repo, pull.base, repo.tip(pull.base) or pull.base_sha),
    }
    source = repo if not pull.head_repository else world.repository(pull.head_repository)
    sha = (source.tip(pull.head) if source and pull.open else None) or pull.head_sha
    whole["head"] = _side(world, whole["head"], source or repo, pull.head, sha)
    whole["commits"] = commits_between(repo, whole["base"]["sha"], source or repo, sha) or 1
    if source is None or pull.head_repository is None:
        whole["head"] |= {"repo": None}
    return whole


def pull_in_list(world: World, repo: Repo, each: Pull) -> Json:
    """A list of pull requests tells less of each."""
    told = _example(world, "pull-request-simple-items", repo, each.number)
    return {name: value for name, value in pull(world, repo, each).items() if name in told}


def _side(world: World, like: Json, repo: Repo, ref: str, sha: str) -> Json:
    return {
        "label": f"{repo.owner}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(world, repo.owner),
        "repo": like["repo"] | _short(world, repo),
    }


def _talk(world: World, repo: Repo, issue: Issue) -> Json:
    """What issues and pull requests have alike."""
    people = [user(world, login) for login in issue.assignees]
    return _identity("Issue", repo.id, issue.number) | {
        "number": issue.number,
        "title": issue.title,
        "body": issue.body or None,
        "state": "open" if issue.open else "closed",
        "user": user(world, issue.author),
        "labels": labels(world, repo, issue),
        "assignee": people[0] if people else None,
        "assignees": people,
        "milestone": None,
        "locked": False,
        "active_lock_reason": None,
        "comments": len(issue.comments),
        "closed_at": None if issue.open else moment(world),
    }


def issue(world: World, repo: Repo, each: Issue) -> Json:
    whole = _example(world, "issue", repo, each.number) | _talk(world, repo, each)
    whole |= {"state_reason": None if each.open else "completed", "closed_by": None}
    links = whole.pop("pull_request")
    if isinstance(each, Pull):
        path = f"{repo.full_name}/pull/{each.number}"
        whole |= {"pull_request": links, "html_url": f"{world.web_url}/{path}", "draft": each.draft}
    return whole


def labels(world: World, repo: Repo, issue: Issue) -> list[Json]:
    like = _example(world, "label-items", repo)
    told = {"default": False, "description": "", "color": "ededed"}
    at = f"{world.api_url}/repos/{repo.full_name}/labels"
    return [
        like | told | _identity("Label", repo.id, name) | {"name": name, "url": f"{at}/{name}"}
        for name in issue.labels
    ]


def comment(world: World, repo: Repo, issue: Issue, each: Comment) -> Json:
    whole = _example(world, "issue-comment-items", repo, issue.number)
    return whole | _said(world, repo, issue, each.author, each.text)


def review(world: World, repo: Repo, pull: Pull, each: Review) -> Json:
    whole = _example(world, "pull-request-review-items", repo, pull.number)
    said = _said(world, repo, pull, each.author, each.text)
    return whole | said | {"state": each.state, "commit_id": pull.head_sha}


def review_comment(world: World, repo: Repo, pull: Pull, each: Comment) -> Json:
    whole = _example(world, "pull-request-review-comment-items", repo, pull.number)
    whole |= _said(world, repo, pull, each.author, each.text)
    whole.pop("in_reply_to_id", None)
    return whole | {"path": each.path or "", "line": each.line, "original_line": each.line or 1}


def _said(world: World, repo: Repo, about: Issue, author: str, text: str) -> Json:
    identity = _identity("Comment", repo.id, about.number, author, text)
    return identity | {"user": user(world, author), "body": text}
