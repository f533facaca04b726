"""The command line: what may be written, what it becomes, and that little is loaded for little."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from tests.program import COMMAND, Finished, Program, make_repository
from tiny_backspace.cli import app

NO_ENGINE = "unix:///nonexistent/docker.sock"
HEAVY = (
    "docker", "anthropic", "openai", "git", "ghapi", "structlog", "sqlite3", "rich.live", "requests",
    "pydantic_settings", "fastcore",
)  # fmt: skip


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Without an engine: a run gets as far as its first records."""
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home", {"DOCKER_HOST": NO_ENGINE})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "r", {"a.txt": "a\n"})


def started(done: Finished) -> dict[str, Any]:
    (event,) = done.of("run_started")
    return event


@pytest.mark.parametrize("form", ["words", "@file", "-"])
def test_a_prompt_is_words_a_file_or_standard_input(
    program: Program, repository: Path, tmp_path: Path, form: str
) -> None:
    text = "first line\nsecond: é 'quoted' $HOME\n"
    (tmp_path / "task.md").write_text(text)
    given = {"words": text, "@file": f"@{tmp_path / 'task.md'}", "-": "-"}[form]

    done = program.run("run", str(repository), given, "-o", "jsonl", stdin=text)

    assert started(done)["prompt"] == text
    assert done.stderr == ""
    assert done.exit_code == 4  # there is no engine
    assert (done.lines[-1]["type"], done.lines[-1]["error"]) == ("error", "sandbox")


def test_flags_become_settings_over_those_of_the_environment_and_the_file(
    repository: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config" / "tiny-backspace" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("max_turns = 1\nmax_tool_calls = 1\ntimeout = 60\ncommand_timeout = 1\n")
    named = tmp_path / "my.env"
    named.write_text("TINY_BACKSPACE_MAX_TOOL_CALLS=2\nTINY_BACKSPACE_TIMEOUT=120\n")
    environment = {"DOCKER_HOST": NO_ENGINE, "TINY_BACKSPACE_TIMEOUT": "180"}

    done = Program(tmp_path, environment).run(
        "run", str(repository), "x", "-o", "jsonl", "--agents", "dummy", "--command-timeout", "4s",
        "--env-file", str(named), "--base", "main", "--max-cost", "0.5",
    )  # fmt: skip

    assert started(done)["limits"] == {
        "turns": 1, "tool_calls": 2, "cost_usd": 0.5, "tokens": 10_000_000, "timeout_s": 180.0, "command_timeout_s": 4.0,
    }  # fmt: skip
    assert (started(done)["agents"], started(done)["base"]) == (["dummy:rules-1"], "main")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "REPO"),
        (("run", "."), "the prompt is empty"),
        (("run", ".", "x", "--colour"), "--colour"),
        (("run", ".", "x", "-o", "xml"), "xml"),
        (("run", ".", "x", "--max-turns", "many"), "--max-turns"),
        (("run", ".", "x", "--memory", "lots"), "--memory"),
        (("run", ".", "x", "--timeout", "9h"), "--timeout"),
        (("run", ".", "x", "--publish", "everywhere"), "--publish"),
        (("run", ".", "x", "--agents", "clippy"), "clippy"),
        (("run", ".", "x", "--env-file", "absent"), "absent"),
        (("run", ".", "@absent"), "cannot be read"),
        (("run", ".", "@."), "cannot be read"),
        (("run", ".", "@task.bin"), "not UTF-8"),
        (("run", ".", " "), "empty"),
        (("run", ".", "@long.txt"), "at most 100000"),
        (("run", "-x", "y"), "-x"),
        (("walk",), "walk"),
    ],
)
def test_a_wrong_command_is_told_on_standard_error_and_is_code_2(
    program: Program, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "task.bin").write_bytes(b"\xff\xfe")
    (tmp_path / "long.txt").write_bytes(b"x" * 200_000)

    done = program.run(*arguments, cwd=tmp_path)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_bytes_that_are_no_text_in_a_prompt_do_not_end_in_a_bug(
    program: Program, repository: Path
) -> None:
    done = program.run(
        "run", str(repository), b"caf\xe9 \x1b[2J".decode(errors="surrogateescape"), "-o", "jsonl"
    )

    assert (done.exit_code, done.stdout) == (2, "")
    assert "the prompt is not UTF-8 text" in done.stderr


