"""What may be asked for, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.server.application import Application
from tiny_backspace.cli import options
from tiny_backspace.errors import UsageError
from tiny_backspace.server.asked import Code, Options, repository, words
from tiny_backspace.serving import ServerSettings
from tiny_backspace.settings import GitHubSettings, Settings

ID = "0" * 32


def asked(**given: Any) -> Code:
    return Code.model_validate({"repoUrl": "owner/name", "prompt": "fix it", **given})


def said(**options: Any) -> list[str]:
    return words(
        ID, "https://github.com/owner/name.git", asked(options=options).options, Settings()
    )


def test_a_request_becomes_a_command_line_without_the_prompt() -> None:
    told = said(
        verify="--help; make test", maxCost=0.5, label=["a b", "c"], dryRun=True,
        agents=["claude:x", "dummy"], draft=False, base="main",
    )  # fmt: skip
    assert told == [
        "run", "https://github.com/owner/name.git", "-", "--run-id", ID, "--base=main", "--dry-run",
        "--label=a b", "--label=c", "--ready", "--verify=--help; make test",
        "--agents=claude:x,dummy", "--max-cost=0.5",
    ]  # fmt: skip


def test_every_option_is_a_setting_or_the_base_and_none_is_of_the_machine() -> None:
    assert set(Options.model_fields) <= options.SETTINGS | {"base"}
    assert not set(Options.model_fields) & {
        "image", "runtime", "setup", "setup_file", "setup_host", "setup_registry", "allow_path", "memory", "disk",
        "cpus", "pids", "force", "fork", "cache", "approve", "max_files", "max_lines", "max_file_size",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["image", "setupFile", "envFile", "allowPath", "runtime", "output", "max_cost"]
)
def test_what_is_not_on_the_list_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        asked(options={name: "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base", "-x"), ("base", "a b"), ("label", ["--image=x"]), ("label", ["a,b"]), ("agents", ["-x"]),
        ("maxCost", 0), ("maxCost", "NaN"), ("publish", "/tmp"), ("verify", "a\0b"), ("title", "a\0b"), ("branch", "a\nb"), ("maxTurns", -1),
    ],
)  # fmt: skip
def test_a_value_that_could_be_something_else_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        asked(options={name: value})


@pytest.mark.parametrize(
    ("name", "most"),
    [("maxCost", 5.0), ("maxTurns", 60), ("timeout", 1800), ("maxTokens", 10_000_000)],
)
def test_a_limit_can_be_lower_than_the_servers_and_no_higher(name: str, most: float) -> None:
    said(**{name: most})
    with pytest.raises(UsageError, match=name):
        said(**{name: most + 1})


@pytest.mark.parametrize(
    ("settings", "asked_for", "reason"),
    [
        ({"publish": "patch"}, {"publish": "pr"}, "publish is patch"),
        ({"publish": "branch"}, {"publish": "pr"}, "publish is branch"),
        ({"draft": True}, {"draft": False}, "draft"),
        ({"verify": "make test"}, {"verify": "true"}, "verifies"),
        ({"verify_attempts": 1}, {"verifyAttempts": 2}, "verifyAttempts"),
        ({"agents": ("dummy",)}, {"agents": ["dummy", "claude:x"]}, "claude:x is none"),
    ],
)
def test_what_the_settings_ask_for_holds(
    settings: dict[str, Any], asked_for: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        words(
            ID,
            "https://github.com/owner/name.git",
            asked(options=asked_for).options,
            Settings(**settings),
        )


def test_a_change_may_go_less_far_than_the_settings_say() -> None:
    told = words(
        ID,
        "x",
        asked(options={"publish": "patch", "draft": True}).options,
        Settings(publish="branch"),
    )
    assert {"--publish=patch", "--draft"} <= set(told)


# A41 and more: what a repository must not be.
NOT_SERVED = [
    "ext::sh -c touch% /tmp/pwn", "file:///etc", "file://localhost/etc", "/etc", "./x", "../x", "~/x", "x", ".",
    "-oProxyCommand=x", "--upload-pack=x", "git@-x:owner/name", "http://169.254.169.254/a/b", "https://169.254.169.254/a/b",
    "http://127.0.0.1:9/a/b", "https://localhost/a/b", "https://user:token@github.com/owner/name", "ssh://git@github.com/a/b",
    "https://github.com.evil.example/owner/name", "https://evil.example/owner/name", "https://github.com@evil.example/a/b",
    "https://github.com/owner/name/issues/1", "https://github.com/owner/name?x=y", "https://[::1]/a/b", "https://2130706433/a/b",
    "owner/name/x", "owner/..", "owner/na\nme", "owner\\name", "https://github.com:444/owner/name", "",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_SERVED)
def test_no_other_place_is_worked_on(text: str) -> None:
    with pytest.raises(UsageError):
        repository(text, Settings())


@pytest.mark.parametrize(
    "text",
    [
        "owner/name",
        "https://github.com/owner/name",
        "git@github.com:owner/name.git",
        "https://www.github.com/owner/name/",
    ],
)
def test_a_repository_of_github_is(text: str) -> None:
    assert repository(text, Settings()) == "https://github.com/owner/name.git"


def test_the_settings_say_which_are() -> None:
    settings = Settings(server=ServerSettings(repos=("owner/*", "me/one", "git.example.org/*/*")))
    for text in ("owner/any", "Me/One", "https://git.example.org/a/b"):
        repository(text, settings)
    for text in (
        "other/any",
        "me/two",
        "https://evil.example/owner/any",
        "https://github.com/git.example.org/a",
    ):
        with pytest.raises(UsageError):
            repository(text, settings)


def test_an_enterprise_server_is_home() -> None:
    settings = Settings(github=GitHubSettings(url="https://git.example.org"))
    assert repository("owner/name", settings) == "https://git.example.org/owner/name.git"
    with pytest.raises(UsageError):
        repository("https://github.com/owner/name", settings)


def test_what_is_refused_is_refused_over_http_too_and_not_said_back(tmp_path: Path) -> None:
    application = Application(tmp_path)
    for body in (
        {"repoUrl": "/etc/SECRET", "prompt": "x"},
        {"repoUrl": "owner/name", "prompt": "x" * 100_001},
        {"repoUrl": "owner/name", "prompt": "x", "SECRET": "SECRET"},
        {"repoUrl": "owner/name", "prompt": "x", "options": {"maxCost": 1e9}},
        {"repoUrl": "owner/name", "prompt": ["SECRET"]},
        ["SECRET"],
        "SECRET",
        None,
    ):
        answer = application.post(body)
        assert answer.status_code == 422, body
        assert "SECRET" not in answer.text.replace("body.SECRET", "")
        assert answer.headers["content-type"] == "application/problem+json"
    assert application.service.queue.running == 0
    assert application.get("/runs").json() == {"runs": []}
