"""Which registries the user's own package managers use: where a setup may go, and what it is told.

Read from the user's environment and configuration, never from a repository; nothing of a password or
a token is taken along. Sources: pip's "Configuration" (topic guide), uv's "Environment variables", npm's
"npmrc" and "config", sources.list(5) with its deb822 form.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tiny_backspace.errors import UsageError
from tiny_backspace.setup.places import PORTS, Place, name_problem

_HTTPS, _HTTP = 443, 80

# What the package managers themselves use where nothing else is said.
_PYTHON = "https://pypi.org/simple"
_PYTHON_FILES = "files.pythonhosted.org"  # what the default index's links lead to
_NODE = "https://registry.npmjs.org/"
_DEBIAN = "http://deb.debian.org/debian"

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_LARGEST = 4 << 20  # bytes of a file of certificates
_BUNDLES = (
    "PIP_CERT",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)


@dataclass(frozen=True, slots=True)
class Registries:
    """`places` may be spoken to; `variables` tell the package managers in the container of them.

    `certificates` is PEM text of those that the user's package managers trust; empty: the image's own.
    """

    places: tuple[Place, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    certificates: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Whose configuration it is. `etc` is where the system's is."""

    environment: Mapping[str, str]
    home: Path
    etc: Path = Path("/etc")

    def variable(self, *names: str) -> str:
        """The first that is set; npm's and pip's are known in either case."""
        folded = {name.casefold(): value for name, value in self.environment.items()}
        return next((v for name in names if (v := folded.get(name.casefold(), "").strip())), "")


def known(user: User, names: tuple[str, ...], hosts: tuple[str, ...]) -> Registries:
    """The registries of these names, and these hosts.

    Raises:
        UsageError: a name that is not known, a host that is none, or an address with a password in it.
    """
    places, variables = [_host(one) for one in hosts], dict[str, str]()
    for name in names:
        if name not in REGISTRIES:
            raise UsageError(
                f"there is no registry {name!r} that a setup could use",
                hint=f"--setup-registry takes {', '.join(REGISTRIES)}; --setup-host any host.",
            )
        found = REGISTRIES[name](user)
        places += found.places
        variables |= found.variables
    return Registries(tuple(dict.fromkeys(places)), variables, _certificates(user))


def _host(text: str) -> Place:
    """`name`, `name:port` or `*.name`."""
    host, _, port = text.lower().partition(":")
    problem = name_problem(host.removeprefix("*."))
    if problem or (port and not port.isdecimal()) or int(port or _HTTPS) not in PORTS:
        raise UsageError(
            f"--setup-host {text}: {problem or 'that is no port'}",
            hint="It takes a name, name:port or '*.name'; what is spoken there is TLS.",
        )
    if host.startswith("*.") and "." not in host[2:]:
        raise UsageError(f"--setup-host {text} would allow a whole top-level domain")
    return Place(host, int(port or _HTTPS), own=True)


def _place(url: str, where: str) -> Place | None:
    """Of a registry's address; None for one that is no server (file:, cdrom:)."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise UsageError(f"{where}: that is no address of a registry") from None
    if parts.scheme not in ("http", "https"):
        return None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"{where}: the address of the registry {parts.hostname} has a password in it",
            hint="A setup's container holds no credential. Leave this registry out with "
            "--setup-registry, or name one that needs none.",
        )
    host = (parts.hostname or "").lower()
    if problem := name_problem(host):
        raise UsageError(
            f"{where}: a setup cannot use the registry {host}: {problem}",
            hint="Name it by a host name: the setup's proxy lets no address through.",
        )
    tls = parts.scheme == "https"
    return Place(host, port or (_HTTPS if tls else _HTTP), tls, own=True)


def _places(urls: Iterable[str], where: str) -> list[tuple[str, Place]]:
    """Each address with its place; what is no server is left out."""
    found = ((url, _place(url, where)) for url in urls)
    return [(url, place) for url, place in found if place is not None]


def _python(user: User) -> Registries:
    settings = _pip_settings(user)
    index = user.variable("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
    extra = user.variable("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX")
    first = (index or settings.get("index-url", "")).strip()
    more = (extra or settings.get("extra-index-url", "")).split()
    named = _places([first] if first else [], "the Python package index")
    if not first:
        named = [(_PYTHON, Place(_host_of(_PYTHON)))]
    named += _places(more, "an extra Python package index")
    if not named:
        return Registries()
    places = [place for _, place in named]
    if any(place.host == _host_of(_PYTHON) for place in places):
        places.append(Place(_PYTHON_FILES))
    urls = [url.strip() for url, _ in named]
    others = " ".join(urls[1:])
    plain = " ".join(f"{place.host}:{place.port}" for place in places if not place.tls)
    variables = {
        "PIP_INDEX_URL": urls[0],
        "PIP_EXTRA_INDEX_URL": others,
        "PIP_TRUSTED_HOST": plain,  # pip reads plain HTTP from these only
        "UV_DEFAULT_INDEX": urls[0],
        "UV_INDEX": others,
    }
    return Registries(tuple(places), {name: value for name, value in variables.items() if value})


def _pip_settings(user: User) -> dict[str, str]:
    """What pip's files say, the later over the earlier; not the one of an environment, which may lie in a repository."""
    folders = user.variable("XDG_CONFIG_DIRS") or str(user.etc / "xdg")
    own = Path(user.variable("XDG_CONFIG_HOME") or user.home / ".config")
    files = [
        *(Path(folder) / "pip" / "pip.conf" for folder in folders.split(":")),
        user.etc / "pip.conf",
        user.home / "Library" / "Application Support" / "pip" / "pip.conf",
        user.home / ".pip" / "pip.conf",
        own / "pip" / "pip.conf",
        *([Path(named)] if (named := user.variable("PIP_CONFIG_FILE")) else []),
    ]
    parser = configparser.RawConfigParser(strict=False)
    for file in files:
        try:
            with suppress(OSError):  # most are not there
                parser.read_string(file.read_text("utf-8", "replace"), str(file))
        except configparser.Error as error:
            raise UsageError(f"{file} cannot be read as pip reads it: {error}") from None
    return {
        key.replace("_", "-"): value
        for section in ("global", "install")
        if parser.has_section(section)
        for key, value in parser.items(section)
    }


