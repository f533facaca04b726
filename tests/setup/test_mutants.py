"""Each rule of the setup's way out holds, and its probe notices when only this rule is gone.

As tests/docker/test_controls.py does for the container: a rule, what takes it away (one piece of the source,
replaced), and what is asked. The module with the piece replaced is run here, beside the real one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.setup.test_hello import GOOD, extension, message, record, server_name
from tiny_backspace.setup import asking, exchange, hello, places


@dataclass(frozen=True)
class Control:
    """`probe` says whether the rule lets through what it must not."""

    module: ModuleType
    old: str
    new: str
    probe: Callable[[Any], bool]


def goes(
    host: str, port: int = 443, *, tls: bool = True, allowed: str = "pypi.example"
) -> Callable[[Any], bool]:
    return lambda m: isinstance(m.decide(host, port, [m.Place(allowed)], tls=tls), m.Allowed)


def leads(address: str, **place: Any) -> Callable[[Any], bool]:
    return lambda m: bool(m.may_lead_to(address, m.Place(**{"host": "pypi.example", **place})))


def parses(*lines: bytes) -> Callable[[Any], bool]:
    def probe(m: Any) -> bool:
        try:
            m.parse(b"\r\n".join((*lines, b"", b"")))
        except m.BadRequest:
            return False
        return True

    return probe


def passes_on(field: bytes) -> Callable[[Any], bool]:
    head = b"GET http://a.example/ HTTP/1.1\r\n" + field + b"\r\n\r\n"
    return lambda m: field in m.parse(head).head


def reads(data: bytes) -> Callable[[Any], bool]:
    def probe(m: Any) -> bool:
        try:
            return m.read(data) is not None
        except m.NotHello:
            return False

    return probe


def tunnels(data: bytes, host: str) -> Callable[[Any], bool]:
    """Whether a client that asked for a tunnel to this host may say that, all of it at once."""

    def probe(m: Any) -> bool:
        try:
            asyncio.run(m.client_hello(None, data, host))
        except m.NotHello:
            return False
        return True

    return probe


PLAIN = b"GET http://a.example/ HTTP/1.1"
CONTROLS = {
    "only a named host": Control(places, "if _covers(place.host, name)]", "]", goes("evil.example")),
    "a host as a whole": Control(places, "return name == pattern", "return name.endswith(pattern)", goes("evilpypi.example")),
    "below a name, not beside it": Control(
        places, "name.endswith(pattern[1:])", "name.endswith(pattern[2:])", goes("evilfiles.example", allowed="*.files.example"),
    ),
    "only its port": Control(places, "if place.port == port]", "]", goes("pypi.example", 22)),
    "only TLS": Control(places, "if place.tls is tls:", "if True:", goes("pypi.example", tls=False)),
    "no address": Control(places, 'return "an address is no host name"', "return None", goes("127.0.0.1", allowed="127.0.0.1")),
    "only a name": Control(
        places, 'if _NAME.fullmatch(name) else "that is no host name"', "", goes("a\0.files.example", allowed="*.files.example"),
    ),
    "not into this network": Control(places, "or not _inside(found)", "or True", leads("10.0.0.1")),
    "not within another address": Control(places, "if within is not None:", "if False:", leads("::ffff:10.0.0.1")),
    "not by NAT64": Control(places, "address in _NAT64 or address in _NAT64_LOCAL", "False", leads("64:ff9b::a00:1")),
    "not below a name of the user's": Control(
        places, 'place.own and not place.host.startswith("*.")', "place.own", leads("10.0.0.1", host="*.a.example", own=True),
    ),
    "only reading": Control(asking, "if method not in _READING:", "if False:", parses(b"POST http://a.example/ HTTP/1.1")),
    "no TLS address in plain HTTP": Control(asking, 'r"http://(', 'r"https?://(', parses(b"GET https://a.example/ HTTP/1.1")),
    "no password": Control(asking, r"[^\[\]:@]+)(?::", r"[^\[\]:]+)(?::", parses(b"GET http://u@a.example/ HTTP/1.1")),
    "a port for a tunnel": Control(asking, '):([0-9]{1,5})")\n_ABS', ')(?::([0-9]{1,5}))?")\n_ABS', lambda m: bool(m._CONNECT.fullmatch("a.example"))),
    "no body": Control(asking, 'name == b"transfer-encoding" or (', "False and (", parses(PLAIN, b"Transfer-Encoding: chunked")),
    "no sized body": Control(asking, 'name == b"content-length" and', "False and", parses(PLAIN, b"Content-Length: 5")),
    "well-formed fields": Control(asking, "rb\"([!#$%&'*+.^_`|~0-9A-Za-z-]+):", 'rb"([^:]+):', parses(PLAIN, b" a: b")),
    "one host": Control(asking, 'b"host", ', "", passes_on(b"Host: evil.example")),
    "no words to a proxy": Control(asking, 'and not name.startswith(b"proxy-")', "", passes_on(b"Proxy-Authorization: x")),
    "TLS alone": Control(hello, "data[at] != _HANDSHAKE or", "False or", reads(record(message(GOOD), kind=21))),
    "a hello first": Control(hello, "message[0] != _CLIENT_HELLO", "False", reads(record(message(GOOD, kind=2)))),
    "nothing after it": Control(hello, "if len(message) > end:", "if False:", lambda m: "once" not in _said(m, record(message(GOOD) + b"x"))),
    "nothing behind its end": Control(hello, "    if body:\n", "    if False:\n", reads(record(message(GOOD, tail=b"x")))),
    "nothing twice": Control(hello, "if kind in found:", "if False:", reads(record(message(GOOD, server_name(b"b.example"))))),
    "no encrypted name": Control(hello, "if _ENCRYPTED & extensions.keys():", "if False:", reads(record(message(GOOD, extension(0xFE0D, b"\0"))))),
    "the name of the tunnel": Control(exchange, "if found.name != host:", "if False:", tunnels(record(message(GOOD)), "b.example")),
    "one name": Control(hello, "if whole or names or", "if whole or", reads(record(message(server_name(b"a.example", b"b.example"))))),
    "a host's name": Control(hello, "or kind != _HOST_NAME", "", reads(record(message(server_name(b"a.example", kind=1))))),
}  # fmt: skip


def _said(m: Any, data: bytes) -> str:
    try:
        return str(m.read(data))
    except m.NotHello as error:
        return str(error)


def mutant(control: Control, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    source = Path(str(control.module.__file__)).read_text("utf-8")
    assert source.count(control.old) == 1, "this is not one piece of the source"
    made = ModuleType("mutant")
    monkeypatch.setitem(sys.modules, "mutant", made)  # dataclasses look there
    exec(compile(source.replace(control.old, control.new), "mutant", "exec"), made.__dict__)
    return made


@pytest.mark.parametrize("rule", CONTROLS)
def test_the_rule_holds_and_its_probe_notices_when_only_this_rule_is_gone(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = CONTROLS[rule]
    assert not control.probe(control.module)
    assert control.probe(mutant(control, monkeypatch))
