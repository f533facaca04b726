"""What a program may ask the proxy for, and the request that is made of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.setup.asking import Asked, BadRequest, parse

GET = b"GET http://plain.example/a?b=c HTTP/1.1\r\n"


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((*lines, b"", b""))


def test_a_tunnel_is_asked_for_with_a_host_and_a_port() -> None:
    found = parse(head(b"CONNECT PyPI.example:443 HTTP/1.1", b"Host: other.example"))
    assert (found, found.tunnel) == (Asked("PyPI.example", 443), True)


def test_a_plain_request_is_made_anew_for_this_host_and_this_once() -> None:
    found = parse(
        head(
            b"GET http://Plain.example:8080/a/b?c=d HTTP/1.0",
            b"Host: evil.example",
            b"User-Agent: pip/24",
            b"Proxy-Authorization: Basic eDp5",
            b"Connection: keep-alive, x",
            b"Upgrade: h2c",
            b"Content-Length: 0",
        )
    )
    assert (found.host, found.port, found.tunnel) == ("Plain.example", 8080, False)
    assert found.head == head(
        b"GET /a/b?c=d HTTP/1.1",
        b"Host: plain.example:8080",
        b"User-Agent: pip/24",
        b"Content-Length: 0",
        b"Connection: close",
    )


def test_a_target_without_a_path_asks_for_the_root() -> None:
    assert parse(head(b"HEAD http://a.example HTTP/1.1")).head.startswith(b"HEAD / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([b"GET /x HTTP/1.1"], "only CONNECT and http://"),
        ([b"GET https://a.example/ HTTP/1.1"], "only CONNECT and http://"),
        ([b"GET http://a.example?q HTTP/1.1"], "only CONNECT and http://"),
        ([b"GET http://a.example/#x HTTP/1.1"], "only CONNECT and http://"),
        ([b"GET ftp://a.example/ HTTP/1.1"], "only CONNECT and http://"),
        ([b"GET http://u:p@a.example/ HTTP/1.1"], "without a password"),
        ([b"GET http:///x HTTP/1.1"], "only CONNECT and http://"),
        ([b"GET http://a.example:99999999/ HTTP/1.1"], "only CONNECT and http://"),
        ([b"OPTIONS * HTTP/1.1"], "only CONNECT and http://"),
        ([b"POST http://a.example/ HTTP/1.1"], "POST in plain HTTP"),
        ([b"PUT http://a.example/ HTTP/1.1"], "PUT in plain HTTP"),
        ([b"GET http://a.example/ HTTP/1.1", b"Content-Length: 5"], "with a body"),
        ([b"GET http://a.example/ HTTP/1.1", b"Transfer-Encoding: chunked"], "with a body"),
        ([b"GET http://a.example/ HTTP/1.1", b" folded: x"], "malformed"),
        ([b"GET http://a.example/ HTTP/1.1", b"A: b\nHost: evil"], "malformed"),
        ([b"GET http://a.example/ HTTP/1.1", b"A: b\rHost: evil"], "malformed"),
        ([b"GET http://a.example/ HTTP/1.1", b"A : b"], "malformed"),
        ([b"GET http://a.example/ HTTP/1.1", b"A: \0"], "malformed"),
        ([b"GET http://a.example/ x HTTP/1.1"], "no request to a proxy"),
        ([b"GET http://a.example/\tx HTTP/1.1"], "no request to a proxy"),
        ([b"GET http://a.example/"], "no request to a proxy"),
        ([b"CONNECT a.example HTTP/1.1"], "a host and a port"),
        ([b"CONNECT a.example:443:443 HTTP/1.1"], "a host and a port"),
        ([b"CONNECT http://a.example:443 HTTP/1.1"], "a host and a port"),
        ([b"CONNECT u@a.example:443 HTTP/1.1"], "a host and a port"),
        ([b"CONNECT a.example:443 HTTP/2.0"], "no request to a proxy"),
        ([b"\x16\x03\x01\x02\x00\x01"], "no request to a proxy"),
        ([b""], "no request to a proxy"),
    ],
)
def test_anything_else_is_refused(lines: list[bytes], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        parse(head(*lines))


def test_an_address_in_brackets_comes_out_as_it_is_and_is_nobodys_name() -> None:
    assert parse(head(b"CONNECT [::1]:443 HTTP/1.1")) == Asked("[::1]", 443)


@given(st.binary(max_size=200), st.sampled_from([b"", GET, b"CONNECT a.example:443 HTTP/1.1\r\n"]))
def test_whatever_is_said_one_request_for_one_host_comes_of_it(data: bytes, before: bytes) -> None:
    try:
        found = parse(before + data + b"\r\n\r\n")
    except BadRequest:
        return
    if found.tunnel:
        assert found.head == b""
        return
    first, *fields = found.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert first.startswith((b"GET /", b"HEAD /"))
    assert first.endswith(b" HTTP/1.1")
    assert found.head.count(b"\r\n\r\n") == 1
    assert [f for f in fields if f.lower().startswith(b"host:")] == [fields[0]]
    assert not any({13, 10, 0} & set(field) for field in fields)
    assert fields[-1] == b"Connection: close"
