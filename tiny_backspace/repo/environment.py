"""What git on the host is told: an environment and settings of our own, and a token for one place.

Sources of the settings: docs/security.md, "Host side".
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tiny_backspace.redact import MASK

_USER = "x-access-token"  # what GitHub calls whoever comes with a token; others take any name

# What may come in from the user's environment: how to reach the network, and nothing about git.
_INHERITED = (
    "PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY",
)  # fmt: skip

# Settings on the command level, which no repository's own configuration can override.
_OVERRIDES = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.alternateRefsCommand": "",
    "core.pager": "cat",
    "log.showSignature": "false",  # or a commit that says it is signed has a program run
    "gpg.program": "false",
    "gpg.openpgp.program": "false",
    "gpg.x509.program": "false",
    "gpg.ssh.program": "false",
    "credential.helper": "",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "no",
    "fetch.unpackLimit": "1",  # one indexed pack, which goes on into the sandbox as it lies
    "push.recurseSubmodules": "no",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "transfer.bundleURI": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


@dataclass(frozen=True, slots=True)
class Credential:
    """A token, and the only place it is sent to: URLs that begin with `prefix` (https://github.com/)."""

    prefix: str
    token: SecretStr

    def __post_init__(self) -> None:
        if not self.prefix.endswith("/"):  # or https://github.com.example.org would begin so too
            raise ValueError("the prefix of a credential ends with a slash")

    @property
    def setting(self) -> tuple[str, str]:
        """For git: the header, for this place alone."""
        return f"http.{self.prefix}.extraHeader", f"Authorization: Basic {self._basic}"

    @property
    def forms(self) -> tuple[str, ...]:
        """How the token looks on its way: none of these may be seen anywhere."""
        token = self.token.get_secret_value()
        return token, self._basic, base64.b64encode(token.encode()).decode()

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{_USER}:{self.token.get_secret_value()}".encode()).decode()

    def serves(self, argv: Sequence[str]) -> bool:
        """Whether this command is one that speaks to the place."""
        return any(argument.startswith(self.prefix) for argument in argv)

    def hide(self, output: bytes) -> bytes:
        """What git said, without the token: a server may send back what it was sent."""
        for form in self.forms:
            output = output.replace(form.encode(), MASK.encode())
        return output


def variables(
    environment: Mapping[str, str],
    home: Path,
    settings: Mapping[str, str],
    *,
    safe: Sequence[Path],
    protocols: Sequence[str],
    network: bool,
) -> dict[str, str]:
    """All that a git child has in its environment. `network`: it moves objects; no other may speak to anybody."""
    kept = {name: environment[name] for name in _INHERITED if name in environment}
    told = _OVERRIDES | {f"protocol.{p}.allow": "always" for p in protocols} | dict(settings)
    return (
        kept
        | {
            "HOME": str(home),
            # git without a repository would look for one above, and take its configuration
            "GIT_CEILING_DIRECTORIES": str(home.parent),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(_configuration(home, safe)),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            # a repository's protocol.NAME.allow would win over the settings; this wins over it
            "GIT_ALLOW_PROTOCOL": ":".join(("https", *protocols)) if network else "",
            "GIT_NO_LAZY_FETCH": "1",  # or a missing object is asked of whatever remote it names
            "GIT_CONFIG_COUNT": str(len(told)),
        }
        | {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(told)}
        | {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(told.values())}
    )


# upload-pack of a local repository reads the file, and nothing of the settings above. No delta search for a
# copy next door; and of a pack only pieces are mapped: whole, one of 1 GiB would not fit the limits.
_FOR_ALL = """[pack]
\twindow = 0
[core]
\tpackedGitWindowSize = 32m
\tpackedGitLimit = 256m
"""


def _configuration(home: Path, safe: Sequence[Path]) -> Path:
    """A file of ours, for what git takes from nowhere else."""
    config = home / f"gitconfig-{len(safe)}"
    if not config.exists():
        folders = "".join(f"[safe]\n\tdirectory = {_quoted(str(path))}\n" for path in safe)
        config.write_text(f"{folders}{_FOR_ALL}", "utf-8", "surrogateescape")
    return config


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
