"""A scripted piece of work: fifteen turns that change a small repository with all six tools.

Stateless: what is said next is found by how many answers the conversation has, whoever gave them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.program import git, make_repository
from tests.servers.models import Asked, Call, Fault, Say
from tests.servers.script import Dialect

TURNS = 15
PROMPT = "Spell helo as hello, sort the numbers, and write down how it is used."
FILES = {
    "README.md": "# Greeter\n\nIt says helo.\n",
    "src/app.py": 'from src.words import WORD\n\n\ndef main():\n    print(WORD, "world")\n',
    "src/words.py": 'WORD = "helo"\n',
    "data.txt": "10\n9\n100\n",
    "old.txt": "nobody needs this\n",
    ".gitignore": "*.log\n",
}
DONE = {
    "README.md": "# Greeter\n\nIt says hello, see docs/guide.md.\n",
    "src/app.py": 'from src.words import WORD\n\n\ndef main() -> None:\n    print(f"{WORD}, world")\n',
    "src/words.py": 'WORD = "hello"\n',
    "numbers.txt": "9\n10\n100\n",
    "docs/guide.md": "# Guide\n\nRun it: `python -m src.app`\n",
    "docs/changes.md": "- helo is hello now; ü is still ü\n",
    ".gitignore": "*.log\n",
}


def _call(tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return tool, arguments


def _edit(path: str, old: str, new: str) -> tuple[str, dict[str, Any]]:
    return _call("edit", path=path, old=old, new=new, description=f"to correct {path}")


def _write(path: str) -> tuple[str, dict[str, Any]]:
    return _call("write", path=path, content=DONE[path], description="as asked")


# One line a turn: the calls, some of them at once.
_WORK: tuple[tuple[tuple[str, dict[str, Any]], ...], ...] = (
    (_call("glob", pattern="*.py"), _call("read", path="README.md")),
    (
        _call("read", path="src/app.py"),
        _call("read", path="src/words.py"),
        _call("read", path="data.txt"),
        _call("grep", pattern="helo", output="files"),
    ),
    (_edit("src/words.py", "helo", "hello"),),
    (_edit("src/app.py", 'print(WORD, "world")', 'print(f"{WORD}, world")'),),
    (_write("docs/guide.md"),),
    (_call("bash", command="mv data.txt numbers.txt", description="a better name"),),
    (_call("read", path="numbers.txt"), _call("read", path="data.txt")),  # one is gone
    (_call("bash", command="sort -n numbers.txt -o numbers.txt; wc -l <numbers.txt"),),
    (_edit("README.md", "It says nothing of the kind.", "It does."),),  # is not there
    (_edit("README.md", "It says helo.", "It says hello, see docs/guide.md."),),
    (
        _call("read", path="README.md"),
        _edit("src/app.py", "def main():", "def main() -> None:"),
        _call("read", path="src/app.py"),
    ),
    (_call("bash", command="rm old.txt"),),
    (_call("grep", pattern="helo", literal=True), _call("glob", pattern="/*.txt")),
    (_write("docs/changes.md"),),
)
# What the results of a turn tell, as the next request has them.
_LEARNT = {3: "def main", 8: "data.txt does not exist", 9: "exit 0", 10: "does not contain"}


def answer(asked: Asked) -> Say:
    """What comes in this turn. The results of the turns before have to be in the question."""
    turn = asked.turn
    if turn in _LEARNT:
        assert _LEARNT[turn] in json.dumps(asked.body)
    if turn == TURNS:
        return Say(
            "It says hello, the numbers are sorted, and docs/guide.md tells its use.", "Done?"
        )
    calls = tuple(
        Call(f"call_{turn}_{number}", tool, arguments)
        for number, (tool, arguments) in enumerate(_WORK[turn - 1])
    )
    # with thinking and text, with one of them, and with neither
    text = f"This is step {turn}." if turn % 3 else ""
    return Say(text, "What is to be done next?" if turn % 2 else "", calls)


@dataclass
class Failing:
    """The script, with failures: `once` in that turn, whoever is asked, and `for_good` from a turn on
    for one of them: his key is refused."""

    once: tuple[int, Fault] | None = None
    for_good: tuple[Dialect, int] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Asked) -> Say | Fault:
        if self.for_good and asked.dialect == self.for_good[0] and asked.turn >= self.for_good[1]:
            return Fault("status", 401)
        with self._lock:
            if self.once and asked.turn == self.once[0]:
                (_, fault), self.once = self.once, None
                return fault
        return answer(asked)


Answer = Callable[[Asked], Say | Fault]


def make(folder: Path) -> Path:
    """The repository as it is before."""
    return make_repository(folder, FILES)


def done(folder: Path) -> str:
    """The tree that comes of the work, by git's own name."""
    return git(make_repository(folder, DONE), "rev-parse", "HEAD^{tree}")
