from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.agent.clip import clip


def test_a_short_text_stays_as_it_is() -> None:
    assert clip("héllo", 64) == "héllo"


def test_a_long_text_keeps_its_ends_and_says_how_much_is_missing() -> None:
    clipped = clip("a" * 500 + "b" * 500, 148)
    assert clipped == "a" * 50 + "\n[… 900 bytes left out …]\n" + "b" * 50


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert clip("a\ud800b", 64) == "a?b"


@given(st.text(), st.integers(64, 300))
def test_the_limit_holds_in_bytes_and_no_character_is_cut_in_two(text: str, limit: int) -> None:
    clipped = clip(text * 20, limit)
    assert len(clipped.encode()) <= limit
    head, mark, _ = clipped.partition("\n[… ")
    assert not mark or (text * 20).startswith(head)
