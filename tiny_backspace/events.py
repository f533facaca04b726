"""The contract: everything a run says about itself. `docs/events.md` explains it to its readers.

Producers make an `Event` (what happened); the `Recorder` (recorder.py) stamps it into a `Record`
(when, in which run, after what). A Record is one flat JSON object on one line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from time import perf_counter
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_serializer,
    model_validator,
)


class Step(StrEnum):
    """The stations of a run, in order; each is worth a share of the progress bar."""

    VALIDATION = "validation"
    SANDBOX_INIT = "sandbox_init"
    CLONE = "clone"
    ANALYSIS = "analysis"
    AI_PROCESSING = "ai_processing"
    PR_CREATION = "pr_creation"
    COMPLETE = "complete"

    @property
    def progress(self) -> int:
        return _PROGRESS[self]


_PROGRESS = dict(zip(Step, (10, 20, 30, 50, 70, 90, 100), strict=True))

ThoughtStep: TypeAlias = Literal[
    "repository_analysis",
    "file_analysis",
    "prompt_interpretation",
    "planning",
    "code_generation",
    "validation",
    "git_operations",
    "provider_selection",
    "provider_success",
    "provider_fallback",
]

SandboxUse: TypeAlias = Literal["agent", "base", "change", "setup"]
"""The agent works in it; or the base, or the change, is verified in it; or the user's setup runs there."""


class _Event(BaseModel):
    # a newer version may tell more of an event we know: it is read all the same
    model_config = ConfigDict(frozen=True, extra="ignore")


class StepStarted(_Event):
    """A new station, or news of the present one (an image being built)."""

    type: Literal["info"] = "info"
    message: str
    step: Step
    progress: int

    @classmethod
    def at(cls, step: Step, message: str) -> StepStarted:
        return cls(step=step, message=message, progress=step.progress)


class RunStarted(_Event):
    """Enough to run it again. `agents` are `name:model` in order; `base` is the ref or commit asked for.

    `resumes` is the run that this one goes on with.
    """

    type: Literal["run_started"] = "run_started"
    repo: str
    prompt: str
    base: str
    agents: tuple[str, ...]
    limits: dict[str, float | int | str]
    version: str
    resumes: str | None = None


class SandboxAttested(_Event):
    """What the container said of itself, read from inside. Sizes in bytes; `problems` is empty if `ok`.

    `use` is what the container is for.
    """

    type: Literal["sandbox"] = "sandbox"
    use: SandboxUse = "agent"
    ok: bool
    problems: tuple[str, ...] = ()
    container: str
    image: str
    uid: int
    capabilities: str
    no_new_privs: bool
    seccomp: bool
    memory: int | None
    cpus: float | None
    pids: int | None
    interfaces: tuple[str, ...]
    writable: tuple[str, ...]


class RepositoryAnalysed(_Event):
    """What came in. `base` is the commit's full sha, `branch` the branch it was taken from, if any.

    `left_alone` is what the sandbox has not as the repository means it, such as submodules.
    """

    type: Literal["repository"] = "repository"
    base: str
    branch: str | None
    files: int
    languages: dict[str, int]
    test_command: str | None = None
    instructions: tuple[str, ...] = ()
    left_alone: tuple[str, ...] = ()


class AgentThought(_Event):
    type: Literal["agent_thinking"] = "agent_thinking"
    message: str
    step: ThoughtStep


class ModelTurn(_Event):
    """One answer of a model. Tokens in include the cached ones; `cost_usd` is null where no price is known.

    `first_token_ms` is how long its first piece took, null where it came as a whole.
    """

    type: Literal["model_turn"] = "model_turn"
    provider: str
    model: str
    turn: int
    stop: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float | None
    duration_ms: float
    first_token_ms: float | None = None


class Retry(_Event):
    type: Literal["retry"] = "retry"
    provider: str
    reason: str
    attempt: int
    wait_s: float


class ProviderReplaced(_Event):
    """From whom to whom, `turn` being the one that the next has to answer."""

    type: Literal["provider_fallback"] = "provider_fallback"
    failed: str
    next: str
    reason: str
    turn: int = 0


