import pytest

from tests.fakes import FakeSandbox
from tiny_backspace.agent.facts import Facts
from tiny_backspace.agent.prompt import opening, system
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import Text


def test_the_system_prompt_names_every_tool_there_is() -> None:
    assert all(spec.name in system() for spec in Toolbox(FakeSandbox(), 60).specs)


@pytest.mark.parametrize(
    "word", ["/workspace", "no network", "description", "Do not commit", "data"]
)
def test_the_system_prompt_says_what_the_agent_must_know(word: str) -> None:
    assert word in system()


def test_the_users_words_come_first_and_alone() -> None:
    request, facts = opening("Fix the typo", Facts(files=3)).parts
    assert request == Text("Fix the typo")
    assert isinstance(facts, Text)
    assert "Tracked files: 3" in facts.text
