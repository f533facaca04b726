"""What can be said of the sandbox image without an engine."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tiny_backspace.sandbox.image import content_tag, context_dir, context_tar


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY etc/ /etc/\n")
    return tmp_path


def test_the_name_is_our_repository_and_twelve_hex_digits(context: Path) -> None:
    name, _, version = content_tag("debian", context).partition(":")
    assert name == "tiny-backspace-sandbox"
    assert len(version) == 12
    assert int(version, 16) >= 0


def test_times_and_umask_change_neither_name_nor_context(context: Path) -> None:
    before = content_tag("debian", context), context_tar(context)
    for path in context.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode & 0o700)
    assert (content_tag("debian", context), context_tar(context)) == before


def test_another_base_is_another_image(context: Path) -> None:
    assert content_tag("debian", context) != content_tag("ubuntu", context)


def test_a_changed_byte_is_another_image(context: Path) -> None:
    before = content_tag("debian", context)
    (context / "etc" / "hosts").write_text("127.0.0.2 localhost\n")
    assert content_tag("debian", context) != before


def test_a_renamed_file_is_another_image(context: Path) -> None:
    before = content_tag("debian", context)
    (context / "etc" / "hosts").rename(context / "etc" / "host")
    assert content_tag("debian", context) != before


def test_a_file_made_executable_is_another_image(context: Path) -> None:
    before = content_tag("debian", context)
    (context / "etc" / "hosts").chmod(0o755)
    assert content_tag("debian", context) != before


def test_content_moved_from_one_file_to_the_next_is_another_image(tmp_path: Path) -> None:
    for folder, (one, two) in {"x": ("ab", "c"), "y": ("a", "bc")}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_text(one)
        (tmp_path / folder / "2").write_text(two)
    assert content_tag("debian", tmp_path / "x") != content_tag("debian", tmp_path / "y")


def test_the_context_holds_every_file_as_roots(context: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(context_tar(context))) as archive:
        assert archive.getnames() == ["Dockerfile", "etc/hosts"]
        assert {(entry.uid, entry.gid, entry.mode) for entry in archive} == {(0, 0, 0o644)}
        hosts = archive.extractfile("etc/hosts")
        assert hosts is not None
        assert hosts.read() == b"127.0.0.1 localhost\n"


def test_a_checkout_has_the_context_and_the_way_to_a_base() -> None:
    folder = context_dir()
    assert "FROM ${BASE}" in (folder / "Dockerfile").read_text()
    assert (folder / "make-base.sh").is_file()
