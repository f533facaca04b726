"""The program. `--version` is answered before anything is imported."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    _open_what_is_closed()
    if sys.argv[1:] in (["--version"], ["-V"]):
        from tiny_backspace import __version__

        sys.stdout.write(f"tiny-backspace {__version__}\n")
        return
    gc.disable()  # nothing that is imported is garbage, and looking for it takes a tenth of the time
    try:
        from tiny_backspace.cli import main as cli

        cli()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        _flush()


def _open_what_is_closed() -> None:
    """A standard stream that was closed (`2>&-`) would be the next file that we open."""
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - it is for the whole time


def _flush() -> None:
    """Where a terminal has gone, Python would make it an exit code of its own (120)."""
    for name in ("stdout", "stderr"):
        try:
            stream = getattr(sys, name)
            if stream is not None:
                stream.flush()
        except OSError:
            setattr(sys, name, None)


if __name__ == "__main__":
    main()
