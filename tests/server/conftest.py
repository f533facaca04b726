from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.forge import Place, github
from tests.docker.test_main_job import containers
from tests.server.serving import until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A GitHub on loopback with `owner/project`; no container of the runs is left afterwards."""
    with github(tmp_path, environment={"TINY_BACKSPACE_AGENTS": "dummy"}) as made:
        yield made
        until(lambda: containers(made.program) == [])  # the engine may still be at one
