"""What `<repo>` may be. Pure: nothing is looked up, neither on disk nor in the environment.

A URL is taken apart, every part is checked, and a new URL is built from the parts: what the user
typed never reaches git. No message repeats what was typed, as it may hold a token.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal, TypeAlias
from urllib.parse import unquote_to_bytes

from tiny_backspace.errors import UsageError


@dataclass(frozen=True, slots=True)
class Local:
    """A folder on this machine, as written: `~` is not expanded and nothing says that it exists."""

    path: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository behind http(s).

    `host` is in lower case and carries its port where that is not the scheme's own, so that two
    equal hosts are the same place to send a token to. `url` parses to this very Remote.
    """

    url: str
    host: str
    owner: str
    name: str


Source: TypeAlias = Local | Remote


@dataclass(frozen=True, slots=True)
class Page:
    """An issue or a pull request of a repository, by its address."""

    remote: Remote
    kind: Literal["issue", "pull request"]
    number: int


GITHUB = "https://github.com"

LONGEST = 4096  # bytes of UTF-8
_FORMS = "Give owner/name, https://host/owner/name, or a local folder such as ./folder."
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//|:)(.*)")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_ENCODED = re.compile(r"%(?:2e|2f|5c)", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PAGE = re.compile(
    "-|actions|blob|branches|commits?|compare|discussions|issues|merge_requests|pulls?"
    "|releases|settings|tags|tree|wiki",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"(https?://[^?#]+)/(issues|pull)/([1-9][0-9]{0,8})(?:/(?:files|commits|changes))?/?(?:[?#].*)?"
)
_DEFAULT_PORTS = {"https": 443, "http": 80}


def parse(text: str, github: str = GITHUB) -> Source:
    """The source that `text` names; `owner/name` alone is one at `github`.

    Raises:
        UsageError: it names none, or one that is not allowed.
    """
    _check_text(text)
    if text in {".", ".."} or text.startswith(("/", "./", "../", "~")):
        return Local(text)
    if url := _SCHEME.fullmatch(text):
        return _url(url[1].lower(), url[2], url[3])
    if "@" in text and ("/" in text or ":" in text):
        return _scp(text)
    if ":" in text:
        raise UsageError(
            "This is neither a URL, nor owner/name, nor a local folder.",
            hint="Write https://host/owner/name, or ./ before a folder with a colon in its name.",
        )
    if "/" not in text:
        return Local(text)
    segments = _segments(text)
    if len(segments) > 2:  # noqa: PLR2004 - an owner and a name
        raise UsageError(
            "A repository on GitHub has two parts, owner/name, and this has more.",
            hint="Write ./ before a local folder, or https:// before an address.",
        )
    scheme, _, host = github.partition("://")
    return _url(scheme, "//", f"{host}/{text}")


def page(text: str) -> Page | None:
    """The issue or pull request that `text` is the address of; None if it is none's.

    Raises:
        UsageError: what comes before its number is no repository's address.
    """
    found = _NUMBERED.fullmatch(text)
    source = parse(found[1]) if found else None
    if found is None or not isinstance(source, Remote):
        return None
    return Page(source, "issue" if found[2] == "issues" else "pull request", int(found[3]))


def _check_text(text: str) -> None:
    if not text.strip():
        raise UsageError("The repository is empty.", hint=_FORMS)
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise UsageError("The repository is longer than 4 kB.", hint=_FORMS)
    if any(unicodedata.category(c) in _HIDDEN for c in text):
        raise UsageError(
            "The repository holds a control character or another character that does not show.",
            hint="Type it by hand instead of pasting it.",
        )
    if text.startswith("-"):
        raise UsageError(
            "The repository starts with a dash, as an option does.",
            hint="Write ./ before a local folder whose name starts with a dash.",
        )
    if "\\" in text:
        raise UsageError("The repository holds a backslash.", hint="Separate folders by /.")


def _url(scheme: str, separator: str, rest: str) -> Source:
    if separator == ":" or scheme not in {"https", "http", "file"}:
        raise UsageError(
            f"Repositories are not fetched by {scheme[:20]}:, only by https.",
            hint=_FORMS,
        )
    if scheme == "file":
        return _file(rest)
    if "@" in rest:
        raise _credentials()
    _check_no_query(rest)
    authority, _, path = rest.partition("/")
    host, loopback = _host(authority, scheme)
    if scheme == "http" and not loopback:
        raise UsageError(
            "Plain http:// is only for this machine: on the way it can be read and changed.",
            hint="Write https:// instead.",
        )
    segments = _segments(path)
    if len(segments) > 2 and _PAGE.fullmatch(segments[2]):  # noqa: PLR2004 - owner, name, page
        raise UsageError(
            "This is the address of a page in a repository, not of the repository.",
            hint="End it after owner/name: https://host/owner/name.",
        )
    return _remote(scheme, host, segments)


