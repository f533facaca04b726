"""The composition root: settings become the parts of a run and those who listen to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from tiny_backspace import __version__
from tiny_backspace.agent.budget import Limits
from tiny_backspace.delivery import Delivery
from tiny_backspace.errors import UsageError
from tiny_backspace.events import (
    Emit,
    Event,
    HostCommand,
    Record,
    RunFailed,
    RunStarted,
    RunSucceeded,
    ThoughtDelta,
)
from tiny_backspace.failure import concluded, crash_report
from tiny_backspace.hosts import Host, credential, with_gh_token
from tiny_backspace.providers.answering import answering
from tiny_backspace.recorder import Recorder, Subscriber, Watcher
from tiny_backspace.redact import Redact, redactor
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.source import Local, parse
from tiny_backspace.run import Parts, Request, Resumed, run
from tiny_backspace.sandbox.container import Wish
from tiny_backspace.sandbox.interface import Sandbox
from tiny_backspace.settings import PROMPT_LIMIT, Settings, secrets
from tiny_backspace.statedir import cache_dir, hold, is_live, owner_id, private_dir, state_dir
from tiny_backspace.telemetry.database import HistoryError
from tiny_backspace.telemetry.store import History
from tiny_backspace.telemetry.turns import Task, Turns
from tiny_backspace.verification import Verification
from tiny_backspace.views.state import RunState, advance


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line's part of a run; `prompt` is read already. `flags` are kept for `resume`."""

    repo: str
    prompt: str
    base: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    resumed: Resumed | None = None


@dataclass(slots=True)
class Folded:
    """The run so far, by its records: the same fold that the views show."""

    state: RunState = field(default_factory=RunState)

    def __call__(self, record: Record) -> None:
        self.state = advance(self.state, record)


class HoldSignals(Protocol):
    """What the block does is done whole; `for_good`, no signal counts any more after it."""

    def __call__(self, *, for_good: bool) -> AbstractContextManager[None]: ...


def _as_it_is(*, for_good: bool) -> AbstractContextManager[None]:  # noqa: ARG001 - the protocol's
    return nullcontext()


def execute(
    asked: Asked,
    settings: Settings,
    environment: Mapping[str, str],
    run_id: str,
    subscribers: tuple[Subscriber, ...],
    watchers: tuple[Watcher, ...],
    hold_signals: HoldSignals = _as_it_is,
) -> tuple[int, RunState]:
    """One run from here to its closing event: the exit code, and the run as its records tell it.

    Each event is passed on inside `hold_signals`, so that everybody gets it or nobody.

    Raises:
        UsageError: the folders for its state cannot be used.
    """
    start = monotonic()
    state_folder = private_dir(state_dir(environment))
    folded = Folded()
    settings, asked_gh = _with_token(asked.repo, settings, environment)
    token = credential(settings)
    redact = redactor((*secrets(environment, settings), *(token.forms if token else ())))
    with ExitStack() as stack:
        stack.enter_context(hold(state_folder, run_id))
        history = stack.enter_context(History(state_folder / "history.db"))
        recorder = Recorder(
            run_id,
            (folded, _once_started(history), *subscribers),
            clock=lambda: datetime.now(UTC),
            redact=redact,
            watchers=watchers,
        )

        def emit(event: Event | ThoughtDelta) -> None:
            with hold_signals(for_good=isinstance(event, RunSucceeded | RunFailed)):
                recorder(event)

        def pipeline() -> str:
            if asked_gh is not None:
                emit(asked_gh)
            request = understood(asked, settings, run_id, redact)
            task = Task(request.repo, asked.prompt, flags=asked.flags)
            journal = Turns(history.path, run_id, task)
            with _parts(
                settings, environment, run_id, lambda: folded.state, journal, emit
            ) as parts:
                closing = run(request, parts, emit)
            with suppress(HistoryError):  # it is a private file, and the work is done
                journal.forget()
            return closing

        code = concluded(
            pipeline,
            emit,
            state=lambda: folded.state,
            seconds=lambda: monotonic() - start,
            crash=crash_report(state_folder, run_id, redact),
        )
    return code, folded.state


