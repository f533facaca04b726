"""The service: runs behind HTTP, each a process of its own; what is told of them is read from the history."""
