"""OpenAI's models, over the Responses API."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from tiny_backspace.conversation import Assistant, Reply, Text
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ProviderBusy, ProviderError
from tiny_backspace.events import Emit, ThoughtDelta
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.providers.openai_client import Line, whole
from tiny_backspace.providers.openai_errors import Declined, told
from tiny_backspace.providers.openai_wire import from_wire, to_wire

if TYPE_CHECKING:
    import httpx2

__all__ = ["OpenAI", "from_wire", "to_wire"]

_THOUGHTS = ("response.output_text.delta", "response.reasoning_summary_text.delta")
_ITEM = "response.output_item.added"
_LAST = ("response.completed", "response.incomplete", "response.failed")


class OpenAI:
    """A model that speaks the Responses API. It answers one call at a time.

    `transport` takes the place of the network.
    """

    def __init__(self, entry: Entry, *, transport: httpx2.BaseTransport | None = None) -> None:
        self.name = entry.name
        self.model = entry.model_name
        self.window: int | None = entry.window
        self._entry = entry
        self._line = Line(entry, transport)

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See `Provider`. An answer takes ten minutes at the most."""
        try:
            return from_wire(self._last_event(request, emit), self._entry)
        except Declined as declined:
            said = Assistant((Text(str(declined)),))
            return Reply(said, "refusal", self.name, self.model)

    def _last_event(self, request: ModelRequest, emit: Emit) -> dict[str, Any]:
        """The event that holds the whole answer. What becomes of the stream after it is no matter."""
        last: dict[str, Any] | None = None
        wire = to_wire(self._entry, request)
        with closing(self._line.events("/responses", wire, request.until)) as events:
            try:
                for event in events:
                    kind = event.get("type")
                    if kind in _THOUGHTS:
                        emit(ThoughtDelta(text=whole(str(event.get("delta") or ""))))
                    elif kind == _ITEM:
                        emit(ThoughtDelta(text=""))  # it has begun to answer
                    elif kind in _LAST:
                        last = event
                    elif kind == "error":
                        words = str(event.get("message") or "")
                        raise told(self._entry, words, codes=(event.get("code"),))
            except ProviderError:
                if last is None:
                    raise
        if last is None:
            raise ProviderBusy(f"{self.name}: the answer broke off")
        return last
