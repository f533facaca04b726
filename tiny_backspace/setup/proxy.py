"""The only way out of a setup's container: on the host, in a thread, over one exec's stream.

What comes in are connections of programs that nobody trusts. Each has to say in plain text where it
wants to go (asking.py), that has to be allowed (places.py), a TLS client has to name the same host
(hello.py), and only then its name is looked up and the host is connected to, here.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

from tiny_backspace.errors import SandboxLost
from tiny_backspace.events import Egress, Emit, Warned
from tiny_backspace.redact import clean_line
from tiny_backspace.sandbox.attach import STDOUT, Attached, Demultiplexer
from tiny_backspace.setup import asking
from tiny_backspace.setup.asking import Asked, BadRequest
from tiny_backspace.setup.exchange import (
    LONGEST_NAME,
    answer,
    client_hello,
    first_of,
    head_of,
    looked_up,
)
from tiny_backspace.setup.hello import NotHello
from tiny_backspace.setup.places import Allowed, Denied, Place, decide, may_lead_to
from tiny_backspace.setup.relay import PIECE, ProtocolError, Stream, Streams

_START = 30.0  # seconds until the relay takes connections
_TOLD = 200  # denials and failures that are told one by one
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds and bytes. `up` and `down` are those of all connections together."""

    asking: float = 30.0
    connecting: float = 15.0
    idle: float = 120.0
    up: int = 16 << 20
    down: int = 8 << 30


class _TooMuch(Exception):
    """More bytes than a setup may send or get."""


