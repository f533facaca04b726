"""From a wish to a container that has shown from inside that it is locked down, and to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from tiny_backspace.errors import SandboxError, SandboxUnverified
from tiny_backspace.events import Emit, SandboxAttested, SandboxUse, Warned, timed
from tiny_backspace.sandbox import attest, container, image, podman
from tiny_backspace.sandbox.container import AGENT_UID, SETUP, Limits, Volume, Wish
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import (
    DEADLINE_LABEL,
    OWNER_LABEL,
    RUN_LABEL,
    Engine,
    remove,
    translated,
)
from tiny_backspace.sandbox.mounts import Kept

_OPENING = 10.0  # seconds that an exit waits for a container that is being made
_CLEANUP = 120.0  # seconds a container outlives the run's time-out, for an orderly end


@contextmanager
def open_sandbox(
    engine: Engine, wish: Wish, run_id: str, owner: str, emit: Emit, use: SandboxUse = "agent",
    volume: Volume | None = None, environment: Mapping[str, str] | None = None,
) -> Generator[DockerSandbox]:  # fmt: skip
    """A container that has shown from inside that it is locked down; removed in any case.

    `environment` is what the commands of others find there besides ours.

    Raises:
        SandboxError: it could not be made.
        SandboxUnverified: it is not what was asked for.
    """
    with translated("asking the engine what it is"):
        info = engine.api.info()
    limits = container.limits(wish, engine_memory=info["MemTotal"], engine_cpus=info["NCPU"])
    with timed("sandbox.image", emit):
        image_id = image.ensure(
            engine.api, wanted=wish.image, base=wish.base, known=wish.known, emit=emit
        )
    name = f"tiny-backspace-{run_id}" + ("" if use == "agent" else f"-{use}")
    labels = {
        RUN_LABEL: run_id,
        OWNER_LABEL: owner,
        DEADLINE_LABEL: str(int(wish.seconds + _CLEANUP)),
    }
    make = partial(_create, engine, image_id, limits, wish, labels, name, volume)
    with _waited_for(), _made(engine, make, emit) as container_id:
        sandbox = DockerSandbox(engine, container_id, emit, environment)
        try:
            with translated("starting the container"), timed("sandbox.start", emit):
                engine.api.start(container_id)
            with timed("sandbox.attest", emit):
                _attest(sandbox, use, container_id, image_id, limits, emit, volume)
            yield sandbox
        finally:
            try:
                _end(engine, sandbox, container_id, emit)
            except BaseException:  # a signal came before the removal had begun
                _end(engine, sandbox, container_id, emit)
                raise


@contextmanager
def _waited_for() -> Generator[None]:
    """The program does not exit in the middle of this for a while: the daemon that opens a sandbox (overlap.py)
    would die with it, and one that is made and never started has no deadline.
    """
    over = threading.Event()
    threading.Thread(
        target=over.wait, args=(_OPENING,), name="container-opening", daemon=False
    ).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def _made(engine: Engine, make: Callable[[], str], emit: Emit) -> Generator[str]:
    """The container's id. The engine makes it even if a signal keeps us from hearing so: it is made in a thread that
    goes on then, which is waited for at exit, and removes what nobody waits for any more.
    """
    made, failed = list[str](), list[BaseException]()
    done, left = threading.Event(), threading.Event()
    lock = threading.Lock()

    def work() -> None:
        try:
            container_id = make()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            failed.append(error)
        else:
            with lock:
                made.append(container_id)
                unwanted = left.is_set()
            if unwanted:
                with suppress(SandboxError), translated("removing the container"):
                    remove(engine, container_id)
        finally:
            done.set()

    try:
        with timed("sandbox.create", emit), translated("making the container"):
            threading.Thread(target=work, name="make-container", daemon=False).start()
            done.wait()
            if failed:
                raise failed[0]  # noqa: TRY301 - the clean-up is for signals
        yield made[0]
    except BaseException:
        with lock:
            left.set()
            known = tuple(made)
        for container_id in known:  # most often it is gone by now, which is no error
            _remove_in_any_case(engine, container_id, emit)
        raise


def _create(
    engine: Engine, image_id: str, limits: Limits, wish: Wish, labels: dict[str, str], name: str,
    volume: Volume | None,
) -> str:  # fmt: skip
    options = container.host_config(limits, runtime=wish.runtime, volume=volume)
    asked: dict[str, Any] = container.container(image_id, wish.seconds + _CLEANUP, labels, name)
    if engine.is_podman():
        options, asked = podman.host_config(options), podman.container(asked)
    host = engine.api.create_host_config(**options)
    return str(engine.api.create_container(**asked, host_config=host)["Id"])


def _attest(
    sandbox: DockerSandbox, use: SandboxUse, container_id: str, image_id: str, limits: Limits,
    emit: Emit, volume: Volume | None = None,
) -> None:  # fmt: skip
    facts = attest.parse(sandbox.call(attest.SCRIPT, timeout=30).stdout)
    expected = attest.Expected(
        uid=AGENT_UID,
        gid=AGENT_UID,
        memory=limits.memory,
        cpus=limits.cpus,
        pids=limits.pids,
        writable=(container.WORKSPACE, container.TMP, container.HOME),
        kept=Kept(SETUP, volume.name, volume.writable) if volume else None,
    )
    problems = attest.problems(facts, expected)
    emit(
        SandboxAttested(
            use=use,
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
            hint="The engine ignores a control (rootless without cgroups? Podman on cgroup v1?). "
            "Nothing was run in it.",
        )


def _end(engine: Engine, sandbox: DockerSandbox, container_id: str, emit: Emit) -> None:
    sandbox.close_session()
    with timed("sandbox.remove", emit):
        _remove_in_any_case(engine, container_id, emit)


def _remove_in_any_case(engine: Engine, container_id: str, emit: Emit) -> None:
    """In a thread that is waited for at exit, so that a second Ctrl-C does not leave the container behind."""
    failures: list[SandboxError] = []
    done = (
        threading.Event()
    )  # a join() that a signal breaks off takes the thread for ended (CPython 3.11)

    def work() -> None:
        try:
            with translated("removing the container"):
                remove(engine, container_id)
        except SandboxError as error:  # one that has gone is no error: see `remove`
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="remove-container", daemon=False).start()
    done.wait()
    for error in failures:
        emit(Warned(message=f"{error}. {error.hint or ''}".strip()))
