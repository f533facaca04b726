from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.oracles import holding
from tests.attacks.scene import Scene, hostile


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """For one attack; all oracles hold afterwards."""
    with hostile(tmp_path) as made, holding(made):
        yield made
