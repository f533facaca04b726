"""The way out of a setup as a whole: the relay as a process of this machine, the proxy, servers on loopback."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.sandbox.serving import attached
from tests.servers.index import Canary, Index, canary, certificate, package_index
from tiny_backspace.errors import SandboxLost
from tiny_backspace.events import Egress, Event, ThoughtDelta, Warned
from tiny_backspace.setup import relay
from tiny_backspace.setup.places import Place
from tiny_backspace.setup.proxy import Bounds, Proxy

BIG = bytes(range(256)) * 8000  # 2 MB: many frames, more than one window
SOURCE = Path(relay.__file__).read_text()


@dataclass
class Way:
    """`port` is the relay's; `events` what was told."""

    port: int
    proxy: Proxy
    events: list[Event | ThoughtDelta] = field(default_factory=list)

    def dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def said(self, request: str, then: bytes = b"") -> bytes:
        """Everything that is answered to a request, and to what follows its answer."""
        with self.dial() as client:
            client.sendall(request.replace("\n", "\r\n").encode())
            answer = client.recv(1 << 16)
            if then and b"200" in answer:
                client.sendall(then)
            while more := _received(client):
                answer += more
        return answer

    @property
    def egress(self) -> list[tuple[str, int, str, str]]:
        told = [event for event in self.events if isinstance(event, Egress)]
        return [(each.host, each.port, each.decision, each.reason) for each in told]


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(1 << 16)
    except ConnectionError:
        return b""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Index, Index, Canary, Path]]:
    pem = certificate(tmp_path)
    with (
        package_index({"big": BIG}) as plain,
        package_index({"big": BIG}, pem) as tls,
        canary() as never,
    ):
        yield plain, tls, never, pem


@contextmanager
def way(folder: Path, *allowed: Place, bounds: Bounds | None = None) -> Generator[Way]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    work = folder / "work"
    work.mkdir()
    argv = [sys.executable, "-I", "-S", "-c", SOURCE, str(port)]
    events: list[Event | ThoughtDelta] = []
    with (
        attached(work, argv) as (stream, _),
        Proxy(stream, allowed, events.append, bounds) as proxy,
    ):
        yield Way(port, proxy, events)


def hello_to(client: socket.socket, name: str | None, pem: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(pem))
    context.check_hostname = False
    return context.wrap_socket(client, server_hostname=name)


def test_what_is_allowed_comes_whole_in_plain_http_and_over_tls(
    tmp_path: Path, servers: tuple[Index, Index, Canary, Path]
) -> None:
    plain, tls, _, pem = servers
    allowed = (
        Place("localhost", plain.port, tls=False, own=True),
        Place("localhost", tls.port, own=True),
    )
    with way(tmp_path, *allowed) as out:
        url = f"http://localhost:{plain.port}/simple/big/big-1.0.tar.gz"
        assert out.said(f"GET {url} HTTP/1.1\n\n").endswith(BIG)
        with out.dial() as client:
            client.sendall(f"CONNECT localhost:{tls.port} HTTP/1.1\r\n\r\n".encode())
            assert client.recv(100) == b"HTTP/1.1 200 Connection established\r\n\r\n"
            with hello_to(client, "localhost", pem) as safe:
                safe.sendall(
                    b"GET /simple/big/big-1.0.tar.gz HTTP/1.1\r\nConnection: close\r\n\r\n"
                )
                answer = b""
                while more := safe.recv(1 << 16):
                    answer += more
        assert answer.endswith(BIG)
        assert out.proxy.connected == 2
        out.said(f"GET {url} HTTP/1.1\n\n")
    assert out.egress == [
        ("localhost", plain.port, "allowed", ""),
        ("localhost", tls.port, "allowed", ""),
    ]


