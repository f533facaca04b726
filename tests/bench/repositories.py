"""Repositories to measure with: the same ones, to the byte, on every machine."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

FILES = 5000
_COMMITS = 20
_CHANGED = 60  # files that a commit changes
_ADDED = 5  # files that a commit adds
_LINE = 36.0  # bytes, about
_TYPICAL = 4000.0  # bytes: the median of a source file
_SPREAD = 1.2  # of the sizes' logarithm; the mean comes to twice the median
_LARGEST = 400_000  # bytes
_WORDS = (
    "return", "self", "value", "index", "result", "config", "import", "from", "class", "none", "error",
    "path", "name", "request", "response", "handle", "parse", "format", "write", "read", "open", "close",
    "list", "dict", "string", "count", "start", "stop", "first", "last", "next", "parent", "child", "node",
)  # fmt: skip


def small(path: Path, environment: Mapping[str, str]) -> Path:
    """Five files and one commit, in a work tree."""
    (path / "tests").mkdir(parents=True)
    (path / "README.md").write_text("# Example\n\nSay helo to the world.\n")
    (path / "app.py").write_text("from models import Post\n\n\ndef main():\n    print(Post())\n")
    (path / "models.py").write_text("class Post:\n    title = ''\n")
    (path / "tests" / "test_app.py").write_text("def test_app():\n    assert True\n")
    (path / ".gitignore").write_text("__pycache__/\n")
    for args in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "Begin")):
        _git(environment, "-C", str(path), *args)
    return path


def large(path: Path, environment: Mapping[str, str]) -> Path:
    """At least `FILES` files of a source tree's sizes and twenty commits, bare, in one pack."""
    _git(environment, "init", "-q", "--bare", "-b", "main", str(path))
    stream = b"".join(_history(random.Random(20260101)))
    _git(environment, "-C", str(path), "fast-import", "--quiet", stdin=stream)
    _git(environment, "-C", str(path), "repack", "-adfq")
    return path


def _git(environment: Mapping[str, str], *args: str, stdin: bytes = b"") -> None:
    subprocess.run(
        ["git", *args], input=stdin, env=environment, check=True, capture_output=True, timeout=300
    )


def _history(chance: random.Random) -> Iterator[bytes]:
    """What `git fast-import` reads."""
    lines = [_line(chance) for _ in range(20_000)]
    contents = {"README.md": b"# Large\n\nSay helo to the world.\n"}
    for number in range(FILES - 1):
        contents[_name(number)] = _content(chance, lines)
    yield _commit(0, contents)
    for number in range(1, _COMMITS):
        changed = {}
        for name in chance.sample(sorted(contents.keys() - {"README.md"}), _CHANGED):
            at = chance.randrange(len(contents[name]) + 1)
            changed[name] = contents[name][:at] + chance.choice(lines) + contents[name][at:]
        for added in range(_ADDED):
            changed[_name(FILES + number * _ADDED + added)] = _content(chance, lines)
        contents |= changed
        yield _commit(number, changed)


def _name(number: int) -> str:
    """Twenty files to a folder, ten folders to a package; every fiftieth is an image."""
    kind = "png" if number % 50 == 0 else ("py", "js", "md", "json", "txt")[number % 5]
    return f"package{number // 200}/part{number // 20 % 10}/file{number}.{kind}"


def _line(chance: random.Random) -> bytes:
    words = chance.choices(_WORDS, k=chance.randrange(2, 9))
    number = chance.randrange(10_000)
    return f"{' ' * (4 * chance.randrange(4))}{' '.join(words)} {number}\n".encode()


def _content(chance: random.Random, lines: list[bytes]) -> bytes:
    size = min(_LARGEST, int(_TYPICAL * chance.lognormvariate(0, _SPREAD)))
    if chance.random() < 0.02:
        return chance.randbytes(size)
    return b"".join(chance.choices(lines, k=max(1, int(size / _LINE))))


def _commit(number: int, files: Mapping[str, bytes]) -> bytes:
    message = f"Change {number}".encode()
    head = b"commit refs/heads/main\ncommitter Bench <bench@localhost> %d +0000\ndata %d\n%b\n" % (
        1_700_000_000 + 3600 * number,
        len(message),
        message,
    )
    entries = (
        b"M 100644 inline %b\ndata %d\n%b\n" % (name.encode(), len(data), data)
        for name, data in files.items()
    )
    return head + b"".join(entries)
