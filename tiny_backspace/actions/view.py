"""The log of a job's step: the plain lines, folded by station, and annotations for what somebody should see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from secrets import token_hex
from typing import Self, TextIO

from tiny_backspace.actions.commands import command
from tiny_backspace.events import (
    Event,
    PolicyDecided,
    ProviderReplaced,
    Record,
    RunFailed,
    RunSucceeded,
    Step,
    StepStarted,
    SyntaxChecked,
    Verified,
    Warned,
)
from tiny_backspace.redact import clean_line
from tiny_backspace.views.lines import PlainLines, written

_MOST = 10  # annotations that a runner shows of each kind
_TITLE = "tiny-backspace"


class Grouped:
    """Writes to the log. Between our own commands none is heard, whatever a repository or a model says.

    `secrets` are masked by the runner, besides what we mask ourselves.
    """

    def __init__(self, stream: TextIO, verbose: bool, secrets: Iterable[str] = ()) -> None:
        self._stream = stream
        self._lines = PlainLines(stream, verbose, colour=False)
        self._secrets = tuple(secrets)
        self._token = token_hex(16)
        self._step: Step | None = None
        self._told: dict[str, int] = {}

    def __enter__(self) -> Self:
        masks = (line for secret in self._secrets for line in secret.splitlines() if line.strip())
        for line in masks:
            written(self._stream, command("add-mask", line))
        self._stop()
        return self

    def __exit__(self, *_: object) -> None:
        written(self._stream, command(self._token))

    def __call__(self, record: Record) -> None:
        event = record.event
        if isinstance(event, StepStarted) and event.step != self._step:
            self._say(*self._end(), command("group", clean_line(event.message)))
            self._step = event.step
        closing = isinstance(event, RunSucceeded | RunFailed)
        if closing:
            self._say(*self._end())
        self._lines(record)
        self._say(*self._few(_annotations(event)))

    def _end(self) -> Iterator[str]:
        if self._step is not None:
            yield command("endgroup")
            self._step = None

    def _few(self, found: Iterable[tuple[str, str]]) -> Iterator[str]:
        for kind, told in found:
            self._told[kind] = self._told.get(kind, 0) + 1
            if self._told[kind] <= _MOST:
                yield told

    def _say(self, *commands: str) -> None:
        """Ours are heard, and then none again."""
        if not commands:
            return
        written(self._stream, command(self._token))
        for each in commands:
            written(self._stream, each)
        self._stop()

    def _stop(self) -> None:
        written(self._stream, command("stop-commands", self._token))


def _annotations(event: Event) -> Iterator[tuple[str, str]]:
    """The kind, and the command. A file and a line where there is one."""
    match event:
        case Warned(message=message):
            yield _annotation("warning", message)
        case ProviderReplaced():
            yield _annotation(
                "warning", f"{event.next} took over from {event.failed}: {event.reason}"
            )
        case PolicyDecided(decision="refuse"):
            yield _annotation("error", f"{event.rule}: {event.message}", event.path)
        case PolicyDecided(decision="flag"):
            yield _annotation("warning", f"{event.rule}: {event.message}", event.path)
        case SyntaxChecked(ok=False):
            for problem in event.problems:
                path, _, rest = problem.partition(":")
                number, _, what = rest.partition(":")
                yield _annotation(
                    "error", what or problem, path, int(number) if number.isdigit() else None
                )
        case Verified(ok=False, on="change"):
            yield _annotation("error", f"`{event.command}` ended with exit code {event.exit_code}")
        case RunFailed():
            yield _annotation("error", f"{event.message}. {event.hint or ''}".rstrip())
        case RunSucceeded():
            yield _annotation(
                "notice", f"{event.message} {event.pr_url or event.branch or ''}".rstrip()
            )
        case _:
            return


def _annotation(
    kind: str, message: str, path: str = "", line: int | None = None
) -> tuple[str, str]:
    told = command(
        kind, clean_line(message), title=_TITLE, file=clean_line(path) or None, line=line
    )
    return kind, told