DENIED = {
    "a host that is not allowed": ("CONNECT evil.example:443 HTTP/1.1\n\n", "not allowed"),
    "a host that ends alike": ("CONNECT evil-localhost:{tls} HTTP/1.1\n\n", "not allowed"),
    "a host that begins alike": ("CONNECT localhost.evil.example:{tls} HTTP/1.1\n\n", "not allowed"),
    "a dot at the end": ("CONNECT localhost.:{tls} HTTP/1.1\n\n", "no host name"),
    "another port": ("CONNECT localhost:{never} HTTP/1.1\n\n", "port"),
    "an address": ("CONNECT 127.0.0.1:{tls} HTTP/1.1\n\n", "an address"),
    "an address as a number": ("CONNECT 2130706433:{tls} HTTP/1.1\n\n", "an address"),
    "an address in hexadecimal": ("CONNECT 0x7f.1:{tls} HTTP/1.1\n\n", "an address"),
    "an address of six": ("CONNECT [::1]:{tls} HTTP/1.1\n\n", "an address"),
    "a tunnel to what is plain": ("CONNECT localhost:{plain} HTTP/1.1\n\n", "only plain HTTP"),
    "plain HTTP to what is TLS": ("GET http://localhost:{tls}/ HTTP/1.1\n\n", "only TLS"),
    "plain HTTP to another port": ("GET http://localhost:{never}/ HTTP/1.1\n\n", "port"),
    "plain HTTP to another host": ("GET http://evil.example/ HTTP/1.1\n\n", "not allowed"),
    "a body in plain HTTP": ("POST http://localhost:{plain}/ HTTP/1.1\nContent-Length: 2\n\nhi", "POST"),
    "no proxy's request": ("GET / HTTP/1.1\nHost: localhost\n\n", "only CONNECT"),
    "an endless head": ("GET http://localhost:{plain}/" + "a" * 20000, "no request"),
}  # fmt: skip


@pytest.mark.parametrize("name", DENIED)
def test_what_is_denied_is_told_and_reaches_nobody(
    tmp_path: Path, servers: tuple[Index, Index, Canary, Path], name: str
) -> None:
    plain, tls, never, _ = servers
    allowed = (
        Place("localhost", plain.port, tls=False, own=True),
        Place("localhost", tls.port, own=True),
    )
    request, said = DENIED[name]
    request = request.format(plain=plain.port, tls=tls.port, never=never.port)
    with way(tmp_path, *allowed) as out:
        assert out.said(request).startswith(b"HTTP/1.1 403 ")
    ((_, _, decision, reason),) = out.egress
    assert decision == "denied"
    assert said in reason
    assert (out.proxy.connected, plain.asked, tls.asked, never.visitors) == (0, [], [], 0)


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("evil.example", "names another host: evil.example"),
        (None, "names no host"),
        ("localhost.evil.example", "names another host"),
        (b"GET / HTTP/1.1\r\n\r\n", "not TLS"),
        (b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n", "not TLS"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "cut short"),
    ],
)
def test_in_a_tunnel_the_same_host_has_to_be_named_in_the_open(
    tmp_path: Path, servers: tuple[Index, Index, Canary, Path], then: str | bytes | None, said: str
) -> None:
    _, tls, _, _ = servers
    with way(tmp_path, Place("localhost", tls.port, own=True)) as out:
        first = then if isinstance(then, bytes) else _first_words(then)
        answer = out.said(f"CONNECT localhost:{tls.port} HTTP/1.1\n\n", first)
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n"
    ((host, port, decision, reason),) = out.egress
    assert (host, port, decision) == ("localhost", tls.port, "denied")
    assert said in reason
    assert (out.proxy.connected, tls.asked) == (0, [])


