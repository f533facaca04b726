"""`init` and `config`, and the reference that is made of the settings themselves."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from typer.testing import CliRunner, Result

from tiny_backspace.cli import app
from tiny_backspace.cli.config import commented
from tiny_backspace.cli.reference import entries, markdown
from tiny_backspace.errors import UsageError
from tiny_backspace.settings import Settings, config_file, load

DOC = Path(__file__).parents[2] / "docs" / "configuration.md"
CANARY = "canary-0000000"


def asked(home: Path, *args: str, **env: str) -> Result:
    clean = dict.fromkeys(
        ("GITHUB_TOKEN", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "DOCKER_HOST"), ""
    )
    return CliRunner().invoke(app, args, env={**clean, "XDG_CONFIG_HOME": str(home), **env})


def test_the_reference_is_what_the_settings_are() -> None:
    """After a change: python -m tiny_backspace.cli.reference > docs/configuration.md"""
    assert DOC.read_text("utf-8") == markdown()


def test_every_setting_has_a_word_of_what_it_is_for() -> None:
    assert [entry.name for entry in entries() if not entry.help] == []
    assert [entry.name for entry in entries()] == list(Settings.model_fields)


def test_a_file_is_written_once_private_and_says_every_default(tmp_path: Path) -> None:
    done = asked(tmp_path, "init")
    path = config_file({"XDG_CONFIG_HOME": str(tmp_path)})

    assert (done.exit_code, done.stdout) == (0, f"{path}\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load({}, {}, path) == Settings()
    again = asked(tmp_path, "init")
    assert isinstance(again.exception, UsageError)
    assert asked(tmp_path, "init", "--print").stdout == path.read_text() == commented()


def test_what_is_commented_out_is_what_holds(tmp_path: Path) -> None:
    """Each line of the file that has a value can be uncommented, and changes nothing."""
    lines = [line.removeprefix("# ") for line in commented().splitlines() if " = " in line]
    alone = [
        line
        for line in lines
        if not line.endswith(' = ""') and "127.0.0.1" not in line and "example" not in line
    ]
    values = tomllib.loads(
        "\n".join(line for line in alone if not line.startswith(("base_url", "model ", "url")))
    )
    assert len(values) > 25
    assert Settings.model_validate(values) == Settings()


def test_everything_that_holds_is_shown_with_where_it_came_from_and_no_secret(
    tmp_path: Path,
) -> None:
    path = config_file({"XDG_CONFIG_HOME": str(tmp_path)})
    path.parent.mkdir(parents=True)
    path.write_text(
        'max_turns = 7\n[providers.local]\nbase_url = "http://127.0.0.1:1/v1"\nmodel = "m"\n'
    )
    env = {
        "TINY_BACKSPACE_MAX_COST": "2",
        "GH_TOKEN": CANARY,
        "ANTHROPIC_API_KEY": CANARY,
        "GITHUB_SERVER_URL": "https://g.example",
    }
    told = json.loads(asked(tmp_path, "config", "--json", **env).stdout)

    assert told["max_turns"] == {"value": 7, "from": f"max_turns in {path}"}
    assert told["max_cost"] == {"value": 2.0, "from": "TINY_BACKSPACE_MAX_COST in the environment"}
    assert told["max_tokens"] == {"value": 10_000_000, "from": "default"}
    assert told["providers.local.model"] == {"value": "m", "from": f"providers in {path}"}
    assert told["providers.claude.key"] == {"value": "(set)", "from": "ANTHROPIC_API_KEY"}
    assert told["github.token"] == {"value": "(set)", "from": "GH_TOKEN"}
    assert told["github.url"] == {"value": "https://g.example", "from": "GITHUB_SERVER_URL"}
    text = asked(tmp_path, "config", **env).stdout
    assert f"= 7  # max_turns in {path}" in text
    assert CANARY not in text + json.dumps(told)
