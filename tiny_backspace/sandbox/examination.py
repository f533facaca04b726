"""What `doctor` finds out about the engine, the image and a container."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from tiny_backspace.errors import SandboxError, SandboxUnverified, TinyBackspaceError
from tiny_backspace.events import Event, SandboxAttested, ThoughtDelta
from tiny_backspace.finding import Finding
from tiny_backspace.sandbox import container, image, podman
from tiny_backspace.sandbox.container import Wish
from tiny_backspace.sandbox.engine import Engine, connect, translated
from tiny_backspace.sandbox.known import is_known
from tiny_backspace.sandbox.opening import open_sandbox
from tiny_backspace.sandbox.selftest import TITLES, tried

# Older ones have published escapes: docs/security.md, "Engines".
_ENGINE, _RUNC = (29, 5, 1), (1, 2, 8)
_KEEP_NEW = "Our containers are given less than the published escapes need; a newer one is safer."
_SWITCHES = {
    "MemoryLimit": "memory", "SwapLimit": "swap", "PidsLimit": "processes", "CpuCfsQuota": "processors",
}  # fmt: skip
_DRIFT = 5.0  # seconds between the engine's clock and ours
_STALE = 90  # days
_SMALL = 1 << 30  # bytes of memory that a thorough examination fills


def examine(
    docker_host: str | None, wish: Wish, owner: str, *, thorough: bool
) -> Iterator[Finding]:
    """The engine, then the image, then a container; each only if the one before is there."""
    try:
        engine = connect(docker_host)
    except TinyBackspaceError as error:
        yield Finding("engine", "failed", str(error), error.hint or "")
        return
    with closing(engine.api):
        try:
            with translated("asking the engine what it is"):
                info, version = engine.api.info(), engine.api.version()
            yield from _engine(engine, info, version)
            name = image.name_of(engine.api, base=wish.base, wanted=wish.image)
            there = image.find(engine.api, name)
            with translated("looking at the image"):
                made = _moment(str(engine.api.inspect_image(there)["Created"])) if there else None  # type: ignore[no-untyped-call] # the stubs skip it
        except SandboxError as error:
            yield Finding("engine", "failed", str(error), error.hint or "")
            return
        if there is None:
            if wish.image:
                fix = f"A run never pulls. Get it with `docker pull {name}`, or leave --image out."
                yield Finding("image", "failed", f"there is no {name}", fix)
            else:
                fix = "The first run builds it, or now: tiny-backspace image build"
                yield Finding("image", "warning", f"{name} is not built yet", fix)
            return
        said = f"{name} ({there.removeprefix('sha256:')[:12]})"
        if wish.known and not wish.image and not is_known(wish.known, name, there):
            fix = "Somebody built or named it anew. Make it from your own files: tiny-backspace image build"
            yield Finding("image", "failed", f"{said} is not the one your runs used first", fix)
            return
        yield _age(said, made, own=not wish.image)
        yield from _container(engine, wish, owner, thorough=thorough)


def _age(said: str, made: datetime | None, *, own: bool) -> Finding:
    """Its name is the hash of what it was made from; what it was made of comes from Debian, and gets old."""
    if made is None:
        return Finding("image", "ok", said)
    days = max(0, (datetime.now(UTC) - made).days)
    said = f"{said}, made {f'{days} days ago' if days else 'today'}"
    if own and days > _STALE:
        fix = "Its packages lack what was repaired since: tiny-backspace image build --force"
        return Finding("image", "warning", said, fix)
    return Finding("image", "ok", said)


def _engine(
    engine: Engine, info: Mapping[str, Any], version: Mapping[str, Any]
) -> Iterator[Finding]:
    parts = {part["Name"]: part["Version"] for part in version.get("Components", ())}
    said = str(version.get("Version", "unknown"))
    options = " ".join(info.get("SecurityOptions") or ())
    kinds = [kind for kind in ("rootless", "userns") if kind in options]
    kinds = kinds if "rootless" in kinds else ["not rootless", *kinds]
    found = ", ".join(
        (said, engine.socket_path, f"cgroup v{info.get('CgroupVersion', '?')}", *kinds)
    )
    old = "Podman Engine" not in parts and _numbers(said) < _ENGINE
    yield Finding("engine", "warning" if old else "ok", found, _KEEP_NEW if old else "")
    if runc := parts.get("runc"):
        old = _numbers(runc) < _RUNC
        yield Finding("runc", "warning" if old else "ok", runc, _KEEP_NEW if old else "")
    if missing := [word for switch, word in _SWITCHES.items() if info.get(switch) is False]:
        fix = "Rootless engines need cgroup v2 with delegation; a run would end with exit code 4."
        yield Finding("limits", "failed", f"the engine ignores limits of {', '.join(missing)}", fix)
    memory = f"{info['MemTotal'] >> 20} MiB, {info['NCPU']} processors"
    small = info["MemTotal"] < 2 * _SMALL
    fix = "A sandbox gets half of it, and needs 1 GiB." if small else ""
    yield Finding("memory", "failed" if small else "ok", memory, fix)
    yield from _clock(str(info.get("SystemTime", "")))


def _clock(told: str) -> Iterator[Finding]:
    """The engine may be in a virtual machine that slept."""
    theirs = _moment(told)
    if theirs is None:
        return
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    if apart > _DRIFT:
        fix = "Set the clocks, or start the engine again: times of files and of records differ."
        yield Finding("clock", "warning", f"the engine's is {apart:.0f} s off", fix)
    else:
        yield Finding("clock", "ok", "the engine's and ours agree")


def _moment(told: str) -> datetime | None:
    """A time as the engine tells it, to the nanosecond; None if it is none."""
    try:
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", told.replace("Z", "+00:00")))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _container(engine: Engine, wish: Wish, owner: str, *, thorough: bool) -> Iterator[Finding]:
    told: list[SandboxAttested] = []

    def emit(event: Event | ThoughtDelta) -> None:
        if isinstance(event, SandboxAttested):
            told.append(event)

    if thorough:
        wish = Wish(
            image=wish.image, base=wish.base, memory=_SMALL, runtime=wish.runtime, seconds=300
        )
    try:
        with open_sandbox(engine, wish, token_hex(4), owner, emit) as sandbox:
            yield Finding("sandbox", "ok", _attested(told[0]))
            if not thorough:
                return
            with translated("asking the engine what it is"):
                info = engine.api.info()
            limits = container.limits(
                wish, engine_memory=info["MemTotal"], engine_cpus=info["NCPU"]
            )
            known = podman.LACKS if engine.is_podman() else {}
            for name, result in tried(sandbox, limits).items():
                yield _control(name, result, known)
    except SandboxUnverified as error:
        yield Finding("sandbox", "failed", str(error), error.hint or "")
    except TinyBackspaceError as error:
        yield Finding("sandbox", "failed", str(error), error.hint or "")


def _control(name: str, result: str, known: Mapping[str, str]) -> Finding:
    if result == "holds":
        return Finding(TITLES[name], "ok", result, "")
    if result == "open" and name in known:
        return Finding(TITLES[name], "warning", result, known[name])
    return Finding(
        TITLES[name], "failed", result, "This engine does not keep it: see docs/security.md."
    )


def _attested(said: SandboxAttested) -> str:
    memory = "?" if said.memory is None else f"{said.memory >> 20} MiB"
    return (
        f"uid {said.uid}, capabilities {said.capabilities}, seccomp {'on' if said.seccomp else 'off'}, "
        f"interfaces {', '.join(said.interfaces)}, memory {memory}, processors {said.cpus:g}, processes {said.pids}"
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))
