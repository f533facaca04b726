"""What holds after every attack, whatever it was. An oracle tells what it found; nothing is what is wanted."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep

from docker import APIClient

from tests.attacks.scene import Scene
from tests.attacks.watching import Before, canaries, objects, processes, refs, token_forms, watching
from tests.program import git, snapshot
from tests.servers.models import KEY

_REMOVAL = 10.0  # seconds for the engine to end what removes itself
_ENDING = {"removing", "exited", "dead"}
_BRANCH = re.compile(r"tiny-backspace/[a-z0-9-]{1,40}-[0-9a-f]{8}")
_AUTHOR = "Tiny Backspace <tiny-backspace@localhost>"
_GITHUB = re.compile(
    r"GET /repos/owner/project|POST /repos/owner/project/pulls|POST /repos/owner/project/issues/\d+/labels"
    r"|GET /repos/owner/project/pulls"
)
_GIT = re.compile(
    r"/owner/project(\.git)?/(info/refs\?service=)?git-(upload|receive)-pack", re.ASCII
)
_ENGINE = re.compile(
    r"GET /(_ping|version|info|images/.+/json|containers/json|containers/[^/]+/(json|stats)|exec/[0-9a-f]+/json)"
    r"|HEAD /_ping|POST /(containers/create|containers/[^/]+/(start|exec|kill)|exec/[0-9a-f]+/start)"
    r"|DELETE /containers/[^/]+"
)
# The program's own: colours, cursor movements, the alternate screen and its like (ECMA-48, xterm).
_OURS = re.compile(
    rb"\x1b\[[0-9;]*m|\x1b\[[0-9]*[AGKJ]|\x1b\[[0-9;]*H|\x1b\[\?(25|1049|2026|7)[hl]"
)
_UNSHOWN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


Oracle = Callable[[Scene, Before], Iterator[str]]


def nothing_left_in_the_engine(scene: Scene, _: Before) -> Iterator[str]:
    """No container, network or volume of this home. One that removes itself may take a moment."""
    if not scene.owner:
        return
    chosen = {"label": f"tiny-backspace.owner={scene.owner}"}
    with closing(APIClient("unix:///var/run/docker.sock", version="auto")) as api:
        until = monotonic() + _REMOVAL
        while (found := api.containers(all=True, filters=chosen)) and monotonic() < until:
            if any(each["State"] not in _ENDING for each in found):
                break
            sleep(0.05)
        found += api.networks(filters=chosen) + (api.volumes(filters=chosen)["Volumes"] or [])
    yield from (f"left in the engine: {each.get('Id', each.get('Name'))}" for each in found)


def host_untouched(scene: Scene, was: Before) -> Iterator[str]:
    """The user's files and clone are as they were, and nothing ran here for somebody else."""
    if scene.pwned.exists():
        yield f"something ran on this host: {scene.pwned}"
    if Path("/tmp/pwn").exists():
        yield "something ran on this host: /tmp/pwn"
    for name, old, now in (
        ("home", was.canaries, canaries(scene)),
        ("clone", was.work, snapshot(scene.place.work)),
    ):
        yield from (f"changed in the {name}: {path}" for path in old.keys() ^ now.keys())
        yield from (f"changed in the {name}: {p}" for p in old.keys() & now.keys() if old[p] != now[p])  # fmt: skip


def secrets_nowhere(scene: Scene, was: Before) -> Iterator[str]:
    """In no output, file, model request, commit, pull request, and in nothing that the engine was told."""
    secrets = _secrets(scene)
    for place, text in _places(scene, was):
        yield from (f"{secret[:12]!r}… in {place}" for secret in secrets if secret in text)


def secrets_in_no_process(_: Scene, was: Before) -> Iterator[str]:
    """What was seen while the run went on: see `watching`."""
    yield from was.seen


def mirror_is_the_upstream(scene: Scene, was: Before) -> Iterator[str]:
    """The cache holds objects of the repository only, and refs to them."""
    for mirror in scene.mirrors:
        strange = frozenset(objects(mirror)) - was.objects
        yield from (f"in the mirror: {each}" for each in sorted(strange)[:3])
        refs = git(mirror, "for-each-ref", "--format=%(refname)").split()
        yield from (f"in the mirror: {r}" for r in refs if not r.startswith("refs/tiny-backspace/"))


def only_known_calls(scene: Scene, _: Before) -> Iterator[str]:
    """GitHub, its git server, the model and the engine were asked for nothing but what a run asks for."""
    place = scene.place
    yield from (f"GitHub refused: {each}" for each in place.api.refused)
    yield from (f"GitHub: {each}" for each in place.calls if not _GITHUB.fullmatch(each))
    yield from (f"git: {a.path}" for a in place.git.asked if not _GIT.fullmatch(a.path))
    yield from (f"the model refused: {each}" for each in scene.models.refused)
    yield from (f"engine: {r}" for r in scene.tap.requests if not _ENGINE.fullmatch(str(r)))
    for request in scene.tap.of("/exec"):
        if request.json["User"] != "10001:10001" or request.json.get("Privileged"):
            yield f"a command as {request.json['User']}: {request.json['Cmd']}"
    for request in scene.tap.of("/containers/create"):
        host = request.json["HostConfig"]
        asked = (host["NetworkMode"], host.get("Privileged", False), host.get("Binds"), host["CapDrop"])  # fmt: skip
        if asked != ("none", False, None, ["ALL"]):
            yield f"a container with {asked}"


