"""The endpoints of a loopback GitHub that are about users, repositories, branches and forks."""

from __future__ import annotations

from tests.servers import github_bodies as bodies
from tests.servers.github_call import Answer, Call, Refused, not_found
from tests.servers.github_state import ME, Repo, clone, fast_forward, take_over


def get_user(call: Call) -> Answer:
    if call.who is None:
        raise Refused(401, "Requires authentication")
    if call.who.kind == "actions":
        raise Refused(403, "Resource not accessible by integration")
    return Answer(200, bodies.me(call.world, call.who))


def get_repository(call: Call) -> Answer:
    _polled(call)
    return Answer(200, bodies.repository(call.world, call.repo, call.who))


def get_branch(call: Call) -> Answer:
    _polled(call)
    name = call.operation.arguments["branch"]
    sha = call.repo.tip(name)
    if sha is None:
        raise Refused(404, "Branch not found")
    return Answer(200, bodies.branch(call.world, call.repo, name, sha))


def _polled(call: Call) -> None:
    """A fork gets its git objects a while after it was asked for."""
    fork = call.repo
    if not fork.pending:
        return
    fork.pending -= 1
    parent = call.world.repository(fork.fork_of or "")
    if not fork.pending and parent is not None:
        _fill(parent, fork)


def _fill(parent: Repo, fork: Repo) -> None:
    if parent.git_folder is None:
        fork.branches = dict(parent.branches or {})
        return
    folder = parent.git_folder.parent.parent / fork.owner / f"{fork.name}.git"
    clone(parent.git_folder, folder)
    fork.git_folder = folder


def create_fork(call: Call) -> Answer:
    """It is told of at once; asked for again, it is the same."""
    parent = call.repo
    if not parent.forkable:
        raise Refused(403, "The repository exists, but forking is disabled.")
    if parent.is_empty:
        raise Refused(403, "The repository exists, but it contains no Git content.")
    owner = call.body.get("organization", call.login)
    there = [each for each in call.world.repositories if each.fork_of == parent.full_name]
    fork = next((each for each in there if each.owner == owner), None)
    if fork is None:
        name = _free_name(call, owner, call.body.get("name", parent.name))
        fork = Repo(
            f"{owner}/{name}",
            parent.default_branch,
            private=parent.private,
            branches={},
            fork_of=parent.full_name,
            pending=parent.fork_polls and parent.fork_polls + 1,
            collaborators={owner, ME},
        )
        call.world.repositories.append(fork)
        if not fork.pending:
            _fill(parent, fork)
    return Answer(202, bodies.repository(call.world, fork, call.who))


def _free_name(call: Call, owner: str, name: str) -> str:
    """A second repository by the same name gets a number."""
    free, number = name, 0
    while call.world.repository(f"{owner}/{free}") is not None:
        number += 1
        free = f"{name}-{number}"
    return free


def merge_upstream(call: Call) -> Answer:
    fork, branch = call.repo, call.body["branch"]
    parent = call.world.repository(fork.fork_of or "")
    if not call.may_push:
        raise not_found()
    if parent is None:
        raise Refused(422, "Repository is not a fork")
    ours, theirs = fork.tip(branch), parent.tip(branch)
    if ours is None or theirs is None:
        raise Refused(404, "Branch not found")
    upstream = f"{parent.owner}:{branch}"
    told = {"message": f"This branch is not behind the upstream {upstream}.", "merge_type": "none"}
    if ours != theirs:
        _forward(parent, fork, branch, theirs)
        words = f"Successfully fetched and fast-forwarded from upstream {upstream}."
        told = {"message": words, "merge_type": "fast-forward"}
    return Answer(200, {**told, "base_branch": upstream})


def create_ref(call: Call) -> Answer:
    """A branch at a commit that the repository, or the one it was forked from, has."""
    repo, ref, sha = call.repo, call.body["ref"], call.body["sha"]
    branch = ref.removeprefix("refs/heads/")
    if not call.may_push:
        raise not_found()
    if repo.tip(branch) is not None:
        raise Refused(422, "Reference already exists")
    parent = call.world.repository(repo.fork_of or "") or repo
    if repo.git_folder is None or parent.git_folder is None:
        repo.branches = {**(repo.branches or {}), branch: sha}
    elif not take_over(parent.git_folder, repo.git_folder, sha, ref):
        raise Refused(422, "Object does not exist")
    return Answer(201, bodies.ref(call.world, repo, ref, sha))


def _forward(parent: Repo, fork: Repo, branch: str, sha: str) -> None:
    if parent.git_folder is None or fork.git_folder is None:
        fork.branches = {**(fork.branches or {}), branch: sha}
    elif not fast_forward(parent.git_folder, fork.git_folder, branch):
        raise Refused(409, "There are merge conflicts")
