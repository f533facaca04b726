"""Long text made short, with its beginning, its end and a word on what is missing."""

from __future__ import annotations

_MARK = "\n[… {} bytes left out …]\n"
_ROOM = 48  # bytes; the mark with any number that fits a machine word


def clip(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8 (64 or more), cut in the middle; always encodable."""
    data = text.encode("utf-8", "replace")  # a lone surrogate becomes "?"
    if len(data) <= limit:
        return data.decode()
    half = (limit - _ROOM) // 2
    head = data[:half].decode(errors="ignore")
    tail = data[-half:].decode(errors="ignore")
    missing = len(data) - len(head.encode()) - len(tail.encode())
    return head + _MARK.format(missing) + tail
