"""Flags over environment over the named file over the settings file over defaults; nobody else is heard."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
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


def test_a_setup_is_a_table_of_the_file_or_flags_or_variables(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        '[setup]\ncommands = ["pip install -e .[a,b]", "make"]\nhost = ["*.example.org"]\n'
        'registry = ["python"]\ntimeout = "90s"\ndisk = "1g"\nfile = "/s.sh"\ncache = "3g"\n',
    )
    found = load({}, {}, path)
    assert found.setup == ("pip install -e .[a,b]", "make")
    assert (found.setup_host, found.setup_registry) == (("*.example.org",), ("python",))
    assert (found.setup_timeout, found.setup_disk, found.setup_cache) == (90, 1 << 30, 3 << 30)
    assert found.setup_file == "/s.sh"
    over = load({"setup": ["tox -e a,b --notest"]}, {"TINY_BACKSPACE_SETUP_DISK": "2g"}, path)
    assert (over.setup, over.setup_disk) == (("tox -e a,b --notest",), 2 << 30)
    named = load({}, {"TINY_BACKSPACE_SETUP": "pip install a,b"}, NOWHERE)
    assert named.setup == ("pip install a,b",)


def test_a_setting_that_the_table_of_a_setup_has_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no setting 'setup_hosts'"):
        load({}, {}, file(tmp_path, '[setup]\nhosts = ["x"]\n'))


def test_the_settings_file_lies_where_xdg_says() -> None:
    assert config_file({"XDG_CONFIG_HOME": "/c"}) == Path("/c/tiny-backspace/config.toml")
    usual = Path(os.path.expanduser("~/.config/tiny-backspace/config.toml"))  # noqa: PTH111 - what a shell does
    assert config_file({"XDG_CONFIG_HOME": "relative"}) == usual


def token_of(environment: dict[str, str], named: Path | None = None) -> str | None:
    found = load({}, environment, NOWHERE, named).github.token
    return None if found is None else found.get_secret_value()


def test_the_token_comes_from_the_first_of_its_variables_and_ours_win(tmp_path: Path) -> None:
    usual = {"GITHUB_TOKEN": "a", "GH_TOKEN": "b", "GITHUB_PAT": "c"}
    named = file(tmp_path, "GH_TOKEN=n\n", "my.env")

    assert token_of({}) is None
    assert token_of({"GITHUB_TOKEN": ""}) is None
    assert token_of(usual) == "a"
    assert token_of({**usual, "GITHUB_TOKEN": ""}) == "b"
    assert token_of({"GITHUB_PAT": "c"}) == "c"
    assert token_of({**usual, "TINY_BACKSPACE_GITHUB_TOKEN": "o"}) == "o"
    assert token_of({}, named) == "n"
    assert token_of({"GH_TOKEN": "b"}, named) == "b"


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GH_TOKEN", "GITHUB_PAT"])
def test_a_token_is_a_secret_wherever_it_comes_from(tmp_path: Path, name: str) -> None:
    named = file(tmp_path, f"TINY_BACKSPACE_{name}={KEY}\n", "my.env")

    found = load({}, {}, NOWHERE, named)

    assert secrets({}, found) == (KEY,)
    assert KEY not in repr(found) + str(found) + found.model_dump_json()


def test_the_place_of_github_is_in_the_file_or_in_a_variable(tmp_path: Path) -> None:
    config = file(
        tmp_path,
        "[github]\nurl = 'https://ghe.example.org/'\napi_url = 'https://ghe.example.org/api/v3/'\n",
    )
    runner = {"GITHUB_SERVER_URL": "https://usual.example.org", "GITHUB_API_URL": ""}
    ours = {"TINY_BACKSPACE_GITHUB_URL": "http://127.0.0.1:8080"}

    usual = load({}, {}, NOWHERE).github
    there = load({}, {}, config).github

    assert (usual.url, usual.api) == ("https://github.com", "https://api.github.com")
    server = {"TINY_BACKSPACE_GITHUB_URL": "https://GHE.example.org"}
    assert load({}, server, NOWHERE).github.api == "https://ghe.example.org/api/v3"
    same = {"TINY_BACKSPACE_GITHUB_URL": "https://github.com:443"}
    assert load({}, same, NOWHERE).github.api == "https://api.github.com"
    other = {"TINY_BACKSPACE_GITHUB_URL": "https://github.com:8443"}
    assert load({}, other, NOWHERE).github.url == "https://github.com:8443"
    assert (there.url, there.api) == (
        "https://ghe.example.org",
        "https://ghe.example.org/api/v3",
    )
    assert load({}, runner, config).github.url == "https://usual.example.org"
    assert load({}, runner, config).github.api == there.api
    assert load({}, {**runner, **ours}, config).github.url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "url",
    [
        "http://github.example.org", "ftp://github.com", "github.com", "https://", "https://me@github.com",
        "https://github.com?x", "https://github.com/a b", "https://git\u00ebub.com", "http://127.0.0.1.example.org",
        "http://localhost.example.org", "https://github.com#x", "https://github.com:x", f"https://u:{KEY}@github.com",
    ],
)  # fmt: skip
def test_a_token_is_not_sent_to_what_is_no_safe_address(tmp_path: Path, url: str) -> None:
    for key in ("url", "api_url"):
        config = file(tmp_path, f"[github]\n{key} = '{url}'\n")
        with pytest.raises(UsageError, match=rf"^github in {config}: {key}: ") as raised:
            load({}, {}, config)
        assert KEY not in f"{raised.value} {raised.value.hint}"
    for name in ("GITHUB_SERVER_URL", "GITHUB_API_URL", "TINY_BACKSPACE_GITHUB_URL"):
        with pytest.raises(UsageError, match="no https address") as raised:
            load({}, {name: url}, NOWHERE)
        assert KEY not in f"{raised.value} {raised.value.hint}"


def test_a_token_in_the_settings_file_is_not_used(tmp_path: Path) -> None:
    config = file(tmp_path, f"[github]\ntoken = '{KEY}'\n")

    try:
        assert load({}, {}, config).github.token is None
    except UsageError as error:
        assert KEY not in f"{error} {error.hint}"  # noqa: PT017 - either will do


@pytest.mark.parametrize(
    "name",
    ["x", "feature/x", "a-b_c.d", "fix/#12", "v1.2+3", "user@host", "\u00e9t\u00e9", "a/b/c", "release=1"],
)  # fmt: skip
def test_a_branch_may_be_called_what_git_would_call_it(name: str) -> None:
    assert load({"branch": name}, {}, NOWHERE).branch == name


@given(st.one_of(st.text(max_size=20), st.text("ab./-@{}~^:?*[\\ #\x7f\n_", max_size=12)))
def test_whatever_is_taken_for_a_branch_is_one_to_git_too(name: str) -> None:
    try:
        load({"branch": name}, {}, NOWHERE)
    except UsageError:
        return
    asked = subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False)
    assert asked.returncode == 0
    assert not name.startswith("-")


@pytest.mark.parametrize(
    ("person", "taken"),
    [
        ("Ann <ann@example.org>", True), ("A. N. \u00d6 <a+b@c.d>", True),
        ("ann@example.org", False), ("Ann", False), ("<a@b>", False), ("Ann <a b@c>", False),
        ("Ann <a@b>\nSigned-off-by: Eve <e@e>", False), ("Ann\n <a@b>", False), ("Ann <a@b> <c@d>", False),
        ("Ann <a@b>\n", False), ("Ann <a\n@b>", False),
    ],
)  # fmt: skip
def test_a_co_author_is_one_person_on_one_line(person: str, *, taken: bool) -> None:
    if taken:
        assert load({"co_author": person}, {}, NOWHERE).co_author == person
    else:
        with pytest.raises(UsageError, match=r"^--co-author: "):
            load({"co_author": person}, {}, NOWHERE)


def test_a_file_of_names_and_values_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for name, said in (("none.env", "there is no file"), ("x" * 300, "cannot be read")):
        with pytest.raises(UsageError, match=said):
            load({}, {}, tmp_path / "config.toml", tmp_path / name)
