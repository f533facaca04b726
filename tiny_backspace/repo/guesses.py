"""Whether a line gives a name like `api_token` a value that looks drawn by lot. Pure.

It is a guess, so it never stops a change. Names and values that are usual without being secrets are
passed over: a false alarm on every second change would teach people to look away.
"""

from __future__ import annotations

import re
from collections import Counter
from math import log2

_WORDS = (b"key", b"token", b"secret", b"passw", b"passphrase", b"pwd", b"credential")
_NAME = (
    rb"(?P<name>(?:key|token|secret|passw(?:or)?d|passphrase|pwd|credential)(?P<rest>[\w-]{0,40}+))"
)
_QUOTED = re.compile(
    _NAME + rb"[\"'`\])]{0,2}(?:[ \t]{0,8}:[ \t]{0,8}[a-z_.|\[\] ]{1,30})?"
    rb"[ \t]{0,8}(?:={1,3}>?|:=?)[ \t]{0,8}[a-z]{0,2}(?P<quote>[\"'`])(?P<value>[^\"'`\s]{12,}+)(?P=quote)",
    re.IGNORECASE,
)  # fmt: skip
# Without quotes it is a value only in files of settings; in a program it is a name.
_BARE = re.compile(
    rb"[ \t]*(?:export[ \t]+|-[ \t]+)?[^\s=:]{0,60}?" + _NAME + rb"[ \t]{0,8}[=:]"
    rb"[ \t]{0,8}(?P<value>[^\s\"'`#;]{12,400})[ \t]*",
    re.IGNORECASE,
)
_SETTINGS = re.compile(
    rb"(?:.*/)?(?:\.env[^/]*|[^/]*\.(?:env|ini|cfg|conf|properties|ya?ml|toml)"
    rb"|\.npmrc|\.pypirc|\.netrc)",
    re.IGNORECASE | re.DOTALL,
)
_ABOUT_IT = re.compile(  # what follows the word: `token_url`, `keyId`
    rb".*(?:id|name|file|path|url|uri|type|field|hash|digest|sha|fingerprint|length|size|count|prefix"
    rb"|header|env|var|label|title|format|regex|pattern)s?",
    re.IGNORECASE,
)
_FOR_ALL = re.compile(  # what stands before it: `public_key`
    rb"(?:public|pub|primary|foreign|sort|cache|partition|site)[-_.]?\Z", re.IGNORECASE
)
_NO_SECRET = re.compile(
    rb"example|sample|dummy|fake|placeholder|change.?me|your|insert|replace|todo|redacted|xxx|\*\*\*"
    rb"|\.\.\.|[<>{}]|\$[a-z_(]|%\(|%s|environ|getenv|secrets?\.|test|foo|passw|123456|000000|abcdef"
    rb"|deadbeef|://|sha[0-9]{3}[-:]|\Aarn:|\A[./~$!@]|\A\W+\Z",
    re.IGNORECASE,
)
_SHORTEST, _SHORTEST_PASSWORD = 16, 12
_BITS, _MANY_BITS = 3.0, 3.9  # a character
_STREWN, _MIXED = 3, 0.4  # turns from one sort to another: as a number, of all characters
_LOOKED_AT = 400  # bytes of a value


def guessed(path: bytes, text: bytes) -> bool:
    """Whether this line of this file looks as if it held a secret."""
    lower = text.lower()
    if not any(word in lower for word in _WORDS):
        return False
    if any(_is_secret(hit) for hit in _QUOTED.finditer(text)):
        return True
    bare = _BARE.fullmatch(text) if _SETTINGS.fullmatch(path) else None
    return bare is not None and _is_secret(bare)


def no_secret(value: bytes) -> bool:
    """Whether it is a placeholder, a reference to where the secret is, or plainly made up."""
    return _NO_SECRET.search(value) is not None


def _is_secret(hit: re.Match[bytes]) -> bool:
    name, value = hit["name"].lower(), hit["value"][:_LOOKED_AT]
    shortest = _SHORTEST_PASSWORD if name.startswith((b"passw", b"pwd")) else _SHORTEST
    if len(value) < shortest or _ABOUT_IT.fullmatch(hit["rest"]) or no_secret(value):
        return False
    before = hit.string[max(0, hit.start("name") - 12) : hit.start("name")]
    return _FOR_ALL.search(before) is None and _by_lot(value)


def _by_lot(value: bytes) -> bool:
    """Digits strewn among letters, or with one digit at least, letters in no order of large and small.

    Words, names in camel case and versions have more of one sort in a row, and the same ones more often.
    """
    strewn = len(re.findall(rb"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])", value))
    mixed = strewn + len(re.findall(rb"[a-z](?=[A-Z])|[A-Z](?=[a-z])", value))
    counts, length = Counter(value).values(), len(value)
    bits = -sum(n / length * log2(n / length) for n in counts)
    by_digits = strewn >= _STREWN and bits >= _BITS
    return by_digits or (strewn > 0 and mixed >= _MIXED * length and bits >= _MANY_BITS)
