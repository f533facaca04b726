"""The server itself: where it may listen, and how it ends."""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

import uvicorn
from typing_extensions import override

from tiny_backspace.errors import UsageError
from tiny_backspace.server.app import create_app
from tiny_backspace.server.connections import HurriedConnection
from tiny_backspace.server.queue import Queue
from tiny_backspace.server.readiness import Readiness, engine
from tiny_backspace.server.service import Service
from tiny_backspace.settings import Settings
from tiny_backspace.views.figures import counted

_GOODBYE = 5  # seconds for answers that are under way when all runs have ended
_BACKLOG = 128
_PATIENCE = 2  # signals: the first drains, the second ends the runs
_KEPT = timedelta(days=30)  # for which a request that came to nothing can be repeated with its key
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    settings: Settings,
    environment: Mapping[str, str],
    state: Path,
    ready: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """Listen until SIGTERM or SIGINT, then drain. `ready` is called with the address once it listens.

    `say` is for whoever started it: what goes wrong, and how it ends.

    Raises:
        UsageError: it may not, or cannot, listen there.
    """
    limits = settings.server
    check(limits.host, tokens=bool(limits.tokens))
    _many_connections()
    with _listening(limits.host, limits.port) as listener:
        served = Service(settings, environment, state, say)
        served.requests.tidy(datetime.now(UTC) - _KEPT)
        app = create_app(served, Readiness(engine(settings.docker_host)))

        class Connection(HurriedConnection):
            patience = limits.patience

        config = uvicorn.Config(
            app, http=Connection, ws="none", lifespan="off", loop="asyncio", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=_GOODBYE,
        )  # fmt: skip
        server = _Server(config, served.queue, limits.drain, say)
        host, port = listener.getsockname()[:2]
        ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        with _heard():
            server.run(sockets=[listener])
        served.close()


def check(host: str, *, tokens: bool) -> None:
    """Raises UsageError: without a token only this machine is listened to."""
    if not tokens and not is_loopback(host):
        raise UsageError(
            f"Without a token the service listens to this machine only, and {host} is more",
            hint="Make one: tiny-backspace serve --new-token NAME. Or listen on 127.0.0.1.",
        )


def is_loopback(host: str) -> bool:
    """Whether that is this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(uvicorn.Server):
    """Runs are ended before connections are: whoever follows one hears of its end."""

    def __init__(
        self, config: uvicorn.Config, queue: Queue, seconds: float, say: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._say = say
        self._queue = queue
        self._seconds = seconds
        self._told = 0

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._told += 1
        self.should_exit = True
        self.force_exit = (
            self._told > _PATIENCE
        )  # then nobody hears of the end of the runs any more

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._queue.running:
            going = counted(self._queue.running, "run")
            self._say(
                f"{going} may go on for {self._seconds:g} s; a second signal, or Ctrl-C, ends them now."
            )
        await self._queue.drain(self._seconds, hurry=lambda: self._told > 1)
        await super().shutdown(sockets)


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{host} is no address to listen at: {error.strerror}") from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            raise UsageError(
                f"Nobody can listen at {host}:{port}: {error.strerror}",
                hint="Another one may do so already: --port chooses, 0 takes any that is free.",
            ) from error
        yield listener


@contextmanager
def _heard() -> Generator[None]:
    """The server raises its signals once more when it has ended in order; they have done their work."""
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _many_connections() -> None:
    """As many files as the system allows: each client is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