def _credentials() -> UsageError:
    return UsageError(
        "The repository's address holds a user name, a password or a token, and must not.",
        hint="Take out what stands before the @: an address ends up in histories and logs.",
    )


def _check_no_query(rest: str) -> None:
    if "?" in rest or "#" in rest:
        raise UsageError(
            "A repository's address has no query (?) and no fragment (#).",
            hint="End it after owner/name.",
        )


def _file(rest: str) -> Local:
    """`file:///abs/path`, percent-decoded once, as git does."""
    _check_no_query(rest)
    if not rest.startswith("/") or rest.startswith("//"):
        raise UsageError(
            "A file:// address must hold an absolute path on this machine.",
            hint="Write file:///folder, or the path alone.",
        )
    if _ENCODED.search(rest) or {".", ".."} & set(rest.split("/")):
        raise _dots()
    try:
        path = unquote_to_bytes(rest).decode()
    except UnicodeDecodeError:
        raise UsageError(
            "The file:// address is not UTF-8 text.", hint="Write the path alone."
        ) from None
    _check_text(path)
    return Local(path)


def _dots() -> UsageError:
    return UsageError(
        "The address holds . or .. as a folder, or an encoded dot or slash.",
        hint="Write the address in full, as the forge shows it.",
    )


def _scp(text: str) -> Remote:
    """`git@host:owner/name`, fetched by https all the same: no ssh key is ever used."""
    user, _, rest = text.partition("@")
    authority, colon, path = rest.partition(":")
    if user != "git" or not colon or "@" in rest or "/" in authority:
        raise _credentials()
    _check_no_query(rest)
    host, _ = _host(authority, "https")
    return _remote("https", host, _segments(path))


def _host(authority: str, scheme: str) -> tuple[str, bool]:
    """The checked host, with its port if that is not the scheme's own; and whether it is this machine."""
    parts = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?", authority)
    if parts is None:
        raise _bad_host()
    host, loopback = _address(parts[1].lower())
    if parts[2] is None:
        return host, loopback
    if not re.fullmatch(r"[0-9]{1,5}", parts[2]) or not 1 <= int(parts[2]) <= 65535:  # noqa: PLR2004 - TCP
        raise UsageError(
            "The address's port is not a number from 1 to 65535.",
            hint="Leave the port out unless the server has a special one.",
        )
    port = int(parts[2])
    return (host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"), loopback


def _bad_host() -> UsageError:
    return UsageError(
        "The address has no valid host name.",
        hint="A host is a name such as github.com; international names are written in "
        "their xn-- form.",
    )


def _address(host: str) -> tuple[str, bool]:
    """A host name or IP address in its one spelling; and whether it is this machine."""
    if host.startswith("["):
        if "%" in host:
            raise UsageError("An IPv6 address here has no zone.", hint="Take out the % part.")
        try:
            address = IPv6Address(host[1:-1])
        except AddressValueError:
            raise _bad_host() from None
        return f"[{address.compressed}]", address == IPv6Address("::1")
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):  # noqa: PLR2004 - RFC 1035
        raise _bad_host()
    if not _NUMBER.fullmatch(labels[-1]):
        return ("github.com" if host == "www.github.com" else host), host == "localhost"
    try:  # 127.1 and 2130706433 are addresses to the resolver: only the plain spelling is let in
        return host, IPv4Address(host).is_loopback
    except AddressValueError:
        raise _bad_host() from None


def _segments(path: str) -> list[str]:
    segments = path.rstrip("/").split("/")
    if {".", ".."} & set(segments) or _ENCODED.search(path):
        raise _dots()
    return segments


def _remote(scheme: str, host: str, segments: Sequence[str]) -> Remote:
    """Built anew from checked parts. A server on this machine (plain http) may keep them deeper down."""
    if len(segments) < 2 or (len(segments) > 2 and scheme != "http"):  # noqa: PLR2004 - owner, name
        raise UsageError(
            "The address must end in exactly two parts: owner/name.",
            hint="For example https://github.com/owner/name.",
        )
    *folders, owner, last = segments
    name = last.removesuffix(".git")
    if not all(map(_PART.fullmatch, (*folders, owner, name))):
        raise UsageError(
            "Owner and name consist of A-Z, a-z, 0-9, dot, dash and underscore, "
            "and start with neither a dot nor a dash.",
            hint=_FORMS,
        )
    path = "/".join((*folders, owner, name))
    return Remote(f"{scheme}://{host}/{path}.git", host, owner, name)
