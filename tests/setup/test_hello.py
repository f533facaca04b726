"""The name in a TLS client's first message: OpenSSL's own hellos, and what somebody may make of them."""

from __future__ import annotations

import ssl
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tiny_backspace.setup.hello import LIMIT, Hello, NotHello, read

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=2, max_size=5).map(".".join).filter(
    lambda name: len(name) < 250 and not name.rpartition(".")[2].isdigit()
)  # fmt: skip
NAME = "pypi.example"


def client(name: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def record(data: bytes, kind: int = 22, version: bytes = b"\x03\x01") -> bytes:
    return bytes((kind,)) + version + len(data).to_bytes(2, "big") + data


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, data)


def server_name(*hosts: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, b"".join(bytes((kind,)) + vector(2, host) for host in hosts)))


def message(*extensions: bytes, tail: bytes = b"", kind: int = 1) -> bytes:
    listed = vector(2, b"".join(extensions))
    body = b"\x03\x03" + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0")
    return bytes((kind,)) + vector(3, body + listed + tail)


GOOD = server_name(NAME.encode())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_is_read_from_a_hello_of_openssl(version: ssl.TLSVersion) -> None:
    assert read(client("PyPI.example", version)) == Hello(NAME)


@given(names)
def test_whatever_name_it_is(name: str) -> None:
    assert read(client(name)) == Hello(name)


@given(st.data())
def test_a_hello_that_is_not_whole_yet_is_waited_for(data: st.DataObject) -> None:
    whole = client(NAME)
    assert read(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@given(st.lists(st.integers(1, 600), max_size=8, unique=True), st.binary(max_size=20))
def test_a_hello_is_read_however_it_was_cut_into_records(cuts: list[int], after: bytes) -> None:
    whole = client(NAME)[5:]
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [record(whole[a:b]) for a, b in pairwise(edges)]
    data = b"".join(pieces)
    assert read(data) == Hello(NAME)
    assert read(data + record(after or b"x", kind=23)) == Hello(NAME)  # early data
    for length in range(0, len(data), 7):
        assert read(data[:length]) is None


@given(st.binary(max_size=300))
def test_garbage_is_no_hello_and_never_anything_worse(data: bytes) -> None:
    try:
        found = read(data)
    except NotHello:
        return
    assert found is None or found.name


@given(st.data())
def test_a_hello_with_bytes_changed_never_reads_as_more_than_one_name(data: st.DataObject) -> None:
    whole = bytearray(client(NAME))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(whole))
    except NotHello:
        return
    assume(found is not None)
    assert found is not None
    assert found.name.encode() in bytes(whole).lower()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (record(message()), "names no host"),
        (record(message(extension(10, b""))), "names no host"),
        (record(b"\x01" + vector(3, b"\x03\x03" + bytes(32) + b"\0" + vector(2, b"") + b"\0")), "names no host"),
        (record(message(server_name(b"a.example", b"b.example"))), "more than one host"),
        (record(message(GOOD, server_name(b"b.example"))), "says something twice"),
        (record(message(extension(10, b""), extension(10, b""), GOOD)), "says something twice"),
        (record(message(server_name(b"a.example", kind=1))), "more than one host"),
        (record(message(extension(0, vector(2, b"\0" + vector(2, b"a.b")) + b"x"))), "more than one host"),
        (record(message(extension(0, b""))), "cut short"),
        (record(message(server_name("ä.example".encode()))), "no host name"),
        (record(message(GOOD, extension(0xFE0D, b"\0"))), "encrypted"),
        (record(message(GOOD, extension(0xFFCE, b""))), "encrypted"),
        (record(message(GOOD, tail=b"x")), "follows the end"),
        (record(message(GOOD) + b"x"), "follows the TLS hello"),
        (record(message(GOOD, kind=2)), "no hello"),
        (record(message(GOOD), kind=21), "not TLS"),
        (record(message(GOOD), version=b"\x02\x00"), "not TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "not TLS"),
        (b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n", "not TLS"),
        (record(b""), "impossible length"),
        (b"\x16\x03\x01\xff\xff", "impossible length"),
        (record(b"\x01\xff\xff\xff"), "too long"),
        (record(message(GOOD)[:9]) + record(b"x", kind=23), "not TLS"),
    ],
)  # fmt: skip
def test_what_has_not_one_name_in_the_open_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(NotHello, match=said):
        read(data)


def test_a_hello_that_never_ends_is_refused() -> None:
    endless = b"\x01" + vector(3, bytes(LIMIT - 4))
    pieces = b"".join(record(endless[at : at + 1]) for at in range(LIMIT))
    assert read(pieces[: LIMIT - 1]) is None
    with pytest.raises(NotHello, match="too long"):
        read(pieces[:LIMIT])
