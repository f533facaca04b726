"""The token that GitHub's own program keeps, for whoever is logged in with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from pydantic import SecretStr

from tiny_backspace.events import HostCommand
from tiny_backspace.settings import Settings, is_secret

_SECONDS = 10


def with_gh_token(
    settings: Settings, environment: Mapping[str, str], seconds: float = _SECONDS
) -> tuple[Settings, HostCommand | None]:
    """The settings with the token that GitHub's own program keeps, where there is none yet.

    A program of the current folder, where PATH leads to it, is not GitHub's.
    """
    program = shutil.which("gh", path=environment.get("PATH", ""))
    if settings.github.token is not None or program is None or not Path(program).is_absolute():
        return settings, None
    argv = ("gh", "auth", "token", "--hostname", str(urlsplit(settings.github.url).hostname))
    start = monotonic()
    code, token = _said((program, *argv[1:]), environment, seconds)
    ran = HostCommand(argv=argv, exit_code=code, duration_ms=round((monotonic() - start) * 1000, 3))
    if code or not token:
        return settings, ran
    github = settings.github.model_copy(update={"token": SecretStr(token)})
    return settings.model_copy(update={"github": github}), ran


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """It is GitHub's: nobody else's keys are its business."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(("GH_", "GITHUB_")) or not is_secret(name)
    }


def _said(argv: Sequence[str], environment: Mapping[str, str], seconds: float) -> tuple[int, str]:
    """Its exit code, -1 where it was ended or did not start, and what it said."""
    try:
        process = subprocess.Popen(
            argv, env=_without_secrets(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except OSError:
        return -1, ""
    with process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return -1, ""
        finally:
            if process.returncode is None:  # with what it started: it may be a script
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said.decode(errors="replace").strip()
