"""The six tools on a folder with real git, as their descriptions say they behave; enough to drive the dummy."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny_backspace.conversation import Message, Reply, Text, ToolCall, ToolResult, User
from tiny_backspace.providers.dummy import Dummy
from tiny_backspace.providers.interface import ModelRequest


class Failed(Exception):
    """The tool's answer is an error."""


@dataclass(frozen=True)
class Executor:
    """`page` is the most lines that one `read` gives."""

    root: Path
    page: int = 2000

    def __call__(self, call: ToolCall) -> ToolResult:
        tools: dict[str, Callable[..., str]] = {
            "bash": self.bash,
            "read": self.read,
            "write": self.write,
            "edit": self.edit,
            "grep": self.grep,
        }
        try:
            return ToolResult(call.id, tools[call.name](**call.arguments))
        except Failed as error:
            return ToolResult(call.id, str(error), is_error=True)

    def bash(self, command: str, description: str = "", timeout: float = 120) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.root,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        return f"exit {done.returncode}\n{(done.stdout + done.stderr).decode()}"

    def read(self, path: str, offset: int = 1, limit: int = 2000) -> str:
        data = self._file(path).read_bytes()
        if b"\0" in data:
            raise Failed(f"{path} is a binary file")
        lines = data.decode(errors="replace").replace("\r\n", "\n").split("\n")
        ended = lines[-1] == ""
        lines = lines[:-1] if ended else lines
        if not lines:
            return "[the file is empty]"
        last = min(len(lines), offset - 1 + min(limit, self.page))
        shown = [f"{n:>6}\t{lines[n - 1]}" for n in range(offset, last + 1)]
        if last < len(lines):
            shown.append(
                f"[lines {offset} to {last} of {len(lines)}; read on with offset={last + 1}]"
            )
        elif not ended:
            shown.append("[no newline at end of file]")
        return "\n".join(shown)

    def write(self, path: str, content: str, description: str) -> str:
        assert description
        file = self.root / path
        said = f"wrote {path}" if file.exists() else f"created {path}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode())
        return said

    def edit(
        self, path: str, old: str, new: str, description: str, replace_all: bool = False
    ) -> str:
        assert description
        data = self._file(path).read_bytes()
        before, after = old.encode(), new.encode()
        if b"\r\n" in data:
            before, after = (re.sub(rb"\r?\n", b"\r\n", text) for text in (before, after))
        count = data.count(before)
        if count == 0:
            raise Failed(f"{path} does not contain that text")
        if count > 1 and not replace_all:
            raise Failed(f"{path} contains that text {count} times")
        (self.root / path).write_bytes(data.replace(before, after))
        return f"edited {path}" if count == 1 else f"edited {path} in {count} places"

    def grep(
        self,
        pattern: str,
        path: str = ".",
        literal: bool = False,
        ignore_case: bool = False,
        output: str = "content",
        limit: int = 200,
    ) -> str:
        regex = re.compile(
            re.escape(pattern) if literal else pattern, re.IGNORECASE if ignore_case else 0
        )
        names = [path] if path != "." else self._git("ls-files", "-co", "--exclude-standard")
        rows = []
        for name in sorted(names):
            lines = self._file(name).read_bytes().decode(errors="replace").splitlines()
            found = [(n, line) for n, line in enumerate(lines, 1) if regex.search(line)]
            if output == "files":
                rows += [name] if found else []
            elif output == "count":
                rows += [f"{name}:{len(found)}"] if found else []
            else:
                rows += [f"{name}:{n}:{line}" for n, line in found]
        clipped = [f"[{len(rows) - limit} more lines]"] if len(rows) > limit else []
        return "\n".join([*rows[:limit], *clipped]) or "no matches"

    def _file(self, path: str) -> Path:
        file = self.root / path
        if not file.is_file():
            raise Failed(f"{path} is a folder" if file.is_dir() else f"{path} does not exist")
        return file

    def _git(self, *arguments: str) -> list[str]:
        return git(self.root, *arguments).splitlines()


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, check=True, text=True
    ).stdout


def repository(root: Path, files: dict[str, str | bytes]) -> Path:
    """A work tree with these files tracked."""
    git(root, "init", "-q")
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(root, "add", "-A", "--force")
    return root


def contents(root: Path) -> dict[str, bytes]:
    """All files of a work tree."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in sorted(root.rglob("*"))
        if file.is_file() and ".git" not in file.relative_to(root).parts
    }


def task(prompt: str, facts: str = "Languages: Python\nTest command: pytest") -> User:
    return User((Text(prompt), Text(facts)))


def ask(conversation: Sequence[Message]) -> Reply:
    return Dummy().reply(ModelRequest("", tuple(conversation)), unheard)


def unheard(event: Any) -> None:
    """Nobody listens."""


def converse(root: Path, prompt: str, *, page: int = 2000) -> list[Message]:
    """Let the dummy work until it stops; the whole conversation."""
    execute = Executor(root, page)
    conversation: list[Message] = [task(prompt)]
    while True:
        reply = ask(conversation)
        conversation.append(reply.message)
        if not reply.message.tool_calls:
            assert reply.stop == "end_turn"
            return conversation
        assert reply.stop == "tool_use"
        conversation.append(User(tuple(execute(call) for call in reply.message.tool_calls)))
        assert len(conversation) < 200, "it does not come to an end"
