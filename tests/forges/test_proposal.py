"""What a change is offered as. Rendered by a Markdown parser that is not ours."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tiny_backspace.events import PolicyDecided, ProviderReplaced, SandboxAttested, Verified
from tiny_backspace.forges.proposal import (
    LONGEST_BODY,
    Draft,
    FileLines,
    Made,
    body,
    branch,
    commit_message,
    slug,
    title,
)

MADE = Made("0a1b2c3d", ("claude:c-1", "openai:o-1"), turns=7, cost_usd=0.1234)
DRAFT = Draft(
    prompt="Validate the input",
    summary="Adds checks.\n\n- one\n- two",
    made=MADE,
    files=(FileLines("src/a.py", 10, 2), FileLines("logo.png", None, None)),
)

# Each would do something on GitHub, in a terminal or in the eyes of a reviewer's agent.
NASTY = (
    *("@octocat", "@org/team", "`", "``", "```", "\\", "#", "1", "#12", "GH-7", "o/r#3", "Fixes"),
    *("<img src=//x>", "<!-- x -->", "</details>", "<", ">", "&", "&#64;x", "&lt;", "[a](b)"),
    *("![i](http://x/y.png)", "https://x.example", "www.x.example", "a@b.example", "~~~", "|"),
    *("- ", "* ", "1. ", "> ", "    ", "\t", "\n", "\n\n", "---", "===", "# ", "$x$", "[^1]: x"),
    *("\u200b", "\u202e", "\x1b[31m", "\ud800", "\U000e0041", "\u3164", "\x00", "\r", "_", "**"),
    *("javascript:alert(1)", "mailto:x", "<https://x>", "/deploy", "[x]: http://y", "http:", "//"),
    *("Co-authored-by: X <x@y>", "Signed-off-by:", "[skip ci]", "[", "]", "***NO_CI***", "@", " "),
)
TEXT = st.one_of(
    st.text(st.characters(), max_size=200),
    st.lists(st.sampled_from(NASTY), max_size=14).map("".join),
)
ACTIVE = re.compile(
    r"(?<![A-Za-z0-9_])@[A-Za-z0-9]|#\d|\bgh-\d|://|www\.|[a-z0-9]@[a-z0-9]|mailto:", re.IGNORECASE
)
OURS = re.compile(r"</?details>|<summary>(The prompt|Its output)</summary>")


def hidden(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}}


def tokens(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)


def texts(markdown: str) -> list[str]:
    """What stands on the page outside code, a string for each run of text that GitHub looks at."""
    runs: list[str] = []
    for block in tokens(markdown):
        run = "".join(
            token.content if token.type in {"text", "text_special"} else "\0"
            for token in block.children or ()
        )
        runs += run.split("\0")
    return runs


def assert_inert(markdown: str) -> None:
    flat = [token for block in tokens(markdown) for token in (block, *(block.children or ()))]
    html = "".join(token.content for token in flat if token.type.startswith("html_"))
    assert not OURS.sub("", html).strip()
    assert html.count("<details>") == html.count("</details>")
    assert {"link_open", "image", "s_open", "blockquote_open", "code_block"}.isdisjoint(
        token.type for token in flat
    )
    for run in texts(markdown):
        assert not ACTIVE.search(run), run
    assert hidden(markdown) <= {"\n", "\t"}


def shown_code(markdown: str) -> list[str]:
    flat = [token for block in tokens(markdown) for token in (block, *(block.children or ()))]
    return [token.content for token in flat if token.type in {"code_inline", "fence"}]


@given(prompt=TEXT, summary=TEXT, other=TEXT, path=TEXT)
def test_nobodys_words_become_active_in_a_body(
    prompt: str, summary: str, other: str, path: str
) -> None:
    draft = Draft(
        prompt,
        summary,
        Made(
            other,
            (other, path),
            1,
            None,
            (ProviderReplaced(failed=path, next=other, reason=summary),),
        ),
        (FileLines(path, 1, 2), FileLines(other, None, None)),
        Verified(command=other, attempt=1, ok=False, exit_code=1, duration_ms=1, output=summary),
        policy=(PolicyDecided(rule=other, path=path, decision="flag", message=summary),),
    )
    text = body(draft)
    assert len(text) <= LONGEST_BODY
    assert_inert(text)


@pytest.mark.parametrize("unit", ["`", "<", "& ", "@a ", "\n", "a", "`a` ", "😀", "x\n- @y\n"])
def test_a_body_is_short_enough_however_long_its_parts_are(unit: str) -> None:
    long = unit * (70_000 // len(unit))
    decision = PolicyDecided(rule=long, path=long, decision="refuse", message=long)
    draft = Draft(
        prompt=long,
        summary=long,
        made=Made(
            "0a1b2c3d",
            (long,) * 50,
            1,
            0,
            (ProviderReplaced(failed=long, next=long, reason=long),) * 99,
        ),
        files=(FileLines(long, 1, 1),) * 500,
        verified=Verified(
            command=long, attempt=1, ok=True, exit_code=0, duration_ms=1, output=long
        ),
        policy=(decision,) * 500,
    )
    text = body(draft)
    assert len(text) <= LONGEST_BODY
    assert_inert(text)


def test_bullets_and_code_of_a_summary_stay_readable() -> None:
    text = body(
        replace(DRAFT, summary="Changes `parse_it` and my_name:\n* one\n  - two & <b>\n1. x")
    )
    assert "Changes `parse_it` and my\\_name:\n- one\n- two &amp; &lt;b&gt;\n1\\. x" in text


def test_mentions_references_and_links_are_shown_as_code() -> None:
    text = body(replace(DRAFT, summary="Fixes #12 for @octocat, see https://x.example/a_b"))
    assert "Fixes `#12` for `@octocat,` see `https://x.example/a_b`" in text


@pytest.mark.parametrize(
    "summary", ["`x`y`@octocat", "#` `12", "`a``b`@x", "\\`@x`", "&#64;octocat"]
)
def test_code_that_touches_other_code_hides_no_mention(summary: str) -> None:
    assert_inert(body(replace(DRAFT, summary=summary)))


def test_the_files_are_listed_with_their_lines() -> None:
    text = body(DRAFT)
    assert "| `src/a.py` | +10 | -2 |\n| `logo.png` | binary | binary |" in text
    cells = [token for token in tokens(text) if token.type == "td_open"]
    assert len(cells) == 6


def test_a_pipe_or_backslash_in_a_path_does_not_break_the_table() -> None:
    text = body(replace(DRAFT, files=(FileLines("a|b\\|`c", 1, 1),)))
    assert len([token for token in tokens(text) if token.type == "td_open"]) == 3
    assert "a\\x7cb\\x5c\\x7c`c" in shown_code(text)


def test_without_a_verification_it_says_so_whatever_the_agent_claims() -> None:
    text = body(replace(DRAFT, summary="All tests pass."))
    assert "## Verification\n\nNot run.\n" in text


@pytest.mark.parametrize(("ok", "word"), [(True, "passed"), (False, "**failed**")])
def test_a_verification_is_told_as_the_host_saw_it(ok: bool, word: str) -> None:
    verified = Verified(
        command="make test",
        attempt=2,
        ok=ok,
        exit_code=0 if ok else 3,
        duration_ms=1500,
        output="ha\n```",
    )
    text = body(replace(DRAFT, verified=verified))
    assert f"after it: {word} with exit code {verified.exit_code} in 1.5 s, attempt 2\n" in text
    assert "before the change" not in text
    assert "ha\n```\n" in shown_code(text)


def test_what_the_base_did_stands_before_what_the_change_did() -> None:
    after = Verified(
        command="make test", attempt=1, ok=True, exit_code=0, duration_ms=40, output=""
    )
    before = after.model_copy(update={"on": "base", "ok": False, "exit_code": 2, "output": "no"})
    text = body(replace(DRAFT, verified=after, before=before))
    assert (
        "`make test`, each time in a fresh container:\n\n"
        "- before the change: **failed** with exit code 2 in 0.0 s\n"
        "- after it: passed with exit code 0 in 0.0 s\n"
    ) in text


def test_what_the_container_said_of_itself_is_told() -> None:
    sandbox = SandboxAttested(
        ok=True, container="c", image="i", uid=10001, capabilities="none", no_new_privs=True,
        seccomp=True, memory=1, cpus=1, pids=1, interfaces=("lo",), writable=(),
    )  # fmt: skip
    text = body(replace(DRAFT, made=replace(MADE, sandbox=sandbox)))
    assert "`uid 10001, capabilities none, network interfaces lo, seccomp on`" in text


def test_how_it_was_made_names_agents_costs_run_and_every_replacement() -> None:
    replaced = ProviderReplaced(failed="claude", next="openai", reason="overloaded <b>")
    text = body(replace(DRAFT, made=replace(MADE, replaced=(replaced,))))
    assert "1. `claude:c-1`\n2. `openai:o-1`" in text
    assert "- Turns: 7\n- Cost: $0.1234\n- Run: `0a1b2c3d`" in text
    assert "- `claude` failed and `openai` went on: overloaded &lt;b&gt;" in text


def test_an_unknown_cost_is_called_unknown() -> None:
    assert "- Cost: unknown" in body(replace(DRAFT, made=replace(MADE, cost_usd=None)))


def test_the_dummy_alone_is_no_model() -> None:
    alone = replace(MADE, agents=("dummy:rules",))
    assert "No model was used" in body(replace(DRAFT, made=alone))
    assert "No model was used" not in body(
        replace(DRAFT, made=replace(MADE, agents=("x", "dummy")))
    )


def test_policy_notes_are_listed() -> None:
    found = PolicyDecided(
        rule="protected-path", path="CODEOWNERS", decision="flag", message="It decides."
    )
    text = body(replace(DRAFT, policy=(found,)))
    assert "- Look at this: `CODEOWNERS` (`protected-path`). It decides." in text


def test_the_prompt_is_folded_and_whole() -> None:
    prompt = "First\n</details> ```\n@x"
    assert f"{prompt}\n" in shown_code(body(replace(DRAFT, prompt=prompt)))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Add input validation", "add-input-validation"),
        ("Größe & naïve café", "groe-naive-cafe"),
        ("  --$(id); ../x", "id-x"),
        ("日本語", "change"),
        ("", "change"),
        ("ﬁx ①", "fix-1"),
        ("a" * 300, "a" * 40),
        ("word " * 30, "word-word-word-word-word-word-word-word"),
        ("x" * 39 + " y", "x" * 39),
    ],
)
def test_a_slug_is_made_of_the_prompts_first_words(prompt: str, expected: str) -> None:
    assert slug(prompt) == expected


@given(TEXT)
def test_every_branch_is_a_name_git_takes(prompt: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", slug(prompt))


def test_git_takes_a_branch_made_of_anything() -> None:
    name = branch("$(id) ..; @{u} .lock -- " * 20, "0a1b2c3d")
    assert name.endswith("-0a1b2c3d")
    subprocess.run(["git", "check-ref-format", "--branch", name], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("prompt", "summary", "expected"),
    [
        ("Add a test\nwith details", "", "Add a test"),
        ("\n\n## Add a test", "", "Add a test"),
        ("", "What I did\nmore", "What I did"),
        ("***", "…", "Change made by tiny-backspace"),
        ("Fix #12: crash", "", "Fix issue 12: crash"),
        ("Thank @octocat @@x", "", "Thank octocat x"),
        ("Do it [skip ci] now", "", "Do it (skip ci) now"),
        ("See https://x.example/issues/1", "", "See x.example/issues/1"),
        ("a\u202eb\x1b[31mc\td", "", "abc d"),
        ("word " * 20, "", "word " * 13 + "word…"),
        ("x" * 100, "", "x" * 71 + "…"),
        ("y" * 72, "", "y" * 72),
    ],
)
def test_a_title_is_the_prompts_first_line_made_plain(
    prompt: str, summary: str, expected: str
) -> None:
    assert title(prompt, summary) == expected


@given(TEXT, TEXT)
def test_a_title_is_one_short_line_that_does_nothing(prompt: str, summary: str) -> None:
    text = title(prompt, summary)
    assert 0 < len(text) <= 72
    assert not hidden(text)
    assert_plain(text)


def assert_plain(text: str) -> None:
    assert not re.search(r"(?<![A-Za-z0-9_])@[A-Za-z0-9]|#\d|\bgh-\d|://", text, re.IGNORECASE)
    assert not re.search(r"\[skip[ -]ci\]|\*\*\*NO_CI|skip-checks:", text, re.IGNORECASE)
    assert not re.search(r"(authored|signed-off)-by\s*:", text, re.IGNORECASE)


SUMMARY = """Adds checks to every handler so that wrong input is answered with a clear message and not with a trace.

