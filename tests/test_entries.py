"""Who can be asked: what is built in, what the settings file says of it, and what a variable says over that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_backspace.entries import BUILT_IN, Entry, Prices, chosen
from tiny_backspace.errors import UsageError
from tiny_backspace.settings import Settings, load

NOWHERE = Path("/nonexistent/config.toml")


def told(
    folder: Path,
    text: str = "",
    environment: dict[str, str] | None = None,
    named: str | None = None,
) -> Settings:
    """The settings of this file, these variables, and a file of variables that was named."""
    config, variables = folder / "config.toml", folder / "my.env"
    config.write_text(text)
    if named is not None:
        variables.write_text(named)
    return load({}, environment or {}, config, variables if named is not None else None)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as raised:
        told(folder, text)
    return str(raised.value)


def key_of(entry: Entry) -> str | None:
    return entry.key.get_secret_value() if entry.key is not None else None


def test_without_a_word_there_are_those_that_are_built_in() -> None:
    providers = load({}, {}, NOWHERE).providers

    assert list(providers) == list(BUILT_IN) == ["claude", "openai", "ollama", "vllm", "lmstudio"]
    assert all(entry.name == name for name, entry in providers.items())
    assert all(entry.key is None for entry in providers.values())
    assert (providers["claude"].dialect, providers["openai"].dialect) == ("claude", "openai")
    local = [providers[name] for name in ("ollama", "vllm", "lmstudio")]
    assert {entry.dialect for entry in local} == {"chat"}
    assert all((entry.base_url or "").startswith("http://127.0.0.1:") for entry in local)


def test_a_table_changes_the_fields_it_names_and_leaves_the_others(tmp_path: Path) -> None:
    before = load({}, {}, NOWHERE).providers

    after = told(tmp_path, "[providers.claude]\nmodel = 'm'\nidle_timeout = '2m'\n").providers

    assert after["claude"] == before["claude"].model_copy(
        update={"model": "m", "idle_timeout": 120.0}
    )
    assert {**after, "claude": before["claude"]} == before


def test_a_table_of_another_name_is_another_provider(tmp_path: Path) -> None:
    text = """
