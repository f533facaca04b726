"""HTTP connections whose clients must get on with it: uvicorn waits for them without end."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

_MOST = 2000  # connections at once


class HurriedConnection(H11Protocol):
    """Left is a client that has not sent its request, or taken what was sent, between two looks.

    `patience` are the seconds between them.
    """

    patience: ClassVar[float] = 15.0
    _timer: asyncio.TimerHandle | None = None
    _seen: tuple[RequestResponseCycle | None, bool] | None = None
    _stuck: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > _MOST:
            transport.abort()
        else:
            self._timer = self.loop.call_later(self.patience, self._look)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stuck):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(self.patience, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _look(self) -> None:
        """A request that is no further, in its head or its body, than at the last look; or an end that nobody hears."""
        closing = self.transport.is_closing()
        waiting = closing or self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if waiting and self._seen == (self.cycle, closing):
            self.transport.abort()
        else:
            self._seen = (self.cycle, closing) if waiting else None
            self._timer = self.loop.call_later(self.patience, self._look)
