"""Several sessions of one sandbox: who gets which, and what an end of them all means to those in use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.sandbox.serving import PATIENCE, serving
from tiny_backspace.errors import SandboxLost
from tiny_backspace.sandbox.pool import Sessions
from tiny_backspace.sandbox.session import Session

RUN = {"op": "run", "argv": ["true"], "timeout": PATIENCE}


class Server:
    """Starts sessions with a server each, and remembers them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.started: list[Session] = []
        self._folder = folder
        self._stack = stack
        self._lock = threading.Lock()

    def __call__(self) -> Session:
        with self._lock:
            served = self._stack.enter_context(serving(self._folder))
            self.started.append(served.session)
            return served.session


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "work"
    folder.mkdir()
    with ExitStack() as stack:
        yield Server(folder, stack)


@contextmanager
def threads() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def works(session: Session | None) -> bool:
    return session is not None and session.request(RUN, timeout=PATIENCE)["exit_code"] == 0


def use(sessions: Sessions) -> Session | None:
    with sessions.one() as session:
        assert works(session)
        return session


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_one_after_the_other_shares_one_session(server: Server) -> None:
    sessions = Sessions(server)
    assert {use(sessions) for _ in range(5)} == set(server.started)
    assert len(server.started) == 1


def test_a_session_that_comes_free_in_time_is_waited_for(server: Server) -> None:
    sessions = Sessions(server, patience=PATIENCE)
    with threads() as pool:
        used = list(pool.map(lambda _: use(sessions), range(8)))
    assert set(used) == set(server.started)
    assert len(server.started) == 1


def test_at_most_four_are_used_at_once_and_each_by_one(server: Server) -> None:
    sessions = Sessions(server, patience=0)
    meet = threading.Barrier(4)

    def meeting(_: int) -> Session | None:
        with sessions.one() as session:
            meet.wait(PATIENCE)  # only four at the same time come past it
            assert works(session)
            return session

    with threads() as pool:
        used = list(pool.map(meeting, range(8)))

    assert set(used) == set(server.started)
    assert len(server.started) == 4


def test_a_session_that_was_broken_off_is_replaced(server: Server) -> None:
    sessions = Sessions(server)
    with sessions.one() as session:
        assert session is not None
        session.close()
    assert use(sessions) is server.started[1]


def test_who_cannot_start_one_says_so_and_the_next_tries_again(server: Server) -> None:
    failures = [SandboxLost("not now")]

    def start() -> Session:
        if failures:
            raise failures.pop()
        return server()

    sessions = Sessions(start)
    with pytest.raises(SandboxLost, match="not now"), sessions.one():
        pass
    assert use(sessions) is server.started[0]
    with sessions.alone():  # nobody counts as being at it
        assert len(sessions.idle()) == 1


def test_where_there_can_be_none_it_is_asked_once_and_one_comes_after_the_other() -> None:
    asked: list[int] = []
    inside: list[int] = []

    def start() -> None:
        asked.append(1)

    sessions = Sessions(start)

    def alone(number: int) -> int:
        with sessions.one() as session:
            assert session is None
            inside.append(number)
            with sessions.alone():  # an exec that has to sweep
                sessions.close()
            return inside.pop() - number

    with threads() as pool:
        assert list(pool.map(alone, range(50))) == [0] * 50
    assert len(asked) == 1


def test_who_wants_to_be_alone_waits_for_the_others(server: Server) -> None:
    sessions = Sessions(server, ending=PATIENCE)
    taken, told = threading.Event(), []

    def other() -> None:
        with sessions.one() as session:
            taken.set()
            assert works(session)
            told.append("done")

    thread = in_a_thread(other)
    assert taken.wait(PATIENCE)
    with sessions.alone():
        told.append("alone")
    thread.join()
    assert told == ["done", "alone"]


def test_who_does_not_end_is_not_waited_for_beyond_the_time_and_gets_no_successor(
    server: Server,
) -> None:
    sessions = Sessions(server, ending=0.01)
    taken, go_on = threading.Event(), threading.Event()

    def hanging() -> None:
        with sessions.one():
            taken.set()
            go_on.wait(PATIENCE)

    thread = in_a_thread(hanging)
    assert taken.wait(PATIENCE)
    with sessions.alone():
        sessions.close()
    assert use(sessions) is server.started[1]
    go_on.set()
    thread.join()
    with sessions.alone():
        assert sessions.idle() == (server.started[1],)


def test_an_interrupt_inside_frees_the_session(server: Server) -> None:
    sessions = Sessions(server)
    with pytest.raises(KeyboardInterrupt), sessions.one():
        raise KeyboardInterrupt
    with sessions.alone():
        assert sessions.idle() == (server.started[0],)
