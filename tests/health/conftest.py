"""A state folder of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "tiny-backspace"
    state.mkdir(mode=0o700)
    return state