class Proxy:
    """Serves from when it is entered until it is left. `connected` counts the connections that it made to others."""

    def __init__(
        self,
        attached: Attached,
        allowed: tuple[Place, ...],
        emit: Emit,
        bounds: Bounds | None = None,
    ) -> None:
        self._attached, self._allowed, self._emit = attached, allowed, emit
        self._bounds = bounds or Bounds()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._greeted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="setup-proxy", daemon=True)
        self._ended = ""
        self._complaint = b""
        self._seen: set[tuple[str, int]] = set()
        self._refusals = 0
        self._up = self._down = 0
        self.connected = 0
        self.refused: dict[str, None] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._greeted.wait(_START)
        except BaseException:
            self.close()
            raise
        if not self._greeted.is_set() or self._ended:
            self.close()
            raise SandboxLost(f"the setup has no way out: {self._ended or 'no answer'}")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._ended and kind is not SandboxLost:
            self._emit(Warned(message=f"The setup's way out ended early: {self._ended}"))
        self.close()
        if self._refusals > _TOLD:
            more = self._refusals - _TOLD
            self._emit(Warned(message=f"The setup was kept from {more} more connections."))

    def close(self) -> None:
        """No connection outlives it."""
        with suppress(RuntimeError):  # it has ended by itself, and closed its loop
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._attached.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        except (OSError, ProtocolError) as error:
            self._ended = str(error)
        finally:
            self._loop.close()  # it waits for no look-up that hangs
            self._greeted.set()

    async def _main(self) -> None:
        sock, early = self._attached.taken_over()
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        tasks: set[asyncio.Task[None]] = set()

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        def opened(stream: Stream) -> None:
            task = asyncio.create_task(self._served(stream))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        streams = Streams(write, opened, self._greeted.set)
        listening = asyncio.create_task(self._listen(reader, streams, early))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not self._stop.is_set():
                listening.result()
                said = self._complaint.decode(errors="replace").strip()
                self._ended = said.rpartition("\n")[2] or "the engine closed its stream"
        finally:
            writer.close()
            ending = (listening, stopping, *tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _listen(self, reader: asyncio.StreamReader, streams: Streams, early: bytes) -> None:
        frames = Demultiplexer()
        data = early or await reader.read(PIECE)
        while data:
            for kind, payload in frames.feed(data):
                if kind == STDOUT:
                    streams.feed(payload)
                else:
                    self._complaint = (self._complaint + payload)[-2000:]
            data = await reader.read(PIECE)
        streams.break_off()

    async def _served(self, stream: Stream) -> None:
        try:
            await self._serve(stream)
        except (OSError, TimeoutError):  # of either side; what somebody should know is told already
            pass
        finally:
            with suppress(OSError):
                await stream.abort()

    async def _serve(self, stream: Stream) -> None:
        async with asyncio.timeout(self._bounds.asking):
            head, rest = await head_of(stream)
        if not head:
            return
        try:
            asked = asking.parse(head)
        except BadRequest as error:
            await self._refuse(stream, Asked(error.host, error.port), str(error))
            return
        decision = decide(asked.host, asked.port, self._allowed, tls=asked.tunnel)
        if isinstance(decision, Denied):
            await self._refuse(stream, asked, decision.reason)
        elif asked.tunnel:
            await self._tunnel(stream, asked, decision, rest)
        else:
            await self._forward(stream, asked, decision)

    async def _tunnel(self, stream: Stream, asked: Asked, allowed: Allowed, early: bytes) -> None:
        await stream.write(_ESTABLISHED)
        try:
            async with asyncio.timeout(self._bounds.asking):
                data = await client_hello(stream, early, allowed.host)
        except NotHello as error:
            self._tell(asked, "denied", str(error))
            return
        reader, writer = await self._connect(asked, allowed)
        await self._carry(asked, stream, reader, writer, data)

    async def _forward(self, stream: Stream, asked: Asked, allowed: Allowed) -> None:
        """One request in plain HTTP. What the client says after it goes nowhere."""
        try:
            reader, writer = await self._connect(asked, allowed)
        except (OSError, TimeoutError):
            await stream.write(answer("502 Bad Gateway", "it could not be reached"))
            await stream.end()
            raise
        await self._carry(asked, stream, reader, writer, asked.head)

    async def _connect(
        self, asked: Asked, allowed: Allowed
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To an address that this place may have, and to no other: the name is looked up once."""
        try:
            async with asyncio.timeout(self._bounds.connecting):
                addresses = await looked_up(allowed.host, allowed.place.port)
                good = [a for a in addresses if may_lead_to(a, allowed.place)]
                reached = await first_of(good, allowed.place.port) if good else None
        except (OSError, TimeoutError) as error:
            self._tell(asked, "failed", str(error) or "no answer in time")
            raise
        if reached is None:
            reason = f"its name leads into this network: {addresses[0]}"
            self._tell(asked, "denied", reason)
            raise ConnectionRefusedError(reason)
        self.connected += 1
        if (allowed.host, asked.port) not in self._seen:
            self._seen.add((allowed.host, asked.port))
            self._emit(Egress(host=allowed.host, port=asked.port, decision="allowed"))
        return reached

    async def _carry(
        self, asked: Asked, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        first: bytes,
    ) -> None:  # fmt: skip
        """Both ways until both are over, or too much was carried, or nothing for too long."""
        loop, idle = asyncio.get_running_loop(), self._bounds.idle

        async def up() -> None:
            data = first
            while data:
                self._up += len(data)
                if self._up > self._bounds.up:
                    raise _TooMuch(f"a setup may send {self._bounds.up >> 20} MiB in all")
                writer.write(data)
                await writer.drain()
                timer.reschedule(loop.time() + idle)
                data = await stream.read() if asked.tunnel else b""
            if asked.tunnel:
                writer.write_eof()

        async def down() -> None:
            while data := await reader.read(PIECE):
                self._down += len(data)
                if self._down > self._bounds.down:
                    raise _TooMuch(f"a setup may fetch {self._bounds.down >> 30} GiB in all")
                await stream.write(data)
                timer.reschedule(loop.time() + idle)
            await stream.end()

        both: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(idle) as timer:
                both += (asyncio.create_task(up()), asyncio.create_task(down()))
                await asyncio.gather(*both)
        except _TooMuch as error:
            self._tell(asked, "denied", str(error))
        finally:
            for task in both:
                task.cancel()
            writer.close()

    async def _refuse(self, stream: Stream, asked: Asked, reason: str) -> None:
        self._tell(asked, "denied", reason)
        await stream.write(answer(f"403 {reason}", reason))
        await stream.end()

    def _tell(self, asked: Asked, decision: Literal["denied", "failed"], reason: str) -> None:
        self._refusals += 1
        host = clean_line(asked.host)[:LONGEST_NAME]
        if len(self.refused) < _TOLD:
            self.refused[host] = None
        if self._refusals <= _TOLD:
            self._emit(Egress(host=host, port=asked.port, decision=decision, reason=reason))
