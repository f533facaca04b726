"""The sandbox that counts: a locked-down local container."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import monotonic, sleep

from tiny_backspace.errors import SandboxLost
from tiny_backspace.events import Emit, Warned
from tiny_backspace.sandbox import container, plain, session
from tiny_backspace.sandbox.attach import Attached, Ended
from tiny_backspace.sandbox.container import AGENT_UID
from tiny_backspace.sandbox.engine import Engine, translated
from tiny_backspace.sandbox.interface import ExecResult, OnOutput, Stdin
from tiny_backspace.sandbox.output import Collected

_START = 30.0  # seconds for the engine to start an exec
_GRACE = 5.0  # seconds beyond a command's own time-out before we stop listening
_CONFIRM = 5.0  # seconds for the engine to confirm an exit code after the stream ended
_KILLED = 137


class DockerSandbox:
    """One container. `exec` has an exec of its own; the other verbs share a session (session.py)."""

    def __init__(self, engine: Engine, container_id: str, emit: Emit) -> None:
        self._engine = engine
        self._id = container_id
        self._emit = emit
        self._session: session.Session | None = None
        self._has_python = True
        self._lock = threading.RLock()  # without Python a call is an exec, which may have to sweep

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        try:
            return self._run(argv, timeout, stdin, on_output)
        finally:
            self._sweep_leftovers()

    def call(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        collected = Collected(on_output)
        with self._lock:
            if (live := self._live_session()) is None:
                return self._run(argv, timeout, stdin, on_output)
            try:
                result = live.request(
                    {"op": "run", "argv": list(argv), "timeout": timeout},
                    timeout=timeout,
                    stdin=(stdin,) if isinstance(stdin, bytes) else stdin,
                    on_frame=lambda kind, data: collected.keep(int(kind), data),
                )
            except OSError as error:
                if not live.alive():  # it is the host's own, of the input or of `on_output`
                    raise
                return ExecResult(127, stderr=f"{argv[0]}: {error.strerror}".encode())
        return collected.result(result["exit_code"], timed_out=result["timed_out"])

    def read(self, path: str, *, limit: int = 16 << 20) -> bytes:
        content = bytearray()

        def keep(_: bytes, data: bytes) -> None:
            content.extend(data)
            if len(content) > limit:
                raise SandboxLost("the file session sent more than it was asked for")

        with self._lock:
            if (live := self._live_session()) is None:
                return plain.read(self._run, path, limit)
            live.request({"op": "read", "path": path, "limit": limit}, timeout=60, on_frame=keep)
        return bytes(content)

    def write(self, path: str, data: bytes) -> None:
        with self._lock:
            if (live := self._live_session()) is None:
                plain.write(self._run, path, data)
            else:
                live.request({"op": "write", "path": path}, timeout=60, stdin=(data,))

    def _run(
        self, argv: Sequence[str], timeout: float, stdin: Stdin, on_output: OnOutput | None = None
    ) -> ExecResult:
        """One exec: ended inside by `timeout`, outside by our own deadline; the exit code is the engine's."""
        collected = Collected(on_output)
        start = monotonic()
        bounded = ["timeout", "-k", "2", f"{timeout:g}", *argv]
        exec_id = self._create_exec(bounded, stdin=bool(stdin))
        chunks: Iterable[bytes] = (stdin,) if isinstance(stdin, bytes) else stdin
        with self._attach(exec_id) as attached:
            ended = attached.exchange(
                chunks, collected.flooded, start + timeout + _GRACE, close=True
            )
        if ended is not Ended.CLOSED:  # it floods, or ignores its end: sweep it away
            self._sweep()
            return collected.result(_KILLED, timed_out=ended is Ended.DEADLINE)
        exit_code = self._exit_code(exec_id)
        over = exit_code in (124, _KILLED) and monotonic() - start >= timeout
        return collected.result(exit_code, timed_out=over)

    def _create_exec(self, argv: Sequence[str], *, stdin: bool) -> str:
        with translated("starting a command"):
            created = self._engine.api.exec_create(
                self._id,
                list(argv),
                stdin=stdin,
                user=f"{AGENT_UID}:{AGENT_UID}",
                workdir=container.WORKSPACE,
            )
        return str(created["Id"])

    def _attach(self, exec_id: str) -> Attached:
        version = str(self._engine.api.api_version)
        return Attached(self._engine.socket_path, version, exec_id, _START)

    def _exit_code(self, exec_id: str) -> int:
        """The engine's word; a stream that merely ended proves nothing."""
        until = monotonic() + _CONFIRM
        while monotonic() < until:
            with translated("confirming an exit code"):
                state = self._engine.api.exec_inspect(exec_id)
            if not state["Running"] and state["ExitCode"] is not None:
                return int(state["ExitCode"])
            sleep(0.02)
        raise SandboxLost("the engine did not confirm how the command ended")

    def _live_session(self) -> session.Session | None:
        if self._session is not None and not self._session.alive():
            self.close_session()
        if self._session is None and self._has_python:
            exec_id = self._create_exec(session.command(), stdin=True)
            attached = self._attach(exec_id)
            try:
                self._session = session.Session(attached, _START)
            except SandboxLost:
                attached.close()
                if self._exit_code(exec_id) not in (126, 127):
                    raise
                self._has_python = False
                self._emit(
                    Warned(
                        message="The image has no python3: file tools take an exec each, slowly."
                    )
                )
        return self._session

    def close_session(self) -> None:
        """The next verb that needs one starts another."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _sweep_leftovers(self) -> None:
        """End what a command left running, so that it cannot meddle with the next one."""
        with self._lock:
            if self._session is not None and self._session.alive():
                with suppress(SandboxLost):  # the command may have stopped or killed the server
                    if not self._session.request({"op": "others"}, timeout=0)["pids"]:
                        return
        self._sweep()

    def _sweep(self) -> None:
        """Kill every process of the agent's uid, the session's server too.

        Raises:
            SandboxLost: something in there kills faster than we do.
        """
        with self._lock:
            self.close_session()
            exec_id = self._create_exec(["/bin/sh", "-c", "kill -9 -1; :"], stdin=False)
            with self._attach(exec_id) as attached:
                attached.exchange((), lambda _, __: False, monotonic() + _START)
            if self._exit_code(exec_id) != 0:
                raise SandboxLost(
                    "commands in the sandbox could not be ended",
                    hint="The work so far is kept as a patch, if any of it came out before.",
                )
