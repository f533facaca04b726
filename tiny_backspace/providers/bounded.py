"""What a server may send us: so much, unpacked, and nothing that cannot be passed on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    import httpx2

PLAIN = {"Accept-Encoding": "identity"}
"""Headers of every question: a megabyte can unpack to a gigabyte."""

NO_PROXY: Mapping[str, None] = {
    f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")
}
"""What is on this machine is not asked through a proxy, which would see the key."""

_MOST = 64 << 20  # bytes of one response
_MOST_OF_ERROR = 1 << 16  # of one that says what went wrong: who reads it looks for words in it
_DEEPEST = 64  # of JSON within JSON; others of it go through parsers that count their steps


def bounded(response: httpx2.Response, *, most: int = _MOST) -> None:
    """A response hook: its body ends with an error once it is longer than any answer.

    Raises:
        httpx2.DecodingError: it is packed, though nobody asked for that.
    """
    import httpx2

    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise httpx2.DecodingError(
            f"the answer is packed with {packed}, which was not asked for", request=response.request
        )
    inner = response.stream
    failed = response.is_error

    class Bounded(httpx2.SyncByteStream):
        @override
        def __iter__(self) -> Iterator[bytes]:
            assert isinstance(inner, httpx2.SyncByteStream)
            seen = 0
            for piece in inner:
                seen += len(piece)
                if failed and seen > _MOST_OF_ERROR:
                    yield piece[: len(piece) - (seen - _MOST_OF_ERROR)]
                    return
                if seen > most:
                    raise httpx2.DecodingError(
                        f"the answer is longer than {most >> 20} MiB", request=response.request
                    )
                yield piece

        @override
        def close(self) -> None:
            assert isinstance(inner, httpx2.SyncByteStream)
            inner.close()

    response.stream = Bounded()


def quiet(*loggers: str) -> None:
    """What the SDKs log by themselves, with ANTHROPIC_LOG and the like, passes our redaction and the views by."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def sound(value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether it can be shown, kept and sent on: not nested too deep, and all numbers finite."""
    level = [value]
    for _ in range(_DEEPEST):
        if any(isinstance(each, float) and not isfinite(each) for each in level):
            return False
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return True
    return False
