"""Claude, over the Messages API."""

from __future__ import annotations

import json
import weakref
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING, Any

from tiny_backspace.conversation import Reply
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ProviderBusy, ProviderError
from tiny_backspace.events import Emit, ThoughtDelta
from tiny_backspace.providers.bounded import NO_PROXY, PLAIN, bounded, quiet
from tiny_backspace.providers.claude_errors import GARBLED, silent, translated
from tiny_backspace.providers.claude_wire import from_wire, to_wire
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.watchdog import KEPT_ALIVE, Connections, Watch, watched

if TYPE_CHECKING:
    import anthropic
    import httpx2
    from anthropic.types import Message as ClaudeMessage

__all__ = ["Claude", "from_wire", "to_wire", "translated"]

VENDOR = "https://api.anthropic.com"
_LONGEST = 600.0  # seconds for one answer
_CONNECT = 10.0  # seconds


class Claude:
    """A model that speaks the Messages API. It answers one call at a time.

    `transport` takes the place of the network.
    """

    def __init__(self, entry: Entry, *, transport: httpx2.BaseTransport | None = None) -> None:
        self.name = entry.name
        self.model = entry.model_name
        self.window: int | None = entry.window
        self._entry = entry
        self._transport = transport
        self._client: anthropic.Anthropic | None = None
        self._connections = Connections()

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See `Provider`. An answer takes ten minutes at the most."""
        until = min(request.until, monotonic() + _LONGEST)
        message: ClaudeMessage | None = None
        inputs: defaultdict[int, str] = defaultdict(str)
        with closing(self._events(to_wire(self._entry, request), until)) as events:
            for event in events:
                if event.type == "content_block_delta":
                    _hear(event, inputs, emit)
                elif event.type == "message_stop":
                    message = event.message
        if message is None:
            raise ProviderBusy(f"{self.name}: the answer broke off")
        try:
            reply = from_wire(message, self._entry)
        except (*GARBLED, RecursionError) as error:  # the SDK checks little of what it hands over
            raise ProviderBusy(f"{self.name}: the answer cannot be read") from error
        if reply.stop in {"tool_use", "end_turn"}:  # the stops on which tools are run
            _check_whole(inputs.values(), self._entry)
        return reply

    def _events(self, wire: Mapping[str, Any], until: float) -> Generator[Any]:
        """What the model says, event by event; whatever goes wrong with it is a ProviderError."""
        import anthropic
        import httpx2

        left = until - monotonic()
        if left <= 0:
            raise ProviderError(f"{self.name} was not asked: the time is over")
        idle, begun, complete = self._entry.idle_timeout, False, False
        timeout = httpx2.Timeout(min(idle, left), connect=min(_CONNECT, left))
        asked = self._connected().messages.stream(**wire, timeout=timeout)
        with watched(self._connections.hang_up, idle=KEPT_ALIVE * idle, until=until) as watch:
            try:
                with asked as stream:
                    for event in stream:
                        watch.alive()
                        begun = begun or event.type == "message_start"
                        complete = complete or (begun and event.type == "message_stop")
                        if begun:  # of what comes before, the SDK has checked nothing
                            yield event
            except (anthropic.AnthropicError, httpx2.HTTPError, *GARBLED) as error:
                if not complete:
                    raise self._broken(watch, left, until, error) from error
            if watch.ended and not complete:
                raise self._broken(watch, left, until)

    def _broken(
        self, watch: Watch, left: float, until: float, error: BaseException | None = None
    ) -> ProviderError:
        if watch.ended == "over" or monotonic() >= until:
            return ProviderError(f"{self.name} took longer than {left:.0f} s")
        if watch.ended == "idle" or error is None:
            return silent(self._entry)
        return translated(error, self._entry)

    def _connected(self) -> anthropic.Anthropic:
        """The client, made when it is first needed."""
        if self._client is None:
            self._client = _client(self._entry, self._transport, self._connections)
            # nobody tells a Provider that it is no longer needed
            weakref.finalize(self, self._client.close)
        return self._client


def _client(
    entry: Entry,
    transport: httpx2.BaseTransport | None,
    connections: Connections,
) -> anthropic.Anthropic:
    """Of the environment it takes proxies and certificates, and not who we are or whom we ask.

    Raises:
        ProviderError: the address, a proxy or the certificates are unusable.
    """
    import anthropic
    import httpx2

    quiet("anthropic", "httpx2", "httpcore2")
    given: dict[str, Any] = {} if transport is None else {"transport": transport}
    try:
        client = anthropic.Anthropic(
            api_key=entry.key.get_secret_value() if entry.key else "none",
            base_url=entry.base_url or VENDOR,
            max_retries=0,
            open_telemetry=False,
            http_client=anthropic.DefaultHttpxClient(
                follow_redirects=False,  # what a repository holds goes where the user said
                headers=PLAIN,
                event_hooks={"request": [connections.trace], "response": [bounded]},
                mounts=NO_PROXY,
                **given,
            ),
        )
    except (ValueError, OSError, ImportError, httpx2.InvalidURL) as error:
        raise ProviderError(
            f"{entry.name} cannot be asked: no connection can be prepared ({type(error).__name__})",
            hint="Look at base_url, the proxy variables and SSL_CERT_FILE.",
        ) from error
    # those of ANTHROPIC_CUSTOM_HEADERS would win over our key, and no argument keeps them out
    client._custom_headers = {}  # noqa: SLF001
    return client


def _hear(event: Any, inputs: defaultdict[int, str], emit: Emit) -> None:  # noqa: ANN401 - of the SDK, unchecked
    """A piece of an answer: a thought is passed on, a tool's input put to what came of it before."""
    match event.delta.to_dict(warnings=False):
        case {"type": "text_delta", "text": str(said)} if said:
            emit(ThoughtDelta(text=said))
        case {"type": "thinking_delta", "thinking": str(thought)} if thought:
            emit(ThoughtDelta(text=thought))
        case {"type": "input_json_delta", "partial_json": str(piece)}:
            if not inputs:
                emit(ThoughtDelta(text=""))  # it has begun to answer
            inputs[event.index] += piece


def _check_whole(inputs: Iterable[str], entry: Entry) -> None:
    """The SDK takes half an object for a whole one, and half a file must not be written."""
    try:
        for text in filter(None, inputs):
            json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProviderBusy(f"{entry.name}: a tool call came without its end") from error