class CacheHit(_Event):
    """An answer came from the response cache (--cache): it cost nothing. `key` names the entry."""

    type: Literal["cache_hit"] = "cache_hit"
    provider: str
    model: str
    key: str


class ContextFolded(_Event):
    """The conversation came near the model's window and was begun anew, old tool results told in short.

    Tokens are estimates, before and after.
    """

    type: Literal["context_folded"] = "context_folded"
    turn: int
    messages_before: int
    messages_after: int
    tokens_before: int
    tokens_after: int


class Egress(_Event):
    """A setup spoke to a host, which is told once, or was kept from it, which is told each time.

    `failed`: it was allowed, and could not be reached. `host` is as it was asked for.
    """

    type: Literal["egress"] = "egress"
    host: str
    port: int
    decision: Literal["allowed", "denied", "failed"]
    reason: str = ""


class SetupFinished(_Event):
    """What is installed for the agent: made now, or `cached` from an earlier run. `size` in bytes."""

    type: Literal["setup"] = "setup"
    cached: bool
    volume: str
    size: int
    duration_ms: float


class ToolCalled(_Event):
    type: Literal["tool_call"] = "tool_call"
    id: str
    tool: str
    arguments: dict[str, Any]


class ToolFinished(_Event):
    """`exit_code` is null for tools that run no program; `size` is the output's bytes before clipping."""

    type: Literal["tool_result"] = "tool_result"
    id: str
    tool: str
    ok: bool
    exit_code: int | None
    duration_ms: float
    size: int
    excerpt: str


class FileEdited(_Event):
    """`description` is what the model said the edit is for; `diff` a clipped unified diff of this edit."""

    type: Literal["file_edit"] = "file_edit"
    filepath: str
    operation: Literal["create", "modify", "delete", "rename"]
    description: str = ""
    old_path: str | None = None
    diff: str = ""


class Verified(_Event):
    """What the user's command did, in a container of its own. `exit_code` is -1 where that was lost."""

    type: Literal["verification"] = "verification"
    command: str
    on: Literal["base", "change"] = "change"
    attempt: int
    ok: bool
    exit_code: int
    duration_ms: float
    output: str


class SyntaxChecked(_Event):
    """The changed files, read by their languages' own parsers inside. `problems` are `path:line: what`."""

    type: Literal["syntax_check"] = "syntax_check"
    ok: bool
    files: int
    problems: tuple[str, ...] = ()
    duration_ms: float


class PolicyDecided(_Event):
    """`rule` is a stable code (docs/policy.md)."""

    type: Literal["policy"] = "policy"
    rule: str
    path: str
    decision: Literal["allow", "flag", "refuse"]
    message: str


class GitOperation(_Event):
    """The git command that really ran, unless `simulated`: then it is the equivalent of what we did."""

    type: Literal["git_operation"] = "git_operation"
    command: str
    output: str
    simulated: bool = False


class PullRequestCreation(_Event):
    type: Literal["pr_creation"] = "pr_creation"
    command: str
    output: str
    simulated: bool = False


class WorkSaved(_Event):
    """Where the change is now. A later one adds to an earlier one: first a patch, then a branch, then
    a pull request. `remote` is where the branch was pushed; without it the branch is in the user's repository.
    `tree` is what the commit holds.
    """

    type: Literal["work_saved"] = "work_saved"
    patch: str | None = None
    branch: str | None = None
    commit: str | None = None
    tree: str | None = None
    remote: str | None = None
    pr_url: str | None = None
    pull_request_text: str | None = None
    files_changed: int = 0
    insertions: int = 0
    deletions: int = 0


class HostCommand(_Event):
    """A program the host ran: the audit trail."""

    type: Literal["host_command"] = "host_command"
    argv: tuple[str, ...]
    exit_code: int
    duration_ms: float


class Resources(_Event):
    """The sandbox's use so far. Bytes and seconds; null where the engine does not tell."""

    type: Literal["resources"] = "resources"
    memory: int | None
    memory_peak: int | None
    cpu_s: float | None
    pids: int | None
    workspace: int | None = None


class Timed(_Event):
    type: Literal["performance"] = "performance"
    operation: str
    duration_ms: float
    ok: bool = True


