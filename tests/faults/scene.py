"""A whole run with its surroundings on this machine, and somebody who does something to it at a given moment.

The run is the real program with the real engine. Its model and its GitHub are scripted. Records are read as
they come, so that what is done to it is done when it is there, not after so many seconds.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.docker.forge import Place, github
from tests.faults.engine import FIRST, docker
from tests.program import Finished
from tests.servers.git_faults import Fault as GitFault
from tests.servers.git_faults import Held
from tests.servers.github_faults import STALL, Asked
from tests.servers.github_faults import Fault as ApiFault
from tests.servers.models import KEY, Call, ModelServer, Say, serving
from tests.servers.models import Asked as ModelAsked

Record: TypeAlias = dict[str, Any]
Act: TypeAlias = Callable[["Running"], None]

PROMPT = "say hello properly"
FILES: dict[str, str | bytes] = {
    "README.md": "helo! A small project.\n",
    "app.py": 'print("helo")\n',
    ".gitignore": "*.log\n",
}
DONE = "hello! A small project."
HANG = "echo begun; sleep 300"
_EDIT = {"path": "README.md", "old": "helo", "new": "hello", "description": "as asked"}
_FLAGS = ("--agents", "claude", "--verify", "grep -q hello README.md", "-o", "jsonl")


def _told(kind: str, **fields: object) -> Callable[[Record], bool]:
    return lambda line: line["type"] == kind and all(line[k] == v for k, v in fields.items())


# In the order in which they come. Those of a record are over for the run when it is read; at those of a server
# (None) the run waits for its answer: the model's comes afterwards, those of git and the API never do.
PHASES: Mapping[str, Callable[[Record], bool] | None] = {
    "validation": _told("run_started"),
    "sandbox_init": _told("info", step="sandbox_init"),
    "created": _told("performance", operation="sandbox.create"),
    "clone": _told("info", step="clone"),
    "analysis": _told("info", step="analysis"),
    "ai_processing": _told("info", step="ai_processing"),
    "model": None,
    "tool_call": _told("tool_call", tool="bash"),
    "tool_result": _told("tool_result", tool="bash"),
    "verification": _told("verification", on="change"),
    "pr_creation": _told("info", step="pr_creation"),
    "push": None,
    "pull_request": None,
}
BEFORE_CONTAINER = ("validation", "sandbox_init")
SAVED = (
    "tool_result",
    "verification",
    "pr_creation",
    "push",
    "pull_request",
)  # the edit is out by then


@dataclass
class Running:
    """The process while it goes on, and the records that came so far."""

    process: subprocess.Popen[str]
    scene: Scene
    records: list[Record] = field(default_factory=list)

    @property
    def containers(self) -> list[str]:
        """The agent's first; the whole ids."""
        return self.scene.containers(self.records[0]["run_id"])


@dataclass
class Scene:
    """One home, one repository on a loopback GitHub, a clone of it, one model."""

    place: Place
    models: ModelServer
    at: str = ""  # the phase at which a server says nothing any more
    reached: threading.Event = field(default_factory=threading.Event)
    acted: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    command: str = "cat README.md"

    @property
    def home(self) -> Path:
        return self.place.program.home

    @property
    def state(self) -> Path:
        return self.place.program.state

    @property
    def engine(self) -> str:
        return self.place.program.environment.get("DOCKER_HOST", FIRST)

    def arguments(self, *flags: str) -> tuple[str, ...]:
        return ("run", ".", PROMPT, *_FLAGS, "--publish", "pr", *flags)

    def run(self, *flags: str) -> Finished:
        """One that is left alone."""
        return self.place.run(*self.arguments(*flags), cwd=self.place.work)

    def disturbed(self, phase: str, act: Act, *flags: str) -> Finished:
        """One to which `act` happens in that phase, once; nothing is pushed before it has happened."""
        self.at = phase
        self.command = HANG if phase == "tool_call" else "cat README.md"
        self.reached.clear()
        self.acted.clear()
        try:
            return self._disturbed(PHASES[phase], act, flags)
        finally:
            self.acted.set()
            self.at, self.command = "", "cat README.md"

    def _disturbed(
        self, moment: Callable[[Record], bool] | None, act: Act, flags: tuple[str, ...]
    ) -> Finished:
        process = self.place.program.start(*self.arguments(*flags), cwd=self.place.work)
        running = Running(process, self)
        said: list[str] = []
        with process, ThreadPoolExecutor(1) as beside:
            try:
                acting = beside.submit(self._act_when_reached, running, act) if not moment else None
                for line in process.stdout or ():
                    said.append(line)
                    running.records.append(json.loads(line))
                    if moment and not self.acted.is_set() and moment(running.records[-1]):
                        act(running)
                        self.acted.set()
                complaint = process.stderr.read() if process.stderr else ""
            except BaseException:
                process.kill()
                raise
            finally:
                self.reached.set()
            if acting:
                acting.result()
        assert self.acted.is_set(), f"it never came that far: {said[-1]}"
        return Finished(process.returncode, "".join(said), complaint)

    def _act_when_reached(self, running: Running, act: Act) -> None:
        self.reached.wait()
        if running.process.poll() is None:
            act(running)
            self.acted.set()

    def containers(self, run: str = "") -> list[str]:
        """Those of this home's runs, or of one of them: the whole ids."""
        owner = self.state / "id"
        if not owner.exists():
            return []  # without an owner's id no container was ever asked for
        labels = [f"tiny-backspace.owner={owner.read_text().strip()}"]
        labels += [f"tiny-backspace.run={run}"] if run else []
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        listed = docker("ps", "-aq", "--no-trunc", *filters, host=self.engine)
        return listed.split()[::-1]  # the newest comes first

    def _answer(self, asked: ModelAsked) -> Say:
        match asked.turn:
            case 1:
                return Say("I look.", "", (Call("1", "read", {"path": "README.md"}),))
            case 2:
                return Say("I edit.", "", (Call("2", "edit", _EDIT),))
            case 3:
                if self.at == "model":
                    self.reached.set()
                    self.acted.wait()
                return Say("I try.", "", (Call("3", "bash", {"command": self.command}),))
            case _:
                return Say("It says hello now.")

    def _at_git(self, method: str, path: str) -> GitFault | None:
        if not self.at or method != "POST" or not path.endswith("git-receive-pack"):
            return None
        if self.at == "push":
            self.reached.set()
            return Held(go_on=self.over)
        return None if self.at == "pull_request" else Held(go_on=self.acted)

    def _at_api(self, asked: Asked) -> ApiFault | None:
        if self.at == "pull_request" and asked.method == "POST" and asked.path.endswith("/pulls"):
            self.reached.set()
            return STALL
        return None


@contextmanager
def scene(folder: Path, environment: Mapping[str, str] | None = None) -> Generator[Scene]:
    """All of it below `folder`, which no other process on this machine names."""
    made: list[Scene] = []

    def answer(asked: ModelAsked) -> Say:
        return made[0]._answer(asked)

    def fault(method: str, path: str) -> GitFault | None:
        return made[0]._at_git(method, path)

    with serving(answer) as models:
        ours = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": models.claude_url}
        ours |= environment or {}
        with github(folder, files=FILES, environment=ours, fault=fault) as place:
            made.append(Scene(place, models))
            place.api.faults = made[0]._at_api
            try:
                yield made[0]
            finally:
                made[0].over.set()
