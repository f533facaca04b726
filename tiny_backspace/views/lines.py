"""One event, one line: JSON for programs, plain text for logs without a terminal."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeAlias, assert_never

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
from tiny_backspace.redact import clean, clean_line
from tiny_backspace.views.figures import changes, count, counted, money, size, title, took

_LONGEST = 2000  # characters of one field on a line; the history has it whole
_TAIL, _TAIL_LINES = 4000, 12  # characters and lines of a failed verification's output
_LABEL = 7
_GONE = (errno.EPIPE, errno.EIO)  # nobody reads the pipe any more; the terminal was closed
_COLOURS = {"WARNING": "33", "ERROR": "31", "done": "32", "edit": "36", "saved": "36", "think": "2"}

_Line: TypeAlias = tuple[str, tuple[str, ...]]


def json_line(record: Record) -> str:
    return record.line()


def plain_line(record: Record, verbose: bool) -> str | None:
    """`HH:MM:SS  label  text` in the record's own time zone (UTC); None if only `verbose` shows it."""
    line = _line(record, verbose)
    if line is None:
        return None
    head = f"{record.at:%H:%M:%S}  {line[0]:<{_LABEL}}  {_text(line[1])}"
    return "\n".join((head, *_below(record)))


class JsonLines:
    """Writes every record as a line, at once. When nobody reads any more it stops, quietly and for good.

    `failed` is why a line could not be written, where it was anything else.
    """

    def __init__(self, stream: TextIO) -> None:
        self.failed: OSError | None = None
        self._stream = stream
        self._over = False

    def __call__(self, record: Record) -> None:
        """Raises OSError: the disk is full, or the like."""
        try:
            self._over = self._over or not written(self._stream, json_line(record))
        except OSError as error:
            self.failed = error
            raise


class PlainLines:
    """Writes the plain lines; `colour` marks their labels. Ends like `JsonLines`."""

    def __init__(self, stream: TextIO, verbose: bool, colour: bool) -> None:
        self._stream = stream
        self._verbose = verbose
        self._colour = colour
        self._over = False

    def __call__(self, record: Record) -> None:
        line = _line(record, self._verbose)
        if line is None or self._over:
            return
        label, parts = f"{line[0]:<{_LABEL}}", line[1]
        if self._colour and line[0] in _COLOURS:
            label = f"\x1b[{_COLOURS[line[0]]}m{label}\x1b[0m"
        text = "\n".join((f"{record.at:%H:%M:%S}  {label}  {_text(parts)}", *_below(record)))
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
        self._over = not written(self._stream, text)


def _below(record: Record) -> Iterator[str]:
    """The end of what a failed verification said: a line is where its lines are."""
    match record.event:
        case Verified(ok=False, on="change", output=output):
            for line in output.strip()[-_TAIL:].splitlines()[-_TAIL_LINES:]:
                yield f"{'':10}│ {clean(line)}".rstrip()
        case _:
            return


def written(stream: TextIO, line: str) -> bool:
    """Whether there still is somebody to write to."""
    if stream.closed:
        return False
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except OSError as error:
        _abandon(stream)
        if error.errno not in _GONE:
            raise
        return False
    return True


def _abandon(stream: TextIO) -> None:
    """Point a standard stream at nothing, as Python flushes it once more at exit and would complain there.

    See "Note on SIGPIPE" in the documentation of Python's signal module.
    """
    try:
        descriptor = stream.fileno()
    except (io.UnsupportedOperation, ValueError):
        return
    if descriptor in {1, 2}:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, descriptor)
        os.close(nothing)


def _text(parts: Iterable[str]) -> str:
    # Cut first: cleaning a megabyte to show two lines of it would take longer than the event did.
    shown = (clean_line(part[: 2 * _LONGEST]) for part in parts)
    return "  ".join(f"{s[:_LONGEST]}…" if len(s) > _LONGEST else s for s in shown if s)


