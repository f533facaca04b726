"""The registries of the user's own package managers, from their own configuration, without a password."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tiny_backspace.errors import UsageError
from tiny_backspace.setup.places import Place
from tiny_backspace.setup.registries import Registries, User, known

DEFAULT_INDEX = (Place("pypi.org"), Place("files.pythonhosted.org"))
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"


def user(folder: Path, files: Mapping[str, str], **environment: str) -> User:
    """`~/` and `etc/` in the names of the files are this user's."""
    for name, text in files.items():
        path = folder / name.replace("~", "home")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return User(environment, folder / "home", folder / "etc")


def python(folder: Path, files: Mapping[str, str] | None = None, **environment: str) -> Registries:
    return known(user(folder, files or {}, **environment), ("python",), ())


def test_where_nothing_is_configured_the_vendors_defaults_hold(tmp_path: Path) -> None:
    found = known(user(tmp_path, {}), ("python", "node", "debian"), ())
    assert found.places == (
        *DEFAULT_INDEX,
        Place("registry.npmjs.org"),
        Place("deb.debian.org", 80, tls=False),
    )
    assert found.variables == {
        "PIP_INDEX_URL": "https://pypi.org/simple",
        "UV_DEFAULT_INDEX": "https://pypi.org/simple",
        "npm_config_registry": "https://registry.npmjs.org/",
    }
    assert found.certificates == ""


@pytest.mark.parametrize(
    "name",
    ["etc/pip.conf", "etc/xdg/pip/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf",
     "~/Library/Application Support/pip/pip.conf"],
)  # fmt: skip
def test_each_of_pips_files_is_read(tmp_path: Path, name: str) -> None:
    found = python(tmp_path, {name: "[global]\nindex-url = https://mirror.example:8443/simple\n"})
    assert found.places == (Place("mirror.example", 8443, own=True),)
    assert found.variables["PIP_INDEX_URL"] == "https://mirror.example:8443/simple"


def test_the_users_file_wins_over_the_systems_and_the_environment_over_both(tmp_path: Path) -> None:
    files = {
        "etc/pip.conf": "[global]\nindex-url = https://system.example/simple\n",
        "~/.config/pip/pip.conf": "[install]\nindex_url = https://own.example/simple\n",
    }
    assert python(tmp_path, files).places[0].host == "own.example"
    over = python(tmp_path, files, PIP_INDEX_URL="https://variable.example/simple")
    assert [place.host for place in over.places] == ["variable.example"]
    named = tmp_path / "named.conf"
    named.write_text("[install]\nindex-url = https://named.example/simple\n")
    assert python(tmp_path, files, PIP_CONFIG_FILE=str(named)).places[0].host == "named.example"


def test_extra_indexes_come_along_and_folders_of_the_host_do_not(tmp_path: Path) -> None:
    text = "[global]\nextra-index-url =\n    https://more.example/simple\n    file:///srv/wheels\n"
    found = python(tmp_path, {"etc/pip.conf": text})
    assert found.places == (Place("pypi.org"), Place("more.example", own=True), DEFAULT_INDEX[1])
    assert found.variables["PIP_EXTRA_INDEX_URL"] == "https://more.example/simple"
    assert "file:" not in " ".join(found.variables.values())


def test_an_index_in_plain_http_is_a_place_of_its_own_port_that_pip_is_told_to_trust(
    tmp_path: Path,
) -> None:
    found = python(tmp_path, UV_INDEX_URL="http://intranet.example:3141/root/simple/")
    assert found.places == (Place("intranet.example", 3141, tls=False, own=True),)
    assert found.variables["PIP_TRUSTED_HOST"] == "intranet.example:3141"


