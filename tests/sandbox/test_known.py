"""A name keeps meaning the image that it meant at first, or the user builds it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_backspace.errors import SandboxUnverified
from tiny_backspace.sandbox.known import expect, is_known, learn

TAG = "tiny-backspace-sandbox:0123456789ab"
OURS, THEIRS = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def test_the_first_use_is_believed_and_every_later_one_held_against_it(tmp_path: Path) -> None:
    assert is_known(tmp_path / "images", TAG, THEIRS)
    expect(tmp_path / "images", TAG, OURS)
    expect(tmp_path / "images", TAG, OURS)

    assert not is_known(tmp_path / "images", TAG, THEIRS)
    with pytest.raises(SandboxUnverified, match="not the image") as refused:
        expect(tmp_path / "images", TAG, THEIRS)
    assert "image build" in (refused.value.hint or "")
    assert is_known(tmp_path / "images", TAG, OURS)


def test_what_was_built_here_is_what_is_meant(tmp_path: Path) -> None:
    expect(tmp_path, TAG, THEIRS)
    learn(tmp_path, TAG, OURS)
    assert (is_known(tmp_path, TAG, OURS), is_known(tmp_path, TAG, THEIRS)) == (True, False)


def test_each_name_has_its_own(tmp_path: Path) -> None:
    expect(tmp_path, TAG, OURS)
    expect(tmp_path, TAG.replace("0", "f"), THEIRS)


def test_a_damaged_note_is_learnt_anew(tmp_path: Path) -> None:
    expect(tmp_path, TAG, OURS)
    (note,) = tmp_path.iterdir()
    note.write_bytes(b"sha256:\xff")
    expect(tmp_path, TAG, THEIRS)
    assert not is_known(tmp_path, TAG, OURS)