def _line(record: Record, verbose: bool) -> _Line | None:  # noqa: PLR0911 - one for each family
    match event := record.event:
        case SandboxAttested() | ToolFinished() | HostCommand() | Resources() | Timed():
            failed = isinstance(event, ToolFinished) and not event.ok
            return _detail(event) if verbose or failed else None
        case StepStarted() | RunStarted() | RepositoryAnalysed() | RunSucceeded() | RunFailed():
            return _progress(event)
        case AgentThought() | ModelTurn() | ToolCalled():
            return _agent(event)
        case Retry() | ProviderReplaced() | CacheHit() | ContextFolded():
            return _asking(event)
        case FileEdited() | PolicyDecided() | GitOperation() | PullRequestCreation():
            return _change(event)
        case Verified() | SyntaxChecked():
            return _checked(event)
        case Egress() | SetupFinished():
            return _setup(event, verbose)
        case WorkSaved() | Warned() | Unknown():
            return _rest(event)
        case _:
            assert_never(event)


def _progress(
    event: StepStarted | RunStarted | RepositoryAnalysed | RunSucceeded | RunFailed,
) -> _Line:
    match event:
        case StepStarted():
            return f"{event.progress:>3}%", (event.message,)
        case RunStarted():
            resumes = f"resumes {event.resumes}" if event.resumes else ""
            return "run", (event.repo, event.base, event.prompt, ", ".join(event.agents), resumes)
        case RepositoryAnalysed():
            languages = ", ".join(f"{name} {files}" for name, files in event.languages.items())
            base = f"{event.branch or 'detached'} at {event.base[:12]}"
            return "repo", (base, counted(event.files, "file"), languages)
        case RunSucceeded():
            return "done", (event.message, *_closing(event))
        case RunFailed():
            hint = f"hint: {event.hint}" if event.hint else ""
            report = f"crash report: {event.crash_report}" if event.crash_report else ""
            return "ERROR", (event.message, f"({event.error})", hint, report, *_closing(event))
        case _:
            assert_never(event)


def _closing(event: RunSucceeded | RunFailed) -> tuple[str, ...]:
    where = event.pr_url or event.branch or event.patch or ""
    lines = f"{counted(event.files_changed, 'file')} +{event.insertions} -{event.deletions}"
    totals = f"{money(event.cost_usd)}, {took(event.duration_ms)}"
    return where, lines if event.files_changed else "", totals, f"exit {event.exit_code}"


def _agent(event: AgentThought | ModelTurn | ToolCalled) -> _Line:
    match event:
        case AgentThought():
            return "think", (event.message,)
        case ModelTurn():
            tokens = f"{count(event.input_tokens)} in, {count(event.output_tokens)} out"
            paid = f"{money(event.cost_usd)}, {took(event.duration_ms)}"
            return "model", (f"{event.provider} {event.model}", f"turn {event.turn}", tokens, paid)
        case ToolCalled():
            return "tool", (f"{event.tool} {title(event.arguments)}",)
        case _:
            assert_never(event)


def _asking(event: Retry | ProviderReplaced | CacheHit | ContextFolded) -> _Line:
    match event:
        case Retry():
            wait = f"attempt {event.attempt} failed, again in {event.wait_s:g} s"
            return "retry", (event.provider, event.reason, wait)
        case ProviderReplaced():
            turn = f"in turn {event.turn}" if event.turn else ""
            return "WARNING", (f"{event.next} takes over from {event.failed}", turn, event.reason)
        case CacheHit():
            return "cache", (f"{event.provider} {event.model}", f"answered from {event.key[:12]}")
        case ContextFolded():
            tokens = f"{count(event.tokens_before)} -> about {count(event.tokens_after)} tokens"
            return "fold", ("the conversation was begun anew, in short", tokens)
        case _:
            assert_never(event)


