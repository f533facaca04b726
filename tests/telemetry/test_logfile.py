"""A log that many write to: no line is lost or torn, whatever is set aside, packed or removed meanwhile."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tiny_backspace.telemetry.categories import Keeping
from tiny_backspace.telemetry.logfile import LogFile

WRITER = """
import sys
from pathlib import Path
from tiny_backspace.telemetry.categories import Keeping
from tiny_backspace.telemetry.logfile import LogFile

log = LogFile(Path(sys.argv[1]), Keeping(20_000, 30))
for n in range(int(sys.argv[3])):
    log.append([f'{{"at": "2026-11-26T00:00:00+00:00", "who": {sys.argv[2]}, "n": {n}}}\\n'.encode()])
log.tidy()
"""


def everything(path: Path) -> list[bytes]:
    """All lines, of the packed ones too."""
    found: list[bytes] = []
    for each in path.parent.glob(f"{path.name}*"):
        found += (
            gzip.decompress(each.read_bytes()) if each.suffix == ".gz" else each.read_bytes()
        ).splitlines()
    return found


def line(n: int, at: str = "2026-11-26T00:00:00+00:00") -> bytes:
    return f'{{"at": "{at}", "n": {n}}}\n'.encode()


def test_of_eight_writers_no_line_is_lost(tmp_path: Path) -> None:
    path, each = tmp_path / "app.log", 1000
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(who), str(each)])
        for who in range(8)
    ]
    assert [writer.wait() for writer in writers] == [0] * 8

    LogFile(path, Keeping(20_000, 30)).tidy()
    counted = Counter(everything(path))
    assert len(counted) == 8 * each
    assert set(counted.values()) == {1}
    assert len(list(tmp_path.glob("app.log.*.gz"))) > 10
    assert not [p for p in tmp_path.glob("app.log.*") if p.suffix != ".gz"]
    assert not list(tmp_path.glob(".*.tmp"))


def test_it_is_set_aside_before_it_is_too_long_and_all_of_it_is_private(tmp_path: Path) -> None:
    os.umask(before := os.umask(0))
    log = LogFile(tmp_path / "app.log", Keeping(200, 30))
    try:
        os.umask(0)
        for n in range(40):
            log.append([line(n)])
    finally:
        os.umask(before)

    files = [p for p in tmp_path.iterdir() if p.is_file()]
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in files)
    assert (tmp_path / "app.log").stat().st_size <= 200
    assert sorted(everything(tmp_path / "app.log")) == sorted(line(n).rstrip() for n in range(40))


def test_a_log_that_is_old_is_set_aside_though_it_is_short(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "app.log", Keeping(1 << 20, 30))
    log.append([line(1, "2026-01-01T00:00:00+00:00")])
    log.append([line(2, time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()))])

    assert len(list(tmp_path.glob("app.log.*.gz"))) == 1
    assert len((tmp_path / "app.log").read_bytes().splitlines()) == 1


def test_what_was_set_aside_goes_after_its_days_and_not_before(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "errors.log", Keeping(1 << 20, 90))
    log.append([line(0)])
    now = time.time()
    for days in (89, 91):
        packed = tmp_path / f"errors.log.old-{days}.gz"
        packed.write_bytes(gzip.compress(line(days)))
        os.utime(packed, (now, now - days * 86_400))
    plain = tmp_path / "errors.log.killed"
    plain.write_bytes(line(7))
    os.utime(plain, (now, now - 50 * 86_400))

    log.tidy()

    assert {p.name for p in tmp_path.glob("errors.log*")} == {
        "errors.log", "errors.log.old-89.gz", "errors.log.killed.gz",
    }  # fmt: skip
    assert now - (tmp_path / "errors.log.killed.gz").stat().st_mtime > 49 * 86_400


def test_a_line_that_does_not_fit_the_disk_leaves_what_was_there(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "app.log", Keeping(1 << 20, 30))
    log.append([line(1)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            log.append([line(2), line(3)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.append([line(4)])

    assert everything(tmp_path / "app.log") == [line(1).rstrip(), line(4).rstrip()]


def test_half_a_line_of_somebody_who_was_killed_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b'{"at": "half')
    LogFile(tmp_path / "app.log", Keeping(1 << 20, 30)).append([line(1)])

    assert everything(tmp_path / "app.log") == [b'{"at": "half', line(1).rstrip()]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "app.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        LogFile(tmp_path / "app.log", Keeping(1 << 20, 30)).append([line(1)])
    assert not (tmp_path / "elsewhere").exists()
