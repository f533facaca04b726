"""The endpoints of a loopback GitHub that are about issues, labels and the people in charge."""

from __future__ import annotations

import re

from tests.servers import github_bodies as bodies
from tests.servers.github_call import Answer, Call, Refused, invalid
from tests.servers.github_state import Issue, Pull, Repo

_LONGEST_LABEL = 50  # characters
_MOST_ASSIGNEES = 10
_LONGEST_SEARCH = 256  # characters
_TERM = re.compile(r'([a-z-]+):("[^"]*"|\S+)|("[^"]*"|\S+)')


def get_issue(call: Call) -> Answer:
    return Answer(200, bodies.issue(call.world, call.repo, call.issue()))


def list_comments(call: Call) -> Answer:
    issue = call.issue()
    page = call.page(issue.comments)
    told = [bodies.comment(call.world, call.repo, issue, each) for each in page.body]
    return Answer(200, told, page.headers)


def add_labels(call: Call) -> Answer:
    """A label that the repository does not know yet is made, as on GitHub."""
    issue, repo = call.issue(), call.repo
    wanted = [each if isinstance(each, str) else each["name"] for each in call.body["labels"]]
    if not call.may_push:
        error = {"resource": "Repository", "field": "label", "code": "unauthorized"}
        words = "You do not have permission to create labels on this repository."
        raise Refused(403, words, error)
    for name in wanted:
        if len(name) > _LONGEST_LABEL:
            words = f"name is too long (maximum is {_LONGEST_LABEL} characters)"
            raise invalid("Label", "name", "custom", words)
    repo.labels |= set(wanted)
    issue.labels += [name for name in dict.fromkeys(wanted) if name not in issue.labels]
    return Answer(200, bodies.labels(call.world, repo, issue))


def add_assignees(call: Call) -> Answer:
    """Who cannot be assigned is left out without a word, as on GitHub."""
    issue, repo = call.issue(), call.repo
    wanted = [each if isinstance(each, str) else each["login"] for each in call.body["assignees"]]
    for login in wanted if call.may_push else ():
        if login in repo.collaborators and login not in issue.assignees:
            issue.assignees.append(login)
    del issue.assignees[_MOST_ASSIGNEES:]
    return Answer(201, bodies.issue(call.world, repo, issue))


def search_issues(call: Call) -> Answer:
    """Issues and pull requests of repositories that are named, with all the words in title or body."""
    text = call.query["q"]
    if len(text) > _LONGEST_SEARCH:
        words = f"The search is longer than {_LONGEST_SEARCH} characters."
        raise invalid("Search", "q", "invalid", words)
    qualifiers, words_ = _read(text)
    kinds = {value for name, value in qualifiers if name in {"is", "type"}}
    if not kinds & {"pr", "pull-request", "issue"}:
        words = "Query must include 'is:issue' or 'is:pull-request'"
        raise invalid("Search", "q", "invalid", words)
    found = [
        (repo, issue)
        for repo in _searched(call, qualifiers)
        for issue in (*repo.issues, *repo.pulls)
        if all(_fits(issue, name, value) for name, value in qualifiers)
        and all(word in f"{issue.title}\n{issue.body}".lower() for word in words_)
    ]
    size, number = int(call.query.get("per_page", 30)), int(call.query.get("page", 1))
    part = found[(number - 1) * size : number * size]
    items = [bodies.issue(call.world, repo, issue) | {"score": 1.0} for repo, issue in part]
    told = {"total_count": len(found), "incomplete_results": False, "items": items}
    return Answer(200, told | {"search_type": "lexical"})


def _read(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    qualifiers, words = [], []
    for name, value, word in _TERM.findall(text):
        if name:
            qualifiers.append((name, value.strip('"').lower()))
        else:
            words.append(word.strip('"').lower())
    return qualifiers, words


def _searched(call: Call, qualifiers: list[tuple[str, str]]) -> list[Repo]:
    named = [call.world.repository(value) for name, value in qualifiers if name == "repo"]
    if not named or None in named or any(each and each.private and not each.pull for each in named):
        words = (
            "The listed users and repositories cannot be searched either because the resources do "
            "not exist or you do not have permission to view them."
        )
        raise invalid("Search", "q", "invalid", words)
    return [each for each in named if each is not None]


def _fits(issue: Issue, name: str, value: str) -> bool:
    pull = isinstance(issue, Pull)
    match name, value:
        case "is" | "type", "pr" | "pull-request" | "issue":
            fits = pull == (value != "issue")
        case "is" | "state", "open" | "closed":
            fits = issue.open == (value == "open")
        case "author", _:
            fits = issue.author.lower() == value
        case "label", _:
            fits = value in {each.lower() for each in issue.labels}
        case "repo" | "in", _:
            fits = True
        case _:
            raise invalid("Search", "q", "invalid", f"This server does not know '{name}:{value}'.")
    return fits