def _checked(event: Verified | SyntaxChecked) -> _Line:
    match event:
        case Verified():
            result = f"-> {'ok' if event.ok else 'FAILED'}, exit {event.exit_code}"
            if event.on == "base":  # how it fails there is nobody's news
                before = f"before the change {result}"
                return "verify", (event.command, before, took(event.duration_ms))
            spent = f"{took(event.duration_ms)}, attempt {event.attempt}"
            return "verify", (event.command, result, spent)
        case SyntaxChecked():
            return "syntax", (
                f"{counted(event.files, 'file')} -> {'ok' if event.ok else 'FAILED'}",
                *event.problems,
            )
        case _:
            assert_never(event)


def _change(event: FileEdited | PolicyDecided | GitOperation | PullRequestCreation) -> _Line:
    match event:
        case FileEdited():
            added, removed = changes(event.diff)
            counts = f"+{added} -{removed}" if event.diff else ""
            path = f"{event.old_path} -> {event.filepath}" if event.old_path else event.filepath
            operation = "" if event.operation == "modify" else f"({event.operation})"
            return "edit", (path, operation, counts, event.description)
        case PolicyDecided():
            label = "policy" if event.decision == "allow" else "WARNING"
            return label, (f"{event.rule} {event.decision}", event.path, event.message)
        case GitOperation() | PullRequestCreation():
            label = "git" if event.type == "git_operation" else "pr"
            note = "(equivalent)" if event.simulated else ""
            return label, (event.command, note, f"-> {event.output}" if event.output else "")
        case _:
            assert_never(event)


def _setup(event: Egress | SetupFinished, verbose: bool) -> _Line | None:
    match event:
        case Egress(decision="allowed"):
            return ("egress", (f"{event.host}:{event.port}", "allowed")) if verbose else None
        case Egress():
            return "WARNING", (f"setup: {event.host}:{event.port} {event.decision}", event.reason)
        case SetupFinished():
            how = "from the cache" if event.cached else "installed"
            return "setup", (how, size(event.size), took(event.duration_ms))
        case _:
            assert_never(event)


def _rest(event: WorkSaved | Warned | Unknown) -> _Line:
    match event:
        case WorkSaved():
            lines = f"+{event.insertions} -{event.deletions}" if event.files_changed else ""
            places = (
                event.pr_url,
                event.branch,
                event.commit,
                event.remote,
                event.patch,
                event.pull_request_text,
            )
            return "saved", (*(place or "" for place in places), lines)
        case Warned():
            return "WARNING", (event.message,)
        case Unknown():
            return "unknown", (event.type, event.model_dump_json(exclude={"type"}))
        case _:
            assert_never(event)


def _detail(
    event: SandboxAttested | ToolFinished | HostCommand | Resources | Timed,
) -> _Line:
    match event:
        case SandboxAttested():
            facts = f"uid {event.uid}, capabilities {event.capabilities or '?'}"
            network = f"interfaces {', '.join(event.interfaces) or 'none'}"
            use = {"agent": "", "setup": "for the setup"}.get(
                event.use, f"to verify the {event.use}"
            )
            return "sandbox", (event.container, use, facts, network, *event.problems)
        case ToolFinished():
            code = "" if event.exit_code is None else f"exit {event.exit_code}, "
            result = f"-> {'' if event.ok else 'FAILED, '}{code}{took(event.duration_ms)}"
            return "result", (event.tool, result, size(event.size), event.excerpt)
        case HostCommand():
            spent = f"-> exit {event.exit_code}, {took(event.duration_ms)}"
            return "host", (" ".join(event.argv), spent)
        case Resources():
            sizes = {"memory": event.memory, "peak": event.memory_peak, "work": event.workspace}
            known = (f"{name} {size(n)}" for name, n in sizes.items() if n is not None)
            cpu = "" if event.cpu_s is None else f"cpu {event.cpu_s:.1f} s"
            return "use", (*known, cpu, "" if event.pids is None else f"{event.pids} processes")
        case Timed():
            return "time", (event.operation, took(event.duration_ms), "" if event.ok else "FAILED")
        case _:
            assert_never(event)
