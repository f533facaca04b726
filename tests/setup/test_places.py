"""Where a setup may go: a name that is exactly allowed, or below one, at its port; never an address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.setup.places import Allowed, Denied, Place, decide, may_lead_to, name_problem

INDEX = Place("pypi.example")
MIRROR = Place("mirror.example", 8443, own=True)
PLAIN = Place("plain.example", 80, tls=False, own=True)
BELOW = Place("*.files.example", own=True)
ALLOWED = (INDEX, MIRROR, PLAIN, BELOW)

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
v4 = st.ip_addresses(v=4)


def reason(host: str, port: int = 443, *, tls: bool = True) -> str:
    decision = decide(host, port, ALLOWED, tls=tls)
    assert isinstance(decision, Denied)
    return decision.reason


@pytest.mark.parametrize(
    ("host", "port", "tls", "place"),
    [
        ("pypi.example", 443, True, INDEX),
        ("PyPI.Example", 443, True, INDEX),
        ("mirror.example", 8443, True, MIRROR),
        ("plain.example", 80, False, PLAIN),
        ("a.files.example", 443, True, BELOW),
        ("a.b.files.example", 443, True, BELOW),
    ],
)
def test_what_is_allowed(host: str, port: int, tls: bool, place: Place) -> None:
    assert decide(host, port, ALLOWED, tls=tls) == Allowed(host.lower(), place)


@pytest.mark.parametrize(
    ("host", "port", "tls", "said"),
    [
        ("evil.example", 443, True, "not allowed"),
        ("evilpypi.example", 443, True, "not allowed"),
        ("pypi.example.evil", 443, True, "not allowed"),
        ("a.pypi.example", 443, True, "not allowed"),
        ("files.example", 443, True, "not allowed"),
        ("evilfiles.example", 443, True, "not allowed"),
        (".files.example", 443, True, "no host name"),
        ("pypi.example", 80, False, "port 80 of this host"),
        ("pypi.example", 22, True, "port 22 of this host"),
        ("pypi.example", 443, False, "only TLS"),
        ("plain.example", 80, True, "only plain HTTP"),
        ("plain.example", 443, True, "port 443 of this host"),
        ("mirror.example", 443, True, "port 443"),
        ("pypi.example", 0, True, "is no port"),
        ("pypi.example", 65536 + 443, True, "is no port"),
        ("pypi.example.", 443, True, "no host name"),
        ("pypi.example\0.evil", 443, True, "no host name"),
        ("pypi.example\n", 443, True, "no host name"),
        ("pypi.example@evil", 443, True, "no host name"),
        ("pypi%2eexample", 443, True, "no host name"),
        ("ｐypi.example", 443, True, "no host name"),
        ("pypi。example", 443, True, "no host name"),
        ("\u212aypi.example", 443, True, "no host name"),
        ("*.files.example", 443, True, "no host name"),
        ("", 443, True, "no host name"),
        ("a" * 64 + ".files.example", 443, True, "no host name"),
        ("a." * 130 + "files.example", 443, True, "no host name"),
    ],
)  # fmt: skip
def test_what_is_denied_and_why(host: str, port: int, tls: bool, said: str) -> None:
    assert said in reason(host, port, tls=tls)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "127.0.0.1.", "0x",
        "[::1]", "::1", "[::ffff:127.0.0.1]", "fe80::1%eth0", "1.2.3.4.5", "evil.1", "pypi.example.0x7f",
    ],
)  # fmt: skip
def test_no_address_is_a_name_however_it_is_spelt(host: str) -> None:
    everything = (*ALLOWED, Place(host), Place("*.1"), Place("*.example.0x7f"))
    assert decide(host, 443, everything) == Denied("an address is no host name")


@given(st.ip_addresses())
def test_no_address_is_ever_allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    spelt = [str(address), address.exploded, f"[{address}]", str(int(address)), hex(int(address))]
    for host in spelt:
        assert decide(host, 443, [Place(host)]) == Denied("an address is no host name")


@given(st.text(max_size=40), st.integers(-1, 1 << 17), st.booleans())
def test_whatever_is_asked_for_only_a_named_place_is_allowed(
    host: str, port: int, tls: bool
) -> None:
    found = decide(host, port, ALLOWED, tls=tls)
    if isinstance(found, Allowed):
        place = found.place
        assert place in ALLOWED
        assert (place.port, place.tls) == (port, tls)
        assert found.host == host.lower()
        assert found.host == place.host or found.host.endswith(place.host[1:])
        assert name_problem(found.host) is None


@given(names, names)
def test_a_suffix_covers_what_is_below_it_at_a_dot_and_nothing_else(below: str, other: str) -> None:
    allowed = [Place("*.files.example")]
    assert isinstance(decide(f"{below}.files.example", 443, allowed), Allowed)
    assert isinstance(decide(f"{below}files.example", 443, allowed), Denied)
    assert isinstance(decide(f"files.example.{other}x", 443, allowed), Denied)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "::1", "::",
        "fe80::1", "fd00::1", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::1",
    ],
)  # fmt: skip
def test_a_name_may_lead_into_this_network_only_if_it_is_the_users_own(address: str) -> None:
    assert not may_lead_to(address, INDEX)
    assert may_lead_to(address, MIRROR)
    assert not may_lead_to(address, BELOW)  # who may name a host below it, might name that


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::808:808", "2002:808:808::1"],
)  # fmt: skip
def test_other_addresses_are_the_worlds(address: str) -> None:
    assert may_lead_to(address, INDEX)


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "8.8.8.8/8", "8.8.8.8 "])
def test_what_is_no_address_leads_nowhere(text: str) -> None:
    assert not may_lead_to(text, INDEX)
    assert not may_lead_to(text, MIRROR)


@given(v4)
def test_an_address_within_another_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = [
        f"::ffff:{address}",
        str(ipaddress.IPv6Address((0x64FF9B << 96) | number)),
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80))),
    ]
    plainly = may_lead_to(str(address), INDEX)
    assert [may_lead_to(form, INDEX) for form in forms] == [plainly] * 3
