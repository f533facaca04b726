"""Every answer has the price that its vendor asks, worked out here by hand, or none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.conversation import Usage
from tiny_backspace.entries import Dialect, Entry, Prices
from tiny_backspace.providers.prices import cost, warm

MIXED = Usage(input_tokens=1000, output_tokens=50, cached_tokens=400, cache_write_tokens=100)
PLAIN = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def entry(
    dialect: Dialect,
    model: str | None = None,
    base_url: str | None = None,
    prices: Prices | None = None,
) -> Entry:
    return Entry(dialect=dialect, model=model, base_url=base_url, prices=prices)


@pytest.mark.parametrize(
    ("dialect", "model", "usage", "usd"),
    [
        # 500 plain at 2, 400 cached at 0.10, 100 written at 2.50, 50 out at 10, per million
        ("claude", "claude-sonnet-5-5", MIXED, 0.00179),
        ("claude", "claude-sonnet-5-5-20261001", MIXED, 0.00179),
        # 500 at 4, 400 at 0.20, 100 at 5, 50 at 20
        ("claude", "claude-opus-5-5", MIXED, 0.00358),
        # 500 at 2, 400 at 0.10, 100 at 2.50, 50 at 10
        ("openai", "gpt-6.1-sol", MIXED, 0.00179),
        ("openai", "gpt-6.1-sol-2026-09-01", MIXED, 0.00179),
        # cached input has a price at gpt-4o, writing has none of its own: 600 at 2.50, 400 at 1.25, 50 at 10
        ("openai", "gpt-4o", MIXED, 0.0025),
    ],
)
def test_reading_from_a_cache_and_writing_to_one_have_their_own_prices(
    dialect: Dialect, model: str, usage: Usage, usd: float
) -> None:
    assert cost(entry(dialect), model, usage) == pytest.approx(usd)


@pytest.mark.parametrize(
    ("dialect", "model", "tokens", "usd"),
    [
        ("claude", "claude-haiku-5-5", 100_000, 0.01 + 0.0005),
        ("claude", "claude-haiku-5-5", 100_001, 0.0500005 + 0.0025),
        ("openai", "gpt-6.1-sol", 272_000, 0.544 + 0.01),
        ("openai", "gpt-6.1-sol", 272_001, 1.088004 + 0.015),
        ("openai", "gpt-6.2-sol", 272_000, 0.544 + 0.01),
        ("openai", "gpt-6.2-sol", 272_001, 1.088004 + 0.015),
        ("openai", "gpt-6.2-astra", 272_001, 4.352016 + 0.06),
    ],
)
def test_a_long_input_makes_every_token_dearer(
    dialect: Dialect, model: str, tokens: int, usd: float
) -> None:
    assert cost(entry(dialect), model, Usage(tokens, 1000)) == pytest.approx(usd)


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("gpt-6.2-sol", 0.00179),
        ("gpt-6.2-sol-2026-11-01", 0.00179),
        ("GPT-6.2-Sol", 0.00179),
        ("gpt-6.2-astra", 1000 * 8e-6 + 50 * 40e-6),
    ],
)
def test_a_model_that_is_newer_than_the_list_has_a_price(model: str, usd: float) -> None:
    assert cost(entry("openai"), model, MIXED) == pytest.approx(usd)
    assert cost(entry("chat"), model, MIXED) == pytest.approx(usd)


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        (entry("claude"), "claude-nonesuch-9"),
        (entry("claude"), "gpt-6.2-sol"),
        (entry("openai"), "gpt-99"),
        (entry("openai"), "gpt-6.2-solar"),
        (entry("openai"), "gpt-6.2-sol-2026-11-01-x"),
        (entry("openai"), "claude-sonnet-5-5"),
        (entry("chat", base_url="https://llm.example.org/v1"), "gpt-4o"),
        (entry("chat", base_url="https://llm.example.org/v1"), "gpt-6.2-sol"),
        (entry("chat", base_url="https://api.groq.com/openai/v1"), "gpt-4o"),
        (entry("chat", base_url="https://localhost.example.org/v1"), "qwen3"),
        (entry("chat", base_url="https://127.0.0.1.example.org/v1"), "qwen3"),
        (entry("chat", base_url="https://api.cerebras.ai/v1"), "qwen-3-coder-480b"),
    ],
)
def test_a_price_that_nobody_knows_is_none(asked: Entry, model: str) -> None:
    assert cost(asked, model, MIXED) is None


def test_a_compatible_server_is_known_by_its_address() -> None:
    groq = entry("chat", base_url="https://api.groq.com/openai/v1")
    openai = entry("chat", base_url="https://api.openai.com/v1")

    assert cost(groq, "llama-3.3-70b-versatile", PLAIN) == pytest.approx(0.59 + 0.79)
    assert cost(openai, "gpt-4o", MIXED) == pytest.approx(0.0025)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:11434/v1", "http://localhost:8000", "http://[::1]:1234/v1",
        "http://127.8.9.1/v1", "http://LOCALHOST/v1", "http://llm.localhost/v1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", ["qwen3-coder:30b", "gpt-4o"])
def test_a_model_on_this_machine_costs_nothing(address: str, model: str) -> None:
    assert cost(entry("chat", model, address), model, PLAIN) == 0.0


def test_a_vendor_behind_an_address_on_this_machine_costs_what_it_costs() -> None:
    behind = entry("claude", base_url="http://127.0.0.1:9999")

    assert cost(behind, "claude-sonnet-5-5", MIXED) == pytest.approx(0.00179)


@pytest.mark.parametrize(
    ("prices", "usd"),
    [
        (Prices(input=1, output=2), 0.0011),
        (Prices(input=1, output=2, cached=0, cache_write=0), 0.0006),
        (Prices(input=1, output=2, cached=0.5), 0.0009),
        (Prices(input=1, output=2, cache_write=3), 0.0013),
        (Prices(input=0, output=0), 0.0),
    ],
)
@pytest.mark.parametrize("dialect", ["claude", "openai", "chat"])
def test_the_users_prices_win_over_all_others(dialect: Dialect, prices: Prices, usd: float) -> None:
    local = entry(dialect, "gpt-4o", "http://127.0.0.1:1/v1", prices)

    assert cost(local, "gpt-4o", MIXED) == pytest.approx(usd)
    assert cost(local, "gpt-4o-2026-01-01", MIXED) == pytest.approx(usd)


def test_the_users_prices_are_for_the_entrys_model_only() -> None:
    mine = Prices(input=1000, output=1000)

    assert cost(entry("openai", "gpt-4o", prices=mine), "gpt-6.1-sol", MIXED) == pytest.approx(
        0.00179
    )
    assert cost(entry("openai", "gpt-4o", prices=mine), "gpt-99", MIXED) is None
    assert cost(entry("openai", None, prices=mine), "gpt-99", MIXED) == pytest.approx(1.05)


def test_an_answer_without_tokens_costs_nothing_where_the_price_is_known() -> None:
    assert cost(entry("claude"), "claude-sonnet-5-5", Usage()) == 0.0
    assert cost(entry("openai"), "gpt-99", Usage()) is None


@given(st.tuples(*[st.integers(-(1 << 70), 1 << 70)] * 4), st.sampled_from(["own", "list", "ours"]))
def test_whatever_a_server_counts_is_a_price_and_no_failure(
    counts: tuple[int, int, int, int], source: str
) -> None:
    asked = entry("openai", "m", prices=Prices(input=1, output=2) if source == "own" else None)
    model = {"own": "m", "list": "gpt-6.1-sol", "ours": "gpt-6.2-sol"}[source]

    found = cost(asked, model, Usage(*counts))

    assert found is not None
    assert found >= 0


def test_more_cached_tokens_than_were_read_are_as_many_as_were_read() -> None:
    found = cost(entry("claude"), "claude-sonnet-5-5", Usage(1000, 0, 5000, 5000))

    assert found == pytest.approx(1000 * 0.10e-6)


def test_the_list_of_prices_is_read_without_the_network() -> None:
    # an audit hook stays for good: in a process of its own
    program = """
import sys, threading
def hook(event, args):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        raise SystemExit(f"{event} {args}")
sys.addaudithook(hook)
from tiny_backspace.conversation import Usage
from tiny_backspace.entries import Entry
from tiny_backspace.providers import prices
assert "genai_prices" not in sys.modules
prices.warm()
assert "genai_prices" in sys.modules
print(prices.cost(Entry(dialect="claude"), "claude-sonnet-5-5", Usage(1_000_000)))
print(threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.stdout.split(), done.stderr) == (["2.0", "1"], "")


def test_warming_up_is_for_nothing_but_speed() -> None:
    warm()
    warm()

    assert cost(entry("claude"), "claude-sonnet-5-5", MIXED) == pytest.approx(0.00179)
