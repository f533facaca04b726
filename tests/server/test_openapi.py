"""The description of the API, tried out by schemathesis: whatever it makes up is answered as described."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.program import Program
from tests.server.serving import serving
from tiny_backspace.server.auth import new_token

# What a string means is more than a schema says, so that some of what fits is refused all the same (422).
NOT_MEANT = "positive_data_acceptance"
ROUTES = {"/code", "/runs", "/runs/{run_id}", "/runs/{run_id}/events", "/runs/{run_id}/cancel",
          "/health", "/metrics", "/livez", "/readyz"}  # fmt: skip


def test_it_answers_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    token, kept = new_token()
    settings = f'rate = 100000\nrepos = ["no/repository"]\n[server.tokens]\nme = "{kept}"'
    with serving(Program(tmp_path / "home", {}), settings=settings, token=token) as served:
        described = served.ask("GET", "/openapi.json").json
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run", f"{served.url}/openapi.json",
                "--header", f"Authorization: Bearer {token}", "--checks", "all", "--exclude-checks", NOT_MEANT,
                "--max-examples", "25", "--seed", "1", "--continue-on-failure", "--no-color",
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110,
        )  # fmt: skip
    assert set(described["paths"]) == ROUTES
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Traceback" not in served.errors.read_text()
