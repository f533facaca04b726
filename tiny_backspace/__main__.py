"""The program. `--version` is answered before anything is imported."""

from __future__ import annotations

import gc
import sys


def main() -> None:
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


if __name__ == "__main__":
    main()
