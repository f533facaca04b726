"""Compatible servers (Ollama, vLLM, LM Studio and many more), over Chat Completions."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from tiny_backspace.conversation import Assistant, Reply, Text
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ProviderError
from tiny_backspace.events import Emit, ThoughtDelta
from tiny_backspace.providers.chat_wire import finish, from_wire, thought, to_wire
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.providers.openai_client import Line, whole
from tiny_backspace.providers.openai_errors import Declined

if TYPE_CHECKING:
    import httpx2

__all__ = ["Chat", "from_wire", "to_wire"]


class Chat:
    """A model that speaks Chat Completions. It answers one call at a time.

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
            chunks = self._chunks(request, emit)
        except Declined as declined:
            said = Assistant((Text(str(declined)),))
            return Reply(said, "refusal", self.name, self.model)
        return from_wire(chunks, self._entry, request.conversation)

    def _chunks(self, request: ModelRequest, emit: Emit) -> list[dict[str, Any]]:
        """The stream. Where it breaks after the reason to stop, nothing is missing but the count of tokens."""
        chunks: list[dict[str, Any]] = []
        wire = to_wire(self._entry, request)
        with closing(self._line.events("/chat/completions", wire, request.until)) as events:
            try:
                for chunk in events:
                    if not chunks:
                        emit(ThoughtDelta(text=""))  # it has begun to answer
                    chunks.append(chunk)
                    if text := thought(chunk):
                        emit(ThoughtDelta(text=whole(text)))
            except ProviderError:
                if finish(chunks) is None:
                    raise
        return chunks
