"""What the docs say that we say, we say; what they show, we draw."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.pictures import PICTURES

ROOT = Path(__file__).parents[1]
SAID = re.findall(
    r"^\| `([^`]+)` \|", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
)
# Sentences of the source in one piece: a text that is broken over lines is one text.
SOURCE = re.sub(
    r'"\s*f?"',
    "",
    "".join(p.read_text("utf-8") for p in sorted((ROOT / "tiny_backspace").rglob("*.py"))),
)


def test_there_is_something_to_look_for() -> None:
    assert len(SAID) > 25


@pytest.mark.parametrize("sentence", SAID)
def test_the_sentence_is_one_of_ours(sentence: str) -> None:
    assert sentence in SOURCE


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_the_docs_is_what_we_draw(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change: python -m tests.pictures"""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert (ROOT / "docs" / f"{name}.svg").read_text("utf-8") == PICTURES[name]()
