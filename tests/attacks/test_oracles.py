"""Each oracle can fail: what it is to find is planted after an ordinary run, and it finds that."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from docker import APIClient

from tests.attacks.oracles import ORACLES, found
from tests.attacks.scene import Scene, acting, hostile, turns, write
from tests.attacks.tap import Request
from tests.attacks.watching import Before, watching
from tests.program import Finished, git
from tests.servers.models import KEY


@dataclass(frozen=True)
class Ran:
    scene: Scene
    was: Before


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with hostile(tmp_path_factory.mktemp("ran")) as scene:
        scene.answer = turns(acting(write("w", "README.md", "hello\n")))
        was = Before.of(scene)
        with watching(scene, was):
            assert scene.run().exit_code == 0
        yield Ran(scene, was)


@contextmanager
def a_file(path: Path, text: str) -> Generator[None]:
    before = path.read_text() if path.exists() else None
    path.write_text(text)
    yield
    path.unlink() if before is None else path.write_text(before)


@contextmanager
def a_container(scene: Scene) -> Generator[None]:
    labels = {"tiny-backspace.owner": scene.owner}
    with closing(APIClient("unix:///var/run/docker.sock", version="auto")) as api:
        image = scene.tap.of("/containers/create")[0].json["Image"]
        made = api.create_container(image, ["true"], labels=labels)["Id"]
        try:
            yield
        finally:
            api.remove_container(made, force=True)


@contextmanager
def a_volume(scene: Scene) -> Generator[None]:
    with closing(APIClient("unix:///var/run/docker.sock", version="auto")) as api:
        name = api.create_volume(labels={"tiny-backspace.owner": scene.owner})["Name"]
        try:
            yield
        finally:
            api.remove_volume(name)


@contextmanager
def a_process(scene: Scene, *arguments: str, environment: dict[str, str]) -> Generator[None]:
    waiting = [sys.executable, "-c", "print(flush=True); input()", *arguments]
    with subprocess.Popen(
        waiting, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # its arguments can be seen
        try:
            yield
        finally:
            process.kill()


@contextmanager
def a_look(ran: Ran, *arguments: str, environment: dict[str, str]) -> Generator[None]:
    """A process while a server is asked."""
    with watching(ran.scene, ran.was), a_process(ran.scene, *arguments, environment=environment):
        ran.scene.look()
    yield
    ran.was.seen.clear()


@contextmanager
def an_output(scene: Scene, stdout: str = "", stderr: str = "") -> Generator[None]:
    scene.finished.append(Finished(0, stdout, stderr))
    yield
    scene.finished.pop()


@contextmanager
def on_a_terminal(scene: Scene, raw: bytes) -> Generator[None]:
    scene.terminals.append(raw)
    yield
    scene.terminals.pop()


@contextmanager
def an_object(repository: Path) -> Generator[None]:
    with a_file(repository / "planted", "planted"):
        made = git(repository, "hash-object", "-w", "planted")
    yield
    (repository / "objects" / made[:2] / made[2:]).unlink()


@contextmanager
def a_branch(scene: Scene, name: str, author: str = "Tiny Backspace") -> Generator[None]:
    bare = scene.place.bare
    setting = ("-c", f"user.name={author}", "-c", "user.email=tiny-backspace@localhost")
    identity = [f"GIT_{r}_{p}" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")]
    made = subprocess.run(
        ["env", *(f"--unset={name}" for name in identity), "git", *setting, "commit-tree", "main^{tree}", "-p", "main", "-m", "x"],
        cwd=bare, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    git(bare, "update-ref", f"refs/heads/{name}", made)
    yield
    git(bare, "update-ref", "-d", f"refs/heads/{name}")


@contextmanager
def asked(scene: Scene, request: Request) -> Generator[None]:
    scene.tap.requests.append(request)
    yield
    scene.tap.requests.pop()


@contextmanager
def told(scene: Scene, secret: str) -> Generator[None]:
    scene.tap.told += secret.encode()
    yield
    del scene.tap.told[-len(secret) :]


@contextmanager
def asked_of_github(scene: Scene) -> Generator[None]:
    requests = scene.place.api.requests
    requests.append(replace(requests[0], method="DELETE"))
    yield
    requests.pop()


def exec_as(user: str, *, privileged: bool = False) -> Request:
    body = f'{{"User": "{user}", "Cmd": ["id"], "Privileged": {str(privileged).lower()}}}'
    return Request("POST", "/containers/abc/exec", body.encode())


def created(**host: object) -> Request:
    usual = {"NetworkMode": "none", "CapDrop": ["ALL"]}
    return Request("POST", "/containers/create", json.dumps({"HostConfig": usual | host}).encode())


def state(scene: Scene) -> Path:
    return scene.place.program.state


def basic(scene: Scene) -> str:
    return base64.b64encode(f"x-access-token:{scene.place.token.value}".encode()).decode()


def home(scene: Scene) -> dict[str, str]:
    return {"HOME": str(scene.home)}


CLOSING = '{"seq": 1, "type": "success"}\n'
PLANTS: dict[str, tuple[str, Callable[[Ran], AbstractContextManager[None]]]] = {
    "a container": ("nothing_left_in_the_engine", lambda r: a_container(r.scene)),
    "a volume": ("nothing_left_in_the_engine", lambda r: a_volume(r.scene)),
    "something that ran": ("host_untouched", lambda r: a_file(r.scene.pwned, "")),
    "a key that was changed": ("host_untouched", lambda r: a_file(r.scene.home / ".ssh/id_rsa", "x")),
    "a file in the home": ("host_untouched", lambda r: a_file(r.scene.home / ".bashrc", "x")),
    "a hook in the clone": ("host_untouched", lambda r: a_file(r.scene.place.work / ".git/hooks/post-commit", "x")),
    "a token in the output": ("secrets_nowhere", lambda r: an_output(r.scene, stderr=r.scene.place.token.value)),
    "a header in the state": ("secrets_nowhere", lambda r: a_file(state(r.scene) / "x", basic(r.scene))),
    "a key in the cache": ("secrets_nowhere", lambda r: a_file(r.scene.home / "cache/x", KEY)),
    "a file told to the engine": ("secrets_nowhere", lambda r: told(r.scene, r.scene.canary)),
    "a token on a terminal": ("secrets_nowhere", lambda r: on_a_terminal(r.scene, r.scene.place.token.value.encode())),
    "a token in an argument": ("secrets_in_no_process", lambda r: a_look(r, r.scene.place.token.value, environment={})),
    "a key in an environment": ("secrets_in_no_process", lambda r: a_look(r, environment={**home(r.scene), "K": KEY})),
    "an object in the mirror": ("mirror_is_the_upstream", lambda r: an_object(r.scene.mirrors[0])),
    "a question of GitHub": ("only_known_calls", lambda r: asked_of_github(r.scene)),
    "a file by the archive API": ("only_known_calls", lambda r: asked(r.scene, Request("PUT", "/containers/abc/archive", b""))),
    "a pull": ("only_known_calls", lambda r: asked(r.scene, Request("POST", "/images/create", b""))),
    "a command as root": ("only_known_calls", lambda r: asked(r.scene, exec_as("0:0"))),
    "a privileged command": ("only_known_calls", lambda r: asked(r.scene, exec_as("10001:10001", privileged=True))),
    "a container with a network": ("only_known_calls", lambda r: asked(r.scene, created(NetworkMode="bridge"))),
    "a container with a mount": ("only_known_calls", lambda r: asked(r.scene, created(Binds=["/:/host"]))),
    "a branch of another name": ("one_commit_a_run", lambda r: a_branch(r.scene, "release")),
    "somebody else's commit": ("one_commit_a_run", lambda r: a_branch(r.scene, "tiny-backspace/x-00000000", "Mallory")),
    "a process": ("no_process_left", lambda r: a_process(r.scene, environment=home(r.scene))),
    "an escape sequence": ("terminal_is_clean", lambda r: an_output(r.scene, stderr="\x1b]52;c;eA==\x07")),
    "a character that hides": ("terminal_is_clean", lambda r: an_output(r.scene, stderr="a\u202eb")),
    "a title for the terminal": ("terminal_is_clean", lambda r: on_a_terminal(r.scene, b"\x1b[1m\x1b]0;x\x07")),
    "a line that is no event": ("events_are_whole", lambda r: an_output(r.scene, CLOSING + "{nonsense\n")),
    "a second end": ("events_are_whole", lambda r: an_output(r.scene, CLOSING + CLOSING.replace("1", "2"))),
    "a line that is missing": ("events_are_whole", lambda r: an_output(r.scene, CLOSING.replace("1", "2"))),
}  # fmt: skip


def test_nothing_is_found_after_an_ordinary_run(ran: Ran) -> None:
    assert found(ran.scene, ran.was) == {}
    assert ran.was.looks > 3
    assert ran.was.holders > 0  # a git had the token while we looked: the looking is not in vain


@pytest.mark.parametrize("what", PLANTS)
def test_what_is_planted_is_found_by_its_oracle_alone(ran: Ran, what: str) -> None:
    oracle, plant = PLANTS[what]
    with plant(ran):
        assert set(found(ran.scene, ran.was)) == {oracle}
    assert found(ran.scene, ran.was) == {}


def test_every_oracle_has_something_planted() -> None:
    assert {oracle for oracle, _ in PLANTS.values()} == set(ORACLES)
