"""The local Docker engine: finding it, speaking to it, tidying up after dead runs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiny_backspace.errors import SandboxError, SandboxLost, UsageError
from tiny_backspace.overlap import IMPORTING

if TYPE_CHECKING:
    from docker import APIClient

RUN_LABEL = "tiny-backspace.run"
OWNER_LABEL = "tiny-backspace.owner"
DEADLINE_LABEL = "tiny-backspace.deadline"

_START_IT = (
    "Start Docker, or run `make install`, which installs and starts it on Debian and Ubuntu."
)


@dataclass(frozen=True, slots=True)
class Engine:
    """A connected engine. Attached execs need its socket and its API version themselves."""

    api: APIClient
    socket_path: str

    def is_podman(self) -> bool:
        """Whether it is Podman, which speaks as Docker does and takes some options otherwise."""
        parts = self.api.version().get("Components") or ()
        return any(part["Name"] == "Podman Engine" for part in parts)


def connect(docker_host: str | None, timeout: int = 60) -> Engine:
    """The engine of `docker_host` (DOCKER_HOST), or of the docker CLI's current context.

    It is waited for an answer `timeout` seconds.

    Raises:
        UsageError: it is not on this machine; a run trusts the engine with everything.
        SandboxError: nobody answers there.
    """
    with IMPORTING:
        from docker import APIClient
        from docker.errors import DockerException

    host = docker_host or _context_host()
    if not host.startswith("unix://"):
        raise UsageError(
            f"the Docker engine at {host} is not a local one (unix://…)",
            hint="Unset DOCKER_HOST, or `docker context use default`.",
        )
    try:
        api = APIClient(base_url=host, timeout=timeout, use_ssh_client=False)
    except DockerException as error:
        denied = "Permission denied" in str(error)
        raise SandboxError(
            f"no Docker engine answers at {host}" + (": permission denied" if denied else ""),
            hint="Add yourself to the group docker and log in again." if denied else _START_IT,
        ) from error
    return Engine(api, host.removeprefix("unix://"))


def _context_host() -> str:
    from docker.context import ContextAPI

    context = ContextAPI.get_current_context()
    return str(getattr(context, "Host", None) or "unix:///var/run/docker.sock")


@contextmanager
def translated(doing: str) -> Generator[None]:
    """Errors of the engine and of the connection to it, in our words.

    Raises:
        SandboxLost: the container or the engine has gone.
        SandboxError: the engine refused.
    """
    from docker.errors import APIError, NotFound
    from requests.exceptions import RequestException

    try:
        yield
    except NotFound as error:
        raise SandboxLost(
            f"the container has gone while {doing}",
            hint="Somebody removed it, or its deadline passed (--timeout).",
        ) from error
    except APIError as error:
        gone = "is not running" in str(error.explanation)
        raise (SandboxLost if gone else SandboxError)(
            f"the engine failed while {doing}: {error.explanation or error}"
        ) from error
    except (RequestException, OSError) as error:
        raise SandboxLost(f"the engine has gone while {doing}: {error}", hint=_START_IT) from error


def remove(engine: Engine, container: str) -> None:
    """Remove a container, whatever state it is in; one that has gone is fine."""
    from docker.errors import APIError, NotFound

    try:
        engine.api.remove_container(container, force=True, v=True)
    except NotFound:
        pass
    except APIError as error:
        if "already in progress" not in str(error.explanation):
            raise SandboxError(
                f"the container {container[:12]} could not be removed: {error.explanation}",
                hint="It ends by its own deadline; `tiny-backspace clean` removes it before.",
            ) from error


def remove_leftovers(engine: Engine, owner: str, is_live: Callable[[str], bool]) -> tuple[str, ...]:
    """Remove the containers of this owner's dead runs; never one of a living run. Returns the run ids.

    One that cannot be removed is left for next time: it ends by its own deadline.
    """
    with translated("looking for leftovers"):
        found = engine.api.containers(all=True, filters={"label": f"{OWNER_LABEL}={owner}"})
    dead = [c for c in found if not is_live(c["Labels"].get(RUN_LABEL, ""))]
    for container in dead:
        with suppress(SandboxError), translated("removing a leftover"):
            remove(engine, container["Id"])
    return tuple(sorted({c["Labels"].get(RUN_LABEL, "") for c in dead}))