def test_an_index_that_is_a_folder_leaves_nothing_to_reach(tmp_path: Path) -> None:
    assert python(tmp_path, PIP_INDEX_URL="file:///srv/simple") == Registries()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:hunter2@mirror.example/simple", "has a password in it"),
        ("https://hunter2@mirror.example/simple", "has a password in it"),
        ("http://127.0.0.1:3141/simple", "an address is no host name"),
        ("http://[::1]:3141/simple", "an address is no host name"),
        ("https:///simple", "no host name"),
        ("https://mirror.example:99999/simple", "no address of a registry"),
    ],
)
def test_an_address_that_a_setup_cannot_use_is_refused_without_telling_a_password(
    tmp_path: Path, url: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        python(tmp_path, PIP_INDEX_URL=url)
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"


def test_a_file_that_pip_could_not_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pip\.conf cannot be read as pip reads it"):
        python(tmp_path, {"etc/pip.conf": "index-url = x\n"})


def test_npms_registry_is_the_users_and_a_token_is_not_taken_along(tmp_path: Path) -> None:
    text = (
        "; comment\n//npm.example/:_authToken=hunter2\nregistry = ${PLACE}/npm/\n@corp:registry=x\n"
    )
    someone = user(tmp_path, {"~/.npmrc": text}, PLACE="https://npm.example")
    found = known(someone, ("node",), ())
    assert found.places == (Place("npm.example", own=True),)
    assert found.variables == {"npm_config_registry": "https://npm.example/npm/"}
    other = user(tmp_path, {}, NPM_CONFIG_REGISTRY="http://other.example:4873/")
    assert known(other, ("node",), ()).places == (
        Place("other.example", 4873, tls=False, own=True),
    )


def test_apts_sources_are_read_in_both_their_forms(tmp_path: Path) -> None:
    files = {
        "etc/apt/sources.list": "# deb http://no.example/ x y\n"
        "deb [arch=amd64 signed-by=/usr/x.gpg] https://one.example:8443/debian bookworm main\n"
        "deb cdrom:[x]/ bookworm main\n",
        "etc/apt/sources.list.d/two.list": "deb-src http://two.example/debian bookworm main\n",
        "etc/apt/sources.list.d/three.sources": "Types: deb\nURIs: http://three.example/debian\n"
        "  https://four.example/debian\nSuites: bookworm\n# URIs: http://no.example/\n",
        "etc/apt/sources.list.d/off.list.disabled": "deb http://no.example/ x y\n",
    }
    assert known(user(tmp_path, files), ("debian",), ()).places == (
        Place("one.example", 8443, own=True),
        Place("two.example", 80, tls=False, own=True),
        Place("three.example", 80, tls=False, own=True),
        Place("four.example", own=True),
    )


def test_hosts_are_added_by_name_by_port_or_with_all_below_them(tmp_path: Path) -> None:
    hosts = ("Files.example", "other.example:8443", "*.cdn.example")
    assert known(user(tmp_path, {}), (), hosts).places == (
        Place("files.example", own=True),
        Place("other.example", 8443, own=True),
        Place("*.cdn.example", own=True),
    )


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("*", "no host name"),
        ("*.com", "whole top-level domain"),
        ("a.*.example", "no host name"),
        ("127.0.0.1", "address is no host name"),
        ("[::1]", "address is no host name"),
        ("https://a.example", "no port"),
        ("a.example:0", "no port"),
        ("a.example:x", "no port"),
        ("", "no host name"),
    ],
)
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        known(user(tmp_path, {}), (), (host,))


def test_a_registry_that_is_not_known_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'ruby'") as refused:
        known(user(tmp_path, {}), ("ruby",), ())
    assert "python, node, debian" in (refused.value.hint or "")


def test_of_the_users_certificates_only_certificates_come_along_each_once(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"
    other = CERTIFICATE.replace("MIIB", "MIIC")
    for name, text in (("one.pem", key + CERTIFICATE), ("two.pem", CERTIFICATE + "\n" + other)):
        (tmp_path / name).write_text(text)
    files = {"~/.npmrc": f"cafile={tmp_path / 'two.pem'}\n"}
    someone = user(tmp_path, files, SSL_CERT_FILE=str(tmp_path / "one.pem"))
    assert known(someone, (), ()).certificates == f"{CERTIFICATE}\n{other}\n"


def test_certificates_that_cannot_be_read_are_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.pem cannot be read"):
        known(user(tmp_path, {}, PIP_CERT=str(tmp_path / "gone.pem")), (), ())
