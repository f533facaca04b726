"""Many runs: tasks out of a file, each a run in a process of its own, here or on a cluster."""
