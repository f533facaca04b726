"""What a pull request costs besides sandbox and model: the second run on a cached repository, by its own
`performance` records, beside a bare `git fetch`, a `git push` and two calls of the API.

Both speak to the same git server and the same GitHub on this machine, where a call costs next to nothing.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import count

import httpx2

from tests.bench.measuring import Row, interleaved, timed
from tests.bench.place import ROOT, Place
from tests.program import git
from tests.servers.git_http import git_server
from tests.servers.github import github_server
from tests.servers.github_state import FINE_GRAINED, Repo

_OUTSIDE = frozenset(
    ("validation", "preflight", "fetch", "judge", "commit", "push", "pull_request")
)
_PROMPT = "replace 'helo' with 'hello' in README.md"


def rows(place: Place) -> Iterator[Row]:
    folder = place.fresh()
    bare = folder / "owner" / "project.git"
    bare.parent.mkdir()
    git(folder, "clone", "-q", "--bare", str(place.small), str(bare))
    branch = git(bare, "symbolic-ref", "--short", "HEAD")
    repo = Repo("owner/project", default_branch=branch, git_folder=bare)
    with (
        git_server(folder, token=FINE_GRAINED.value) as served,
        github_server([repo], token=FINE_GRAINED, web_url=served.url) as api,
    ):
        ours = partial(_ours, place, served.url, api.api_url)
        ours()  # the first run fills the cache
        bare_hands = _Bare(place, served.url, api.api_url, branch)
        took = interleaved(place.rounds, {"ours": ours, "bare": partial(timed, bare_hands)})
    beside = "git fetch; git push; two API calls"
    yield Row("pull request, outside the sandbox", "ms", took["ours"], 1.2, beside, took["bare"])


def _ours(place: Place, url: str, api_url: str) -> float:
    """Seconds of one run's steps that are neither sandbox nor model.

    Raises:
        subprocess.SubprocessError: it failed.
    """
    environment = {
        **place.environment,
        "TINY_BACKSPACE_GITHUB_URL": url,
        "TINY_BACKSPACE_GITHUB_API_URL": api_url,
        "GITHUB_TOKEN": FINE_GRAINED.value,
    }
    argv = [*place.program, "run", "owner/project", _PROMPT, "--agents", "dummy", "-o", "jsonl"]
    done = subprocess.run(
        argv, env=environment, cwd=ROOT, capture_output=True, check=True, timeout=100
    )
    records = map(json.loads, done.stdout.splitlines())
    spent = (
        r["duration_ms"]
        for r in records
        if r["type"] == "performance" and r["operation"] in _OUTSIDE
    )
    return float(sum(spent)) / 1000


class _Bare:
    """A clone in which somebody does by hand what has to be done."""

    def __init__(self, place: Place, url: str, api_url: str, branch: str) -> None:
        self._place, self._branch = place, branch
        self._clone = place.fresh() / "clone.git"
        self._headers = {"Authorization": f"Bearer {FINE_GRAINED.value}"}
        self._api = f"{api_url}/repos/owner/project"
        self._numbers = count()
        header = f"http.{url}/.extraHeader=Authorization: Basic {_basic()}"
        self._git = ("git", "-c", header, f"--git-dir={self._clone}")
        place.run(
            "git", "-c", header, "clone", "-q", "--bare", f"{url}/owner/project", str(self._clone)
        )

    def __call__(self) -> None:
        name = f"bare-{next(self._numbers)}"
        self._place.run(*self._git, "fetch", "-q", "origin", self._branch)
        tree = self._place.run(*self._git, "rev-parse", f"{self._branch}^{{tree}}")
        commit = self._place.run(*self._git, "commit-tree", tree, "-p", self._branch, "-m", name)
        self._place.run(*self._git, "push", "-q", "origin", f"{commit}:refs/heads/{name}")
        with httpx2.Client(headers=self._headers) as client:
            client.get(self._api).raise_for_status()
            wanted = {"title": name, "head": name, "base": self._branch}
            client.post(f"{self._api}/pulls", json=wanted).raise_for_status()


def _basic() -> str:
    return base64.b64encode(f"x-access-token:{FINE_GRAINED.value}".encode()).decode()
