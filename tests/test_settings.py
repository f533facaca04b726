"""Flags over environment over the named file over the settings file over defaults; nobody else is heard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.program import Program
from tiny_backspace.errors import UsageError
from tiny_backspace.settings import Settings, config_file, load, secrets

NOWHERE = Path("/nonexistent/config.toml")
KEY = "sk-ant-" + "canary0123456789abcdef"


def file(folder: Path, text: str, name: str = "config.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_each_layer_wins_over_the_ones_below_it(tmp_path: Path) -> None:
    config = file(
        tmp_path, "max_turns = 1\nmax_tool_calls = 1\nverify_attempts = 1\nauthor_name = 'a'\n"
    )
    named = file(
        tmp_path,
        "TINY_BACKSPACE_MAX_TURNS=2\nTINY_BACKSPACE_MAX_TOOL_CALLS=2\nTINY_BACKSPACE_VERIFY_ATTEMPTS=2\n",
        "my.env",
    )
    environment = {"TINY_BACKSPACE_MAX_TURNS": "3", "TINY_BACKSPACE_MAX_TOOL_CALLS": "3"}

    found = load({"max_turns": 4, "verify": None, "allow_path": ()}, environment, config, named)

    assert (found.max_turns, found.max_tool_calls, found.verify_attempts) == (4, 3, 2)
    assert (found.author_name, found.pids) == ("a", 512)


def test_a_variable_of_our_own_wins_over_the_usual_name() -> None:
    environment = {"OPENAI_API_KEY": "usual", "TINY_BACKSPACE_OPENAI_API_KEY": "own"}

    key = load({}, environment, NOWHERE).providers["openai"].key

    assert key is not None
    assert key.get_secret_value() == "own"


def test_an_empty_variable_is_none_at_all() -> None:
    assert load({}, {"ANTHROPIC_API_KEY": "", "DOCKER_HOST": ""}, NOWHERE) == Settings()


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 512 << 20), ("4g", 4 << 30), ("1.5G", 3 << 29), ("2 GiB", 2 << 30), ("4096", 4096)],
)
def test_a_size_has_a_unit_or_is_bytes(text: str, size: int) -> None:
    assert load({"memory": text}, {}, NOWHERE).memory == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("45", 45), ("0.5 M", 30)]
)
def test_a_time_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    assert load({"timeout": text}, {}, NOWHERE).timeout == seconds


def test_names_come_with_commas_or_as_a_list(tmp_path: Path) -> None:
    config = file(tmp_path, 'allow_path = ["a/*", "b"]')

    found = load({"agents": " openai, ,dummy,"}, {}, config)

    assert (found.agents, found.allow_path) == (("openai", "dummy"), ("a/*", "b"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory", "4 apples"), ("memory", "0"), ("memory", "9" * 400), ("disk", "5\u017f"),
        ("timeout", "0"), ("timeout", "3h"), ("timeout", "-1m"), ("timeout", "5\u017f"),
        ("command_timeout", "11m"), ("cpus", "0"), ("cpus", "inf"), ("cpus", "nan"), ("pids", "5"),
        ("max_turns", "0"), ("max_turns", "many"), ("verify_attempts", "11"),
        ("publish", "everywhere"), ("author_email", "a\nb"), ("author_name", "x <y>"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_a_sentence_that_names_where_it_came_from(
    tmp_path: Path, name: str, value: str
) -> None:
    variable = f"TINY_BACKSPACE_{name.upper()}"
    named = file(tmp_path, f"{variable}='{value}'\n", "my.env")

    with pytest.raises(UsageError, match=rf"^--{name.replace('_', '-')}: "):
        load({name: value}, {}, NOWHERE)
    with pytest.raises(UsageError, match=rf"^{variable} in the environment: "):
        load({}, {variable: value}, NOWHERE)
    with pytest.raises(UsageError, match=rf"^{variable} in {named}: "):
        load({}, {}, NOWHERE, named)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_turns = 'x'", "integer"),
        ("memory = -1", "greater"),
        ("turns_max = 3", "no setting 'turns_max'"),
        ("[agents]\na = 1", "tuple"),
        ("= 3", "not TOML"),
    ],
)
def test_a_fault_in_the_settings_file_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    config = file(tmp_path, text)

    with pytest.raises(UsageError, match=said) as raised:
        load({}, {}, config)

    assert str(config) in str(raised.value)


def test_a_settings_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()

    with pytest.raises(UsageError, match="cannot be read"):
        load({}, {}, tmp_path / "config.toml")


@pytest.mark.parametrize("content", [None, b"NAME=\xff\xfe\n"])
def test_a_named_file_that_is_not_there_or_no_text_is_a_sentence(
    tmp_path: Path, content: bytes | None
) -> None:
    named = tmp_path / "my.env"
    if content is not None:
        named.write_bytes(content)

    with pytest.raises(UsageError, match=r"my\.env"):
        load({}, {}, NOWHERE, named)


def test_a_file_of_variables_in_the_current_folder_is_never_read(tmp_path: Path) -> None:
    file(tmp_path, "TINY_BACKSPACE_MAX_TURNS=0\nTINY_BACKSPACE_AGENTS=nobody\n", ".env")
    program = Program(tmp_path, {})

    done = program.run("run", "/nonexistent", "x", "--agents", "claude", "-q", cwd=tmp_path)

    assert "nobody can answer: claude is skipped" in done.stderr
    assert done.exit_code == 5


def test_a_value_is_never_looked_up_in_other_variables(tmp_path: Path) -> None:
    named = file(tmp_path, "TINY_BACKSPACE_AUTHOR_NAME=${HOME}\n", "my.env")

    assert load({}, {}, NOWHERE, named).author_name == "${HOME}"


@pytest.mark.parametrize(
    "text",
    [
        f'docker_host = ["{KEY}"]', f'anthropic_api_key = "{KEY}"',
        f'[providers.claude]\nkey = "{KEY}"', f'[providers.claude]\nkey = ["{KEY}"]',
        f'[providers.claude]\nwindow = "{KEY}"', f'[providers.claude]\nkey_variable = "{KEY}"',
    ],
)  # fmt: skip
def test_no_secret_is_in_an_error_or_in_a_printed_setting(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as raised:
        load({}, {}, file(tmp_path, text))
    found = load({}, {"ANTHROPIC_API_KEY": KEY}, NOWHERE)

    assert KEY not in str(raised.value) + repr(raised.value)
    assert KEY not in repr(found) + str(found) + found.model_dump_json()
    assert raised.value.__cause__ is None
    assert isinstance(found.providers["claude"].key, SecretStr)


def test_secrets_are_our_keys_and_what_the_environment_calls_so(tmp_path: Path) -> None:
    named = file(tmp_path, f"ANTHROPIC_API_KEY={KEY}\n", "my.env")
    environment = {
        "GITHUB_TOKEN": "t1", "MY_PASSWORD": "p1", "AWS_SECRET_X": "s1", "GH_PAT": "g1",
        "EMPTY_TOKEN": "", "PATH": "/bin",
    }  # fmt: skip

    found = secrets(environment, load({}, environment, NOWHERE, named))

    assert sorted(found) == sorted((KEY, "t1", "p1", "s1", "g1"))


def test_the_settings_file_lies_where_xdg_says() -> None:
    assert config_file({"XDG_CONFIG_HOME": "/c"}) == Path("/c/tiny-backspace/config.toml")
    usual = Path(os.path.expanduser("~/.config/tiny-backspace/config.toml"))  # noqa: PTH111 - what a shell does
    assert config_file({"XDG_CONFIG_HOME": "relative"}) == usual
