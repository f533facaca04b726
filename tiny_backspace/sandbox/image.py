"""The image agents work in: found by the hash of what it is made from, built when it is missing."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tiny_backspace.errors import SandboxError
from tiny_backspace.events import Emit, Step, StepStarted
from tiny_backspace.sandbox.known import expect, learn

if TYPE_CHECKING:
    from docker import APIClient

REPOSITORY = "tiny-backspace-sandbox"
LABEL = "tiny-backspace.image"
LOCAL_BASE = "tiny-backspace-base:bookworm"
PUBLIC_BASE = "debian:bookworm-slim"

_SILENCE = 600  # seconds without a word from the engine: a layer on a slow line says nothing
_LOG_LINES = 12
_STEP = re.compile(r"Step (\d+)/(\d+) : (\w+)")


def context_dir() -> Path:
    """The folder with the Dockerfile: inside an installed package, or beside the one of a checkout.

    Raises:
        SandboxError: this installation has none.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / "context", here.parents[2] / "sandbox-image"):
        if (folder / "Dockerfile").is_file():
            return folder
    raise SandboxError(
        "the sandbox image cannot be built: its Dockerfile is missing from this installation",
        hint="Install tiny-backspace again, or name an image that exists with --image.",
    )


def content_tag(base: str, context: Path) -> str:
    """The image's name, `tiny-backspace-sandbox:<12 hex>`: other content or another base, another name."""
    digest = hashlib.sha256(base.encode())
    for name, executable, data in _files(context):
        head = f"\0{name}\0{executable:d}\0{len(data)}\0"
        digest.update(head.encode() + data)
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def context_tar(context: Path) -> bytes:
    """The build context, the same bytes for the same content: owner, times and umask are left out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, executable, data in _files(context):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o755 if executable else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def find(api: APIClient, tag: str) -> str | None:
    """The ID (`sha256:…`) of a local image, None if there is no such image. Never pulls."""
    from docker.errors import DockerException, ImageNotFound

    try:
        return str(api.inspect_image(tag)["Id"])  # type: ignore[no-untyped-call] # the stubs skip it
    except ImageNotFound:
        return None
    except (DockerException, OSError) as error:
        raise SandboxError(f"the engine could not look for the image {tag}: {error}") from error


def default_base(api: APIClient) -> str:
    """The base made by make-base.sh where there is one, else Debian's from the registry."""
    return LOCAL_BASE if find(api, LOCAL_BASE) else PUBLIC_BASE


def name_of(api: APIClient, *, base: str | None = None, wanted: str | None = None) -> str:
    """The name of the image that a run uses, whether or not it is there."""
    return wanted or content_tag(base or default_base(api), context_dir())


def ensure(
    api: APIClient,
    *,
    emit: Emit,
    base: str | None = None,
    wanted: str | None = None,
    known: Path | None = None,
) -> str:
    """The ID of the image to use: the one `wanted` by name, or ours, built on `base` if it is missing.

    Ours is held against what `known`, a folder, says of earlier runs. The user answers for a wanted one.

    Raises:
        SandboxError: it cannot be built, or the wanted one does not exist here.
        SandboxUnverified: its name is another image's now.
    """  # fmt: skip
    if wanted is not None:
        if image := find(api, wanted):
            return image
        raise SandboxError(
            f"there is no image {wanted} on this machine",
            hint=f"A run never pulls. Get it with `docker pull {wanted}`, or leave --image out.",
        )
    base = base or default_base(api)
    context = context_dir()
    tag = content_tag(base, context)
    if image := find(api, tag):
        if known:
            expect(known, tag, image)
        return image
    image = build(api, base=base, context=context, tag=tag, emit=emit)
    if known:
        learn(known, tag, image)
    return image


def build(
    api: APIClient, *, base: str, context: Path, tag: str, emit: Emit, fresh: bool = False
) -> str:
    """Build and tag the image; its ID. `fresh` uses no layer of earlier builds (newer packages).

    Only a finished image gets the name. Of several builds at a time the first one does, and all return it.

    Raises:
        SandboxError: with the end of the build's log and what may help.
    """
    from docker.errors import APIError, DockerException
    from urllib3.exceptions import HTTPError

    before = find(api, tag)
    log = _Log(base, context, emit)
    try:
        lines = api.build(
            fileobj=io.BytesIO(context_tar(context)),
            custom_context=True,
            decode=True,
            rm=True,
            forcerm=True,
            pull=False,
            nocache=fresh,
            use_config_proxy=False,  # it would put the user's proxy password into the image
            buildargs={"BASE": base},
            labels={LABEL: "1"},
            timeout=_SILENCE,
        )
        with closing(lines):  # an interrupt closes the connection: the engine stops building
            image = log.follow(lines)
        now = find(api, tag)
        if now not in (None, before, image):
            _remove(api, image)
            return str(now)
        name, _, version = tag.rpartition(":")
        api.tag(image, name, version)
    except APIError as error:
        log.fail(str(error.explanation or error))
    except (DockerException, HTTPError, OSError) as error:
        log.fail(f"the engine has gone: {error}")
    return image


def _remove(api: APIClient, image: str) -> None:
    from docker.errors import APIError

    try:
        api.remove_image(image)
    except APIError:
        return  # in use, or gone already; either way not ours any more


def _files(context: Path) -> list[tuple[str, bool, bytes]]:
    """Name with `/`, whether it is executable, content; sorted by name."""
    return sorted(
        (path.relative_to(context).as_posix(), bool(path.stat().st_mode & 0o100), path.read_bytes())
        for path in context.rglob("*")
        if path.is_file()
    )


class _Log:
    """What the classic builder says: steps become events, the last lines are kept for the failure."""

    def __init__(self, base: str, context: Path, emit: Emit) -> None:
        self._base, self._context, self._emit = base, context, emit
        self._last: deque[str] = deque(maxlen=_LOG_LINES)
        self._instruction = ""

    def follow(self, lines: Iterable[Any]) -> str:
        """The ID of the finished image. A log that ends without one is a failure."""
        image = ""
        for line in lines:
            if "error" in line:
                self.fail(str(line["error"]))
            image = line.get("aux", {}).get("ID", image)
            self._hear(line)
        return image or self.fail("the build ended without an image")

    def _hear(self, line: dict[str, Any]) -> None:
        text = str(line.get("stream", "")).strip()
        if text:
            self._last.append(text)
        if step := _STEP.match(text):
            number, of, self._instruction = step.groups()
            self._tell(f"step {number}/{of}, {self._instruction}")
        elif str(line.get("status", "")).startswith("Pulling from"):
            self._tell(f"pulling {self._base}")

    def _tell(self, what: str) -> None:
        self._emit(StepStarted.at(Step.SANDBOX_INIT, f"Building the sandbox image: {what}…"))

    def fail(self, reason: str) -> NoReturn:
        said = "".join(f"\n  {line}" for line in self._last)
        raise SandboxError(
            f"the sandbox image could not be built: {reason.strip()}{said}", hint=self._hint()
        )

    def _hint(self) -> str:
        if self._instruction == "FROM":
            script = self._context / "make-base.sh"
            return (
                f"The base image {self._base} could not be had. Where no image registry is reachable, "
                f"`sudo bash {script}` makes one from Debian's packages; or name another with --base."
            )
        if self._instruction == "RUN":
            return (
                "The build installs Debian packages: the engine's containers need the network for it. "
                "Try again with `tiny-backspace image build`, or name another base with --base."
            )
        return "See that the engine is well (`docker info`), then `tiny-backspace image build`."
