"""What an answer costs: the user's prices, then genai-prices, then what that does not know yet.

Nothing is looked up in the network: genai-prices has its list in the package, and gets a newer one
only where somebody starts its `UpdatePrices`, which nobody does here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from tiny_backspace.conversation import Usage
from tiny_backspace.entries import Entry, Prices

_OPENAI = "api.openai.com"
_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})\Z", re.ASCII)
_MILLION = 1_000_000

# OpenAI's models that genai-prices 0.2.3 does not have; one that has them comes first. The second
# prices are for all tokens of an answer to more than `_LONG` tokens.
_LONG = 272_000
_NOT_LISTED = {
    "gpt-6.2-sol": (
        Prices(input=2, output=10, cached=0.10, cache_write=2.50),
        Prices(input=4, output=15, cached=0.20, cache_write=5.00),
    ),
    "gpt-6.2-astra": (
        Prices(input=8, output=40, cached=None, cache_write=None),
        Prices(input=16, output=60, cached=None, cache_write=None),
    ),
}


def cost(entry: Entry, model: str, usage: Usage) -> float | None:
    """USD for one answer of `model`; None where nobody knows the price.

    The entry's own prices hold for its own model. A compatible server is known by its address, never
    by its models' names; one on this machine costs nothing unless the entry has prices.
    """
    tokens = _split(usage)
    if entry.prices is not None and entry.model in (None, model, _undated(model)):
        return _charged(entry.prices, tokens)
    if entry.dialect == "claude":
        return _listed(model, tokens, vendor="anthropic")
    host = urlsplit(entry.base_url or "").hostname or _OPENAI
    if entry.dialect == "openai" or host == _OPENAI:
        listed = _listed(model, tokens, vendor="openai")
        return _not_listed(model, tokens) if listed is None else listed
    if _is_this_machine(host):
        return 0.0
    return _listed(model, tokens, address=entry.base_url)


def warm() -> None:
    """Read the list of prices, which takes a third of a second: for a thread, before the first answer."""
    _listed("gpt-6-sol", _split(Usage()), vendor="openai")


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What is charged apart; no token is in two of them."""

    plain: int
    cached: int
    cache_write: int
    output: int

    @property
    def input(self) -> int:
        return self.plain + self.cached + self.cache_write


def _split(usage: Usage) -> _Tokens:
    """A server may count nonsense: no part is more than the whole, and nothing is less than nothing."""
    total = max(0, usage.input_tokens)
    cached = min(max(0, usage.cached_tokens), total)
    written = min(max(0, usage.cache_write_tokens), total - cached)
    return _Tokens(total - cached - written, cached, written, max(0, usage.output_tokens))


def _charged(prices: Prices, tokens: _Tokens) -> float:
    cached = prices.input if prices.cached is None else prices.cached
    write = prices.input if prices.cache_write is None else prices.cache_write
    return (
        tokens.plain * prices.input
        + tokens.cached * cached
        + tokens.cache_write * write
        + tokens.output * prices.output
    ) / _MILLION


def _listed(
    model: str, tokens: _Tokens, *, vendor: str | None = None, address: str | None = None
) -> float | None:
    """What genai-prices says of a vendor's model, or of a model at an address."""
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=tokens.input,
        cache_read_tokens=tokens.cached,
        cache_write_tokens=tokens.cache_write,
        output_tokens=tokens.output,
    )
    try:
        if vendor is not None:
            found = genai_prices.calc_price(counted, model, provider_id=vendor)
        else:
            found = genai_prices.calc_price(counted, model, provider_api_url=address)
    except (LookupError, ValueError):
        return None
    # some models are on the list without a price, which says nothing
    return None if found.model_price.input_mtok is None else float(found.total_price)


def _not_listed(model: str, tokens: _Tokens) -> float | None:
    known = _NOT_LISTED.get(_undated(model.lower()))
    return None if known is None else _charged(known[tokens.input > _LONG], tokens)


def _undated(model: str) -> str:
    """The name without its snapshot's date: gpt-6-sol-2026-09-01, claude-sonnet-5-5-20261001."""
    return _DATE.sub("", model)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
