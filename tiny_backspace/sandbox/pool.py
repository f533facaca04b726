"""The sessions of one sandbox: whoever needs one has it to itself, and several threads have several."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from tiny_backspace.sandbox.session import Session

_AT_MOST = 4
_PATIENCE = 0.05  # seconds to wait for one before another is started, which takes about as long
_ENDING = 1.0  # seconds that the others have to come to their end before somebody is alone


class Sessions:
    """`start` makes a session, or says with None that there can be none; several threads may be in it at once."""

    def __init__(
        self,
        start: Callable[[], Session | None],
        *,
        patience: float = _PATIENCE,
        ending: float = _ENDING,
    ) -> None:
        self._start = start
        self._patience = patience
        self._ending = ending
        self._changed = threading.Condition()  # reentrant
        self._idle: list[Session] = []
        self._busy: set[Session] = set()
        self._starting = 0
        self._possible: bool | None = None  # not known before the first was started

    @contextmanager
    def one(self) -> Generator[Session | None]:
        """A session that is the caller's alone. Where there can be none: None, and `alone`."""
        if (session := self._take()) is None:
            with self.alone():
                yield None
            return
        try:
            yield session
        finally:
            self._give_back(session)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Nobody gets a session meanwhile. Those who have one are waited for, but not forever."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used, self._ending)
            yield

    def idle(self) -> tuple[Session, ...]:
        """Those that are there for the next one to come. To be asked, and used, in an `alone` only."""
        with self._changed:
            return tuple(session for session in self._idle if session.alive())

    def close(self) -> None:
        """All of them; one that is in use is left to who uses it, and nobody gets it afterwards."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._busy.clear()
            for session in idle:
                session.close()
            self._changed.notify_all()

    @property
    def _used(self) -> int:
        return len(self._busy) + self._starting

    def _take(self) -> Session | None:
        with self._changed:
            self._changed.wait_for(lambda: self._possible is not None or not self._used)
            self._changed.wait_for(lambda: self._idle or not self._used, self._patience)
            self._changed.wait_for(lambda: self._idle or self._used < _AT_MOST)
            if self._possible is False:
                return None
            while self._idle:
                session = self._idle.pop()
                if session.alive():
                    self._busy.add(session)
                    return session
                session.close()
            self._starting += 1
        return self._started()

    def _started(self) -> Session | None:
        """Not under the lock: whoever is done in the meantime need not wait for it."""
        try:
            session = self._start()
        except BaseException:
            with self._changed:
                self._starting -= 1
                self._changed.notify_all()
            raise
        with self._changed:
            self._starting -= 1
            self._possible = session is not None
            if session is not None:
                self._busy.add(session)
            self._changed.notify_all()
        return session

    def _give_back(self, session: Session) -> None:
        with self._changed:
            known = session in self._busy
            self._busy.discard(session)
            if known and session.alive():
                self._idle.append(session)
            else:
                session.close()
            self._changed.notify_all()
