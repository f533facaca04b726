"""A run's records as server-sent events, out of the history: the same for everybody, whenever they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from fastapi.sse import ServerSentEvent

from tiny_backspace.server.queue import Job
from tiny_backspace.telemetry.store import History

CLOSING = frozenset(("success", "error"))
_AT_ONCE = 16  # records that are held for each client, however slow it is
_OTHERS = 0.5  # seconds between two looks at a run of another process
_OURS = 15.0  # and at one of ours, which rings when there is news


async def follow(
    history: History,
    run_id: str,
    after: int,
    job: Job | None,
    is_live: Callable[[str], bool],
    problem: Callable[[str], str | None],
) -> AsyncIterator[ServerSentEvent]:
    """The records after that number, each with its own as its id, until the closing one.

    Where a run ended without one, nothing more comes; where it never came to a record, one event of the type
    `problem` says why, without an id.
    """
    while True:
        # in this order: what happens after the look rings, or is there at the next
        news = job.news if job else None
        over = job.over if job else not await asyncio.to_thread(is_live, run_id)
        page = await asyncio.to_thread(history.page, run_id, after, _AT_ONCE)
        for line in page:
            yield ServerSentEvent(raw_data=line.text, id=str(line.seq))
            after = line.seq
            if line.type in CLOSING:
                return
        if page:
            continue
        if over:
            if not after and (told := await asyncio.to_thread(problem, run_id)):
                yield ServerSentEvent(event="problem", data={"detail": told})
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_OURS if news else _OTHERS):
                await (news.wait() if news else asyncio.Event().wait())
