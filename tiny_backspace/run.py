"""The pipeline: from a request to a branch (or a patch), one station after the other.

Nothing done is lost: whatever ends the work early, what the agent has changed by then comes out as
a patch before the sandbox goes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias

from tiny_backspace.agent.budget import Budget, Limits
from tiny_backspace.agent.facts import Facts
from tiny_backspace.agent.loop import Agent, solve
from tiny_backspace.agent.prompt import system
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.analysis import analyse, first_message
from tiny_backspace.bench import Bench, Turns
from tiny_backspace.checks import Checks
from tiny_backspace.conversation import Assistant, Message, Text, User
from tiny_backspace.delivery import Delivery, Finding, deliver
from tiny_backspace.destinations import Destination, Left
from tiny_backspace.errors import (
    AgentError,
    ProviderError,
    RepoError,
    SandboxError,
    TinyBackspaceError,
)
from tiny_backspace.events import (
    AgentThought,
    Emit,
    RunStarted,
    SandboxUse,
    Step,
    StepStarted,
    Warned,
    timed,
)
from tiny_backspace.overlap import opened_early
from tiny_backspace.providers.interface import Provider
from tiny_backspace.repo.again import still_there
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.mirror import Base, Mirror, using
from tiny_backspace.repo.origin import (
    LocalRepository,
    local_base,
    open_local,
    remote_base,
    uncommitted,
)
from tiny_backspace.repo.quarantine import put_in, quarantine
from tiny_backspace.repo.source import Local, Remote, Source
from tiny_backspace.sandbox.interface import Sandbox
from tiny_backspace.sandbox.usage import measured, sampling
from tiny_backspace.telemetry.turns import Checkpoint
from tiny_backspace.verification import Subject, Verification, Verifier, verifying
from tiny_backspace.views.state import RunState

OpenSandbox: TypeAlias = Callable[[SandboxUse, Emit], AbstractContextManager[Sandbox]]


class Journal(Turns, Protocol):
    """What `resume` needs, kept from when it is known on."""

    def begin(self, base: str, branch: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Resumed:
    """An earlier run's work, to go on with: from `base`, with what was said and done after it.

    `left` is the branch that it left without a pull request, `pull_request` the address of one that it opened,
    `answered` who did the work, as `name:model`.
    """

    run_id: str
    base: Base
    work: Checkpoint
    left: Left | None = None
    pull_request: str = ""
    answered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, understood. `base` is a branch, tag or commit; None is HEAD. `depth` is
    how many commits of history come along; None is all. `revises` is how many of them are what a pull
    request changes so far, which is shown to the agent.
    """

    source: Source
    repo: str
    prompt: str
    base: str | None
    verification: Verification | None
    delivery: Delivery
    limits: Limits
    command_timeout: float
    resumed: Resumed | None = None
    depth: int | None = 1
    revises: int | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pipeline works with. `folder` is the run's own, `cache` every run's; `so_far` folds its records.

    `earlier` finds what is to be done only once and has been done: the closing sentence, or None.
    `setup`, where the user wants one, does it for a base (of a place) and says how sandboxes are opened then.
    """

    open_sandbox: OpenSandbox
    located: Callable[[Remote], Remote]
    destination: Callable[[LocalRepository | Remote], Destination]
    earlier: Callable[[LocalRepository | Remote, Base, str, Emit], str | None]
    provider: Provider
    agents: tuple[str, ...]
    notes: tuple[str, ...]
    git: Git
    folder: Path
    cache: Path
    cache_limit: int
    version: str
    so_far: Callable[[], RunState]
    journal: Journal
    setup: Callable[[str, Mirror, Base, Emit], AbstractContextManager[OpenSandbox]] | None = None


def run(request: Request, parts: Parts, emit: Emit) -> str:
    """Do it all; the closing sentence. Failures are `TinyBackspaceError`s, with the work kept."""
    emit(StepStarted.at(Step.VALIDATION, "Validating repository URL..."))
    emit(_started(request, parts))
    if request.resumed and request.resumed.pull_request:
        url = request.resumed.pull_request
        emit(
            Warned(
                message=f"{url} is of the run that is gone on with, and stays as it is: this run's change leaves on "
                f"a branch of its own. To add to that pull request instead: tiny-backspace revise {url}"
            )
        )
    for note in parts.notes:
        emit(AgentThought(step="provider_selection", message=note))
    with nullcontext() if parts.setup else _agents(parts, emit) as early:
        with timed("validation", emit):
            origin, base, git = _resolve(request, parts, emit)
        if request.delivery.once is not None and request.resumed is None:
            with timed("earlier", emit):
                done = parts.earlier(origin, base, request.delivery.branch, emit)
            if done is not None:
                return done
        _begin_journal(request.resumed, parts.journal, base, emit)
        emit(StepStarted.at(Step.SANDBOX_INIT, "Initializing secure sandbox..."))
        with (
            opened_early(_checked(request, parts, origin, base, emit), "preflight") as checked,
            using(
                parts.cache, origin.url, git, depth=request.depth, limit=parts.cache_limit
            ) as mirror,
        ):
            with timed("fetch", emit):
                mirror.fetch(origin.url, base, emit)
            with (
                quarantine(parts.folder / "quarantine.git", mirror, base) as cage,
                _set_up(parts, origin, mirror, base, checked, emit) as furnished,
                nullcontext(early) if early else _agents(furnished, emit) as opened,
            ):
                with timed("sandbox.wait", emit):
                    sandbox = opened()
                finding = _inside(request, furnished, sandbox, mirror, base, checked, emit)
                return deliver(request.delivery, checked(), cage, finding, parts.so_far, emit)


def _agents(parts: Parts, emit: Emit) -> AbstractContextManager[Callable[[], Sandbox]]:
    return opened_early(parts.open_sandbox("agent", emit), "open-sandbox")


@contextmanager
def _set_up(
    parts: Parts, origin: LocalRepository | Remote, mirror: Mirror, base: Base,
    checked: Callable[[], Destination], emit: Emit,
) -> Generator[Parts]:  # fmt: skip
    """The parts with sandboxes that have what the user's setup installs. It is over before the first is opened."""
    if parts.setup is None:
        yield parts
        return
    with timed("preflight.wait", emit):
        checked()  # before minutes are spent
    with parts.setup(origin.url, mirror, base, emit) as open_sandbox:
        yield replace(parts, open_sandbox=open_sandbox)


