"""`clean`: what dead runs left behind."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(clean)


def clean() -> None:
    """Remove containers and temporary files of runs that are dead; never of a living one.

    Patches and the history stay. A run does this for containers by itself.

    \b
    Example:
      tiny-backspace clean
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.sandbox.engine import connect, remove_leftovers
    from tiny_backspace.settings import docker_host
    from tiny_backspace.statedir import is_live, owner_id, state_dir

    state = state_dir(os.environ)
    if not state.exists():
        sys.stderr.write("Nothing to clean: there was no run yet.\n")
        return
    files = _remove_files(state)
    engine = connect(docker_host(os.environ))
    containers = remove_leftovers(engine, owner_id(state), lambda run_id: is_live(state, run_id))
    sys.stderr.write(f"Removed {len(containers)} container(s) and {files} temporary folder(s).\n")


def _remove_files(state: Path) -> int:
    from tiny_backspace.statedir import is_live

    removed = 0
    for run in state.glob("runs/*"):
        if is_live(state, run.name):
            continue
        for leftover in (run / "home", run / "quarantine.git"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
                removed += 1
        if not any(run.iterdir()):
            run.rmdir()
    return removed
