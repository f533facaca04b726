"""Characters that make a line look other than it is; those that a language or an emoji needs are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.repo.hidden import hidden
from tiny_backspace.repo.lines import Added

ORDER = "a character that changes the order in which text is shown"
LINE_END = "a character that ends a line where none is shown to end"
UNSEEN, CONTROL = "a character that does not show", "a control character"


def found(text: str, number: int = 2, *, moved: bool = False) -> list[tuple[str, str]]:
    return [(f.kind, f.severity) for f in hidden([Added(b"a", number, text.encode(), moved)])]


@pytest.mark.parametrize("c", "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u202c\u2069")
def test_a_control_of_the_order_that_nothing_ends_is_refused(c: str) -> None:
    assert found(f"x{c}y") == [(f"{ORDER}, and nothing that ends it", "refuse")]
    assert found(f"x{c}y", moved=True)[0][1] == "flag"


@pytest.mark.parametrize(
    "text",
    [
        "if (x) /*\u202e } \u2066if (admin)\u2069 \u2066 begin */",  # the paper's own
        "\u2066\u202ex\u2069\u202c",  # crossed
        "\u202ex\u202c\u202c",
        "\u2069x\u2066",
    ],
)
def test_controls_that_are_not_nested_are_refused(text: str) -> None:
    assert [severity for _, severity in found(text)] == ["refuse"]


@pytest.mark.parametrize(
    "text", ["\u202ex\u202c", "\u2068\u202ax\u202cy\u2069", "\u2067x\u2069\u2066y\u2069"]
)
def test_controls_that_are_ended_are_flagged(text: str) -> None:
    assert found(text) == [(ORDER, "flag")]


@pytest.mark.parametrize(
    "c",
    "\u200b\u200c\u200d\u200e\u200f\u2060\u2062\ufeff\u3164\u2800\u115f\u00ad\u061c\ufe01\U000e0041\U000e0101\U000e01ef",
)
def test_what_does_not_show_is_flagged(c: str) -> None:
    assert found(f"ad{c}min") == [(UNSEEN, "flag")]


@pytest.mark.parametrize("c", "\u2028\u2029")
def test_an_end_of_a_line_that_is_shown_as_none_is_flagged(c: str) -> None:
    assert found(f"// harmless{c}evil()") == [(LINE_END, "flag")]


@pytest.mark.parametrize("c", "\0\x08\x1b\x0b\r\x7f\x9b")
def test_a_control_character_is_flagged(c: str) -> None:
    assert found(f"a{c}[31m") == [(CONTROL, "flag")]


@pytest.mark.parametrize(
    "text",
    [
        "plain\tand \f form", "größe, 日本語, עברית, العربية", "👩‍👩‍👧 and ❤️ and 1️⃣ and #️⃣ and ©️",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "می‌خواهم", "क्‍ष", "",
    ],
)  # fmt: skip
def test_what_a_language_or_an_emoji_needs_is_nothing(text: str) -> None:
    assert found(text) == []


def test_a_mark_of_the_encoding_is_one_only_at_the_beginning() -> None:
    assert found("\ufeff// x", 1) == []
    assert found("\ufeff// x", 2) == [(UNSEEN, "flag")]


@given(st.binary(max_size=200))
def test_any_line_can_be_looked_at(text: bytes) -> None:
    kinds = [f.kind for f in hidden([Added(b"a", 1, text)])]
    assert len(kinds) == len(set(kinds))
