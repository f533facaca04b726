"""The sandbox that counts: a locked-down local container."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any

from tiny_backspace.errors import SandboxError, SandboxLost, SandboxUnverified
from tiny_backspace.events import Emit, SandboxAttested, Warned, timed
from tiny_backspace.sandbox import attest, container, image, plain, session
from tiny_backspace.sandbox.attach import STDERR, Attached, Ended
from tiny_backspace.sandbox.container import AGENT_UID, Limits, Wish
from tiny_backspace.sandbox.engine import (
    DEADLINE_LABEL,
    OWNER_LABEL,
    RUN_LABEL,
    Engine,
    remove,
    translated,
)
from tiny_backspace.sandbox.interface import ExecResult, OnOutput, Stdin

KEEP = 1 << 20  # bytes of each output that are kept
FLOOD = 8 << 20  # bytes of output after which a command is ended
_START = 30.0  # seconds for the engine to start an exec
_GRACE = 5.0  # seconds beyond a command's own time-out before we stop listening
_CONFIRM = 5.0  # seconds for the engine to confirm an exit code after the stream ended
_CLEANUP = 120.0  # seconds a container outlives the run's time-out, for an orderly end
_KILLED = 137


class _Kept:
    """The beginning and the end of an output, half of `KEEP` each."""

    def __init__(self) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self.seen = 0

    def add(self, data: bytes) -> None:
        self.seen += len(data)
        room = KEEP // 2 - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > KEEP:  # cut now and then, not for every piece
            del self._tail[: -KEEP // 2]

    def result(self) -> bytes:
        tail = self._tail[-KEEP // 2 :]
        lost = self.seen - len(self._head) - len(tail)
        mark = b"\n[... %d bytes left out ...]\n" % lost if lost else b""
        return bytes(self._head + mark + tail)


class Collected:
    """What a command says: handed on or kept, up to a bound."""

    def __init__(self, on_output: OnOutput | None) -> None:
        self._stdout, self._stderr = _Kept(), _Kept()
        self._on_output = on_output

    def keep(self, stream: int, data: bytes) -> None:
        if stream == STDERR:
            self._stderr.add(data)
        elif self._on_output is None:
            self._stdout.add(data)
        else:
            self._on_output(data)  # whoever takes it sets the bound, by raising

    def flooded(self, stream: int, data: bytes) -> bool:
        """`keep`; True when the command has said too much."""
        self.keep(stream, data)
        return self._stdout.seen + self._stderr.seen > FLOOD

    def result(self, exit_code: int, *, timed_out: bool) -> ExecResult:
        out, err = self._stdout, self._stderr
        clipped = out.seen > KEEP or err.seen > KEEP
        return ExecResult(exit_code, out.result(), err.result(), timed_out, clipped)


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
            SandboxLost: something in there kills faster than we do (docs/security.md, F14).
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


@contextmanager
def open_sandbox(
    engine: Engine, wish: Wish, run_id: str, owner: str, emit: Emit
) -> Generator[DockerSandbox]:
    """A container that has shown from inside that it is locked down; removed in any case.

    Raises:
        SandboxError: it could not be made.
        SandboxUnverified: it is not what was asked for.
    """
    with translated("asking the engine what it is"):
        info = engine.api.info()
    limits = container.limits(wish, engine_memory=info["MemTotal"], engine_cpus=info["NCPU"])
    with timed("sandbox.image", emit):
        image_id = image.ensure(engine.api, wanted=wish.image, base=wish.base, emit=emit)
    labels = {
        RUN_LABEL: run_id,
        OWNER_LABEL: owner,
        DEADLINE_LABEL: str(int(wish.seconds + _CLEANUP)),
    }
    with timed("sandbox.create", emit), translated("making the container"):
        container_id = _create(engine, image_id, limits, wish, labels, run_id)
    sandbox = DockerSandbox(engine, container_id, emit)
    try:
        with translated("starting the container"), timed("sandbox.start", emit):
            engine.api.start(container_id)
        with timed("sandbox.attest", emit):
            _attest(sandbox, container_id, image_id, limits, emit)
        yield sandbox
    finally:
        sandbox.close_session()
        with timed("sandbox.remove", emit):
            _remove_in_any_case(engine, container_id, emit)


def _create(
    engine: Engine, image_id: str, limits: Limits, wish: Wish, labels: dict[str, str], run_id: str
) -> str:
    host = engine.api.create_host_config(**container.host_config(limits, runtime=wish.runtime))
    asked: dict[str, Any] = container.container(
        image_id, wish.seconds + _CLEANUP, labels, f"tiny-backspace-{run_id}"
    )
    return str(engine.api.create_container(**asked, host_config=host)["Id"])


def _attest(
    sandbox: DockerSandbox, container_id: str, image_id: str, limits: Limits, emit: Emit
) -> None:
    facts = attest.parse(sandbox.call(attest.SCRIPT, timeout=30).stdout)
    expected = attest.Expected(
        uid=AGENT_UID,
        gid=AGENT_UID,
        memory=limits.memory,
        cpus=limits.cpus,
        pids=limits.pids,
        writable=(container.WORKSPACE, container.TMP, container.HOME),
    )
    problems = attest.problems(facts, expected)
    emit(
        SandboxAttested(
            ok=not problems,
            problems=problems,
            container=container_id[:12],
            image=image_id.removeprefix("sha256:")[:12],
            uid=facts.uid if facts.uid is not None else -1,
            capabilities=facts.capabilities or "unknown",
            no_new_privs=bool(facts.no_new_privs),
            seccomp=bool(facts.seccomp),
            memory=facts.memory,
            cpus=facts.cpus,
            pids=facts.pids,
            interfaces=facts.interfaces,
            writable=tuple(mount.path for mount in facts.writable),
        )
    )
    if problems:
        raise SandboxUnverified(
            "the sandbox is not as locked down as it must be: " + "; ".join(problems),
            hint="The engine ignores a control (rootless without cgroups?). Nothing was run in it.",
        )


def _remove_in_any_case(engine: Engine, container_id: str, emit: Emit) -> None:
    """In a thread that is waited for at exit, so that a second Ctrl-C does not leave the container behind."""
    failures: list[SandboxError] = []

    def work() -> None:
        try:
            with translated("removing the container"):
                remove(engine, container_id)
        except SandboxLost:
            pass  # gone, which is what we want
        except SandboxError as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="remove-container")
    thread.start()
    thread.join()
    for error in failures:
        emit(Warned(message=f"{error}. {error.hint}"))
