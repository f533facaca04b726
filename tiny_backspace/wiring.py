"""The composition root: settings become the parts of a run and those who listen to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

from tiny_backspace import __version__
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
    Warned,
)
from tiny_backspace.failure import concluded, crash_report
from tiny_backspace.forges.login import with_gh_token
from tiny_backspace.hosts import Ask, Host, credential, is_on, task
from tiny_backspace.providers.answering import answering
from tiny_backspace.recorder import Recorder, Subscriber, Watcher
from tiny_backspace.redact import redactor
from tiny_backspace.repo.git import Git
from tiny_backspace.repo.source import Local, page, parse
from tiny_backspace.request import understood
from tiny_backspace.rooms import Rooms
from tiny_backspace.rooms import wanted as setup_wanted
from tiny_backspace.run import Parts, run
from tiny_backspace.settings import Settings, secrets
from tiny_backspace.statedir import (
    cache_dir,
    hold,
    private_dir,
    state_dir,
    with_room,
)
from tiny_backspace.tasks import Asked
from tiny_backspace.telemetry.database import HistoryError
from tiny_backspace.telemetry.logs import Logs
from tiny_backspace.telemetry.store import History
from tiny_backspace.telemetry.turns import Task, Turns
from tiny_backspace.views.state import RunState, advance


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
    ask: Ask | None = None,
    *,
    from_the_start: bool = False,
) -> tuple[int, RunState]:
    """One run from here to its closing event: the exit code, and the run as its records tell it.

    Each event is passed on inside `hold_signals`, so that everybody gets it or nobody. The history keeps it
    once it has begun, or from its first record.

    Raises:
        UsageError: the folders for its state cannot be used.
    """
    start = monotonic()
    state_folder = with_room(private_dir(state_dir(environment)))
    folded = Folded()
    settings, asked_gh = _with_token(asked.repo, settings, environment)
    token = credential(settings)
    redact = redactor((*secrets(environment, settings), *(token.forms if token else ())))
    with ExitStack() as stack:
        stack.enter_context(hold(state_folder, run_id))
        history = stack.enter_context(History(state_folder / "history.db"))
        logs = stack.enter_context(Logs(state_folder, run_id, redact))
        exported, unsaid = _exported(environment, stack)
        kept = history if from_the_start else _once_started(history)
        recorder = Recorder(
            run_id,
            (folded, kept, _once_started(logs), *exported, *subscribers),
            clock=lambda: datetime.now(UTC),
            redact=redact,
            watchers=watchers,
        )

        def emit(event: Event | ThoughtDelta) -> None:
            with hold_signals(for_good=isinstance(event, RunSucceeded | RunFailed)):
                recorder(event)

        def pipeline() -> str:
            for early in (asked_gh, unsaid):
                if early is not None:
                    emit(early)
            wanted = task(asked, settings, emit)
            if isinstance(wanted, str):
                return wanted
            request = understood(wanted, settings, run_id, redact)
            repo = request.repo if page(asked.repo) is None else asked.repo
            kept = Task(repo, wanted.prompt, flags=asked.flags)
            journal = Turns(history.path, run_id, kept)
            with _parts(
                settings, environment, run_id, wanted, lambda: folded.state, journal, emit, ask
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
            trace=logs.raised,
        )
    return code, folded.state


def _exported(
    environment: Mapping[str, str], stack: ExitStack
) -> tuple[tuple[Subscriber, ...], Warned | None]:
    """Who sends the run on as a trace, where that is wanted."""
    from tiny_backspace.telemetry import otel

    if not otel.wanted(environment):
        return (), None
    try:
        return (stack.enter_context(otel.Exported(environment)),), None
    except ImportError:
        return (), Warned(
            message="No traces are sent, though OTEL_EXPORTER_OTLP_ENDPOINT is set: "
            "pip install 'tiny-backspace[otel]'"
        )


def _with_token(
    repo: str, settings: Settings, environment: Mapping[str, str]
) -> tuple[Settings, HostCommand | None]:
    """GitHub's own program is asked for a token only where one is of use."""
    try:
        found = page(repo)
        source = found.remote if found else parse(repo, settings.github.url)
    except UsageError:  # which is said later
        return settings, None
    of_use = settings.publish == "pr" if isinstance(source, Local) else is_on(settings, source)
    if of_use:
        return with_gh_token(settings, environment)
    return settings, None


def _once_started(keeper: Subscriber) -> Subscriber:
    """Hold records back until the run has begun: a mistyped command is not history.

    That nobody can answer, or that GitHub does not, is: a job that fails so every night must be seen by `health`.
    """
    held: list[Record] | None = []

    def keep(record: Record) -> None:
        nonlocal held
        if held is None:
            keeper(record)
            return
        held.append(record)
        event = record.event
        failed = isinstance(event, RunFailed) and event.exit_code != UsageError.exit_code
        if failed or isinstance(event, RunStarted):
            ready, held = held, None
            for early in ready:
                keeper(early)

    return keep


@contextmanager
def _parts(
    settings: Settings,
    environment: Mapping[str, str],
    run_id: str,
    wanted: Asked,
    so_far: Callable[[], RunState],
    journal: Turns,
    emit: Emit,
    ask: Ask | None,
) -> Generator[Parts]:
    state, cache = state_dir(environment), private_dir(cache_dir(environment))
    rooms = Rooms(settings, setup_wanted(settings, environment), state, cache, run_id)
    chain = answering(
        settings.agents, settings.providers, cache / "replies" if settings.cache else None
    )
    folder = private_dir(state / "runs" / run_id)
    home = private_dir(folder / "home")
    git = Git(environment=environment, home=home, emit=emit, credential=credential(settings))
    left = wanted.resumed.left if wanted.resumed else None
    host = Host(settings, git, emit, wanted.revises, ask, left)
    try:
        yield Parts(
            open_sandbox=rooms.open,
            located=host.located,
            destination=host.destination,
            earlier=host.earlier,
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
            setup=rooms.furnished if rooms.setup else None,
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()