def _node(user: User) -> Registries:
    settings = _npm_settings(user)
    url = user.variable("npm_config_registry") or settings.get("registry", "")
    if not url:
        return Registries((Place(_host_of(_NODE)),), {"npm_config_registry": _NODE})
    place = _place(url, "npm's registry")
    return Registries((place,), {"npm_config_registry": url}) if place else Registries()


def _npm_settings(user: User) -> dict[str, str]:
    """What the system's and the user's npmrc say; a project's is not read."""
    own = user.variable("npm_config_userconfig")
    found: dict[str, str] = {}
    for file in (user.etc / "npmrc", Path(own) if own else user.home / ".npmrc"):
        with suppress(OSError):
            for line in file.read_text("utf-8", "replace").splitlines():
                key, is_setting, value = line.partition("=")
                if is_setting and not key.lstrip().startswith(("#", ";")):
                    found[key.strip()] = _expanded(value.strip().strip("'\""), user)
    return found


def _expanded(value: str, user: User) -> str:
    return re.sub(r"\$\{([^}]+)\}", lambda name: user.environment.get(name[1], ""), value)


def _debian(user: User) -> Registries:
    folder = user.etc / "apt" / "sources.list.d"
    files = [user.etc / "apt" / "sources.list", *sorted(folder.glob("*.list"))]
    lists = [line for file in files for line in _lines(file)]
    urls = [
        word
        for line in lists
        if line.startswith("deb")
        for word in line.split()
        if "://" in word and "=" not in word
    ]
    for file in sorted(folder.glob("*.sources")):
        urls += _uris(_lines(file))
    found = _places(urls, "apt's sources")
    places = [place for _, place in found] or [Place(_host_of(_DEBIAN), _HTTP, tls=False)]
    return Registries(tuple(dict.fromkeys(places)))


def _uris(lines: Iterable[str]) -> Iterator[str]:
    """Of a file in apt's newer form: a field's value goes on in the lines that begin with a space."""
    within = False
    for line in lines:
        name, is_field, value = line.partition(":")
        if line[:1].isspace():
            yield from line.split() if within else ()
        elif is_field and not line.startswith("#"):
            within = name.strip().lower() == "uris"
            yield from value.split() if within else ()


def _lines(file: Path) -> list[str]:
    with suppress(OSError):
        return file.read_text("utf-8", "replace").splitlines()
    return []


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def _certificates(user: User) -> str:
    """Those of the files that the user's package managers are told to trust; a key in the same file stays here.

    Raises:
        UsageError: such a file cannot be read.
    """
    files = [user.variable(name) for name in _BUNDLES]
    files += [_pip_settings(user).get("cert", ""), _npm_settings(user).get("cafile", "")]
    found: dict[str, None] = {}
    for file in dict.fromkeys(filter(None, files)):
        try:
            with Path(file).expanduser().open("rb") as opened:
                text = opened.read(_LARGEST).decode("ascii", "replace")
        except OSError as error:
            raise UsageError(f"the certificates {file} cannot be read: {error.strerror}") from None
        found |= dict.fromkeys(_CERTIFICATE.findall(text))
    return "\n".join((*found, "")) if found else ""


REGISTRIES: Mapping[str, Callable[[User], Registries]] = {
    "python": _python,
    "node": _node,
    "debian": _debian,
}
