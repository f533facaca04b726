"""A run as a step of a job: what a runner would read out of the log, and out of the files it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.program import Finished, Program, git, make_repository
from tests.servers.models import KEY, Asked, Call, Say, serving
from tests.views.records import failing, successful
from tiny_backspace.actions.commands import command, output
from tiny_backspace.actions.report import summary
from tiny_backspace.views.state import RunState, advance
from tiny_backspace.views.timings import spans

ROOT = Path(__file__).parents[2]
FORGED = "x\n::set-output name=pr-url::http://evil\n::error::forged\r::add-mask::x\n##[error]forged %0A::warning::forged"


def heard(log: str) -> list[str]:
    """The workflow commands that a runner would carry out."""
    found, stopped = [], ""
    for line in re.split(r"\r\n|\n|\r", log):
        text = line.strip()
        if stopped:
            stopped = "" if text == f"::{stopped}::" else stopped
        elif text.startswith("::stop-commands::"):
            stopped = text.removeprefix("::stop-commands::")
        elif re.match(r"::\w", text) or "##[" in text:
            found.append(text)
    return found


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", {"README.md": "helo\n", "a.py": "x = 1\n"})


def job(repository: Path, *args: str, says: str = "Done.") -> tuple[Finished, Path, Path]:
    """A step of a job; the files for its outputs and its summary."""
    home = repository.parent / "home"
    home.mkdir()
    told, summed = home / "output", home / "summary"
    script = (
        Say(
            says, says, (Call("1", "bash", {"command": f"printf %s '{says}'; echo 'y = (' >a.py"}),)
        ),
        Say(says),
        Say(says),
    )

    def answer(asked: Asked) -> Say:
        return script[asked.turn - 1]

    with serving(answer) as models:
        environment = {
            "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": models.claude_url, "CI": "true",
            "GITHUB_ACTIONS": "true", "RUNNER_TEMP": str(home), "GITHUB_OUTPUT": str(told),
            "GITHUB_STEP_SUMMARY": str(summed),
        }  # fmt: skip
        done = Program(home, environment).run(
            "run", str(repository), says, "--agents", "claude", *args
        )
    return done, told, summed


def outputs(told: Path) -> dict[str, str]:
    found = re.findall(r"^([\w-]+)<<(\w+)\n(.*?)\n\2$", told.read_text(), re.MULTILINE | re.DOTALL)
    return {name: value for name, _, value in found}


def test_a_step_has_groups_annotations_outputs_and_a_summary(repository: Path) -> None:
    done, told, summed = job(repository, "--verify", "echo no; exit 3", "--verify-attempts", "1")
    commands = heard(done.stderr)

    assert done.exit_code == 9
    groups = [c for c in commands if c.startswith("::group::")]
    assert [g.removeprefix("::group::").partition(" ")[0] for g in groups] == [
        "Validating", "Initializing", "Cloning", "Analyzing", "Generating", "Creating",
    ]  # fmt: skip
    assert commands.count("::endgroup::") == len(groups)
    errors = [c for c in commands if c.startswith("::error ")]
    assert any(re.match(r"::error title=tiny-backspace,file=a\.py,line=1::", e) for e in errors)
    assert any("`echo no; exit 3` ended with exit code 3" in e for e in errors)
    assert [c for c in commands if c.startswith("::add-mask::")] == [f"::add-mask::{KEY}"]
    (branch,) = git(repository, "branch", "--list", "tiny-*", "--format=%(refname:short)").split()
    found = outputs(told)
    assert (found["branch"], found["exit-code"], found["pr-url"]) == (branch, "9", "")
    assert done.stdout == f"{branch}\n"
    assert branch.endswith(found["run-id"])
    assert float(found["cost"]) > 0
    text = summed.read_text()
    assert "### ❌ verification failed" in text
    assert "**failed**, exit 3; before the change exit 3" in text
    assert KEY not in text + told.read_text()


def test_nothing_that_is_said_becomes_a_workflow_command(repository: Path) -> None:
    done, told, summed = job(repository, says=FORGED)
    allowed = ("::group::", "::endgroup::", "::add-mask::", "::error ", "::warning ", "::notice ")

    assert all(c.startswith(allowed) for c in heard(done.stderr))
    assert not [c for c in heard(done.stderr) if c.startswith(("::error::", "::warning::"))]
    assert set(outputs(told)) == {"pr-url", "branch", "run-id", "exit-code", "cost"}
    assert outputs(told)["pr-url"] == ""
    assert heard(done.stdout) == []
    rendered = MarkdownIt().render(summed.read_text())
    assert "http://evil" not in re.sub(r"<code>.*?</code>", "", rendered, flags=re.DOTALL)


def test_json_lines_stay_what_they_are_and_the_files_are_written(repository: Path) -> None:
    done, told, summed = job(repository, "-o", "jsonl")

    assert all(line["v"] == 1 for line in done.lines)
    assert heard(done.stderr) == []
    assert outputs(told)["run-id"] == done.lines[0]["run_id"]
    assert "###" in summed.read_text()


def test_outside_of_a_job_nothing_of_it_is_there(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    environment = {"GITHUB_OUTPUT": str(tmp_path / "output"), "CI": "true"}
    done = Program(tmp_path / "elsewhere", environment).run(
        "run", str(repository), "delete a.py", "--agents", "dummy"
    )
    assert done.exit_code == 0
    assert "::" not in done.stderr
    assert not (tmp_path / "output").exists()


@given(st.text(), st.text())
def test_no_text_ends_a_command_or_begins_another(message: str, value: str) -> None:
    told = command("error", message, file=value)
    assert len(re.split(r"\r\n|\n|\r", told)) == 1
    assert told.count("::") >= 2
    head, _, data = told.removeprefix("::").partition("::")
    assert head.startswith("error file=")
    assert "," not in head
    decoded = data.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    assert decoded == message


def test_an_output_is_read_back_as_it_was() -> None:
    assert output("a", "x\ny", "D") == "a<<D\nx\ny\nD\n"


@pytest.mark.parametrize("records", [successful(), failing()], ids=["successful", "failing"])
def test_a_summary_is_markdown_without_html_but_ours(records: list) -> None:  # type: ignore[type-arg]
    state = RunState()
    for record in records:
        state = advance(state, record)
    html = re.findall(r"<[^>`]*>", re.sub(r"`[^`]*`", "", summary(state, spans(records))))
    assert {tag for tag in html if not tag.startswith("<http")} <= {
        "<details>", "</details>", "<summary>", "</summary>",
    }  # fmt: skip


def test_the_action_is_what_github_takes() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.github-actions", "action.yml"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_no_input_of_the_action_stands_in_a_script() -> None:
    text = (ROOT / "action.yml").read_text()
    scripts = re.findall(r"run: (?:\|\n((?: {8}.*\n)+)|(.*))", text)
    assert len(scripts) == 2
    assert not any("${{" in "".join(script) for script in scripts)


def test_the_actions_script_hands_over_each_input_by_itself(tmp_path: Path) -> None:
    show = tmp_path / "show"
    show.write_text(
        '#!/bin/sh\nfor each; do printf "[%s]\\n" "$each"; done\nenv | grep -c "^PROMPT=" || :\n'
    )
    show.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"], "RUNNER_TEMP": str(tmp_path), "TINY_BACKSPACE": str(show),
        "PROMPT": "$(touch pwn) `id`\nsecond", "REPOSITORY": "owner/name; touch pwn", "BASE": "",
        "ARGUMENTS": "--label=a b\n\n--draft",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", ROOT / "deploy" / "action.sh"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    prompt = tmp_path / "tiny-backspace-prompt"
    assert done.stdout.splitlines() == [
        "[run]", "[owner/name; touch pwn]", f"[@{prompt}]", "[--label=a b]", "[--draft]", "0",
    ]  # fmt: skip
    assert prompt.read_text() == environment["PROMPT"]
    assert not (tmp_path / "pwn").exists()