[providers.my-groq_2]
base_url = "https://api.groq.com/openai/v1"
key_variable = "GROQ_API_KEY"
model = "llama"
prices = { input = 0.59, output = 0.79 }
"""
    providers = told(tmp_path, text, {"GROQ_API_KEY": "k"}).providers

    assert list(providers) == [*BUILT_IN, "my-groq_2"]
    entry = providers["my-groq_2"]
    assert (entry.name, entry.dialect, entry.model) == ("my-groq_2", "chat", "llama")
    assert (entry.prices, key_of(entry)) == (Prices(input=0.59, output=0.79), "k")


def test_a_server_that_may_have_to_load_its_model_is_given_time_and_a_small_window(
    tmp_path: Path,
) -> None:
    text = "[providers.mine]\n[providers.ollama]\nwindow = 65536\n[providers.o]\ndialect='openai'\n"
    providers = told(tmp_path, text).providers

    assert (providers["mine"].window, providers["mine"].idle_timeout) == (32_768, 300)
    assert (providers["ollama"].window, providers["ollama"].max_output_tokens) == (65_536, 8192)
    assert (providers["o"].window, providers["o"].idle_timeout) == (128_000, 90)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("[providers.claude]\nmodle = 'x'", ".claude", "no setting 'modle'"),
        ("[providers.new]\nurl = 'x'", ".new", "no setting 'url'"),
        ("[providers.a.prices]\ninput=1\noutput=1\nread=1", ".a.prices", "no setting 'read'"),
        ("[providers.a.prices]\ninput=1", ".a.prices.output", "required"),
        ("[providers.a.prices]\ninput=-1\noutput=1", ".a.prices.input", "greater"),
        ("[providers.a.prices]\ninput=nan\noutput=1", ".a.prices.input", ""),
        ("[providers.a.prices]\ninput=1\noutput=inf", ".a.prices.output", "finite"),
        ("[providers.a]\ndialect = 'latin'", ".a.dialect", "'claude', 'openai' or 'chat'"),
        ("[providers.a]\ndialect = ['chat']", ".a.dialect", "'claude', 'openai' or 'chat'"),
        ("[providers.claude]\neffort = 'some'", ".claude.effort", "'low'"),
        ("[providers.claude]\nwindow = 5", ".claude.window", "2048"),
        ("[providers.claude]\nmodel = ''", ".claude.model", "at least 1"),
        ("[providers.claude]\nidle_timeout = '2h'", ".claude.idle_timeout", "3600"),
        ("[providers.claude]\nkey_variable = 'my key'", ".claude.key_variable", "pattern"),
        ("[providers]\nclaude = 'x'", ".claude", "dictionary"),
        ("providers = 'x'", "", "dictionary"),
        ("providers = ['claude']", "", "dictionary"),
    ],
)
def test_a_fault_in_a_table_is_told_with_its_place(
    tmp_path: Path, text: str, place: str, said: str
) -> None:
    message = refused(tmp_path, text)

    within = f" {place[1:]}:" if place else ""
    assert message.startswith(f"providers in {tmp_path / 'config.toml'}:{within} ")
    assert said in message


@pytest.mark.parametrize(
    "address",
    [
        "example.org", "ftp://example.org", "https://user:pw@example.org", "http://[", "http:///v1",
        "http://host:port/v1", "http://host:99999", "http://ho st", "",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    message = refused(tmp_path, f"[providers.vllm]\nbase_url = {address!r}\n")

    assert ": vllm.base_url: " in message


@pytest.mark.parametrize("name", ["claude", "mine"])
@pytest.mark.parametrize("value", ["'canary'", "''", "['canary']"])
def test_a_key_in_the_file_is_refused_and_not_repeated(
    tmp_path: Path, name: str, value: str
) -> None:
    message = refused(tmp_path, f"[providers.{name}]\nkey = {value}\n")

    assert f"the key of {name} does not belong in a file" in message
    assert "key_variable" in message
    assert "canary" not in message


def test_a_provider_has_the_name_of_its_table(tmp_path: Path) -> None:
    assert "the name of claude" in refused(tmp_path, "[providers.claude]\nname = 'x'")


@pytest.mark.parametrize("name", ["''", "'a:b'", "'a b'", "'a,b'", "dummy", "'claude\\n'", "'é'"])
def test_a_name_that_could_not_be_chosen_is_refused(tmp_path: Path, name: str) -> None:
    table = name.replace("'", '"')

    assert "can be no provider's name" in refused(tmp_path, f"[providers.{table}]\nmodel = 'm'\n")


@pytest.mark.parametrize(
    ("environment", "named", "key"),
    [
        ({}, None, None),
        ({"ANTHROPIC_API_KEY": "usual"}, None, "usual"),
        ({"TINY_BACKSPACE_ANTHROPIC_API_KEY": "own"}, None, "own"),
        ({"ANTHROPIC_API_KEY": "usual", "TINY_BACKSPACE_ANTHROPIC_API_KEY": "own"}, None, "own"),
        ({"ANTHROPIC_API_KEY": "usual", "TINY_BACKSPACE_ANTHROPIC_API_KEY": ""}, None, "usual"),
        ({}, "ANTHROPIC_API_KEY=filed", "filed"),
        ({}, "TINY_BACKSPACE_ANTHROPIC_API_KEY=filed\nANTHROPIC_API_KEY=x", "filed"),
        ({"ANTHROPIC_API_KEY": "usual"}, "ANTHROPIC_API_KEY=filed", "usual"),
        ({"ANTHROPIC_API_KEY": "usual"}, "TINY_BACKSPACE_ANTHROPIC_API_KEY=filed", "filed"),
        ({"ANTHROPIC_API_KEY": ""}, "ANTHROPIC_API_KEY=filed", "filed"),
        ({"ANTHROPIC_API_KEY": ""}, None, None),
        ({"OPENAI_API_KEY": "another's"}, None, None),
    ],
)
def test_the_key_is_in_the_variable_and_one_of_our_own_wins(
    tmp_path: Path, environment: dict[str, str], named: str | None, key: str | None
) -> None:
    assert key_of(told(tmp_path, "", environment, named).providers["claude"]) == key


def test_another_variable_can_be_named_for_the_key(tmp_path: Path) -> None:
    environment = {"ANTHROPIC_API_KEY": "usual", "WORK_KEY": "work"}

    providers = told(tmp_path, "[providers.claude]\nkey_variable = 'WORK_KEY'", environment)

    assert key_of(providers.providers["claude"]) == "work"


def test_the_variable_of_the_address_wins_over_the_file(tmp_path: Path) -> None:
    text = "[providers.claude]\nbase_url = 'https://file.example.org'\n"
    usual = {"ANTHROPIC_BASE_URL": "https://usual.example.org"}
    own = {"TINY_BACKSPACE_ANTHROPIC_BASE_URL": "https://own.example.org"}

    found = [
        told(tmp_path, text, environment).providers["claude"].base_url
        for environment in ({}, usual, usual | own, {"ANTHROPIC_BASE_URL": ""})
    ]

    assert found == [
        "https://file.example.org", "https://usual.example.org", "https://own.example.org",
        "https://file.example.org",
    ]  # fmt: skip
    openai = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    assert told(tmp_path, "", openai).providers["openai"].base_url == "http://127.0.0.1:9/v1"
    assert told(tmp_path, "", openai).providers["claude"].base_url is None


def test_an_address_in_a_variable_that_is_none_is_a_sentence_without_its_password(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError) as raised:
        told(tmp_path, "", {"OPENAI_BASE_URL": "https://me:canary@example.org"})

    assert "canary" not in str(raised.value) + repr(raised.value)


@pytest.mark.parametrize(
    ("agent", "name", "model"),
    [
        ("claude", "claude", "claude-sonnet-5-5"),
        ("claude:claude-opus-5-5", "claude", "claude-opus-5-5"),
        ("claude:", "claude", "claude-sonnet-5-5"),
        ("ollama:qwen3-coder:30b", "ollama", "qwen3-coder:30b"),
        ("vllm:Qwen/Qwen3-Coder", "vllm", "Qwen/Qwen3-Coder"),
        ("lmstudio:a:b:c:", "lmstudio", "a:b:c:"),
    ],
)
def test_an_agent_is_a_name_and_the_model_is_all_that_follows(
    agent: str, name: str, model: str
) -> None:
    entry = chosen(load({}, {}, NOWHERE).providers, agent)

    assert (entry.name, entry.model, entry.model_name) == (name, model, model)


@pytest.mark.parametrize("agent", ["ollama", "ollama:"])
def test_a_provider_without_a_model_must_be_given_one(agent: str) -> None:
    with pytest.raises(UsageError, match="ollama has no model") as raised:
        chosen(load({}, {}, NOWHERE).providers, agent)

    assert raised.value.hint == "Name one: --agents ollama:MODEL"


@pytest.mark.parametrize("agent", ["nobody", "nobody:m", "Claude", "", ":m"])
def test_an_agent_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, agent: str) -> None:
    with pytest.raises(UsageError, match="there is no agent") as raised:
        chosen(told(tmp_path, "[providers.mine]\nmodel = 'm'").providers, agent)

    assert "claude, openai, ollama, vllm, lmstudio, mine, dummy" in (raised.value.hint or "")


def test_the_prices_of_an_entrys_model_are_not_those_of_another_one(tmp_path: Path) -> None:
    text = "[providers.{}.prices]\ninput = 1\noutput = 2\n"
    claude = told(tmp_path, text.format("claude")).providers
    local = told(tmp_path, text.format("vllm")).providers
    prices = Prices(input=1, output=2)

    assert chosen(claude, "claude").prices == prices
    assert chosen(claude, "claude:claude-sonnet-5-5").prices == prices
    assert chosen(claude, "claude:claude-opus-5-5").prices is None
    assert chosen(local, "vllm:any").prices == prices
    assert claude["claude"].prices == prices


def test_a_provider_that_nobody_knows_the_address_of_is_not_asked_at_the_vendors(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[providers.foo]\nmodel = 'x'\nkey_variable = 'LOCAL_KEY'\n")
    entries = load({}, {"LOCAL_KEY": "canary"}, config).providers

    with pytest.raises(UsageError, match="It has no base_url"):
        chosen(entries, "foo")
    assert chosen(entries, "openai").base_url is None  # its adapter knows
