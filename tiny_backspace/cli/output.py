"""Standard output of the commands that answer with lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import typer


def print_lines(lines: Iterable[str]) -> None:
    """Each on a line of standard output, whatever its encoding can hold.

    Ends the command without a word when nobody reads its output any more (`| head`).
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        for line in lines:
            sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit; see "Note on SIGPIPE" in its signal module's documentation.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
        raise typer.Exit(0) from None
