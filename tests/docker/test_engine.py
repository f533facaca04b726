"""Finding the engine, and tidying up after runs that died: never anything that is not ours."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeAlias

import pytest

from tests.docker.conftest import SMALL, Opener, containers_of
from tiny_backspace.errors import SandboxError, SandboxLost, UsageError
from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.container import Wish
from tiny_backspace.sandbox.engine import (
    OWNER_LABEL,
    RUN_LABEL,
    Engine,
    connect,
    remove,
    remove_leftovers,
    translated,
)

Make: TypeAlias = Callable[[dict[str, str]], str]


@pytest.fixture
def make(engine: Engine) -> Iterator[Make]:
    """Containers with these labels, as a run that died leaves them; gone after the test in any case."""
    made: list[str] = []
    image_id = image.ensure(engine.api, emit=lambda _: None)

    def container(labels: dict[str, str]) -> str:
        config = engine.api.create_host_config(network_mode="none")
        created = engine.api.create_container(
            image_id,
            ["sleep", "600"],
            labels=labels,
            name=f"tiny-backspace-{token_hex(4)}",
            network_disabled=True,
            host_config=config,
            use_config_proxy=False,
        )
        made.append(created["Id"])
        return str(created["Id"])

    yield container
    for each in made:
        remove(engine, each)


def is_there(engine: Engine, container: str) -> bool:
    return bool(engine.api.containers(all=True, filters={"id": container}))


def test_leftovers_of_dead_runs_are_removed_and_nothing_else(engine: Engine, make: Make) -> None:
    owner = f"test-{token_hex(4)}"
    dead, live = ({OWNER_LABEL: owner, RUN_LABEL: run} for run in ("dead0001", "11fe0001"))
    created, running = make(dead), make(dead)
    engine.api.start(running)
    kept = [
        make(live),
        make({OWNER_LABEL: f"{owner}-not", RUN_LABEL: "dead0001"}),
        make({RUN_LABEL: "dead0001"}),
        make({OWNER_LABEL.upper(): owner}),
        make({}),
    ]

    assert remove_leftovers(engine, owner, lambda run: run == "11fe0001") == ("dead0001",)

    assert [is_there(engine, each) for each in (created, running)] == [False, False]
    assert [is_there(engine, each) for each in kept] == [True] * len(kept)
    assert remove_leftovers(engine, owner, lambda run: run == "11fe0001") == ()


def test_a_container_without_a_run_belongs_to_no_living_one(engine: Engine, make: Make) -> None:
    owner = f"test-{token_hex(4)}"
    nameless = make({OWNER_LABEL: owner})

    assert remove_leftovers(engine, owner, lambda run: run != "") == ("",)

    assert not is_there(engine, nameless)


def test_removing_what_has_gone_is_no_error(engine: Engine, make: Make) -> None:
    container = make({})
    remove(engine, container)
    remove(engine, container)
    assert not is_there(engine, container)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # docker-py's own, when refused
def test_nobody_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no Docker engine answers") as refused:
        connect(f"unix://{tmp_path}/nobody.sock")
    assert "Start Docker" in str(refused.value.hint)
    del refused
    gc.collect()  # the socket is left in the error's traceback: let it go while that is allowed


FAR = ("tcp://127.0.0.1:2375", "ssh://user@host", "http://localhost")


@pytest.mark.parametrize("host", FAR)
def test_an_engine_that_is_not_local_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="is not a local one") as refused:
        connect(host)
    assert "DOCKER_HOST" in str(refused.value.hint)


@pytest.mark.parametrize("host", FAR)
def test_nor_may_the_context_of_the_docker_command_be_another_machines(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far: dict[str, Any] = {"Name": "far", "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}
    meta = tmp_path / "contexts/meta" / sha256(b"far").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps(far))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    with pytest.raises(UsageError, match="is not a local one"):
        connect(None)


def test_a_run_never_pulls_an_image(opener: Opener) -> None:
    missing = f"127.0.0.1:1/missing-{token_hex(4)}:none"
    with (
        pytest.raises(SandboxError, match="there is no image") as refused,
        opener(Wish(image=missing), []),
    ):
        pass
    assert "never pulls" in str(refused.value.hint)


def test_a_runtime_the_engine_does_not_have_is_an_error_that_leaves_nothing(
    engine: Engine, opener: Opener, owner: str
) -> None:
    before = containers_of(engine, owner)
    wish = Wish(memory=SMALL.memory, runtime="no-such-runtime")

    with pytest.raises(SandboxError, match="no-such-runtime"), opener(wish, []):
        pass

    assert containers_of(engine, owner) == before


def test_the_engines_errors_are_told_in_our_words(engine: Engine) -> None:
    with (
        pytest.raises(SandboxLost, match="the container has gone while looking"),
        translated("looking"),
    ):
        engine.api.inspect_container("no-such-container")
    with pytest.raises(SandboxError, match="the engine failed while asking"), translated("asking"):
        engine.api.containers(filters={"no such filter": "1"})
