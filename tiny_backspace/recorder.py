"""From events to records: stamped, redacted, in order, to everybody who listens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeAlias

from tiny_backspace.events import Event, Record, ThoughtDelta, Warned
from tiny_backspace.redact import Redact, each_text

Subscriber: TypeAlias = Callable[[Record], None]
Watcher: TypeAlias = Callable[[str], None]
Clock: TypeAlias = Callable[[], datetime]

_LONGEST_WORD = 8192


class Recorder:
    """Stamps the events of one run and passes them on, in order. Any thread may call it.

    Subscribers get records; watchers get the text of thoughts as it comes. One that raises is
    dropped with a warning: whoever listens never changes the run.
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
        self._lock = threading.RLock()

    def __call__(self, event: Event | ThoughtDelta) -> None:
        with self._lock:
            if isinstance(event, ThoughtDelta):
                self._watch(event.text)
                return
            self._held = ""  # what was streamed so far comes whole in a record
            self._record(event)

    def _record(self, event: Event) -> None:
        self._seq += 1
        record = Record(
            seq=self._seq, at=self._clock(), run_id=self.run_id, event=self._redacted(event)
        )
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(record)
            except Exception as error:  # noqa: BLE001 - the second of the two places where this is right
                self._subscribers.remove(subscriber)
                name = getattr(subscriber, "__qualname__", type(subscriber).__name__)
                self._record(Warned(message=f"{name} failed and was left out: {error!r}"))

    def _redacted(self, event: Event) -> Event:
        fields = event.model_dump()
        safe = each_text(fields, lambda text: _encodable(self._redact(text)))
        return event if safe == fields else type(event).model_validate(safe)

    def _watch(self, text: str) -> None:
        """Pass on whole words only: a secret has no space in it, so none is ever shown in halves."""
        self._held += text
        cut = max(self._held.rfind(" "), self._held.rfind("\n")) + 1
        if not cut and len(self._held) > _LONGEST_WORD:
            cut = len(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        if ready:
            for watcher in self._watchers:
                watcher(self._redact(ready))


def _encodable(text: str) -> str:
    """Without lone surrogates, which no JSON line can carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
