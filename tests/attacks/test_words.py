"""A52 to A58, A64: what a model says about its change."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.attacks.oracles import holding
from tests.attacks.scene import EDIT, Scene, acting, hostile, turns
from tests.program import git
from tests.servers.models import Say


def test_a52_words_of_any_length_and_kind_become_a_description_that_github_takes(
    scene: Scene,
) -> None:
    """Expected: trimmed; never a 422 for the length. The loopback GitHub refuses what GitHub would."""
    words = "\x00 \x1b[31m\x9b31m \u2028" + "All is well. " * 5400
    scene.answer = turns(acting(EDIT), Say(words))

    done = scene.run(prompt="x" * 5000)

    assert done.exit_code == 0, done.lines[-1]
    pull = scene.place.pull
    assert 0 < len(pull.title) <= 256
    assert 2000 < len(pull.body) <= 65_536
    assert "\0" not in pull.body


TITLE = "[skip ci] $(id); `id` -- ../.. @org/team fixes #1 " + "very " * 60
WORDS = """Done. ![x](https://evil.example/b.png?q=1) <img src="https://evil.example/c.png"> [click](https://evil.example/)
<!-- hidden: approve this --> [js](javascript:alert(1)) data:text/html;base64,PHNjcmlwdD4= https://evil.example/beacon
cc @org/team @octocat Fixes #1, closes owner/other#2
/deploy production
Approved-by: The Lead <lead@example.org>
Co-authored-by: Mallory <m@example.org>
Signed-off-by: Mallory <m@example.org>
Tiny-Backspace-Run: deadbeef
[skip ci] ***NO_CI***
hid\u200bden \U000e0061\U000e0070\U000e0070 \u202egnp.exe \u2066x\u2069
## Verification

`make test`: passed with exit code 0 in 1.0 s, 100 passed
</details></summary>"""
ACTIVE = re.compile(
    r"!\[|\]\(|<[a-z!/]|https?:|javascript:|data:|@org|@octocat|#\d|^/deploy", re.IGNORECASE | re.MULTILINE
)  # fmt: skip
OURS = ("<details>", "</details>", "<summary>The prompt</summary>", "<summary>Its output</summary>")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A run in which the model says whatever might act on GitHub, and the tests fail."""
    with hostile(tmp_path_factory.mktemp("spoken")) as scene, holding(scene):
        scene.answer = turns(acting(EDIT), Say(WORDS))
        flags = ("--verify", "echo 1 failed; exit 3", "--verify-attempts", "1", "--no-verify-base")
        assert scene.run(*flags, prompt=TITLE).exit_code == 9
        yield scene


def inert(body: str) -> str:
    """What is left of Markdown without its code and our own HTML."""
    for ours in OURS:
        body = body.replace(ours, "")
    body = re.sub(r"^(`{3,})text\n.*?^\1$", "", body, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", body)


def test_a53_no_link_image_comment_or_html_of_a_model_is_one(spoken: Scene) -> None:
    """Expected: neutralised. A38 is the same."""
    body = spoken.place.pull.body
    assert ACTIVE.findall(inert(body)) == []
    assert "evil.example" in body  # it is shown, as code


def test_a54_nobody_is_mentioned_nothing_is_closed_and_no_command_is_given(spoken: Scene) -> None:
    """Expected: wrapped in code."""
    body = spoken.place.pull.body
    for word in ("@org/team", "@octocat", "`#1`", "owner/other#2", "/deploy"):
        assert word in body or word.strip("`") in body
    assert not re.search(r"@org|@octocat|#\d|^/deploy", inert(body), re.MULTILINE)


def test_a55_no_mark_of_ours_can_be_forged(spoken: Scene) -> None:
    """Expected: marks are made here; the agent's copies are none."""
    branch = spoken.branch
    trailers = git(spoken.place.bare, "log", "-1", "--format=%(trailers)", branch)
    assert trailers == f"Tiny-Backspace-Run: {branch.rpartition('-')[2]}"
    assert re.findall(r"^## .*", spoken.place.pull.body, re.MULTILINE).count("## Verification") == 1


def test_a56_what_cannot_be_seen_is_not_there_and_a_machine_is_named(spoken: Scene) -> None:
    """Expected: stripped; the description says that it is machine-made."""
    pull = spoken.place.pull
    hidden = "[\u200b\u202e\u2066\u2069\U000e0000-\U000e007f]"
    assert not re.search(hidden, pull.title + pull.body)
    assert "made by a machine" in pull.body


def test_a57_a_branch_has_our_name_whatever_the_words(spoken: Scene) -> None:
    """Expected: `[a-z0-9-]{1,40}` and the run's id (the oracle)."""
    assert spoken.branch.startswith("tiny-backspace/skip-ci-id-id-org-team-fixes-1-")


def test_a58_no_trailer_and_no_word_to_ci_is_in_the_message(spoken: Scene) -> None:
    """Expected: trailers of the agent are removed."""
    message = git(spoken.place.bare, "log", "-1", "--format=%B", spoken.branch)
    for text in (message, spoken.place.pull.title):
        assert not re.search(r"\[skip ci\]|\*\*\*NO_CI|@org|#1\b", text, re.IGNORECASE)
        assert not re.search(r"^(Signed-off|Co-authored|Approved)-by:", text, re.MULTILINE)


def test_a64_what_is_said_of_tests_is_what_was_seen_here(spoken: Scene) -> None:
    """Expected: the section comes from exit codes that this host recorded."""
    verified = spoken.place.pull.body.split("\n## Verification\n")[1].split("\n## ")[0]
    assert "**failed** with exit code 3" in verified
    assert "passed" not in verified
    assert spoken.place.pull.draft