@contextmanager
def _checked(
    request: Request, parts: Parts, origin: LocalRepository | Remote, base: Base, emit: Emit
) -> Generator[Destination]:
    """Where the change will go, once it is known that it can: in time before a model is asked."""
    with timed("preflight", emit):
        destination = parts.destination(origin)
        destination.check(base, request.delivery.branch)
    yield destination


def _begin_journal(resumed: Resumed | None, journal: Journal, base: Base, emit: Emit) -> None:
    """From here on the run can be resumed; that it cannot is no reason not to do it."""
    try:
        journal.begin(base.sha, base.branch)
        if resumed is not None and resumed.work.conversation:
            journal.keep(resumed.work, changed=True)
    except TinyBackspaceError as error:
        emit(Warned(message=f"This run cannot be resumed, should it end early: {error}"))


def _inside(
    request: Request, parts: Parts, sandbox: Sandbox, mirror: Mirror, base: Base,
    checked: Callable[[], Destination], emit: Emit,
) -> Finding:  # fmt: skip
    """From the work tree going in to the patch coming out."""
    emit(StepStarted.at(Step.CLONE, "Cloning repository..."))
    with timed("pack_in", emit):
        mirror.bring_in(sandbox, base)
    emit(StepStarted.at(Step.ANALYSIS, "Analyzing repository structure..."))
    with timed("analysis", emit):
        facts = analyse(sandbox, base, emit)
    with timed("preflight.wait", emit):
        checked()  # before anything is spent
    emit(StepStarted.at(Step.AI_PROCESSING, "Generating code improvements..."))
    with _verifier(request, parts, mirror, base, emit) as verifier:
        checks = Checks(verifier, sandbox, base.sha, emit)
        finding = _work(request, parts, sandbox, base, facts, checks, emit)
    with timed("usage", emit), suppress(SandboxError):  # it is only a figure, and the work is done
        emit(measured(sandbox))
    return finding


