"""How well runs go on this machine: a score with its reasons, and alerts."""