def _with_token(
    repo: str, settings: Settings, environment: Mapping[str, str]
) -> tuple[Settings, HostCommand | None]:
    """GitHub's own program is asked for a token only where one is of use."""
    try:
        local = isinstance(parse(repo, settings.github.url), Local)
    except UsageError:  # an issue's address, or nothing at all, which is said later
        local = False
    if settings.publish == "patch" or (local and settings.publish != "pr"):
        return settings, None
    return with_gh_token(settings, environment)


def _once_started(history: Subscriber) -> Subscriber:
    """Hold records back until the run has begun: a mistyped command is not history."""
    held: list[Record] | None = []

    def keep(record: Record) -> None:
        nonlocal held
        if held is None:
            history(record)
            return
        held.append(record)
        if isinstance(record.event, RunStarted):
            ready, held = held, None
            for early in ready:
                history(early)

    return keep


def understood(asked: Asked, settings: Settings, run_id: str, redact: Redact) -> Request:
    """The request, with everything in it checked that can be checked without touching anything.

    Raises:
        UsageError: the repository or the prompt is not acceptable.
    """
    source = parse(asked.repo, settings.github.url)
    size = len(asked.prompt.encode(errors="replace"))
    if not asked.prompt.strip():
        raise UsageError("the prompt is empty", hint='Say what to change: "fix the typo in …".')
    if size > PROMPT_LIMIT:
        raise UsageError(f"the prompt has {size} bytes; at most {PROMPT_LIMIT} are taken")
    verification = (
        Verification(settings.verify, settings.verify_attempts, settings.verify_timeout)
        if settings.verify
        else None
    )
    identity = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", settings.author_name), ("EMAIL", settings.author_email))
    }
    return Request(
        source=source,
        repo=str(Path(source.path).expanduser().absolute())
        if isinstance(source, Local)
        else source.url,
        prompt=asked.prompt,
        base=asked.base,
        verification=verification,
        delivery=Delivery(
            run_id=run_id,
            prompt=asked.prompt,
            allow_path=settings.allow_path,
            identity=identity,
            redact=redact,
            name=settings.branch,
            title=settings.title,
            draft=settings.draft,
            labels=settings.label,
            co_author=settings.co_author,
        ),
        limits=Limits(
            settings.max_turns,
            settings.max_tool_calls,
            settings.timeout,
            settings.max_cost,
            settings.max_tokens,
        ),
        command_timeout=settings.command_timeout,
        resumed=asked.resumed,
        depth=None if settings.history == "full" else 1,
    )


@contextmanager
def _parts(
    settings: Settings,
    environment: Mapping[str, str],
    run_id: str,
    so_far: Callable[[], RunState],
    journal: Turns,
    emit: Emit,
) -> Generator[Parts]:
    state, cache = state_dir(environment), private_dir(cache_dir(environment))
    chain = answering(
        settings.agents, settings.providers, cache / "replies" if settings.cache else None
    )
    folder = private_dir(state / "runs" / run_id)
    home = private_dir(folder / "home")
    git = Git(environment=environment, home=home, emit=emit, credential=credential(settings))
    host = Host(settings, git, emit)
    try:
        yield Parts(
            open_sandbox=_opener(settings, state, run_id),
            located=host.located,
            destination=host.destination,
            provider=chain.provider,
            agents=chain.agents,
            notes=chain.notes,
            git=git,
            folder=folder,
            cache=cache,
            cache_limit=settings.mirror_limit,
            version=__version__,
            so_far=so_far,
            journal=journal,
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _opener(
    settings: Settings, state: Path, run_id: str
) -> Callable[[Emit], AbstractContextManager[Sandbox]]:
    wish = Wish(
        image=settings.image,
        base=settings.base_image,
        memory=settings.memory,
        disk=settings.disk,
        cpus=settings.cpus,
        pids=settings.pids,
        # the run's time is looked at between commands; the one that is going on then may end
        seconds=settings.timeout
        + settings.command_timeout
        + (settings.verify_timeout if settings.verify else 0),
        runtime=settings.runtime,
    )

    @contextmanager
    def opened(emit: Emit) -> Generator[Sandbox]:
        from tiny_backspace.sandbox.engine import connect, remove_leftovers
        from tiny_backspace.sandbox.opening import open_sandbox

        engine, owner = connect(settings.docker_host), owner_id(state)
        remove_leftovers(engine, owner, lambda other: is_live(state, other))
        with open_sandbox(engine, wish, run_id, owner, emit) as sandbox:
            yield sandbox

    return opened
