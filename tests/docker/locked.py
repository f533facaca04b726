"""A locked-down container for these tests, and the same with a control changed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import docker
from docker.client import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from tiny_backspace.sandbox.seccomp import text

AGENT = "10001:10001"
MEMORY = 512 << 20
WORK = "rw,exec,nosuid,nodev,size=256m,mode=0700,uid=10001,gid=10001"
TMP = "rw,exec,nosuid,nodev,size=128m,mode=1777,uid=10001,gid=10001"
NO_NEW_PRIVILEGES = "no-new-privileges=true"
_TAG = "tiny-backspace-sandbox:"
_END = b"\n#end"

LOCKDOWN: dict[str, Any] = {
    "network_mode": "none",
    "network_disabled": True,
    "user": "10000:10000",
    "cap_drop": ["ALL"],
    "security_opt": [NO_NEW_PRIVILEGES, "seccomp=" + text()],
    "read_only": True,
    "tmpfs": {"/workspace": WORK, "/tmp": TMP},
    "mem_limit": MEMORY,
    "memswap_limit": MEMORY,
    "nano_cpus": 1_500_000_000,
    "pids_limit": 512,
    "ipc_mode": "private",
    "cgroupns": "private",
    "shm_size": "64m",
    "init": True,
}


class Box:
    """A running container. Commands run as the agent's user, in the work tree."""

    def __init__(self, container: Container, user: str) -> None:
        self._container = container
        self._user = user

    def run(self, argv: Sequence[str]) -> tuple[int, bytes]:
        """The exit code, and what was said on both streams.

        docker-py may lose what an exec prints, so it goes to a file, which is read until its end shows.
        """
        captured = ["sh", "-c", 'cd /workspace && "$@" >/tmp/said 2>&1 </dev/null', "sh", *argv]
        code = self._container.exec_run(captured, user=self._user).exit_code
        for _ in range(20):
            show = f"cat /tmp/said; printf '{_END.decode()}'".replace("\n", "\\n")
            said = self._container.exec_run(["sh", "-c", show], user=self._user).output
            assert isinstance(said, bytes)
            if said.endswith(_END):
                assert code is not None
                return code, said.removesuffix(_END)
        raise AssertionError("what the command said could not be read back")

    def python(self, source: str, *arguments: str) -> tuple[int, bytes]:
        return self.run(["python3", "-c", source, *arguments])


def sandbox_image(client: DockerClient) -> str:
    """The id of the newest sandbox image there is."""
    images = [
        image for image in client.images.list() if any(tag.startswith(_TAG) for tag in image.tags)
    ]
    assert images, "there is no sandbox image: build it first"
    return str(max(images, key=lambda image: str(image.attrs["Created"])).id)


@contextmanager
def locked(*, exec_user: str = AGENT, **changes: Any) -> Generator[Box]:
    """A container with everything locked down, save for `changes`; removed in any case."""
    with closing(docker.from_env(version="1.41")) as client:
        container = client.containers.create(
            sandbox_image(client),
            entrypoint=[],
            command=["sleep", "600"],
            labels={"tiny-backspace.test": "1"},
            auto_remove=True,
            use_config_proxy=False,
            **(LOCKDOWN | changes),
        )
        try:
            container.start()
            yield Box(container, exec_user)
        finally:
            try:
                container.remove(force=True)
            except NotFound:
                pass  # it has removed itself
            except APIError as error:
                if "already in progress" not in str(error):
                    raise
