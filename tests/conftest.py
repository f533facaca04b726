"""What holds for every test."""

import signal

# Who starts the tests under `nohup`, as some CI runners do, has SIGHUP ignored in all their children,
# and a program that is told to end by it would not.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
