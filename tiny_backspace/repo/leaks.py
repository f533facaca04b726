"""Secrets in the lines that a change adds. Pure.

`redact.py` masks too much rather than too little, for a mask costs nothing. Here a hit ends a run, so
the formats are what the vendors give out, to the length, and what is plainly made up is passed over.
A pattern is tried only where a word that each hit holds is in the line, and goes over no stretch of
text more than a few times: a line may have megabytes.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import NamedTuple

from tiny_backspace.repo.guesses import guessed, no_secret
from tiny_backspace.repo.keyformats import KINDS
from tiny_backspace.repo.lines import Added
from tiny_backspace.repo.paths import Severity


class Leak(NamedTuple):
    """`kind` has its article with it, and never anything of the value. The number of a name is 0."""

    path: bytes
    number: int
    kind: str
    severity: Severity


# A hit begins no word's middle, but may follow a newline that is written as \n.
_BEFORE = re.compile(rb"(?:[^A-Za-z0-9]|\\[nrt])\Z")
# What the vendors' own pages and emulators use, for everybody to see.
_PUBLISHED = (
    b"AKIAIOSFODNN7EXAMPLE", b"AKIAI44QH8DHBEXAMPLE", b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    b"AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1",
)  # fmt: skip
_MADE_UP = re.compile(
    rb"example|sample|dummy|fake|placeholder|change.?me|your|xxxx|redacted|john doe"
    rb"|1234567|000000|abcdef",
    re.IGNORECASE,
)
_END_OF_KEY, _FEWEST = 16, 6  # its last bytes, and how many of them differ at least

_ADDRESS = re.compile(
    rb"(?<![A-Za-z0-9+.])([A-Za-z][A-Za-z0-9]{1,20})(?:\+[A-Za-z0-9]{1,20})?://"
    rb"([^\s:/@\"'`<>]{0,100}):([^\s@/\"'`<>]{1,300})@([^\s/:@,?\"'`<>]{1,300})"
)
_DATABASES = frozenset(
    b"postgres postgresql mysql mariadb mongodb redis rediss amqp amqps mssql sqlserver".split()
)
_EVERYBODYS = re.compile(
    rb"(?:my|the|db|root|test)?[-_]?(?:pass(?:w(?:or)?d)?|pwd|pw|secret|user|root|admin|test|guest"
    rb"|token|key)[0-9]{0,3}|.{1,3}",
    re.IGNORECASE,
)

_KEY_BLOCK = re.compile(rb"-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(
    rb"(?:\\[nr]|[\s\"'`+,(])*+(?:[A-Za-z0-9+/=]{24,}|Proc-Type:|Version:|Comment:)"
)


def leaks(added: Iterable[Added]) -> Iterator[Leak]:
    """At most one of a kind in each line. What the change only moved is worth a flag, if anything."""
    for line, following in pairwise(chain(added, (None,))):
        if line is None:
            continue
        found: dict[str, Severity] = {}
        for kind, severity in _in_line(line, following):
            if found.get(kind) != "refuse":
                found[kind] = severity
        for kind, severity in found.items():
            if not line.moved:
                yield Leak(line.path, line.number, kind, severity)
            elif severity == "refuse":
                yield Leak(line.path, line.number, kind, "flag")


def named(paths: Iterable[bytes]) -> Iterator[Leak]:
    """Secrets in the names themselves, at most one of a kind in each."""
    for path in paths:
        for kind, severity in dict(_vendors(path)).items():
            yield Leak(path, 0, kind, severity)


def _in_line(line: Added, following: Added | None) -> Iterator[tuple[str, Severity]]:
    """With what is known for sure first; a guess is made where nothing else was found."""
    sure = [*_vendors(line.text), *_addresses(line.text), *_key_block(line, following)]
    yield from sure
    if not sure and not line.moved and guessed(line.path, line.text):
        yield "what looks like a password or key", "flag"


def _vendors(text: bytes) -> Iterator[tuple[str, Severity]]:
    for kind in KINDS:
        if not any(word in text for word in kind.words):
            continue
        for hit in kind.pattern.finditer(text):
            value = hit[hit.lastindex or 0]
            if not _begins(text, hit.start()):
                continue
            if value.startswith(_PUBLISHED):
                yield kind.name, "flag"
            elif not _made_up(value):
                yield kind.name, kind.severity
                break


def _begins(text: bytes, start: int) -> bool:
    return start == 0 or _BEFORE.search(text[max(0, start - 2) : start]) is not None


def _made_up(value: bytes) -> bool:
    few = len(set(value[-_END_OF_KEY:])) < _FEWEST
    return few or _MADE_UP.search(_plain(value)) is not None


def _plain(value: bytes) -> bytes:
    """The claims of a JSON Web Token; anything else as it is."""
    if not value.startswith(b"eyJ"):
        return value
    _, _, claims = value.partition(b".")
    claims = claims.partition(b".")[0]
    try:
        return urlsafe_b64decode(claims[: len(claims) // 4 * 4])
    except ValueError:  # it only begins like one
        return value


def _addresses(text: bytes) -> Iterator[tuple[str, Severity]]:
    """A password in an address. On a host without a dot, somebody's own machine, it is a flag."""
    if b"://" not in text:
        return
    for hit in _ADDRESS.finditer(text):
        scheme, user, password, host = hit.groups()
        if password == user or _EVERYBODYS.fullmatch(password) or no_secret(password):
            continue
        if _MADE_UP.search(host) is not None:
            continue
        if text[max(0, hit.start() - 1) : hit.start()] == b"\\":
            scheme = scheme[1:]  # after a newline that is written as \n
        if scheme.lower() not in _DATABASES:
            yield "a password in an address", "flag"
        else:
            local = b"." not in host or host.startswith(b"127.")
            yield "a database's password", "flag" if local else "refuse"


def _key_block(line: Added, following: Added | None) -> Iterator[tuple[str, Severity]]:
    """A head with nothing after it is what a program looks for; with a key it is a key."""
    head = _KEY_BLOCK.search(line.text) if b"-----BEGIN " in line.text else None
    if head is None:
        return
    if _KEY_BODY.match(line.text, head.end()) is not None or _goes_on(line, following):
        yield "a private key", "refuse"
    else:
        yield "the head of a private key", "flag"


def _goes_on(line: Added, following: Added | None) -> bool:
    if following is None or (following.path, following.number) != (line.path, line.number + 1):
        return False
    return _KEY_BODY.match(following.text) is not None
