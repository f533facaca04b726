"""Who answers in a run: the named agents, in order, as one provider."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tiny_backspace.entries import Entry, chosen
from tiny_backspace.errors import ProviderError
from tiny_backspace.providers.cache import Cached
from tiny_backspace.providers.chain import Fallback, Retrying
from tiny_backspace.providers.dummy import Dummy
from tiny_backspace.providers.interface import Provider
from tiny_backspace.providers.proposals import DUMMY


@dataclass(frozen=True, slots=True)
class Answering:
    """`agents` are `name:model` in order; `notes` say who was left out, and what else to know."""

    provider: Provider
    agents: tuple[str, ...]
    notes: tuple[str, ...]


def answering(
    agents: Sequence[str], entries: Mapping[str, Entry], replies: Path | None
) -> Answering:
    """The chain of these agents; `replies` is the folder of the response cache, if that is wanted.

    Raises:
        UsageError: there is no such agent.
        ProviderError: none of them can be asked.
    """
    found: list[Provider] = []
    notes: list[str] = []
    for agent in dict.fromkeys(agents):
        if agent == DUMMY:
            found.append(Dummy())
            continue
        entry = chosen(entries, agent)
        if entry.key_variable and entry.key is None:
            notes.append(f"{entry.name} is skipped: there is no {entry.key_variable}")
            continue
        notes += _warnings(entry)
        if not found:
            threading.Thread(target=_warm, args=(entry,), name="warm-up", daemon=True).start()
        provider = _adapter(entry)
        if replies is not None:
            provider = Cached(provider, replies, identity=_identity(entry))
        found.append(Retrying(provider))
    if not found:
        raise ProviderError(
            f"nobody can answer: {'; '.join(notes) or 'no agent was named'}",
            hint="Set a key, or add the offline dummy: --agents claude,openai,dummy.",
        )
    provider = found[0] if len(found) == 1 else Fallback(*found)
    return Answering(provider, tuple(f"{p.name}:{p.model}" for p in found), tuple(notes))


def _adapter(entry: Entry) -> Provider:
    match entry.dialect:
        case "claude":
            from tiny_backspace.providers.claude import Claude

            return Claude(entry)
        case "openai":
            from tiny_backspace.providers.openai import OpenAI

            return OpenAI(entry)
        case "chat":
            from tiny_backspace.providers.chat import Chat

            return Chat(entry)


def _warm(entry: Entry) -> None:
    """Import what the first answer needs, 0.5 to 1.5 s, while the sandbox and the repository are made ready."""
    if entry.dialect == "claude":
        import anthropic  # noqa: F401 - for its being there
    else:
        import openai  # noqa: F401 - for its being there
    from tiny_backspace.providers import prices

    prices.warm()


def _identity(entry: Entry) -> str:
    """Everything about the provider that can make another answer."""
    return entry.model_dump_json(
        include={"dialect", "base_url", "model", "effort", "max_output_tokens"}
    )


def _warnings(entry: Entry) -> list[str]:
    url = urlsplit(entry.base_url or "https:")
    if url.scheme == "http" and entry.key and url.hostname not in ("127.0.0.1", "localhost", "::1"):
        return [
            f"the key of {entry.name} goes to {url.hostname} unencrypted: its base_url is plain http"
        ]
    return []
