"""A setup: the user's commands in a container of their own, whose only way out is the proxy."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Protocol

from tiny_backspace.errors import SandboxError, SandboxLost, SetupFailed
from tiny_backspace.events import Emit, Step, StepStarted, timed
from tiny_backspace.redact import clean
from tiny_backspace.repo.mirror import Base, Mirror
from tiny_backspace.sandbox.attach import STDOUT, Attached
from tiny_backspace.sandbox.container import SETUP
from tiny_backspace.sandbox.interface import ExecResult, Sandbox
from tiny_backspace.setup import environment, relay
from tiny_backspace.setup.keys import Wanted
from tiny_backspace.setup.proxy import Proxy

_EVERY = 2.0  # seconds between two looks at the volume, which has no limit of its own
_MEASURING = 15.0  # seconds that one may take
_MEASURED = 10_000  # bytes that it may say
_BLIND = 30.0  # seconds without a look that told something: a command's end ends a look too
_FILES = 400_000
_TAIL = 1500  # characters of a failed command's output
_TITLE = 60
_RELAY = Path(relay.__file__)

# A folder that a foreign image does not have is the engine's, and root's. apt can fetch packages with these
# settings, to be unpacked with `dpkg -x`: nobody is root here.
_PREPARE = f"""
set -e
test -w {SETUP} || {{ echo no-folder; exit 0; }}
mkdir -p {environment.SCRATCH}/apt/lists/partial {environment.SCRATCH}/apt/archives/partial {SETUP}/node/bin {SETUP}/bin
cat >{environment.APT} <<'END'
Dir::State "{environment.SCRATCH}/apt";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{environment.SCRATCH}/apt";
END
if python3 -c 'import ensurepip, venv' 2>/dev/null
then python3 -m venv --system-site-packages {environment.VENV}
fi
"""
# What npm has put into the work tree comes along, if it is none of the repository's own. Then what was only
# needed on the way goes, and the rest is safely on disk before anybody counts on it.
_FINISH = f"""
set -e
if [ -d node_modules ] && [ ! -L node_modules ] && git check-ignore -q node_modules
then mkdir -p {SETUP}/tree && cp -a node_modules {environment.MODULES}
fi
chmod -R u+w {environment.SCRATCH}
rm -rf {environment.SCRATCH}
sync -f {SETUP} || :
"""
_MEASURE = f"du -sk {SETUP} && du -s --inodes {SETUP}"
# In the containers after it, before the base is checked out. What is linked is none of the change.
_LINK = f"""
if [ -d {environment.MODULES} ]
then ln -s {environment.MODULES} node_modules && mkdir -p "$HOME/.config/git" && echo /node_modules >"$HOME/.config/git/ignore"
fi
"""


class Box(Sandbox, Protocol):
    """A container that can be ended from outside, and that a program of ours can run in out of reach of the rest."""

    def beside(self, argv: list[str], *, out_of_reach: bool = True) -> Attached: ...

    def kill(self) -> None: ...


def install(box: Box, mirror: Mirror, base: Base, wanted: Wanted, emit: Emit) -> int:
    """Run the commands on the base; how many bytes are in the volume then.

    Raises:
        SetupFailed: one of them failed, took too long, or left too much.
        SandboxError: the image is not fit for it, or the container was lost.
    """
    until = monotonic() + wanted.seconds
    with _watched(box, wanted.disk):
        if wanted.registries.certificates:
            box.write(environment.CERTIFICATES, wanted.registries.certificates.encode())
        with timed("setup.prepare", emit):
            mirror.bring_in(box, base)
            _prepare(box)
        argv = ["python3", "-I", "-S", "-c", _RELAY.read_text("utf-8"), str(environment.PORT)]
        with Proxy(box.beside(argv), wanted.registries.places, emit) as proxy:
            for command in wanted.commands:
                _run(box, command, until, wanted.seconds, proxy, emit)
        with timed("setup.finish", emit):
            return _finished(box, wanted.disk)


def link(sandbox: Sandbox) -> None:
    """Put what belongs into the work tree there, before the base is checked out.

    Raises:
        SandboxError: it cannot be.
    """
    done = sandbox.call(["sh", "-c", _LINK])
    if not done.ok:
        raise SandboxError(f"the setup could not be linked into the work tree: {_tail(done)}")


def _prepare(box: Box) -> None:
    done = box.call(["sh", "-c", _PREPARE], timeout=120)
    if b"no-folder" in done.stdout:
        raise SandboxError(
            f"a setup cannot run in this image: it has no folder {SETUP} that user 10001 may write to",
            hint="Leave --image out, or add that folder to the image.",
        )
    if not done.ok:
        raise SandboxError(f"the setup's container could not be prepared: {_tail(done)}")


def _run(box: Box, command: str, until: float, seconds: float, proxy: Proxy, emit: Emit) -> None:
    title = _title(command)
    emit(StepStarted.at(Step.SANDBOX_INIT, f"Setting up with {title}..."))
    with timed("setup.command", emit):
        left = max(1.0, until - monotonic())
        done = box.exec(["bash", "-e", "-c", f"exec 2>&1\n{command}"], timeout=left)
    if done.ok:
        return
    how = (
        f"took longer than {seconds:g} s"
        if done.timed_out
        else f"ended with exit code {done.exit_code}"
    )
    hint = (
        "Raise --setup-timeout." if done.timed_out else "No model was asked, and nothing was spent."
    )
    if proxy.refused:
        named = ", ".join(list(proxy.refused)[:5])
        hint = f"It was kept from {named}: what it needs of that, allow with --setup-host."
    raise SetupFailed(f"the setup failed: `{title}` {how}\n{_tail(done)}", hint=hint)


def _title(command: str) -> str:
    first = command.strip().partition("\n")[0]
    return f"{first[:_TITLE]}…" if len(first) > _TITLE or first != command.strip() else first


def _tail(done: ExecResult) -> str:
    text = clean((done.stdout + done.stderr).decode(errors="replace")).strip()
    return "\n".join(f"  {line}" for line in text[-_TAIL:].splitlines())


def _finished(box: Box, limit: int) -> int:
    done = box.call(["sh", "-c", _FINISH], timeout=300)
    size = _size(box) if done.ok else None
    if size is None:
        raise SandboxError(f"the setup could not be kept: {_tail(done)}")
    if problem := _too_much(*size, limit):
        raise SetupFailed(problem, hint="Raise --setup-disk, or install less.")
    return size[0]


def _size(box: Box) -> tuple[int, int] | None:
    """Bytes and files in the volume; None if that could not be told in time: a command may stop whoever looks."""
    said = bytearray()

    def keep(stream: int, data: bytes) -> bool:
        if stream == STDOUT:
            said.extend(data)
        return len(said) > _MEASURED

    argv = ["sh", "-c", _MEASURE]
    with suppress(SandboxError), box.beside(argv, out_of_reach=False) as attached:
        attached.exchange((), keep, monotonic() + _MEASURING, close=True)
    numbers = re.findall(rb"^(\d+)\t", said, re.MULTILINE)
    return (int(numbers[0]) << 10, int(numbers[1])) if len(numbers) == 2 else None  # noqa: PLR2004 - two lines


def _too_much(size: int, files: int, limit: int) -> str | None:
    if size > limit:
        return f"the setup failed: it has put {size >> 20} MiB into {SETUP}; {limit >> 20} MiB is the limit"
    if files > _FILES:
        return f"the setup failed: it has put {files} files into {SETUP}; {_FILES} is the limit"
    return None


class _Watch:
    """Ends the container if there is too much in the volume, or if that cannot be told.

    Who looks may be held up, with the engine's whole start of a command; so somebody else keeps the time.
    """

    def __init__(self, box: Box, limit: int) -> None:
        self._box, self._limit = box, limit
        self._known = monotonic()
        self._over, self._gone = threading.Event(), threading.Event()
        self._problem: str | None = None

    def start(self) -> None:
        for work in (self._look, self._keep_time):
            threading.Thread(target=work, name="watch-setup", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def problem(self) -> str | None:
        """Why the container was ended, if it was: then it is gone by now."""
        if self._problem:
            self._gone.wait(_MEASURING)
        return self._problem

    def _look(self) -> None:
        while not self._over.wait(_EVERY):
            if size := _size(self._box):
                self._known = monotonic()
                if found := _too_much(*size, self._limit):
                    self._end(found)

    def _keep_time(self) -> None:
        while not self._over.wait(_EVERY):
            if monotonic() - self._known > _BLIND:
                self._end(f"the setup failed: it hides how much it has put into {SETUP}")

    def _end(self, why: str) -> None:
        if not self._over.is_set():
            self._problem = why
            self._over.set()
            with suppress(SandboxError):
                self._box.kill()
            self._gone.set()


@contextmanager
def _watched(box: Box, limit: int) -> Generator[None]:
    """Within the block somebody looks at how much there is in the volume.

    Raises:
        SetupFailed: it was too much, and the container was ended.
    """
    watch = _Watch(box, limit)
    watch.start()
    try:
        yield
    except SandboxLost as error:
        if found := watch.problem():
            raise SetupFailed(found, hint="Raise --setup-disk, or install less.") from error
        raise
    finally:
        watch.stop()
