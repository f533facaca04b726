"""The sandbox that counts: a locked-down local container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic, sleep

from tiny_backspace.errors import SandboxLost
from tiny_backspace.events import Emit, Warned
from tiny_backspace.sandbox import container, plain, session
from tiny_backspace.sandbox.attach import Attached, Ended
from tiny_backspace.sandbox.container import AGENT_UID, INIT_UID
from tiny_backspace.sandbox.engine import Engine, remove, translated
from tiny_backspace.sandbox.interface import ExecResult, OnOutput, Stdin
from tiny_backspace.sandbox.output import Collected
from tiny_backspace.sandbox.pool import Sessions

_START = 30.0  # seconds for the engine to start an exec
_GRACE = 5.0  # seconds beyond a command's own time-out before we stop listening
_CONFIRM = 5.0  # seconds for the engine to confirm an exit code after the stream ended
_KILLED = 137


class DockerSandbox:
    """One container. `exec` has an exec of its own; the other verbs use sessions (session.py, pool.py).

    The verbs may be called from several threads. `exec` ends all that runs beside it, when it is done.
    Only its commands have `environment`, and are looked for in that PATH: ours are the image's.
    """

    def __init__(
        self,
        engine: Engine,
        container_id: str,
        emit: Emit,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._engine = engine
        self._id = container_id
        self._emit = emit
        self._variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        self._sessions = Sessions(self._start_session)

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        if self._variables:
            argv = ["env", *self._variables, *argv]
        try:
            result = self._run(argv, timeout, stdin, on_output)
        except BaseException:
            with suppress(SandboxLost):  # what ended it is what counts
                self._sweep_leftovers()
            raise
        self._sweep_leftovers()
        return result

    def call(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 120,
        stdin: Stdin = b"",
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        collected = Collected(on_output)
        with self._sessions.one() as live:
            if live is None:
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

        with self._sessions.one() as live:
            if live is None:
                return plain.read(self._run, path, limit)
            live.request({"op": "read", "path": path, "limit": limit}, timeout=60, on_frame=keep)
        return bytes(content)

    def write(self, path: str, data: bytes) -> None:
        with self._sessions.one() as live:
            if live is None:
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

    def beside(self, argv: Sequence[str], *, out_of_reach: bool = True) -> Attached:
        """A program of ours beside the commands. Out of their reach it runs as PID 1 does, and is never swept."""
        uid = INIT_UID if out_of_reach else AGENT_UID
        return self._attach(self._create_exec(argv, stdin=True, uid=uid))

    def kill(self) -> None:
        """End the container at once; whoever is using it is told that it is lost."""
        with translated("ending the container"):
            remove(self._engine, self._id)

    def _create_exec(self, argv: Sequence[str], *, stdin: bool, uid: int = AGENT_UID) -> str:
        with translated("starting a command"):
            created = self._engine.api.exec_create(
                self._id,
                list(argv),
                stdin=stdin,
                user=f"{uid}:{uid}",
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

    def _start_session(self) -> session.Session | None:
        exec_id = self._create_exec(session.command(), stdin=True)
        attached = self._attach(exec_id)
        try:
            return session.Session(attached, _START)
        except SandboxLost:
            attached.close()
            if self._exit_code(exec_id) not in (126, 127):
                raise
        self._emit(
            Warned(message="The image has no python3: file tools take an exec each, slowly.")
        )
        return None

    def close_session(self) -> None:
        """The next verb that needs one starts another."""
        self._sessions.close()

    def _sweep_leftovers(self) -> None:
        """End what a command left running, so that it cannot meddle with the next one."""
        with self._sessions.alone():
            if self._leftovers():
                self._kill_everything()

    def _leftovers(self) -> bool:
        """Whether somebody else runs in there, or may do: nobody is left to ask, or does not answer."""
        idle = self._sessions.idle()
        ours = [one.pid for one in idle]
        try:
            # every one: a command may have stopped any of them
            asked = [one.request({"op": "others", "ours": ours}, timeout=0) for one in idle]
        except SandboxLost:
            return True
        return not asked or any(answer["pids"] for answer in asked)

    def _sweep(self) -> None:
        with self._sessions.alone():
            self._kill_everything()

    def _kill_everything(self) -> None:
        """Every process of the agent's uid, the sessions' servers too. The caller is alone with them.

        Raises:
            SandboxLost: something in there kills faster than we do.
        """
        self._sessions.close()
        exec_id = self._create_exec(["/bin/sh", "-c", "kill -9 -1; :"], stdin=False)
        with self._attach(exec_id) as attached:
            attached.exchange((), lambda _, __: False, monotonic() + _START)
        if self._exit_code(exec_id) != 0:
            raise SandboxLost(
                "commands in the sandbox could not be ended",
                hint="The work so far is kept as a patch, if any of it came out before.",
            )