def one_commit_a_run(scene: Scene, was: Before) -> Iterator[str]:
    """At most one new branch for each run, named by us, of one commit that we made on what was there."""
    now = refs(scene)
    yield from (
        f"a ref is not what it was: {r}" for r, old in was.refs.items() if now.get(r) != old
    )
    new = {ref: sha for ref, sha in now.items() if ref not in was.refs}
    if len(new) > len(scene.finished):
        yield f"more branches than runs: {sorted(new)}"
    known = {f"^{sha}" for sha in was.refs.values()}
    for ref, sha in new.items():
        if not _BRANCH.fullmatch(ref.removeprefix("refs/heads/")):
            yield f"a ref of another name: {ref}"
        made = git(scene.place.bare, "log", "--format=%an <%ae>|%cn <%ce>", sha, *known)
        if made != f"{_AUTHOR}|{_AUTHOR}":
            yield f"{ref} has other commits than ours: {made!r}"


def no_process_left(scene: Scene, _: Before) -> Iterator[str]:
    """None that has this home in its environment or arguments."""
    mark = str(scene.home).encode()
    for process in processes():
        if any(mark in each for each in process):
            yield f"still runs: {process[0].replace(bytes(1), b' ').decode(errors='replace')}"


def terminal_is_clean(scene: Scene, _: Before) -> Iterator[str]:
    """Nothing but text, newlines and tabs to a pipe, nothing but our own sequences to a terminal."""
    piped = [text for done in scene.finished for text in (done.stdout, done.stderr)]
    drawn = (_OURS.sub(b"", raw).replace(b"\r", b"") for raw in scene.terminals)
    for text in (*piped, *(raw.decode(errors="replace") for raw in drawn)):
        bad = {c for c in text if c not in "\n\t" and unicodedata.category(c) in _UNSHOWN}
        yield from (f"to the terminal: {c!r}" for c in sorted(bad))


def events_are_whole(scene: Scene, _: Before) -> Iterator[str]:
    """JSON lines are one event each, numbered without a gap, with one closing event, the last."""
    for done in scene.finished:
        if not done.stdout.startswith("{"):
            continue
        try:
            lines = done.lines
        except json.JSONDecodeError as error:
            yield f"a line that is no event: {error.doc[:60]!r}"
            continue
        if [line["seq"] for line in lines] != list(range(1, len(lines) + 1)):
            yield "events are missing, or there are more than were told"
        ends = [line["type"] for line in lines if line["type"] in {"success", "error"}]
        if len(ends) != 1 or lines[-1]["type"] != ends[0]:
            yield f"closing events: {ends}"


ORACLES: Mapping[str, Oracle] = {
    each.__name__: each
    for each in (
        nothing_left_in_the_engine, host_untouched, secrets_nowhere, secrets_in_no_process,
        mirror_is_the_upstream, only_known_calls, one_commit_a_run, no_process_left,
        terminal_is_clean, events_are_whole,
    )
}  # fmt: skip


def found(scene: Scene, was: Before) -> dict[str, list[str]]:
    """What each oracle that found something found."""
    return {name: told for name, oracle in ORACLES.items() if (told := list(oracle(scene, was)))}


@contextmanager
def holding(scene: Scene) -> Generator[Before]:
    """The block is the attack; afterwards all of them hold."""
    was = Before.of(scene)
    with watching(scene, was):
        yield was
    assert not (wrong := found(scene, was)), wrong


def _secrets(scene: Scene) -> list[bytes]:
    plain = (KEY, scene.canary)
    packed = (base64.b64encode(each.encode()).decode() for each in plain)
    return [form.encode() for form in (*token_forms(scene), *plain, *packed)]


def _places(scene: Scene, was: Before) -> Iterator[tuple[str, bytes]]:
    for done in scene.finished:
        yield "the output", (done.stdout + done.stderr).encode()
    for raw in scene.terminals:
        yield "the terminal", raw
    for path in scene.home.rglob("*"):
        own = path.relative_to(scene.home).parts[0] in {"state", "cache"}
        if own and path.is_file():
            yield str(path), path.read_bytes()
    for raw in scene.models.raw:
        yield "a model request", raw.replace(f"Bearer {KEY}".encode(), b"")
    for pull in scene.place.repo.pulls:
        yield "a pull request", f"{pull.title}\n{pull.body}".encode(errors="replace")
    before = [f"^{sha}" for sha in was.refs.values()]
    new = git(scene.place.bare, "log", "--all", "-p", "--format=raw", *dict.fromkeys(before))
    yield "a commit", new.encode()
    yield "what the engine was told", bytes(scene.tap.told)
