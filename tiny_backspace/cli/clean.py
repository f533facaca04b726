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

    And what setups have installed, unless a run uses it now: it is made again when it
    is wanted. Patches and the history stay. A run does this for containers by itself.

    \b
    Example:
      tiny-backspace clean
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.sandbox.engine import connect, remove_leftovers
    from tiny_backspace.settings import docker_host
    from tiny_backspace.setup.shelf import SETUPS, Shelf
    from tiny_backspace.statedir import cache_dir, forget_dead, is_live, owner_id, state_dir

    state = state_dir(os.environ)
    if not state.exists():
        sys.stderr.write("Nothing to clean: there was no run yet.\n")
        return
    files = _remove_files(state)
    forget_dead(state)
    engine = connect(docker_host(os.environ))
    containers = remove_leftovers(engine, owner_id(state), lambda run_id: is_live(state, run_id))
    shelf = Shelf(engine, cache_dir(os.environ) / SETUPS, owner_id(state))
    setups = shelf.forget_unfinished() + shelf.trim(0)
    sys.stderr.write(
        f"Removed {len(containers)} container(s), {files} temporary folder(s) and {setups} setup(s).\n"
    )


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
        for unfinished in run.glob("*.new"):  # the patch that was being taken out
            unfinished.unlink()
        if not any(run.iterdir()):
            run.rmdir()
    return removed
