"""`demo`: the main job on a small sample repository, with no key and no account."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from tiny_backspace.cli.launch import Launch, launch
from tiny_backspace.cli.options import Output

PROMPT = """\
replace 'helo' with 'hello' in README.md
add a module docstring "What the API stores: users, posts and comments." to models.py
add *.log to .gitignore
"""
VERIFY = "make test"
_IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "Demo"), ("EMAIL", "demo@localhost"))
}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(demo)


def demo(
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show it.")] = Output.AUTO,
) -> None:
    """Try the main job on a sample repository: no key, no account, nothing of yours touched.

    The sample and what became of it are kept in the state folder until the next demo.

    \b
    Example:
      tiny-backspace demo
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.statedir import private_dir, state_dir

    folder = private_dir(state_dir(os.environ)) / "demo"
    _make_sample(folder)
    command = shlex.join(("tiny-backspace", "run", str(folder), PROMPT.strip(), "--verify", VERIFY))
    _say(f"A sample repository: {folder}", f"$ {command}", "")
    flags = {"agents": "dummy", "verify": VERIFY}
    launch(Launch(str(folder), PROMPT, None, flags, None, output))
    if output is not Output.JSONL:
        _show_change(folder)


def _make_sample(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    sample = Path(__file__).parents[1] / "sample"
    shutil.copytree(sample, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for args in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        ("commit", "-q", "-m", "A small API"),
    ):
        _git(folder, *args)


def _show_change(folder: Path) -> None:
    """The diff of the one new branch, and where to look further."""
    branch = _git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads/tiny-backspace")
    _say("", f"$ git -C {folder} diff main...{branch}")
    typer.echo(_git(folder, "diff", f"main...{branch}"))
    _say(
        "",
        "To look further:",
        f"  git -C {folder} show {branch}",
        "  tiny-backspace runs",
        "  tiny-backspace show last",
        "  tiny-backspace replay last",
    )


def _git(folder: Path, *args: str) -> str:
    from tiny_backspace.repo.git import Git

    with TemporaryDirectory() as home:
        git = Git(environment=os.environ, home=Path(home), emit=lambda _: None)
        return git.must("-C", str(folder), *args, doing="making the demo", env=_IDENTITY).text


def _say(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
