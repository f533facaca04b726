"""What the commands of a setup, and those after it, find in their environment. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tiny_backspace.sandbox.container import HOME, SETUP
from tiny_backspace.setup.registries import Registries

PORT = 3128  # of the container's own loopback
VENV = f"{SETUP}/venv"
SCRATCH = f"{SETUP}/.tmp"  # removed at the end: what is fetched and built on the way has no room elsewhere
MODULES = f"{SETUP}/tree/node_modules"  # belongs into the work tree: it is linked there
APT = f"{SCRATCH}/apt.conf"
CERTIFICATES = f"{HOME}/.certificates.pem"

_IMAGES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROXY = f"http://127.0.0.1:{PORT}"
_TRUSTING = (
    "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO",
)  # fmt: skip

LASTING: Mapping[str, str] = {
    "PATH": f"{VENV}/bin:{SETUP}/node/bin:{SETUP}/bin:{SETUP}/usr/bin:{_IMAGES}",
    "VIRTUAL_ENV": VENV,
    "npm_config_prefix": f"{SETUP}/node",
    "NODE_PATH": f"{SETUP}/node/lib/node_modules",
}
"""Of a setup, and of every command in the containers after it. Nothing of a network is in it."""


def during(registries: Registries) -> dict[str, str]:
    """Of a setup only: the way out, and the registries of the user's own configuration."""
    proxied = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return {
        **LASTING,
        **dict.fromkeys(proxied, _PROXY),
        "SETUP": SETUP,
        "TMPDIR": SCRATCH,
        "XDG_CACHE_HOME": f"{SCRATCH}/cache",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "npm_config_cache": f"{SCRATCH}/npm",
        "npm_config_update_notifier": "false",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "UV_LINK_MODE": "copy",
        "APT_CONFIG": APT,
        **registries.variables,
        **(dict.fromkeys(_TRUSTING, CERTIFICATES) if registries.certificates else {}),
    }
