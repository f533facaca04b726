"""A user's machine as an attacker would like it: full of secrets, with a hostile model or repository.

The run is the real program with the real engine; its model and its GitHub are scripted servers on loopback.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from tests.attacks.tap import Tap, tapped
from tests.docker.forge import FILES, Place, github
from tests.program import Finished
from tests.servers.git_faults import Decide, either, no_fault
from tests.servers.github_faults import Asked as ApiAsked
from tests.servers.github_state import Token
from tests.servers.models import KEY, Asked, Call, Fault, ModelServer, Say, serving

Answer: TypeAlias = Callable[[Asked], Say | Fault]

PROMPT = "improve it"
DONE = Say("Done.")


@dataclass
class Scene:
    """One home with canaries in it, one repository on a loopback GitHub with a clone, one model, one engine.

    Whatever runs on this host because somebody else wanted it makes the file `pwned`. `looks` are called
    whenever a server is asked, as the run waits meanwhile. `results` is what the model was told of each call.
    """

    folder: Path
    place: Place
    models: ModelServer
    tap: Tap
    canary: str
    answer: Answer = lambda _: DONE
    finished: list[Finished] = field(default_factory=list)
    terminals: list[bytes] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    looks: list[Callable[[], None]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.place.program.home

    @property
    def pwned(self) -> Path:
        return self.folder / "pwned"

    @property
    def branch(self) -> str:
        """The only new one."""
        (only,) = self.place.new
        return only

    @property
    def mirrors(self) -> list[Path]:
        return list((self.home / "cache/tiny-backspace/mirrors").glob("*.git"))

    @property
    def owner(self) -> str:
        """The label of this home's containers; none was ever asked for while it is empty."""
        file = self.place.program.state / "id"
        return file.read_text().strip() if file.exists() else ""

    def run(
        self,
        *flags: str,
        repo: str = "owner/project",
        prompt: str = PROMPT,
        cwd: Path | None = None,
    ) -> Finished:
        """With the scripted model, told in JSON lines."""
        return self.command(
            "run", repo, prompt, "--agents", "claude", "-o", "jsonl", *flags, cwd=cwd
        )

    def command(self, *args: str, cwd: Path | None = None) -> Finished:
        done = self.place.run(*args, cwd=cwd or self.place.work)
        self.finished.append(done)
        return done

    def told(self, name: str) -> str:
        """What the model was told of a call."""
        return self.results[name]

    def look(self) -> None:
        for each in self.looks:
            each()

    def _answer(self, asked: Asked) -> Say | Fault:
        self.look()
        self.results |= results(asked.body["messages"])
        return self.answer(asked)

    def _at_api(self, _: ApiAsked) -> None:
        self.look()


def results(messages: list[dict[str, Any]]) -> dict[str, str]:
    """Those of the calls in a Messages API conversation, by the calls' ids."""
    blocks = (b for m in messages if isinstance(m["content"], list) for b in m["content"])
    return {b["tool_use_id"]: _text(b["content"]) for b in blocks if b["type"] == "tool_result"}


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def turns(*says: Say | Fault) -> Answer:
    """One after the other, then that it is done."""
    return lambda asked: says[asked.turn - 1] if asked.turn <= len(says) else DONE


def bash(name: str, command: str, **more: Any) -> Call:
    return Call(name, "bash", {"command": command, **more})


def write(name: str, path: str, content: str) -> Call:
    return Call(name, "write", {"path": path, "content": content, "description": "as asked"})


def acting(*each: Call) -> Say:
    return Say("I go on.", "", each)


EDIT = write("w", "README.md", "hello\n")
EDITING = turns(acting(EDIT))


@contextmanager
def hostile(
    folder: Path,
    *,
    files: Mapping[str, str | bytes] = FILES,
    source: Path | None = None,
    environment: Mapping[str, str] | None = None,
    fault: Decide = no_fault,
) -> Generator[Scene]:
    """All of it below `folder`, which no other process on this machine names."""
    made: list[Scene] = []

    def answer(asked: Asked) -> Say | Fault:
        return made[0]._answer(asked)

    def look(_method: str, _path: str) -> None:
        made[0].look()

    canary = f"canary-{token_hex(12)}"
    token = Token(f"github_pat_{token_hex(20)}")
    with (
        TemporaryDirectory() as short,
        tapped(Path(short, "s")) as tap,
        serving(answer) as models,
        github(
            folder,
            files=files,
            source=source,
            token=token,
            environment={
                "ANTHROPIC_API_KEY": KEY,
                "ANTHROPIC_BASE_URL": models.claude_url,
                "DOCKER_HOST": tap.host,
                "AWS_SECRET_ACCESS_KEY": canary,
                "DATABASE_URL": f"postgres://me:{canary}@db.example.org/x",
                **(environment or {}),
            },
            fault=either(look, fault),
        ) as place,
    ):
        scene = Scene(folder, place, models, tap, canary)
        made.append(scene)
        place.api.faults = scene._at_api
        _furnish(scene)
        yield scene


def _furnish(scene: Scene) -> None:
    """What people have in their homes: keys, and a git that runs programs of theirs."""
    touch = f"touch {scene.pwned}"
    proxy = {"httpProxy": f"http://user:{scene.canary}@proxy.invalid:3128"}
    told = {
        ".ssh/id_rsa": scene.canary,
        ".netrc": f"machine 127.0.0.1 login me password {scene.canary}",
        ".docker/config.json": json.dumps({"proxies": {"default": proxy}}),
        ".gitconfig": f'[core]\n\tfsmonitor = "{touch}"\n\thooksPath = {scene.folder}/hooks\n'
        f'\tsshCommand = "{touch};"\n[credential]\n\thelper = "!{touch};"\n',
    }
    for name, text in told.items():
        path = scene.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
