"""Whether a run could work on this machine, and what to do where it could not."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tiny_backspace.entries import chosen
from tiny_backspace.errors import TinyBackspaceError, UsageError
from tiny_backspace.finding import Finding
from tiny_backspace.forges.login import with_gh_token
from tiny_backspace.hosts import Host, credential, is_on
from tiny_backspace.publishing import reaching
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.remote import may_push
from tiny_backspace.repo.source import Remote, parse
from tiny_backspace.sandbox.container import Wish
from tiny_backspace.sandbox.known import IMAGES
from tiny_backspace.settings import Settings
from tiny_backspace.statedir import cache_dir, owner_id, private_dir, state_dir

_GIT = (2, 39, 4)  # older ones have CVE-2024-32002 and CVE-2025-48384; docs/security.md
_ROOM = 2 << 30  # bytes on the disk for mirrors and patches


def examined(
    settings: Settings,
    environment: Mapping[str, str],
    repository: str | None,
    *,
    online: bool,
    sandbox: bool,
) -> Iterator[Finding]:
    """Each finding as soon as it is known. `online` asks providers and GitHub whether they take the keys;
    `sandbox` tries every control of a container; `repository` is one that the token must be able to change.
    """
    from tiny_backspace.sandbox.examination import examine

    yield _python()
    yield _git(environment)
    yield from _folders(environment)
    state = _state(environment)
    wish = Wish(
        image=settings.image, base=settings.base_image, memory=settings.memory, disk=settings.disk,
        cpus=settings.cpus, pids=settings.pids, seconds=300, runtime=settings.runtime,
        known=state and state / IMAGES,
    )  # fmt: skip
    yield from examine(
        settings.docker_host, wish, owner_id(state) if state else "doctor", thorough=sandbox
    )
    yield from _agents(settings, online=online)
    yield from _github(settings, environment, repository)


def _python() -> Finding:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", "ok", version)


def _git(environment: Mapping[str, str]) -> Finding:
    fix = f"Install git {'.'.join(map(str, _GIT))} or newer."
    program = shutil.which("git", path=environment.get("PATH", ""))
    if program is None or not Path(program).is_absolute():  # the current folder's is not meant
        return Finding("git", "failed", "not found", fix)
    said = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=10, check=False
    ).stdout.strip()
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", said)
    if numbers is None:
        return Finding("git", "warning", said or "says nothing", fix)
    old = tuple(map(int, numbers.groups())) < _GIT
    return Finding("git", "warning" if old else "ok", numbers[0], fix if old else "")


def _folders(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name, path in (("state", state_dir(environment)), ("cache", cache_dir(environment))):
        try:
            free = shutil.disk_usage(private_dir(path)).free
            probe = path / ".doctor"
            probe.touch()
            probe.unlink()
        except (TinyBackspaceError, OSError) as error:
            yield Finding(name, "failed", str(error), _hint(error) or f"Make {path} writable.")
            continue
        found = f"{path}, {free >> 30} GiB free"
        if free < _ROOM:
            yield Finding(name, "warning", found, "Make room: mirrors and patches are kept there.")
        else:
            yield Finding(name, "ok", found)


def _state(environment: Mapping[str, str]) -> Path | None:
    """Where it is written whose containers they are: should this be killed, the next run removes them."""
    try:
        state = private_dir(state_dir(environment))
        owner_id(state)
    except TinyBackspaceError:  # which is told already
        return None
    return state


def _agents(settings: Settings, *, online: bool) -> Iterator[Finding]:
    """A key is told to be there, and never shown."""
    answers = 0
    for agent in settings.agents:
        name = agent.partition(":")[0]
        if name == "dummy":
            continue
        try:
            entry = chosen(settings.providers, agent)
        except UsageError as error:
            yield Finding(f"agent {name}", "failed", str(error), error.hint or "")
            continue
        if entry.key_variable and entry.key is None:
            fix = f"Set {entry.key_variable}, or leave it out of --agents."
            yield Finding(f"agent {name}", "warning", f"no {entry.key_variable}", fix)
            continue
        answers += 1
        found = f"{entry.model_name}, {'key from ' + entry.key_variable if entry.key_variable else 'no key needed'}"
        if not online:
            yield Finding(f"agent {name}", "ok", found)
            continue
        from tiny_backspace.providers.reachable import problem

        wrong = problem(entry)
        if wrong is None:
            yield Finding(f"agent {name}", "ok", f"{found}, answers")
        else:
            yield Finding(f"agent {name}", "failed", wrong, "Is the key right, and the address?")
    if not answers:
        yield _nobody("dummy" in settings.agents)


def _nobody(dummy: bool) -> Finding:
    """Without even the dummy a run ends with exit code 5."""
    fix = "Set ANTHROPIC_API_KEY or OPENAI_API_KEY, or name another one with --agents."
    if dummy:
        found = "no model can be asked: only the offline dummy"
        return Finding("agents", "warning", found, fix)
    return Finding("agents", "failed", "nobody can answer", f"{fix} The dummy needs no key.")


def _github(
    settings: Settings, environment: Mapping[str, str], repository: str | None
) -> Iterator[Finding]:
    settings, _ = with_gh_token(settings, environment)
    if settings.github.token is None:
        fix = "Set GITHUB_TOKEN, or `gh auth login`: without one a change is kept as a patch."
        yield Finding("github", "warning" if repository is None else "failed", "no token", fix)
        return
    if repository is None:
        found = f"a token for {settings.github.url}"
        yield Finding("github", "ok", found, "--repo owner/name looks whether it may push there.")
        return
    yield _may_propose(settings, environment, repository)


def _may_propose(settings: Settings, environment: Mapping[str, str], repository: str) -> Finding:
    """What a run asks before it begins."""
    with TemporaryDirectory(prefix="tiny-backspace-doctor-") as home:
        git = Git(
            environment=environment, home=Path(home), emit=lambda _: None, credential=credential(settings)
        )  # fmt: skip
        try:
            remote = parse(repository, settings.github.url)
            if not isinstance(remote, Remote) or not is_on(settings, remote):
                raise UsageError(f"{repository} is not at {settings.github.url}")
            host = Host(settings, git, lambda _: None)
            remote = host.located(remote)
            forge = host.forge(remote)
            if forge is not None and not host.repository(forge, remote).may_push:
                raise UsageError(
                    f"the token may not push to {repository}",
                    hint="It needs `contents` and `pull requests`, read and write.",
                )
            branches = may_push(reaching(git, remote), remote.url)
        except TinyBackspaceError as error:
            return Finding("github", "failed", str(error), _hint(error))
    return Finding("github", "ok", f"the token may push to {repository} ({len(branches)} branches)")


def _hint(error: Exception) -> str:
    return getattr(error, "hint", None) or ""
