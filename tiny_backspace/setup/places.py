"""Where a setup may go: names and ports that the user's own configuration names. Pure.

A name is the only way in: an address, however it is spelt, is none (what counts as one: the WHATWG
URL Standard, "ends in a number"). Which addresses a name may lead to: the IANA special-purpose registries.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
PORTS = range(1, 1 << 16)

# What is on this machine, in its network, or nobody's; the documentation ranges lead nowhere by themselves.
_INSIDE = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
            "::/96", "::1/128", "100::/64", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
        ),
    )
)  # fmt: skip
# Addresses of the old kind in those of the new: mapped, NAT64, 6to4 (the address is in bits 16 to 48).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Place:
    """One host and port that may be spoken to, over TLS or in plain HTTP.

    `host` is a name in lower case, or `*.` and a name for everything below it. `own`: the user's own
    configuration has this very name, so that it may be on the user's own network.
    """

    host: str
    port: int = 443
    tls: bool = True
    own: bool = False


@dataclass(frozen=True, slots=True)
class Allowed:
    """`host` as it is to be asked for and compared: in lower case."""

    host: str
    place: Place


@dataclass(frozen=True, slots=True)
class Denied:
    reason: str


def decide(
    host: str, port: int, allowed: Collection[Place], *, tls: bool = True
) -> Allowed | Denied:
    """Whether a program in the container may speak to `host` at `port`."""
    name = host.lower() if host.isascii() else host
    if problem := name_problem(name):
        return Denied(problem)
    if port not in PORTS:
        return Denied(f"{port} is no port")
    named = [place for place in allowed if _covers(place.host, name)]
    if not named:
        return Denied("this host is not allowed")
    at_port = [place for place in named if place.port == port]
    if not at_port:
        return Denied(f"port {port} of this host is not allowed")
    for place in sorted(at_port, key=lambda p: not p.own):
        if place.tls is tls:
            return Allowed(name, place)
    return Denied(
        "only TLS is spoken to this host" if not tls else "only plain HTTP is spoken to this host"
    )


def name_problem(name: str) -> str | None:
    """What keeps this from being a host's name; None if it is one, in lower case."""
    if ":" in name or "[" in name or _NUMBER.fullmatch(name.rstrip(".").rpartition(".")[2]):
        return "an address is no host name"
    return None if _NAME.fullmatch(name) else "that is no host name"


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return name == pattern


def may_lead_to(address: str, place: Place) -> bool:
    """Whether a name of this place may have this address. What is no address at all, it may not have."""
    try:
        found: Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (place.own and not place.host.startswith("*.")) or not _inside(found)


def _inside(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if within is None and (address in _NAT64 or address in _NAT64_LOCAL):
            within = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if within is not None:
            return _inside(within)
    return any(address in network for network in _INSIDE if network.version == address.version)
