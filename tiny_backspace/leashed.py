"""`python -m tiny_backspace.leashed FD WORDS…`: the program, ended in order when whoever started it has gone.

FD is the reading end of a pipe that nobody writes to: the kernel closes its other end when that process
dies, however it dies. A run that nobody hears any more would go on, and be paid for.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def _watch(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    from tiny_backspace.__main__ import main as program

    pipe = int(sys.argv.pop(1))
    os.set_inheritable(pipe, False)  # not to what it starts
    threading.Thread(target=_watch, args=(pipe,), name="leash", daemon=True).start()
    program()


if __name__ == "__main__":
    main()