def _first_words(name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def test_a_name_of_somebody_elses_that_leads_to_this_machine_is_not_followed(
    tmp_path: Path, servers: tuple[Index, Index, Canary, Path]
) -> None:
    plain, *_ = servers
    with way(tmp_path, Place("localhost", plain.port, tls=False)) as out:
        answer = out.said(f"GET http://localhost:{plain.port}/ HTTP/1.1\n\n")
        assert answer.startswith(b"HTTP/1.1 502 ")
    ((_, _, decision, reason),) = out.egress
    assert (decision, plain.asked) == ("denied", [])
    assert "leads into this network" in reason


def test_a_host_that_does_not_answer_is_told_as_failed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with way(tmp_path, Place("localhost", port, tls=False, own=True)) as out:
        answer = out.said(f"GET http://localhost:{port}/ HTTP/1.1\n\n")
        assert answer.startswith(b"HTTP/1.1 502 ")
    ((_, _, decision, _),) = out.egress
    assert decision == "failed"


@pytest.mark.parametrize(
    ("bounds", "said"),
    [(Bounds(up=100), "may send 0 MiB"), (Bounds(down=1 << 20), "may fetch 0 GiB")],
)
def test_what_is_sent_and_what_is_fetched_is_bounded(
    tmp_path: Path, servers: tuple[Index, Index, Canary, Path], bounds: Bounds, said: str
) -> None:
    plain, *_ = servers
    url = f"http://localhost:{plain.port}/simple/big/big-1.0.tar.gz"
    with way(tmp_path, Place("localhost", plain.port, tls=False, own=True), bounds=bounds) as out:
        answer = out.said(f"GET {url} HTTP/1.1\nX: {'a' * 100}\n\n")
        assert len(answer) < len(BIG)
    assert said in out.egress[-1][3]


def test_a_connection_on_which_nothing_comes_is_ended(
    tmp_path: Path, servers: tuple[Index, Index, Canary, Path]
) -> None:
    plain, *_ = servers
    place = Place("localhost", plain.port, tls=False, own=True)
    with way(tmp_path, place, bounds=Bounds(asking=0.2, idle=0.2)) as out:
        assert out.said(f"GET http://localhost:{plain.port}/gate HTTP/1.1\n\n") == b""
        with out.dial() as silent:
            assert _received(silent) == b""
    assert plain.reached.is_set()


def test_a_flood_of_denials_is_told_in_short(tmp_path: Path) -> None:
    with way(tmp_path) as out:
        for number in range(205):
            out.said(f"CONNECT h{number}.example:443 HTTP/1.1\n\n")
    assert len(out.egress) == 200
    assert out.events[-1] == Warned(message="The setup was kept from 5 more connections.")


def test_more_connections_than_are_served_at_once_are_closed(tmp_path: Path) -> None:
    with way(tmp_path) as out:
        held = [out.dial() for _ in range(relay.AT_ONCE)]
        for one in held:
            one.sendall(b"CONNECT ")
        more = out.dial()
        assert _received(more) == b""
        for one in (*held, more):
            one.close()


def test_no_connection_outlives_the_proxy(
    tmp_path: Path, servers: tuple[Index, Index, Canary, Path]
) -> None:
    plain, *_ = servers
    with way(tmp_path, Place("localhost", plain.port, tls=False, own=True)) as out:
        client = out.dial()
        client.sendall(f"GET http://localhost:{plain.port}/gate HTTP/1.1\r\n\r\n".encode())
        assert plain.reached.wait(20)
    with client:
        assert _received(client) == b""


def test_a_relay_that_cannot_run_is_said_to_be_so(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with (
        attached(tmp_path, argv) as (stream, _),
        pytest.raises(SandboxLost, match="no way out: no such thing"),
        Proxy(stream, (), lambda _: None),
    ):
        raise AssertionError("it was entered")


def test_a_relay_that_is_not_ours_is_left(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", r"import os; os.write(1, b'HTTP/1.1 200 OK\r\n\r\n' * 9)"]
    with (
        attached(tmp_path, argv) as (stream, _),
        pytest.raises(SandboxLost, match="no way out: a frame"),
        Proxy(stream, (), lambda _: None),
    ):
        raise AssertionError("it was entered")
