"""What a pull request adds to a run: the second run on a cached repository, less the same run on a clone that
ends as a patch, beside a bare `git fetch`, a `git push` and two calls of the API.

Both speak to the same git server and the same GitHub on this machine, where a call costs next to nothing.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import count
from time import perf_counter

import httpx2

from tests.bench.measuring import Row, Series, interleaved, timed
from tests.bench.place import ROOT, Place
from tests.program import git
from tests.servers.git_http import git_server
from tests.servers.github import github_server
from tests.servers.github_state import FINE_GRAINED, Repo

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
        remote = partial(_run, place, "owner/project", served.url, api.api_url)
        local = partial(_run, place, str(place.small), served.url, api.api_url, "--publish=patch")
        remote()  # the first run fills the cache
        bare_hands = _Bare(place, served.url, api.api_url, branch)
        took = interleaved(
            place.rounds, {"remote": remote, "local": local, "bare": partial(timed, bare_hands)}
        )
    beside = "git fetch; git push; two API calls"
    pairs = zip(took["remote"].values, took["local"].values, strict=True)
    added = Series(tuple(max(0.0, remote - local) for remote, local in pairs))
    yield Row("what a pull request adds", "ms", added, 1.2, beside, took["bare"])


def _run(place: Place, repository: str, url: str, api_url: str, *options: str) -> float:
    """Seconds of one whole run.

    Raises:
        subprocess.SubprocessError: it failed.
    """
    environment = {
        **place.environment,
        "TINY_BACKSPACE_GITHUB_URL": url,
        "TINY_BACKSPACE_GITHUB_API_URL": api_url,
        "GITHUB_TOKEN": FINE_GRAINED.value,
    }
    argv = [*place.program, "run", repository, _PROMPT, "--agents", "dummy", "-q", *options]
    start = perf_counter()
    subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, check=True, timeout=100)
    return perf_counter() - start


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
        # as our program has it: a variable that names a file of all certificates costs 20 ms
        with httpx2.Client(headers=self._headers, trust_env=False) as client:
            client.get(self._api).raise_for_status()
            wanted = {"title": name, "head": name, "base": self._branch}
            client.post(f"{self._api}/pulls", json=wanted).raise_for_status()


def _basic() -> str:
    return base64.b64encode(f"x-access-token:{FINE_GRAINED.value}".encode()).decode()
