"""What holds for every test."""

import signal

from hypothesis import HealthCheck, settings

# Who starts the tests under `nohup`, as some CI runners do, has SIGHUP ignored in all their children,
# and a program that is told to end by it would not.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# On a machine that is busy with something else, the making of examples is no failure of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
