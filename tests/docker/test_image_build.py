"""How the sandbox image is built: what is said, what is left when it fails, who else builds."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from docker import APIClient
from docker.errors import ImageNotFound

from tiny_backspace.errors import SandboxError, Stopped
from tiny_backspace.events import Event, StepStarted, ThoughtDelta
from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.engine import connect


def ignore(_: Event | ThoughtDelta) -> None:
    """For a caller who is not interested."""


@pytest.fixture(scope="module")
def api() -> Iterator[APIClient]:
    client = connect(os.environ.get("DOCKER_HOST")).api
    yield client
    client.close()


@pytest.fixture(scope="module")
def base(api: APIClient) -> str:
    """A base that is here: the sandbox image was built on it."""
    image.ensure(api, emit=ignore)
    return image.default_base(api)


@pytest.fixture
def tag(api: APIClient) -> Iterator[str]:
    name = f"tiny-backspace-test:{uuid4().hex[:12]}"
    yield name
    if found := image.find(api, name):
        api.remove_image(found, force=True)


def context(folder: Path, *instructions: str) -> Path:
    text = "\n".join(["ARG BASE", "FROM ${BASE}", "USER 0:0", *instructions, ""])
    (folder / "Dockerfile").write_text(text)
    return folder


def containers_of(api: APIClient, marker: str) -> list[str]:
    return [c["Id"] for c in api.containers(all=True) if marker in c["Command"]]


def test_a_build_says_its_steps_and_leaves_the_named_image(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    said: list[Event | ThoughtDelta] = []
    folder = context(tmp_path, f"RUN echo {tag}")
    built = image.build(api, base=base, context=folder, tag=tag, emit=said.append)
    assert image.find(api, tag) == built
    steps = [event.message for event in said if isinstance(event, StepStarted)]
    assert steps[1] == "Building the sandbox image: step 2/5, FROM…"


def test_a_base_that_cannot_be_had_points_to_make_base(
    api: APIClient, tag: str, tmp_path: Path
) -> None:
    base = "registry.invalid/debian:none"
    with pytest.raises(SandboxError) as caught:
        image.build(api, base=base, context=context(tmp_path), tag=tag, emit=ignore)
    assert base in str(caught.value.hint)
    assert f"sudo bash {tmp_path / 'make-base.sh'}" in str(caught.value.hint)
    assert image.find(api, tag) is None


def test_a_failed_command_is_told_with_the_log_and_leaves_no_container(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    folder = context(tmp_path, f"RUN echo the disk said {tag}; exit 3")
    with pytest.raises(SandboxError, match=f"\n  the disk said {tag}") as caught:
        image.build(api, base=base, context=folder, tag=tag, emit=ignore)
    assert "non-zero code: 3" in str(caught.value)
    assert "image build" in str(caught.value.hint)
    assert containers_of(api, tag) == []
    assert image.find(api, tag) is None


def test_an_interrupted_build_leaves_no_container(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    folder = context(tmp_path, f"RUN echo {tag}; sleep 300")

    def interrupt(event: Event | ThoughtDelta) -> None:
        if isinstance(event, StepStarted) and "RUN" in event.message:
            while not containers_of(api, tag):
                time.sleep(0.05)
            raise Stopped(signal.SIGINT)

    client = connect(os.environ.get("DOCKER_HOST")).api
    with pytest.raises(Stopped):
        image.build(client, base=base, context=folder, tag=tag, emit=interrupt)
    client.close()
    while containers_of(api, tag):  # the test's own time limit ends it
        time.sleep(0.05)
    assert image.find(api, tag) is None


def test_two_builds_at_once_both_succeed(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    folder = context(tmp_path, f"RUN echo {tag}; sleep 1; date +%N > /made")

    def build(_: int) -> str:
        client = connect(os.environ.get("DOCKER_HOST")).api
        try:
            return image.build(client, base=base, context=folder, tag=tag, emit=ignore)
        finally:
            client.close()

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(build, range(2)))
    try:
        assert all(image.find(api, one) == one for one in both)
        assert image.find(api, tag) in both
    finally:
        for one in set(both) - {image.find(api, tag)}:
            api.remove_image(one, force=True)


def test_the_users_proxy_password_does_not_reach_a_build(
    base: str, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"default": {"httpProxy": "http://user:secret@proxy.invalid:1"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = connect(os.environ.get("DOCKER_HOST")).api
    folder = tmp_path / "context"
    folder.mkdir()
    context(folder, f'RUN echo {tag}; test -z "$http_proxy$HTTP_PROXY"')
    try:
        assert image.build(client, base=base, context=folder, tag=tag, emit=ignore)
    finally:
        client.close()


def test_a_build_afresh_is_not_the_one_of_before(
    api: APIClient, base: str, tag: str, tmp_path: Path
) -> None:
    folder = context(tmp_path, f"RUN echo {tag}; date +%N > /made")
    first = image.build(api, base=base, context=folder, tag=tag, emit=ignore)
    assert image.build(api, base=base, context=folder, tag=tag, emit=ignore) == first
    second = image.build(api, base=base, context=folder, tag=tag, emit=ignore, fresh=True)
    assert image.find(api, tag) == second != first
    api.remove_image(first, force=True)
    with pytest.raises(ImageNotFound):
        api.inspect_image(first)  # type: ignore[no-untyped-call] # the stubs skip it
