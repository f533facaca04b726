"""What glob and grep find in a real work tree, by a real rg. Called with a sandbox that has both."""

from __future__ import annotations

from typing import Any

from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import ToolCall
from tiny_backspace.sandbox.interface import Sandbox

_FILES = {
    ".gitignore": b"*.log\nbuild/\n!keep.log\n",
    ".ignore": b"src/\n",
    ".github/ci.yml": b"run: needle\n",
    "--version": b"-x needle\n",
    "README.md": b"A Needle (in hay)\nno more\n",
    "build/out.py": b"needle\n",
    "debug.log": b"needle\n",
    "image.bin": b"\0needle\n",
    "keep.log": b"needle\n",
    "src/a.py": b"needle = 1\r\nother\r\nlast needle\r\n",
    "src/deep/b.py": b"x needle" + b" long" * 200 + b"\n",
    "src/deep/c.txt": b"nothing\n",
}
_ALL_PY = "src/a.py\nsrc/deep/b.py"
_CASES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("glob", {"pattern": "*.py"}, _ALL_PY),
    ("glob", {"pattern": "**/*.py"}, _ALL_PY),
    ("glob", {"pattern": "src/**/*.py"}, _ALL_PY),
    ("glob", {"pattern": "/workspace/src/*.py"}, "src/a.py"),
    ("glob", {"pattern": "./src/*.{py,txt}"}, "src/a.py"),
    ("glob", {"pattern": "/*.md"}, "README.md"),
    ("glob", {"pattern": "*.log"}, "keep.log"),
    ("glob", {"pattern": "--version"}, "--version"),
    ("glob", {"pattern": "*.yml"}, ".github/ci.yml"),
    ("glob", {"pattern": ".git/**"}, "no files match"),
    ("glob", {"pattern": "build/**"}, "no files match"),
    ("glob", {"pattern": "deep"}, "no files match"),
    ("grep", {"pattern": "^needle", "glob": "*.py"}, "src/a.py:1:needle = 1"),
    ("grep", {"pattern": "needle$", "path": "src"}, "src/a.py:3:last needle"),
    ("grep", {"pattern": "needle", "path": "/workspace/src/a.py", "output": "count"}, "src/a.py:2"),
    ("grep", {"pattern": "-x"}, "--version:1:-x needle"),
    ("grep", {"pattern": "needle", "path": "--version"}, "--version:1:-x needle"),
    ("grep", {"pattern": "needle (", "literal": True, "ignore_case": True}, "README.md:1:A Needle (in hay)"),
    ("grep", {"pattern": "needle", "output": "files"}, f"--version\n.github/ci.yml\nkeep.log\n{_ALL_PY}"),
    ("grep", {"pattern": "needle", "output": "count", "glob": "src/**"}, "src/a.py:2\nsrc/deep/b.py:1"),
    ("grep", {"pattern": "needle", "output": "files", "limit": 2}, "--version\n.github/ci.yml\n[3 more lines]"),
    ("grep", {"pattern": "needle", "glob": "*.log"}, "keep.log:1:needle"),
    ("grep", {"pattern": "needle", "glob": "!*.{py,yml}", "output": "files"}, "--version\nkeep.log"),
    ("grep", {"pattern": "absent"}, "no matches"),
)  # fmt: skip


def check_search(sandbox: Sandbox) -> None:
    """In an empty work tree at /workspace; leaves files there."""
    assert sandbox.call(["git", "init", "-q", "."]).ok
    for path, data in _FILES.items():
        sandbox.write(path, data)
    toolbox = Toolbox(sandbox, 60)

    def use(tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        result = toolbox.call(ToolCall("c", tool, arguments), lambda _: None)
        return result.content, result.is_error

    for tool, arguments, expected in _CASES:
        assert (arguments, use(tool, arguments)) == (arguments, (expected, False))

    text, failed = use("grep", {"pattern": "(needle"})
    assert failed
    assert "regex parse error" in text
    text, failed = use("grep", {"pattern": "needle", "path": "nowhere"})
    assert failed
    assert "nowhere" in text
    text, failed = use("glob", {"pattern": "{a"})
    assert failed
    assert "glob" in text
    text, failed = use("grep", {"pattern": "x needle", "path": "src/deep"})
    assert not failed
    assert len(text) < 600
