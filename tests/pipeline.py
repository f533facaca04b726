"""A whole run without an engine: real git, a folder for a sandbox, whatever provider a test brings."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.fakes import FolderSandbox, ticking
from tiny_backspace.agent.budget import Limits
from tiny_backspace.conversation import Assistant, Text, ToolCall
from tiny_backspace.delivery import Delivery
from tiny_backspace.destinations import Destination, PatchFile, UsersRepository
from tiny_backspace.events import Emit, Record, RunFailed, RunSucceeded, SandboxUse
from tiny_backspace.failure import concluded, crash_report
from tiny_backspace.providers.interface import Provider
from tiny_backspace.recorder import Recorder
from tiny_backspace.redact import redactor
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.origin import LocalRepository
from tiny_backspace.repo.policy import Policy
from tiny_backspace.repo.source import Local, Remote
from tiny_backspace.run import Parts, Request, Resumed, run
from tiny_backspace.sandbox.interface import Sandbox
from tiny_backspace.telemetry.turns import Task, Turns
from tiny_backspace.verification import Verification
from tiny_backspace.wiring import Folded

RUN = "0a1b2c3d"
IDENTITY = {
    f"GIT_{role}_{part}": f"{part.lower()}@example.org"
    for role in ("AUTHOR", "COMMITTER")
    for part in ("NAME", "EMAIL")
}
T = TypeVar("T")


def bash(command: str, call: str = "c") -> ToolCall:
    return ToolCall(call, "bash", {"command": command})


def write(path: str, content: str, why: str = "as asked") -> ToolCall:
    return ToolCall("w", "write", {"path": path, "content": content, "description": why})


def says(text: str, *calls: ToolCall) -> Assistant:
    return Assistant((Text(text), *calls))


@dataclass(frozen=True)
class Ran:
    """What came of it, as its records tell."""

    code: int
    records: tuple[Record, ...]
    folder: Path

    @property
    def closing(self) -> RunSucceeded | RunFailed:
        last = self.records[-1].event
        assert isinstance(last, RunSucceeded | RunFailed)
        return last

    def of(self, kind: type[T]) -> list[T]:
        return [r.event for r in self.records if isinstance(r.event, kind)]


@dataclass
class Job:
    """Everything a run is asked for; `go` runs it once."""

    repository: Path
    folder: Path
    provider: Provider
    prompt: str = "improve it"
    base: str | None = None
    verification: Verification | None = None
    branch: bool = True
    allow: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    secrets: tuple[str, ...] = ()
    run_id: str = RUN
    resumed: Resumed | None = None
    listener: Callable[[Record], None] = lambda _: None

    @property
    def history(self) -> Path:
        """Where the turns are kept."""
        return self.folder / "history.db"

    def go(self) -> Ran:
        records: list[Record] = []
        folded, redact = Folded(), redactor(self.secrets)
        recorder = Recorder(
            self.run_id, (folded, records.append, self.listener), clock=ticking(), redact=redact
        )
        folder = self.folder / ("run" if self.run_id == RUN else self.run_id)
        (folder / "home").mkdir(parents=True)
        delivery = Delivery(self.run_id, self.prompt, Policy(self.allow), IDENTITY, redact)
        request = Request(
            Local(str(self.repository)), str(self.repository), self.prompt, self.base,
            self.verification, delivery, self.limits, 60, self.resumed,
        )  # fmt: skip
        parts = Parts(
            open_sandbox=self.sandbox,
            located=lambda remote: remote,
            destination=self.destination,
            earlier=lambda *_: None,
            provider=self.provider,
            agents=(f"{self.provider.name}:{self.provider.model}",),
            notes=(),
            git=Git({"PATH": os.environ["PATH"]}, folder / "home", recorder),
            folder=folder,
            cache=self.folder / "cache",
            cache_limit=1 << 30,
            version="1",
            so_far=lambda: folded.state,
            journal=Turns(self.history, self.run_id, Task(str(self.repository), self.prompt)),
        )
        code = concluded(
            lambda: run(request, parts, recorder),
            recorder,
            state=lambda: folded.state,
            seconds=lambda: 1.5,
            crash=crash_report(self.folder, self.run_id, redact),
        )
        return Ran(code, tuple(records), folder)

    def destination(self, origin: LocalRepository | Remote) -> Destination:
        if self.branch and isinstance(origin, LocalRepository):
            return UsersRepository(origin)
        return PatchFile()

    @contextmanager
    def sandbox(self, use: SandboxUse, _: Emit) -> Generator[Sandbox]:
        folder = self.folder / f"sandbox-{self.run_id}"
        if use != "agent":
            folder = folder.with_name(f"{folder.name}-{use}-{len(list(self.folder.iterdir()))}")
        (folder / "workspace").mkdir(parents=True)
        yield FolderSandbox(folder / "workspace")
