"""Whether a provider takes the key, for `doctor --online`: its list of models is asked for, which costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiny_backspace.entries import Entry
from tiny_backspace.providers.bounded import NO_PROXY, PLAIN, bounded
from tiny_backspace.providers.claude import VENDOR as CLAUDE
from tiny_backspace.providers.openai_errors import VENDOR as OPENAI

if TYPE_CHECKING:
    import httpx2

_SECONDS = 10


def problem(entry: Entry, transport: httpx2.BaseTransport | None = None) -> str | None:
    """Why no answer can be had, in a sentence without the key; None if all is well."""
    import httpx2

    url = _models(entry)
    try:
        with httpx2.Client(
            timeout=_SECONDS, follow_redirects=False, transport=transport, mounts=dict(NO_PROXY),
            event_hooks={"response": [bounded]},
        ) as client:  # fmt: skip
            status = client.get(url, headers=PLAIN | _key(entry)).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"{url} cannot be reached: {type(error).__name__}"
    if status in (401, 403):
        return f"{url} refuses the key (status {status})"
    return None if status == httpx2.codes.OK else f"{url} answers with status {status}"


def _models(entry: Entry) -> str:
    if entry.dialect == "claude":
        return f"{(entry.base_url or CLAUDE).rstrip('/')}/v1/models?limit=1"
    return f"{(entry.base_url or OPENAI).rstrip('/')}/models"


def _key(entry: Entry) -> dict[str, str]:
    if entry.key is None:
        return {}
    key = entry.key.get_secret_value()
    if entry.dialect == "claude":
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return {"Authorization": f"Bearer {key}"}