class Warned(_Event):
    type: Literal["warning"] = "warning"
    message: str


class _Closing(_Event):
    """The last line of every run: where the work is, and the totals."""

    type: Literal["success", "error"]
    exit_code: int
    message: str
    pr_url: str | None = None
    branch: str | None = None
    patch: str | None = None
    cost_usd: float | None = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    duration_ms: float = 0.0
    files_changed: int = 0
    insertions: int = 0
    deletions: int = 0
    providers: tuple[str, ...] = ()


class RunSucceeded(_Closing):
    type: Literal["success"] = "success"
    exit_code: int = 0
    step: Literal[Step.COMPLETE] = Step.COMPLETE
    progress: int = 100


class RunFailed(_Closing):
    """`error` is the stable kind (errors.py); `crash_report` a file, for a bug."""

    type: Literal["error"] = "error"
    error: str
    hint: str | None = None
    crash_report: str | None = None


class Unknown(BaseModel):
    """An event of a newer version: kept and shown as such."""

    model_config = ConfigDict(frozen=True, extra="allow")
    type: str


Known: TypeAlias = (
    StepStarted
    | RunStarted
    | SandboxAttested
    | RepositoryAnalysed
    | AgentThought
    | ModelTurn
    | Retry
    | ProviderReplaced
    | CacheHit
    | ContextFolded
    | Egress
    | SetupFinished
    | ToolCalled
    | ToolFinished
    | FileEdited
    | Verified
    | SyntaxChecked
    | PolicyDecided
    | GitOperation
    | PullRequestCreation
    | WorkSaved
    | HostCommand
    | Resources
    | Timed
    | Warned
    | RunSucceeded
    | RunFailed
)
Event: TypeAlias = Known | Unknown
_TYPES = frozenset(model.model_fields["type"].default for model in Known.__args__)


def _tag(value: Any) -> str:  # noqa: ANN401 - pydantic hands over whatever is to be validated
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return "known" if kind in _TYPES and not isinstance(value, Unknown) else "unknown"


_AnyEvent: TypeAlias = Annotated[
    Annotated[Annotated[Known, Field(discriminator="type")], Tag("known")]
    | Annotated[Unknown, Tag("unknown")],
    Discriminator(_tag),
]


class ThoughtDelta(_Event):
    """A piece of a thought while it is being had: for live views only, never stored, never a line."""

    text: str


Emit: TypeAlias = Callable[[Event | ThoughtDelta], None]

_STAMP = ("v", "seq", "at", "run_id")
VERSION = 1


class Record(BaseModel):
    """An event of one run, stamped."""

    model_config = ConfigDict(frozen=True)

    v: int = VERSION
    seq: int
    at: datetime
    run_id: str
    event: _AnyEvent

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        stamp = {
            "v": self.v,
            "seq": self.seq,
            "at": self.at.isoformat(timespec="microseconds"),
            "run_id": self.run_id,
        }
        return stamp | {"type": self.event.type} | self.event.model_dump(mode="json")

    @model_validator(mode="before")
    @classmethod
    def _nested(cls, line: Mapping[str, Any]) -> Mapping[str, Any]:
        if "event" in line:
            return line
        stamp = {key: line[key] for key in _STAMP if key in line}
        return stamp | {"event": {key: line[key] for key in line if key not in stamp}}

    def line(self) -> str:
        """Its JSON, on one line that a terminal may be shown: what would not show there, is escaped."""
        # `_flat` without its detour: the event's own JSON begins with its type
        stamp = (
            f'{{"v":{self.v},"seq":{self.seq},"at":"{self.at.isoformat(timespec="microseconds")}"'
        )
        text = f'{stamp},"run_id":{json.dumps(self.run_id)},{self.event.model_dump_json()[1:]}'
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


@contextmanager
def timed(
    operation: str, emit: Emit, *, timer: Callable[[], float] = perf_counter
) -> Generator[None]:
    """Emit how long the block took, whether or not it succeeded."""
    start, ok = timer(), False
    try:
        yield
        ok = True
    finally:
        emit(Timed(operation=operation, duration_ms=round((timer() - start) * 1000, 3), ok=ok))
