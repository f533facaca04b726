"""A run as a process of its own: heard line by line, ended by SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Self

from tiny_backspace.redact import clean

_TAIL = 4096  # bytes of what it complained about, for a message


class Child:
    """One `tiny-backspace <words> --output jsonl`, whose prompt, `-` among its words, comes by standard input.

    It is in a session of its own: a Ctrl-C in the terminal is ours, and we tell it. As a context, whoever
    leaves it early cancels it and waits for its end: its container is gone and its work is kept by then. When our
    process dies, however it dies, it is told to end too (see leashed.py).
    """

    def __init__(
        self, words: Sequence[str], prompt: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it. `environment` is all of its; without one it has ours.

        Raises:
            OSError: it cannot be started.
        """
        said = prompt.encode(
            errors="replace"
        )  # before there is a process that a failure would leave behind
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        held, self._leash = os.pipe()
        try:
            self._process = subprocess.Popen(
                # -P: what lies in the current folder is not our program
                [sys.executable, "-P", "-m", "tiny_backspace.leashed", str(held), *words,
                 "--output", "jsonl"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=environment,
                start_new_session=True,
                pass_fds=(held,),
            )  # fmt: skip
        except BaseException:
            self._complaints.close()
            os.close(self._leash)
            raise
        finally:
            os.close(held)
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        # in a thread: a long prompt does not fit into a pipe, and nothing may be read of it at all
        threading.Thread(target=self._tell, args=(said,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self.cancel()
            for _ in self.lines():  # a full pipe would keep it from ending
                pass
            self._process.wait()
        os.close(self._leash)
        self._output.close()
        self._complaints.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> Iterator[bytes]:
        """Its records as they come, a JSON line each, without the line's end."""
        for line in self._output:
            yield line.rstrip(b"\n")

    def cancel(self) -> None:
        """Tell it to end, once: it keeps its work, removes its container and says so. Any thread may."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code; a signal that ended it counts as in a shell."""
        code = self._process.wait()
        return 128 - code if code < 0 else code

    def complaint(self) -> str:
        """The end of what it wrote to standard error: why there was no run, if there was none."""
        end = self._complaints.seek(0, 2)
        self._complaints.seek(max(0, end - _TAIL))
        return clean(self._complaints.read().decode(errors="replace")).strip()

    def _tell(self, prompt: bytes) -> None:
        with suppress(OSError), self._input:  # it may end before it has read all
            self._input.write(prompt)
