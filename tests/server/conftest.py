from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.forge import Place, github
from tests.docker.test_main_job import containers


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A GitHub on loopback with `owner/project`; no container of the runs is left afterwards."""
    with github(tmp_path, environment={"TINY_BACKSPACE_AGENTS": "dummy"}) as made:
        yield made
        assert containers(made.program) == []
