"""A child is started with whatever prompt there is, or not at all."""

from __future__ import annotations

from tiny_backspace.child import Child


def test_a_prompt_that_is_no_unicode_text_leaves_no_child_behind() -> None:
    with Child(["no-such-command"], "half a pair: \ud800") as child:
        assert list(child.lines()) == []
        assert child.wait() == 2
