"""From events to records: stamped, redacted, in order, to everybody who listens."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeAlias, TypeVar

from pydantic import ValidationError

from tiny_backspace.events import Event, Record, RunFailed, RunSucceeded, ThoughtDelta, Warned
from tiny_backspace.redact import Redact, each_text

Subscriber: TypeAlias = Callable[[Record], None]
Watcher: TypeAlias = Callable[[str], None]
Clock: TypeAlias = Callable[[], datetime]
T = TypeVar("T")

_LONGEST_WORD = 8192
_LONGEST_SECRET = 1024
_BARE = frozenset((bool, int, float, type(None)))  # in which there is no text


class Recorder:
    """Stamps the events of one run and passes them on, in order. Any thread may call it.

    Subscribers get records; watchers get the text of thoughts as it comes. One that raises is
    dropped with a warning: whoever listens never changes the run. After the closing event, nothing is
    passed on: a thread that was left alone may still have something to say.
    """

    def __init__(
        self,
        run_id: str,
        subscribers: Iterable[Subscriber],
        *,
        clock: Clock,
        redact: Redact,
        watchers: Iterable[Watcher] = (),
    ) -> None:
        self.run_id = run_id
        self._subscribers = list(subscribers)
        self._watchers = list(watchers)
        self._clock = clock
        self._redact = redact
        self._seq = 0
        self._held = ""
        self._waiting: deque[Event] = deque()
        self._passing = False
        self._over = False
        self._lock = threading.RLock()

    def __call__(self, event: Event | ThoughtDelta) -> None:
        with self._lock:
            if isinstance(event, ThoughtDelta):
                self._watch(event.text)
                return
            self._held = ""  # what was streamed so far comes whole in a record
            self._waiting.append(event)
            self._pass_on()

    def _pass_on(self) -> None:
        """One after the other: what a subscriber emits comes after the record it was given."""
        if self._passing:
            return
        self._passing = True
        try:
            while self._waiting:
                self._record(self._waiting.popleft())
        finally:
            self._passing = False

    def _record(self, event: Event) -> None:
        if self._over:
            return
        self._over = isinstance(event, RunSucceeded | RunFailed)
        self._seq += 1
        record = Record(
            seq=self._seq, at=self._clock(), run_id=self.run_id, event=self._redacted(event)
        )
        self._tell(self._subscribers, record)

    def _tell(self, listeners: list[Callable[[T], None]], news: T) -> None:
        for listener in tuple(listeners):
            try:
                listener(news)
            except Exception as error:  # noqa: BLE001 - the second of the two places where this is right
                listeners.remove(listener)
                name = getattr(listener, "__qualname__", type(listener).__name__)
                self._waiting.append(Warned(message=f"{name} failed and was left out: {error!r}"))

    def _redacted(self, event: Event) -> Event:
        """The event itself, if it holds nothing to hide: most do not, and making one anew takes longer than looking."""
        fields = vars(event) | (event.model_extra or {})
        changed = {
            name: safe
            for name, value in fields.items()
            if type(value) not in _BARE and (safe := each_text(value, self._safe)) != value
        }
        if not changed:
            return event
        try:
            return type(event).model_validate(fields | changed)
        except ValidationError as error:
            # somebody's secret is a word of the contract itself ("sandbox"), which gives nothing away
            words = {str(fault["loc"][0]) for fault in error.errors()}
            return type(event).model_validate(
                fields | changed | {word: fields[word] for word in words}
            )

    def _safe(self, text: str) -> str:
        """Without secrets, and without lone surrogates, which no JSON line can carry."""
        text = self._redact(text)
        return text if text.isascii() else text.encode("utf-8", "replace").decode()

    def _watch(self, text: str) -> None:
        """Pass on whole words only: a secret has no space in it, so none is ever shown in halves.

        Of a word without an end all is passed on but for so much as the beginning of one can be.
        """
        self._held += text
        cut = max(self._held.rfind(" "), self._held.rfind("\n")) + 1
        if not cut and len(self._held) > _LONGEST_WORD:
            self._held = self._redact(self._held)
            cut = max(0, len(self._held) - _LONGEST_SECRET)
        ready, self._held = self._held[:cut], self._held[cut:]
        if ready:
            self._tell(self._watchers, self._redact(ready))
            self._pass_on()
