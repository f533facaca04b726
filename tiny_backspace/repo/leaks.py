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
from tiny_backspace.repo.lines import Added
from tiny_backspace.repo.paths import Severity


class Leak(NamedTuple):
    """`kind` has its article with it, and never anything of the value. The number of a name is 0."""

    path: bytes
    number: int
    kind: str
    severity: Severity


class _Kind(NamedTuple):
    name: str
    words: tuple[bytes, ...]  # one of them is in every hit
    pattern: re.Pattern[bytes]
    severity: Severity


# A hit begins no word's middle, but may follow a newline that is written as \n.
_BEFORE = re.compile(rb"(?:[^A-Za-z0-9]|\\[nrt])\Z")
_END, _END_DASH = rb"(?![A-Za-z0-9])", rb"(?![A-Za-z0-9_-])"
_IS = rb"[\"'`\])]{0,2}[ \t]{0,8}(?:={1,3}>?|:=?)[ \t]{0,8}[\"'`]?"


def _kind(name: str, words: str, pattern: bytes, severity: Severity = "refuse") -> _Kind:
    return _Kind(name, tuple(words.encode().split()), re.compile(pattern), severity)


# A repetition without an end is possessive (`}+`): nothing goes back over it. A group is what is secret.
_KINDS = (
    _kind("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", rb"gh[pousr]_[A-Za-z0-9]{36,}+"),
    _kind("a GitHub token", "github_pat_", rb"github_pat_[A-Za-z0-9_]{36,}+"),
    _kind(
        "a GitLab token",
        "glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct-",
        rb"gl(?:pat|dt|rtr?|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_.-]{20,}+",
    ),
    _kind("an Anthropic key", "sk-ant-", rb"sk-ant-[A-Za-z0-9_-]{24,}+"),
    _kind(
        "an OpenAI key", "sk-proj- sk-svcacct- sk-admin-",
        rb"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{24,}+",
    ),
    _kind("an API key", "sk-", rb"sk-[A-Za-z0-9]{32,}+"),
    _kind("an AWS key id", "AKIA ASIA ABIA ACCA", rb"A(?:KI|SI|BI|CC)A[A-Z0-9]{16}" + _END),
    _kind(
        "an AWS secret key", "secret SECRET Secret",
        rb"(?i:aws[a-z_.-]{0,20}secret[a-z_.-]{0,20}+|secret[_-]?access[_-]?key)"
        + _IS + rb"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _kind("a Google API key", "AIza", rb"AIza[A-Za-z0-9_-]{35}" + _END_DASH),
    _kind("a Google client secret", "GOCSPX-", rb"GOCSPX-[A-Za-z0-9_-]{28}" + _END_DASH),
    _kind("a Slack token", "xox", rb"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{20,}+"),
    _kind("a Slack token", "xapp-", rb"xapp-[0-9]-[A-Za-z0-9-]{30,}+"),
    _kind(
        "a Slack webhook", "hooks.slack.com/",
        rb"hooks\.slack\.com/[a-z]{8,9}/[A-Z0-9]{8,}+/[A-Za-z0-9]{8,}+/[A-Za-z0-9/]{20,}+",
    ),
    _kind("a Stripe live key", "k_live_", rb"[sr]k_live_[A-Za-z0-9]{16,}+"),
    _kind("a Stripe test key", "k_test_", rb"[sr]k_test_[A-Za-z0-9]{16,}+", "flag"),
    _kind("a Stripe webhook secret", "whsec_", rb"whsec_[A-Za-z0-9+/]{32,}+"),
    _kind("an npm token", "npm_", rb"npm_[A-Za-z0-9]{36}" + _END),
    _kind("a PyPI token", "pypi-AgE", rb"pypi-AgE[A-Za-z0-9_-]{50,}+"),
    _kind("a Hugging Face token", "hf_", rb"hf_[A-Za-z0-9]{34,40}" + _END),
    _kind("an Azure storage key", "AccountKey=", rb"AccountKey=[A-Za-z0-9+/]{86}=="),
    _kind("an Azure access key", "SharedAccessKey=", rb"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    _kind("a SendGrid key", "SG.", rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}" + _END_DASH),
    _kind("a Twilio key", "SK", rb"SK[0-9a-f]{32}" + _END),
    _kind(
        "a Twilio token", "twilio TWILIO Twilio",
        rb"(?i:twilio[a-z_.-]{0,20}token)" + _IS + rb"([0-9a-f]{32})" + _END,
    ),
    _kind("a Telegram bot token", ":AA", rb"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}" + _END_DASH),
    _kind(  # the first part is a number of 17 to 20 digits in base64
        "a Discord token", ".",
        rb"(?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){5,6}[A-Za-z0-9]{0,3}\.[A-Za-z0-9_-]{6}"
        rb"\.[A-Za-z0-9_-]{27,38}" + _END_DASH,
    ),
    _kind(
        "a Discord webhook", "/api/webhooks/",
        rb"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,}+",
    ),
    _kind(
        "a JSON Web Token", "eyJ",
        rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))eyJ[A-Za-z0-9_-]{10,}+\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{20,}+",
    ),
)  # fmt: skip

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
    for kind in _KINDS:
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
    claims = value.split(b".")[1]
    return urlsafe_b64decode(claims[: len(claims) // 4 * 4])


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