- first point, which goes on for so long that it has to be wrapped into a second line of text
Co-authored-by: Mallory <m@example.org>
  * Signed-off-by: Mallory
Fixes #12
This closes #13 and thanks @octocat. [skip ci]
---
diff --git a/x b/x

Tiny-Backspace-Run: ffffffff
"""


def test_a_commit_message_is_wrapped_and_carries_only_our_trailer(tmp_path: Path) -> None:
    text = commit_message("Add checks", SUMMARY, "0a1b2c3d", ["claude:c-1", "openai:o-1"])
    assert text.startswith("Add checks\n\nAdds checks to every handler so that wrong input")
    assert max(map(len, text.splitlines())) <= 72
    assert (
        "\n- first point, which goes on for so long that it has to be wrapped into\n  a second line"
        in text
    )
    assert "This closes issue 13 and thanks octocat. (skip ci)" in text
    assert "\n ---\n diff --git" in text
    for gone in ("Mallory", "Fixes", "ffffffff", "#13"):
        assert gone not in text
    assert text.endswith("\n\nMade with claude:c-1, openai:o-1.\n\nTiny-Backspace-Run: 0a1b2c3d\n")
    trailers = subprocess.run(
        ["git", "interpret-trailers", "--parse"],
        input=text, text=True, capture_output=True, check=True, cwd=tmp_path,
    ).stdout  # fmt: skip
    assert trailers == "Tiny-Backspace-Run: 0a1b2c3d\n"


@pytest.mark.parametrize("providers", [["dummy"], ["dummy:rules", "dummy"]])
def test_a_commit_without_a_model_says_so(providers: list[str]) -> None:
    text = commit_message("T", "S", "0a1b2c3d", providers)
    assert text == "T\n\nS\n\nNo model was used.\n\nTiny-Backspace-Run: 0a1b2c3d\n"


def test_a_commit_by_a_model_after_the_dummy_names_both() -> None:
    assert "Made with dummy, x:y." in commit_message("T", "", "0a1b2c3d", ["dummy", "x:y"])


@given(TEXT, TEXT, st.lists(TEXT, max_size=3))
def test_a_commit_message_does_nothing_but_name_the_run(
    subject: str, summary: str, providers: list[str]
) -> None:
    text = commit_message(subject, summary, "0a1b2c3d", providers)
    assert_plain(text)
    assert text.endswith("\n\nTiny-Backspace-Run: 0a1b2c3d\n")
    assert text.count("Tiny-Backspace-Run:") == 1
    assert text.splitlines()[1] == ""
    text.encode()


# What bots, trackers and other forges act on in a commit message or title, beside GitHub's own.
ORDERS = (
    *("Release-As: 9.0.0", "release-as: 9.0.0", "BREAKING CHANGE: all", "BREAKING-CHANGE: all"),
    *("Depends-On: https://x.example/1", "On-behalf-of: @org", "Ratified-by: The Lead <l@x.example>"),
    *("Change-Id: I0123", "skip-checks: true", "Reviewed-on: x", "Auto-Submit: yes", "Cherry-picked-from: x"),
    *("/merge", "/tag v9", "words, then /lgtm", "TB-1 #close", "TB-1 #time 2w", "TB-1 #comment done"),
    *("Fixes o/r#1", "closes: GH-3", "Resolves https://x.example/o/r/issues/3", "@dependabot merge"),
    *("[skip ci]", "[ci skip]", "[skip-ci]", "[no ci]", "[skip actions]", "[skip netlify]", "***NO_CI***"),
)  # fmt: skip
ORDER = re.compile(
    r"[A-Za-z]+(?:-[A-Za-z]+)+:(?=\s)|breaking change:|(?<!\S)/[a-z]|#\w|gh-\d|https?:|(?<!\w)@\w|\[[^]]*(?:skip|no)[^]]*\]|\*{3}",
    re.IGNORECASE | re.MULTILINE,
)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "around", ["{}", "Done.\n\n{}", "- {}", "Some words first\n{}\nand then", "> {}"]
)
def test_no_words_of_others_are_an_order_in_a_message_or_a_title(order: str, around: str) -> None:
    words = around.format(order)
    assert ORDER.search(words)

    message = commit_message(title(words, ""), words, "0a1b2c3d", ["claude:c-1"])

    ours = "\n\nTiny-Backspace-Run: 0a1b2c3d\n"
    assert message.endswith(ours)
    assert not ORDER.search(message.removesuffix(ours)), message


@pytest.mark.parametrize(
    "words",
    [
        "Write to /etc/passwd no more", "Note: it is slow", "Use #include <x.h> and C# 12",
        "See a/b and and/or", "Error: none", "Set the well-known name", "See x-y:z", "#[derive(Debug)] stays",
    ],
)  # fmt: skip
def test_words_that_order_nothing_stay_as_they_are(words: str) -> None:
    assert commit_message("A title", words, "0a1b2c3d", []).split("\n\n")[1] == words
