"""All runs of this machine at once: what the history tells of them, and how it looks."""
