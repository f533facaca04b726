"""What the routes do: take a run on, find one, follow it, end it. One object for a running service."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from tiny_backspace.errors import UsageError
from tiny_backspace.redact import clean_line
from tiny_backspace.server import answers
from tiny_backspace.server.answers import Run
from tiny_backspace.server.asked import Code, repository, words
from tiny_backspace.server.auth import Caller
from tiny_backspace.server.problems import Problem
from tiny_backspace.server.queue import Draining, Job, Queue, QueueFull
from tiny_backspace.settings import Settings
from tiny_backspace.statedir import is_live
from tiny_backspace.telemetry.database import HistoryError
from tiny_backspace.telemetry.requests import Requests, Wanted
from tiny_backspace.telemetry.store import History, Status

_BUSY = 30  # seconds until a run may have ended
_AGAIN = 5  # seconds until one may ask again where there is no better guess


class Service:
    """`state` is the folder of the history, `environment` all that the runs have of theirs; `say` is for whoever
    started the service.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        state: Path,
        say: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.state = state
        self.history = History(state / "history.db")
        self.requests = Requests(state / "history.db")
        limits = settings.server
        self.queue = Queue(limits.workers, limits.queue, environment, self._ended)
        self.counted: Counter[str] = Counter()
        self.streams = 0
        self.begun = time.time()
        self._say = say
        self._taking = asyncio.Lock()

    def is_live(self, run_id: str) -> bool:
        return is_live(self.state, run_id)

    async def take(self, code: Code, caller: Caller, key: str | None) -> str:
        """The id of the run for it: a new one, or that of the same request with the same key.

        Raises:
            Problem: it is not acceptable, or nothing can be taken on now.
        """
        run_id = secrets.token_hex(16)
        try:
            place = repository(code.repo_url, self.settings)
            said = words(run_id, place, code.options, self.settings)
        except UsageError as error:
            raise Problem(422, str(error), hint=error.hint) from None
        wanted = Wanted(run_id, caller.name, datetime.now(UTC), key, code.digest())
        # nobody with the same key meets one that is not taken on after all
        async with self._taking:
            kept = await asyncio.to_thread(self.requests.keep, wanted)
            if kept is not wanted:
                if kept.asked != wanted.asked:
                    raise Problem(
                        422,
                        "This Idempotency-Key was used for another request.",
                        hint="Use a new one.",
                    )
                return kept.run_id
            alone = code.on_disconnect == "cancel"
            job = Job(run_id, caller.name, place, code.prompt, said, alone, wanted.at)
            try:
                self.queue.submit(job)
            except (QueueFull, Draining) as refused:
                await asyncio.to_thread(self.requests.forget, run_id)
                raise self._refused(refused) from None
        self.counted["taken"] += 1
        return run_id

    def _refused(self, why: QueueFull | Draining) -> Problem:
        if isinstance(why, Draining):
            self.counted["refused_draining"] += 1
            return Problem(503, "The service is about to end.", wait=_AGAIN)
        self.counted["refused_full"] += 1
        return Problem(429, f"As many runs wait as may: {self.queue.waiting}.", wait=_BUSY)

    async def find(self, run_id: str, caller: Caller) -> Run:
        """Raises Problem: there is none that this caller may see; which of both is not said."""
        wanted = await asyncio.to_thread(self.requests.find, run_id)
        if not caller.everything and (wanted is None or wanted.owner != caller.name):
            raise _missing()
        job = self.queue.job(run_id)
        ask = partial(self.history.run, run_id, is_live=self.is_live)
        row = await asyncio.to_thread(ask)
        if row is None and job is not None and job.over:  # it has begun and ended meanwhile
            row = await asyncio.to_thread(ask)
        if row is not None:
            return answers.of_row(row)
        if job is not None and not job.over:
            return answers.of_job(job)
        if wanted is not None:
            return answers.of_request(wanted)
        raise _missing()

    async def runs(
        self,
        caller: Caller,
        *,
        limit: int,
        status: Status | Literal["queued"] | None,
        repo: str | None,
    ) -> list[Run]:
        """The newest first, those that have no record yet before all others."""
        owner = None if caller.everything else caller.name
        jobs = [
            job
            for job in reversed(self.queue.jobs())
            if owner in (None, job.owner) and (repo or "").lower() in job.repo.lower()
        ]

        def looked_up() -> list[Run]:
            silent = [answers.of_job(job) for job in jobs if not self._is_kept(job)]
            rows = (
                []
                if status == "queued"
                else self.history.runs(
                    is_live=self.is_live, limit=limit, status=status, repo=repo, owner=owner
                )
            )
            known = {row.run_id for row in rows}  # one may have begun to speak meanwhile
            fresh = [r for r in silent if status in (None, r.status) and r.run_id not in known]
            return [*fresh, *map(answers.of_row, rows)][:limit]

        return await asyncio.to_thread(looked_up)

    def _is_kept(self, job: Job) -> bool:
        """Whether the history has it."""
        return job.begun and self.history.run(job.run_id, is_live=self.is_live) is not None

    def check_streams(self) -> None:
        """Raises Problem: nobody more can follow a run."""
        if self.streams >= self.settings.server.streams:
            raise Problem(503, "As many runs are followed as may be.", wait=_AGAIN)

    @asynccontextmanager
    async def followed(self, run_id: str) -> AsyncIterator[Job | None]:
        """While somebody follows it; with the last one a run may go too, if that was asked for."""
        job = self.queue.job(run_id)
        self.streams += 1
        if job is not None:
            job.followers += 1
        try:
            yield job
        finally:
            self.streams -= 1
            if job is not None:
                job.followers -= 1
                if job.cancel_alone and not job.followers and not job.over:
                    self.queue.cancel(job)
                self.queue.forget(job)

    def problem(self, run_id: str) -> str | None:
        """Why it never came to a record, if it did not."""
        wanted = self.requests.find(run_id)
        return wanted.problem if wanted else None

    async def cancel(self, run_id: str, caller: Caller) -> None:
        """Raises Problem: there is none, it is over, or it is none of this service's."""
        found = await self.find(run_id, caller)
        job = self.queue.job(run_id)
        if found.status not in ("queued", "running"):
            raise Problem(409, "It is over already.")
        if job is None or job.over:
            raise Problem(
                409,
                "Another process runs it.",
                hint="Whoever started it can end it, by Ctrl-C or SIGTERM.",
            )
        self.queue.cancel(job)

    def close(self) -> None:
        self.history.close()

    async def _ended(self, job: Job) -> None:
        how = "nothing" if job.code is None else "failure" if job.code else "success"
        self.counted[f"ended_{how}"] += 1
        if job.complaint:
            self._say(f"Run {job.run_id} could not begin: {clean_line(job.complaint)}")
        if job.problem is not None:
            with suppress(HistoryError):  # whoever follows it hears it all the same
                await asyncio.to_thread(self.requests.failed, job.run_id, job.problem)


def _missing() -> Problem:
    return Problem(404, "There is no such run.")
