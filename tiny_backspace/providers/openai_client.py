"""The way to a server that speaks as OpenAI does: its Responses, or the Chat Completions of many."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import finalize

from typing_extensions import override

from tiny_backspace import __version__
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ProviderBusy, ProviderError
from tiny_backspace.providers.bounded import NO_PROXY, PLAIN, bounded, quiet, sound
from tiny_backspace.providers.openai_errors import VENDOR, one_line, silent, translated
from tiny_backspace.redact import each_text
from tiny_backspace.watchdog import KEPT_ALIVE, Connections, Watch, watched

if TYPE_CHECKING:
    import httpx2
    import openai

_CONNECT = 10.0  # seconds
_LONGEST = 600.0  # seconds for one answer
ANSWER = 5
"""The part of the window that is left for an answer: a fifth, as the conversation is folded at four."""
_NAME_LENGTH = 64
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Line:
    """A line to one server: the client is made with the first question and kept for the next ones."""

    def __init__(self, entry: Entry, transport: httpx2.BaseTransport | None) -> None:
        self._entry = entry
        self._transport = transport
        self._client: openai.OpenAI | None = None
        self._responses: list[httpx2.Response] = []
        self._connections = Connections()

    def events(self, path: str, body: Mapping[str, Any], until: float) -> Generator[dict[str, Any]]:
        """The events of one streamed answer, as they came on the wire. Close it: it holds a connection.

        Raises:
            ProviderError: what `translated` makes of a failure, or it is later than `until`.
        """
        import httpx2
        import openai

        left = min(_LONGEST, until - monotonic())
        if left <= 0:
            raise ProviderError(f"{self._entry.name} was not asked: the time is over")
        client, end, idle = self._opened(), monotonic() + left, self._entry.idle_timeout
        timeout = httpx2.Timeout(min(idle, left), connect=min(_CONNECT, left))
        self._responses.clear()
        seen = False
        with watched(self._connections.hang_up, idle=KEPT_ALIVE * idle, until=end) as watch:
            try:
                with client.post(
                    path, cast_to=object, body=dict(body), options={"timeout": timeout},
                    stream=True, stream_cls=openai.Stream[object],
                ) as stream:  # fmt: skip
                    for event in stream:
                        watch.alive()
                        seen = True
                        if isinstance(event, dict):
                            yield event
            except (openai.OpenAIError, httpx2.RequestError, ValueError, RecursionError) as error:
                if monotonic() >= end:
                    watch.ended = "over"
                raise self._hung_up(watch, left) or translated(error, self._entry) from error
        if hung_up := self._hung_up(watch, left):
            raise hung_up
        if not seen:
            raise self._no_stream()

    def _opened(self) -> openai.OpenAI:
        import httpx2
        import openai

        if self._client is None:
            try:
                self._client = _client(
                    self._entry, self._transport, self._connections, self._responses
                )
            except (
                openai.OpenAIError,
                httpx2.InvalidURL,
                ImportError,
                OSError,
                ValueError,
            ) as error:
                # an address, a proxy variable or a certificate file that is none
                head = f"{self._entry.name} cannot be asked"
                raise ProviderError(one_line(self._entry, head, str(error))) from error
            finalize(self, self._client.close)
        return self._client

    def _hung_up(self, watch: Watch, seconds: float) -> ProviderError | None:
        match watch.ended:
            case "over":
                return ProviderError(f"{self._entry.name} took longer than {seconds:.3g} s")
            case "idle":
                return silent(self._entry)
            case None:
                return None

    def _no_stream(self) -> ProviderBusy:
        kinds = [response.headers.get("content-type", "nothing") for response in self._responses]
        head = f"{self._entry.name}: it answered with no stream"
        return ProviderBusy(one_line(self._entry, head, ", ".join(kinds)))


def _client(
    entry: Entry,
    transport: httpx2.BaseTransport | None,
    connections: Connections,
    responses: list[httpx2.Response],
) -> openai.OpenAI:
    """The SDK's client. Every response is put into `responses` as soon as its headers are there.

    Of the environment, the proxy variables and those of the certificates hold; none says who we are,
    where we send, or what else.
    """
    import openai

    quiet("openai", "httpx2", "httpcore2")

    class Client(openai.OpenAI):
        @property
        @override
        def default_headers(self) -> dict[str, str | openai.Omit]:
            # the SDK's own would be over the key: OPENAI_CUSTOM_HEADERS, _ORG_ID, _PROJECT_ID
            return {
                "Accept": "text/event-stream",
                "Content-Type": "application/json",
                "User-Agent": f"tiny-backspace/{__version__}",
            }

    key = entry.key.get_secret_value() if entry.key else "none"
    if not key.isascii() or not key.isprintable():
        raise ValueError(f"the key in {entry.key_variable} has characters that no key has")
    return Client(
        api_key=key,
        admin_api_key="",
        base_url=entry.base_url or VENDOR,
        max_retries=0,
        http_client=openai.DefaultHttpx2Client(
            transport=transport,
            follow_redirects=False,  # the conversation goes nowhere else
            headers=PLAIN,
            event_hooks={"request": [connections.trace], "response": [responses.append, bounded]},
            mounts=NO_PROXY,
        ),
    )


def arguments(raw: object) -> tuple[dict[str, Any], str]:
    """A call's arguments and, if they are no JSON object, what came instead."""
    try:
        text = raw if isinstance(raw, str) else json.dumps(raw)
        parsed = raw if isinstance(raw, dict) else json.loads(text or "{}")
    except (ValueError, RecursionError):
        text, parsed = str(raw) if isinstance(raw, str) else "", None
    if not isinstance(parsed, dict) or not sound(parsed):
        return {}, whole(text) or "nothing that can be read"
    return each_text(parsed, whole), ""


def call_id(id_: str) -> str:
    """The id, or one made of it where it is longer or of other characters than every server takes."""
    if _CALL_ID.fullmatch(id_):
        return id_
    return "call_" + hashlib.sha256(id_.encode("utf-8", "replace")).hexdigest()[:32]


def acceptable(name: str) -> str:
    """A tool's name as the vendors take it: another model may have made up any."""
    return _ODD.sub("_", name)[:_NAME_LENGTH] or "_"


def whole(text: str) -> str:
    """The text with the halves of a character put together, and none left alone: they cannot be sent back."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def count(usage: object, *path: str) -> int:
    """A number of tokens, at this place of what a server tells of its usage; 0 if it tells none."""
    for key in path:
        usage = usage.get(key) if isinstance(usage, dict) else None
    return max(0, usage) if isinstance(usage, int) else 0
