"""What happened, in four logs of JSON lines: a subscriber of the records, and an ear for what packages say.

structlog makes the lines, in a thread of its own: importing it takes a tenth of a second, which there is
while the first answer of a model is waited for. What waits meanwhile is lost with the process if that is
killed; the history has it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from typing_extensions import override

from tiny_backspace.events import Record, RunFailed, RunSucceeded, Step, StepStarted
from tiny_backspace.redact import Redact, clean, each_text
from tiny_backspace.statedir import private_dir
from tiny_backspace.telemetry.categories import KEPT, Category, categories, level
from tiny_backspace.telemetry.logfile import LogFile

_PATIENCE = 5.0  # seconds at the end of a run for what is still to be written
_LEVELS = {logging.WARNING: "warning", logging.ERROR: "error", logging.CRITICAL: "error"}
_FOLDER = "logs"
_HEAD = ("at", "level", "category", "run_id", "event")


def folder(state: Path) -> Path:
    """Where the logs of this state folder are."""
    return state / _FOLDER


class _Entry(NamedTuple):
    where: tuple[Category, ...]
    line: dict[str, Any]


class Logs:
    """The logs of one run, from `__enter__` to `__exit__`. A record is refused once the disk has failed."""

    def __init__(self, state: Path, run_id: str, redact: Redact) -> None:
        self._folder = folder(state)
        self._run_id = run_id
        self._redact = redact
        self._waiting: queue.SimpleQueue[Record | _Entry | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failed: OSError | None = None
        self._over = False
        self._ear = _Ear(self._foreign)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._ear)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._ear)
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(_PATIENCE)

    def __call__(self, record: Record) -> None:
        """Raises OSError: an earlier line could not be written."""
        if self._failed is not None:
            raise self._failed
        event = record.event
        self._waiting.put(record)
        ended = isinstance(event, RunSucceeded | RunFailed)
        if ended or (isinstance(event, StepStarted) and event.step == Step.AI_PROCESSING):
            self._start()

    def raised(self, error: BaseException) -> None:
        """What ended the run, with where it came from; no values of variables."""
        self._add(("errors",), "error", "exception", error, kind=type(error).__name__)

    def _foreign(self, said: logging.LogRecord) -> None:
        loud = _LEVELS.get(said.levelno, "warning")
        where: tuple[Category, ...] = ("app", "errors")
        error = said.exc_info[1] if said.exc_info else None
        self._add(where, loud, "log", error, logger=said.name, message=said.getMessage())

    def _add(
        self, where: tuple[Category, ...], loud: str, event: str, error: BaseException | None, **more: object
    ) -> None:  # fmt: skip
        line = {
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "level": loud,
            "run_id": self._run_id,
            "event": event,
            **more,
        }
        self._waiting.put(_Entry(where, line | ({"exc_info": error} if error else {})))

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="logs", daemon=True)
            self._thread.start()

    def _write(self) -> None:
        """Everything that waits, together, until the end is called."""
        try:
            private_dir(self._folder)
            render = _renderer(self._redact)
            files = {
                name: LogFile(self._folder / f"{name}.log", keeping)
                for name, keeping in KEPT.items()
            }
            while batch := self._ready():
                lines: dict[Category, list[bytes]] = {}
                for entry in batch:
                    for category in entry.where:
                        lines.setdefault(category, []).append(render(category, entry.line))
                for category, together in lines.items():
                    files[category].append(together)
        except Exception as error:  # noqa: BLE001 - the thread's boundary: the run goes on without
            self._failed = error if isinstance(error, OSError) else OSError(f"no logs: {error!r}")

    def _ready(self) -> list[_Entry]:
        """What waits, at least one; nothing once the end is reached."""
        found: list[_Entry] = []
        while not self._over and (not found or not self._waiting.empty()):
            match self._waiting.get():
                case None:
                    self._over = True
                case Record() as record:
                    found.append(_entry(record))
                case entry:
                    found.append(entry)
        return found


def _entry(record: Record) -> _Entry:
    event = record.event
    line = {
        "at": record.at.isoformat(timespec="microseconds"),
        "level": level(event),
        "run_id": record.run_id,
        "seq": record.seq,
        "event": event.type,
        **event.model_dump(mode="json", exclude={"type"}),
    }
    return _Entry(categories(event), line)


class _Ear(logging.Handler):
    """Hears what packages log, from warnings on."""

    def __init__(self, tell: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record)


def _renderer(redact: Redact) -> Callable[[Category, Mapping[str, Any]], bytes]:
    """A function that makes a line of an entry. Redacted, as records are already, for what packages said."""
    import structlog
    from structlog.processors import ExceptionRenderer, JSONRenderer
    from structlog.tracebacks import ExceptionDictTransformer

    def safe(_: object, __: str, entry: Any) -> Any:  # noqa: ANN401 - structlog's own types
        ordered = {key: entry[key] for key in _HEAD if key in entry} | entry
        return each_text(ordered, lambda text: clean(redact(text)))

    lines: list[str] = []
    logger = structlog.wrap_logger(
        _Sink(lines),
        processors=[
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=50)),
            safe,
            JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    )

    def render(category: Category, entry: Mapping[str, Any]) -> bytes:
        at, event, rest = entry["at"], entry["event"], dict(entry)
        del rest["at"], rest["event"]
        logger.bind(at=at, category=category).msg(event, **rest)
        return lines.pop().encode("utf-8", "replace") + b"\n"

    return render


class _Sink:
    """What structlog writes to."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def msg(self, line: str) -> None:
        self._lines.append(line)
