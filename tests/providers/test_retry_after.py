from __future__ import annotations

import httpx2
import pytest

from tiny_backspace.providers.retry_after import retry_after

NOON = 1_792_567_000.0  # 2026-10-21 07:16:40 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 680.0),
        ({"retry-after": "Wed, 21 Oct 2020 07:28:00 GMT"}, 0.0),
    ],
)
def test_a_wish_is_read_in_seconds_milliseconds_and_as_a_date(
    headers: dict[str, str], seconds: float
) -> None:
    assert retry_after(headers, lambda: NOON) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "later",
        "-1",
        "nan",
        "inf",
        "1e400",
        "0, 3",
        "Wed, 99 Foo 2026 07:28:00 GMT",
        "\x00",
        "9" * 400,
    ],
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(told: str) -> None:
    assert retry_after({"retry-after": told}) is None
    assert retry_after({"retry-after-ms": told}) is None


def test_no_wish_is_none_and_httpx_headers_know_no_case() -> None:
    assert retry_after({}) is None
    assert retry_after(httpx2.Headers({"Retry-After": "7"})) == 7
