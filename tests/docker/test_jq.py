"""Every one-liner of docs/jq.md, over the lines of a run that has an answer for all of them; jq is the image's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.program import Finished, Program, make_repository
from tests.servers.models import KEY, Asked, Call, Fault, Say, serving
from tiny_backspace.sandbox.docker import DockerSandbox

DOC = Path(__file__).parents[2] / "docs" / "jq.md"
RECIPES = dict(
    re.findall(
        r"^([A-Z][^\n]*):\n\n```sh\n(.*?)\n```", DOC.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
)
EXPECTED = {
    "The pull request's address, or the branch, or the patch": r"^tiny-backspace/do-it-[0-9a-f]{8}\n$",
    "How it ended, and what to do": r"^exit 9: verification failed: `false`.* To go on: tiny-backspace resume",
    "Cost by provider, in US dollars": r"^claude\t0\.\d+\nopenai\t0(\.\d+)?\n$",
    "Tokens by model": r"^claude-\S+\t\d+ in\t\d+ out\n",
    "Files that were changed, and how": r"^create\tn\.txt\n",
    "The slowest five operations": r"^(\d+ ms\t\S+\n){5}$",
    "How long each step took": r"^\d+ s\tvalidation\n(\d+ s\t\w+\n)+$",
    "Who took over from whom": r"^turn 3: claude -> openai: ",
    "Commands of the agent that failed": r"^exit 3\texit 3\n$",
    "The verification, before and after": r"(?s)^(?=.*base\tattempt 1\texit 1\tfalse)(?=.*change\tattempt 1\texit 1\tfalse)",
    "What the policy said": r"^flag\tbuild-junk\tdist\n$|^flag\tbuild-junk\tdist/?\n",
    "What it thought, as it goes on": r"^\[repository_analysis\] ",
    "What the sandbox said of itself, and its peak memory": r"^uid 10001, interfaces lo\npeak \d{6,} bytes\n$",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("jq")
    repository = make_repository(folder / "project", {"README.md": "helo\n"})
    script = (
        Say("I look.", "Hm.", (Call("1", "bash", {"command": "exit 3"}),)),
        Say("I write.", "", (
            Call("2", "write", {"path": "n.txt", "content": "n\n", "description": "d"}),
            Call("3", "bash", {"command": "mkdir dist; echo 1 >dist/x"}),
        )),
    )  # fmt: skip

    def answer(asked: Asked) -> Say | Fault:
        if asked.turn > len(script):
            return Fault("status", 401) if asked.dialect == "claude" else Say("Done.")
        return script[asked.turn - 1]

    home = folder / "home"
    home.mkdir()
    with serving(answer) as models:
        environment = {
            "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": models.claude_url,
            "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": models.openai_url,
        }  # fmt: skip
        done = Program(home, environment).run(
            "run",
            str(repository),
            "do it",
            "--verify",
            "false",
            "--verify-attempts",
            "1",
            "-o",
            "jsonl",
        )
    assert done.exit_code == 9, done.stderr
    return done


def test_every_recipe_has_an_answer_to_be_held_against() -> None:
    assert list(RECIPES) == list(EXPECTED)


@pytest.mark.parametrize("question", RECIPES)
def test_the_recipe_answers_its_question(
    told: Finished, sandbox: DockerSandbox, question: str
) -> None:
    sandbox.write("events.jsonl", told.stdout.encode())
    done = sandbox.exec(["sh", "-c", RECIPES[question]])
    assert done.exit_code == 0, done.stderr
    assert re.search(EXPECTED[question], done.stdout.decode()), done.stdout.decode()
