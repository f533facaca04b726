"""A run as far as its records tell: one fold, shared by every view and by the closing event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, TypeVar, assert_never

from tiny_backspace.events import (
    AgentThought,
    CacheHit,
    ContextFolded,
    Egress,
    FileEdited,
    GitOperation,
    HostCommand,
    ModelTurn,
    PolicyDecided,
    ProviderReplaced,
    PullRequestCreation,
    Record,
    RepositoryAnalysed,
    Resources,
    Retry,
    RunFailed,
    RunStarted,
    RunSucceeded,
    SandboxAttested,
    SetupFinished,
    Step,
    StepStarted,
    SyntaxChecked,
    Timed,
    ToolCalled,
    ToolFinished,
    Unknown,
    Verified,
    Warned,
    WorkSaved,
)
from tiny_backspace.views.figures import title

KEPT = 20  # of everything there can be many of: more than any view shows
KEPT_PATHS = 1000
LONGEST = 4000  # characters of one thought (its end), title or excerpt

Operation: TypeAlias = Literal["create", "modify", "delete", "rename"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool call and what became of it. `duration_ms` is None while it runs."""

    id: str
    tool: str
    title: str
    status: Literal["running", "ok", "failed"] = "running"
    duration_ms: float | None = None
    exit_code: int | None = None
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything is text as it was recorded: whoever shows it cleans it.

    `base` is the ref asked for until the commit is known; `branch` the branch that it was taken
    from. `doing` is the step's own message, which `message` is but for news of the moment. `cost_usd` is None once a turn had no known price. `files` tells the last operation on
    every path. `providers` are those that answered, in order; `answered` says with which model. `before`
    is the verification of the base, `verification` the last one of the change; `sandbox` is the agent's.
    """

    run_id: str = ""
    started: datetime | None = None
    last: datetime | None = None
    step: Step = Step.VALIDATION
    progress: int = 0
    message: str = ""
    doing: str = ""
    steps: tuple[tuple[Step, datetime], ...] = ()
    repo: str = ""
    prompt: str = ""
    base: str = ""
    branch: str | None = None
    left_alone: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    provider: str | None = None
    model: str | None = None
    providers: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    replaced: tuple[ProviderReplaced, ...] = ()
    turn: int = 0
    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = 0.0
    thoughts: tuple[AgentThought, ...] = ()
    tools: tuple[ToolRow, ...] = ()
    tool_calls: int = 0
    files: Mapping[str, Operation] = field(default_factory=dict)
    edits: tuple[FileEdited, ...] = ()
    git: tuple[GitOperation | PullRequestCreation, ...] = ()
    verification: Verified | None = None
    before: Verified | None = None
    syntax: SyntaxChecked | None = None
    policy: tuple[PolicyDecided, ...] = ()
    warnings: tuple[str, ...] = ()
    sandbox: SandboxAttested | None = None
    resources: Resources | None = None
    saved: WorkSaved = field(default_factory=WorkSaved)
    host_commands: int = 0
    retries: int = 0
    cache_hits: int = 0
    folds: int = 0
    resumes: str | None = None
    fallbacks: int = 0
    unknown: int = 0
    outcome: RunSucceeded | RunFailed | None = None


def advance(state: RunState, record: Record) -> RunState:
    """The state after one more record."""
    at = record.at if record.at.tzinfo else record.at.replace(tzinfo=UTC)
    state = replace(state, run_id=record.run_id, started=state.started or at, last=at)
    match event := record.event:
        case StepStarted() | RunStarted() | RepositoryAnalysed() | RunSucceeded() | RunFailed():
            return _progress(state, event, at)
        case (
            AgentThought()
            | ModelTurn()
            | Retry()
            | ProviderReplaced()
            | CacheHit()
            | ContextFolded()
        ):
            return _model(state, event)
        case ToolCalled() | ToolFinished():
            return _tools(state, event)
        case FileEdited() | Verified() | SyntaxChecked() | PolicyDecided() | WorkSaved():
            return _change(state, event)
        case GitOperation() | PullRequestCreation():
            return replace(state, git=_kept(state.git, event))
        case (
            SandboxAttested()
            | Egress()
            | SetupFinished()
            | HostCommand()
            | Resources()
            | Timed()
            | Warned()
            | Unknown()
        ):
            return _machine(state, event)
        case _:
            assert_never(event)


def elapsed(state: RunState, now: datetime | None = None) -> timedelta:
    """How long the run takes by now, or took; without a clock, as far as the records tell."""
    if state.started is None or state.last is None:
        return timedelta()
    end = state.last if state.outcome is not None or now is None else now
    return max(end - state.started, timedelta())


def _progress(
    state: RunState,
    event: StepStarted | RunStarted | RepositoryAnalysed | RunSucceeded | RunFailed,
    at: datetime,
) -> RunState:
    match event:
        case StepStarted() | RunSucceeded():
            first = () if event.step in dict(state.steps) else ((event.step, at),)
            state = replace(state, step=event.step, steps=(*state.steps, *first))
            state = replace(state, message=event.message, progress=event.progress)
            state = replace(state, doing=event.message)
            return replace(state, outcome=event) if isinstance(event, RunSucceeded) else state
        case RunFailed(message=message):
            return replace(state, outcome=event, message=message)
        case RunStarted(repo=repo, prompt=prompt, base=base, agents=agents):
            name, _, model = agents[0].partition(":") if agents else ("", "", "")
            state = replace(state, provider=name or None, model=model or None)
            state = replace(state, resumes=event.resumes)
            return replace(state, repo=repo, prompt=prompt, base=base, agents=agents)
        case RepositoryAnalysed():
            return replace(state, base=event.base, branch=event.branch, left_alone=event.left_alone)
        case _:
            assert_never(event)


def _model(
    state: RunState,
    event: AgentThought | ModelTurn | Retry | ProviderReplaced | CacheHit | ContextFolded,
) -> RunState:
    match event:
        case AgentThought(message=message):
            thought = event.model_copy(update={"message": message[-LONGEST:]})
            return replace(state, thoughts=_kept(state.thoughts, thought))
        case ModelTurn(provider=provider):
            cost, price = state.cost_usd, event.cost_usd
            return replace(
                state,
                provider=provider,
                model=event.model,
                message=state.doing,
                providers=_once(state.providers, provider),
                answered=_once(state.answered, f"{provider}:{event.model}"),
                turn=event.turn,
                turns=state.turns + 1,
                input_tokens=state.input_tokens + event.input_tokens,
                output_tokens=state.output_tokens + event.output_tokens,
                cached_tokens=state.cached_tokens + event.cached_tokens,
                cost_usd=None if cost is None or price is None else cost + price,
            )
        case CacheHit():
            return replace(state, cache_hits=state.cache_hits + 1)
        case ContextFolded():
            return replace(state, folds=state.folds + 1)
        case Retry(provider=name, reason=reason, wait_s=wait):
            message = f"Asking {name} again in {wait:.0f} s: {reason}"[:LONGEST]
            return replace(state, retries=state.retries + 1, message=message)
        case ProviderReplaced(next=name):
            models = dict(agent.partition(":")[::2] for agent in state.agents)
            replaced = _kept(state.replaced, event)
            state = replace(state, fallbacks=state.fallbacks + 1, replaced=replaced)
            message = f"{name} takes over from {event.failed}: {event.reason}"[:LONGEST]
            return replace(state, provider=name, model=models.get(name), message=message)
        case _:
            assert_never(event)


def _once(seen: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*seen, name)))[:KEPT]


def _tools(state: RunState, event: ToolCalled | ToolFinished) -> RunState:
    match event:
        case ToolCalled(id=call, tool=tool, arguments=arguments):
            row = ToolRow(call, tool, title(arguments)[:LONGEST])
            return replace(state, tools=_kept(state.tools, row), tool_calls=state.tool_calls + 1)
        case ToolFinished():
            return replace(state, tools=tuple(_ended(row, event) for row in state.tools))
        case _:
            assert_never(event)


def _ended(row: ToolRow, event: ToolFinished) -> ToolRow:
    if row.id != event.id or row.status != "running":
        return row
    return replace(
        row,
        status="ok" if event.ok else "failed",
        duration_ms=event.duration_ms,
        exit_code=event.exit_code,
        excerpt=event.excerpt[:LONGEST],
    )


def _change(
    state: RunState, event: FileEdited | Verified | SyntaxChecked | PolicyDecided | WorkSaved
) -> RunState:
    match event:
        case FileEdited(filepath=path, operation=operation, old_path=old):
            left = [item for item in state.files.items() if item[0] not in {path, old}]
            files = dict([*left, (path, operation)][-KEPT_PATHS:])
            return replace(state, files=files, edits=_kept(state.edits, event))
        case Verified(on="base"):
            return replace(state, before=event)
        case Verified():
            return replace(state, verification=event)
        case SyntaxChecked():
            return replace(state, syntax=event)
        case PolicyDecided():
            return replace(state, policy=_kept(state.policy, event))
        case WorkSaved():
            news = event.model_dump(exclude_defaults=True)
            return replace(state, saved=state.saved.model_copy(update=news))
        case _:
            assert_never(event)


def _machine(
    state: RunState,
    event: SandboxAttested
    | Egress
    | SetupFinished
    | HostCommand
    | Resources
    | Timed
    | Warned
    | Unknown,
) -> RunState:
    match event:
        case SandboxAttested():
            return replace(state, sandbox=event) if event.use == "agent" else state
        case HostCommand():
            return replace(state, host_commands=state.host_commands + 1)
        case Resources():
            return replace(state, resources=_newest(state.resources, event))
        case Timed() | SetupFinished() | Egress(decision="allowed"):
            return state
        case Warned() | Egress():
            return replace(state, warnings=_kept(state.warnings, _warning(event)[:LONGEST]))
        case Unknown():
            return replace(state, unknown=state.unknown + 1)
        case _:
            assert_never(event)


def _warning(event: Warned | Egress) -> str:
    if isinstance(event, Warned):
        return event.message
    return f"setup: {event.host}:{event.port} {event.decision}: {event.reason}"


def _newest(before: Resources | None, now: Resources) -> Resources:
    """What is known of each, and the highest peak: a sample may lack what an earlier one had."""
    known = before.model_dump() if before else {}
    known |= {name: value for name, value in now.model_dump().items() if value is not None}
    seen = (before.memory_peak if before else None, now.memory_peak, now.memory)
    peak = max((sample for sample in seen if sample is not None), default=None)
    return now.model_copy(update=known | {"memory_peak": peak})


def _kept(items: tuple[T, ...], item: T) -> tuple[T, ...]:
    return (*items, item)[-KEPT:]