def _verifier(
    request: Request, parts: Parts, mirror: Mirror, base: Base, emit: Emit
) -> AbstractContextManager[Verifier | None]:
    @contextmanager
    def room(subject: Subject) -> Generator[Sandbox]:
        with parts.open_sandbox(subject, emit) as sandbox:
            mirror.bring_in(sandbox, base)
            yield sandbox

    wanted = request.verification
    return nullcontext() if wanted is None else verifying(wanted, room, emit)


def _started(request: Request, parts: Parts) -> RunStarted:
    return RunStarted(
        repo=request.repo,
        prompt=request.prompt,
        base=request.base or "HEAD",
        agents=parts.agents,
        limits={
            "turns": request.limits.turns,
            "cost_usd": request.limits.cost_usd,
            "tokens": request.limits.tokens,
            "tool_calls": request.limits.tool_calls,
            "timeout_s": request.limits.seconds,
            "command_timeout_s": request.command_timeout,
        },
        version=parts.version,
        resumes=request.resumed.run_id if request.resumed else None,
    )


def _resolve(
    request: Request, parts: Parts, emit: Emit
) -> tuple[LocalRepository | Remote, Base, Git]:
    """Where the base is, which commit it is, and a git that may speak to that place."""
    again = request.resumed.base if request.resumed else None
    match request.source:
        case Local() as source:
            repository = open_local(source, parts.git)
            base = again or local_base(repository, request.base)
            if changed := uncommitted(repository):
                emit(
                    Warned(
                        message=f"{changed} uncommitted or untracked file(s) are not part of the run: "
                        f"it starts from {base.branch or 'HEAD'} at {base.sha[:12]}"
                    )
                )
            return repository, base, repository.git
        case Remote() as source:
            git = parts.git
            if source.url.startswith("http://"):  # only on loopback, says the parser
                git = replace(git, protocols=("http",))
            try:
                remote, base = source, again or remote_base(source, request.base, git)
            except RepoError:
                remote = parts.located(source)  # it may have another name by now
                if remote == source:
                    raise
                base = again or remote_base(remote, request.base, git)
            if again is not None:
                still_there(remote, again, git, parts.folder / "again.git", emit)
            return remote, base, git


def _work(
    request: Request, parts: Parts, sandbox: Sandbox, base: Base, facts: Facts, checks: Checks,
    emit: Emit,
) -> Finding:  # fmt: skip
    """Let the agent work and take the change out, however the work ended."""
    bench = Bench(sandbox, base, parts.folder / "change.patch", parts.journal, emit)
    work = request.resumed.work if request.resumed else None
    if work is not None and work.conversation:
        with timed("put_in", emit):
            if work.patch:
                put_in(sandbox, work.patch, work.tree)
            bench.adopt(work)
    conversation = (work.conversation if work else ()) or (
        first_message(request.prompt, facts, request.revises, sandbox),
    )
    budget = Budget(request.limits)
    toolbox = Toolbox(
        sandbox, request.command_timeout, left=budget.left, redact=request.delivery.redact
    )
    agent = Agent(system(), parts.provider, toolbox, budget, bench)
    try:
        try:
            summary = _solved(conversation, agent, bench, checks, sampling(sandbox, emit))
        except (AgentError, ProviderError) as error:
            # a limit, a refusal, nobody left to ask: the work so far is offered
            return Finding(bench.latest(), f"The work is not finished: {error}", error)
        return Finding(bench.latest(), summary, None)
    except BaseException:  # a signal, a lost session, a bug: whatever it is, the work is not lost
        bench.rescue()
        raise


def _solved(
    conversation: tuple[Message, ...], agent: Agent, bench: Bench, checks: Checks, emit: Emit
) -> str:
    """Solve, check, and let the agent repair what the checks find; the agent's last words.

    The change is what the agent left, and what is verified is the change as it came out.
    """
    done = conversation[-1] if isinstance(conversation[-1], Assistant) else None
    acted = True
    while True:
        if done is None or done.tool_calls:
            solution = solve(conversation, agent, emit)
            conversation, acted = solution.conversation, solution.acted
        complaint = checks.complaint(bench.latest(), acted=acted)
        if complaint is None:
            return _said(conversation[-1])
        conversation = (*conversation, User((Text(complaint),)))
        done = None


def _said(last: Message) -> str:
    return last.said if isinstance(last, Assistant) else ""
