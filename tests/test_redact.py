"""Secrets and control sequences never get through."""

from __future__ import annotations

import base64
import string
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.redact import (
    _SHAPES,
    MASK,
    clean,
    clean_line,
    each_text,
    escaped,
    redactor,
)

HOSTILE = st.text(
    st.sampled_from(
        "\x1b\x9b\x9d\x07\\[]()?;:PX^_m0123ABhl \r\n\t\x00\x08\x7f\x85\u202e\u2066\u200bé日"
    )
    | st.characters()
)
PLAIN = st.text(st.sampled_from(string.ascii_letters + string.digits + " \n\t.,é日ßñ😀"))


@given(HOSTILE)
def test_nothing_that_moves_a_cursor_or_hides_ever_comes_out(text: str) -> None:
    shown = [c for c in clean(text) if c not in "\n\t"]

    assert [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}] == []


@given(HOSTILE)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert clean_line(clean_line(text)) == clean_line(text)


@given(PLAIN)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@given(HOSTILE)
def test_a_line_is_one_line(text: str) -> None:
    assert len(clean_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("\x1b]52;c;ZXZpbA==\x1b\\rest", "rest"),
        ("\x1bPq#0\x1b\\rest", "rest"),
        ("\x9b2Jrest", "rest"),
        ("over\rwritten", "over\nwritten"),
        ("a\r\nb", "a\nb"),
        ("\u202eevil\u202c", "evil"),
        ("ends in\x1b", "ends in"),
    ],
)
def test_escape_sequences_go_with_all_that_belongs_to_them(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-" + "api03-" + "Ab1_" * 10,
        "sk-" + "proj-" + "a1B2" * 8,
        "sk-" + "x" * 40,
        "ghp_" + "A1b2" * 9,
        "github_pat_" + "A1b2_" * 9,
        "glpat-" + "A1b2-" * 5,
        "AKIA" + "ABCDEFGH12345678",
        "xoxb-" + "1234567890-abc",
    ],
)
def test_what_is_shaped_like_a_key_is_masked_wherever_it_stands(secret: str) -> None:
    redact = redactor(())

    assert redact(f"key={secret}") == f"key={MASK}"
    assert redact(f'{{"k": "{secret}"}}') == f'{{"k": "{MASK}"}}'


def test_credentials_in_an_address_and_in_a_header_are_masked() -> None:
    redact = redactor(())

    assert redact("https://user:pa55@host/x") == f"https://{MASK}@host/x"
    assert redact("Authorization: Bearer abc.def-123") == f"Authorization: Bearer {MASK}"
    assert redact("https://host:8080/x?a@b") == "https://host:8080/x?a@b"


@given(
    st.lists(
        st.sampled_from(
            ("sk-", "sk-ant-", "ghp_", "ghs_", "github_pat_", "glpat-", "AKIA", "xoxb-", "://", "u:p", "@", "A1b2" * 9,
             "ABCDEFGH12345678", "AUTHORIZATION: ", "authorization: bearer ", "Basic ", " ", "\n", "-", "_", "gh", "K", "é")
        ),
        max_size=8,
    ).map("".join)
)  # fmt: skip
def test_looking_for_beginnings_first_misses_nothing(text: str) -> None:
    assert redactor(())(text) == _SHAPES.sub(MASK, text)


def test_of_two_known_secrets_the_longer_is_masked_as_a_whole() -> None:
    redact = redactor(("hunter2", "hunter2-and-more", ""))

    assert redact("hunter2-and-more hunter2.") == f"{MASK} {MASK}."


def test_a_secret_with_signs_of_a_pattern_is_taken_as_it_is() -> None:
    assert redactor((r"a.c+(d]\1",))(r"abccd a.c+(d]\1") == f"abccd {MASK}"


def test_a_short_word_is_no_secret() -> None:
    assert redactor(("abc", "12345"))("abc 12345") == "abc 12345"


def test_ordinary_words_are_left_alone() -> None:
    text = "task-oriented risk-free sk-learn ghp_short AKIA is a prefix; see https://host/a:b@c"

    assert redactor(())(text) == text


def test_every_text_of_a_nested_value_is_changed_keys_included() -> None:
    value = {"a": ["b", ("c", {"d": "e"})], "n": 1, "none": None, "yes": True}

    changed = each_text(value, str.upper)

    assert changed == {"A": ["B", ("C", {"D": "E"})], "N": 1, "NONE": None, "YES": True}


def test_a_sequence_without_an_end_hides_no_other_line() -> None:
    assert clean("a\x1bPb\nc\x1b]0;d\ne\x1b_f") == "a\nc\ne"
    assert escaped("a\x1bPb\nc\u202ed\u2065e\tf") == "a\\x1bPb\nc\\u202ed\\u2065e\tf"
    assert clean("a\u2065b\ufff3c\U000e0fffd") == "abcd"


@given(st.text())
def test_escaped_text_leaves_nothing_out_and_hides_nothing(text: str) -> None:
    shown = escaped(text)
    assert shown.count("\n") == text.count("\n")
    assert not any(
        unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        for c in shown
        if c not in "\n\t"
    )


@given(
    st.binary(max_size=7),
    st.binary(max_size=7),
    st.text(st.characters(codec="utf-8"), min_size=12, max_size=40),
)
def test_a_value_is_masked_in_base64_wherever_it_begins_there(
    before: bytes, after: bytes, secret: str
) -> None:
    raw = secret.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        said = redactor([secret])(f"it is {encode(before + raw + after).decode()}!")

        assert MASK in said
        left = said.removeprefix("it is ").removesuffix("!").replace(MASK, "")
        assert (
            len(left) <= len(encode(before + after)) + 4
        )  # of the value, what its neighbours have a part in


def test_a_value_is_masked_in_an_address_and_in_capitals() -> None:
    secret = "Pass/word+of mine"
    redact = redactor([secret])

    for form in (secret, quote(secret, safe=""), secret.upper(), secret.lower()):
        assert redact(f"see {form}.") == f"see {MASK}."


def test_no_other_form_of_a_short_value_is_looked_for() -> None:
    assert redactor(["Secret"])("the secret is Secret") == f"the secret is {MASK}"
