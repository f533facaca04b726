"""What a shell offers when Tab is pressed where a run is meant."""

from __future__ import annotations

import os
from contextlib import suppress

_MOST = 20


def run_ids(incomplete: str) -> list[tuple[str, str]]:
    """The newest runs whose id begins so, each with what it was asked for. Nothing, if that cannot be found out."""
    from tiny_backspace.errors import TinyBackspaceError
    from tiny_backspace.redact import clean_line
    from tiny_backspace.statedir import state_dir
    from tiny_backspace.telemetry.store import History

    found = [("last", "the newest")] if "last".startswith(incomplete) else []
    with suppress(TinyBackspaceError), History(state_dir(os.environ) / "history.db") as history:
        rows = history.runs(is_live=lambda _: False, limit=200)
        found += [
            (row.run_id, clean_line(row.prompt or "").replace(":", " ")[:60])
            for row in rows
            if row.run_id.startswith(incomplete)
        ][:_MOST]
    return found