def test_quiet_says_only_what_went_wrong(program: Program, repository: Path) -> None:
    done = program.run("run", str(repository), "x", "-q")

    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert done.stderr.startswith("Error: ")


def test_plain_lines_go_to_standard_error_without_a_terminal(
    program: Program, repository: Path
) -> None:
    done = program.run("run", str(repository), "x")

    assert done.stdout == ""
    assert "\x1b" not in done.stderr
    assert "ERROR" in done.stderr.splitlines()[-1]


def below(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from below(command, (*path, name))
        else:
            yield (*path, name), command


def commands() -> Iterator[tuple[str, ...]]:
    yield from (path for path, _ in below(typer.main.get_command(app)))


def test_no_word_of_a_help_is_taken_for_markup() -> None:
    """As `[all]` would be, and not be shown."""
    options = [
        option for _, command in below(typer.main.get_command(app)) for option in command.params
    ]
    helps = {str(option.help) for option in options if getattr(option, "help", None)}

    assert len(helps) > 50
    assert {text for text in helps if Text.from_markup(text).plain != text} == set()


@pytest.mark.parametrize("command", [*commands(), ("image",), ()], ids=" ".join)
def test_the_help_of_every_command_fits_a_terminal(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"})

    assert shown.exit_code == 0
    assert [line for line in shown.output.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("command", [*commands()], ids=" ".join)
def test_the_help_of_every_command_has_an_example_of_it(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "-h"], env={"COLUMNS": "80"}).output

    assert f"tiny-backspace {' '.join(command)}" in shown.partition("Example")[2]


def loaded(*argv: str) -> set[str]:
    """The modules that are loaded when the program ends."""
    code = (
        "import json, sys, runpy\n"
        f"sys.argv = ['tiny-backspace', *{list(argv)!r}]\n"
        "try:\n    runpy.run_module('tiny_backspace', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "sys.stderr.write(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


@pytest.mark.parametrize("argv", [("--version",), ("-V",), ("--help",), ("run", "--help")], ids=str)
def test_little_is_loaded_to_say_what_can_be_done(argv: tuple[str, ...]) -> None:
    modules = loaded(*argv)

    assert modules.isdisjoint(HEAVY)


def test_the_version_is_told_before_anything_is_loaded() -> None:
    assert loaded("--version").isdisjoint({"pydantic", "typer", "rich", "tiny_backspace.cli"})


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, json, tiny_backspace.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(json.loads(done.stdout)).isdisjoint({*HEAVY, "pydantic"})


def test_lines_that_could_not_all_be_written_are_no_success(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {"a.txt": "a\n"})
    program = Program(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "run", str(repository), "delete a.txt", "-o", "jsonl"],
            env=program.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert (
        "standard output could not be written to the end: No space left on device." in done.stderr
    )
    assert "tiny-backspace show " in done.stderr


def test_a_variable_that_is_misspelt_is_said(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        {
            "TINY_BACKSPACE_MAX_TRUNS": "3",
            "TINY_BACKSPACE_GITHUB_TOKEN": "ghp_canary",
            "TINY_BACKSPACE_OPENAI_API_KEY": "k",
        },
    )
    done = program.run("run", str(tmp_path / "absent"), "x", "-q")
    assert "Warning: there is no setting TINY_BACKSPACE_MAX_TRUNS;" in done.stderr
    assert done.stderr.count("Warning") == 1


def test_who_starts_a_run_may_name_it_and_then_all_of_it_is_kept(
    program: Program, repository: Path
) -> None:
    named, short = "0123456789abcdef" * 2, "deadbeef"
    done = program.run("run", str(repository), "x", "-o", "jsonl", "--run-id", named)
    assert {line["run_id"] for line in done.lines} == {named}
    assert done.stdout == program.run("show", named, "--json").stdout

    early = ("run", str(repository), "x", "-o", "jsonl", "--agents", "nobody")
    done = program.run(*early, "--run-id", short)
    assert done.of("run_started") == []  # it ended before it began
    assert done.stdout == program.run("show", short, "--json").stdout
    mistyped = program.run(*early).lines[0]["run_id"]
    assert program.run("show", mistyped).exit_code == 2


@pytest.mark.parametrize("name", ["", "abc", "ABCDEF01", "../../../x", "0" * 33, "-x"])
def test_what_is_no_id_names_no_run(program: Program, repository: Path, name: str) -> None:
    done = program.run("run", str(repository), "x", f"--run-id={name}")
    assert done.exit_code == 2
    assert "--run-id" in done.stderr
