"""Characters of added lines that make a text look other than what a program reads. Pure.

"Trojan Source" (CVE-2021-42574): a bidirectional control changes the order in which a line is shown. As for
GCC's `-Wbidi-chars=unpaired`, one that nothing in its line ends is the worse: what follows is reordered too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tiny_backspace.repo.leaks import Leak
from tiny_backspace.repo.lines import Added
from tiny_backspace.repo.paths import Severity

_SUSPECT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f-\xff\r]")
_EMBEDDING, _ISOLATE, _POP, _POP_ISOLATE = (
    "\u202a\u202b\u202d\u202e",
    "\u2066\u2067\u2068",
    "\u202c",
    "\u2069",
)
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Of the flags of England, Scotland and Wales, and of emoji and scripts that are joined: these do show.
_SHOWN = re.compile(
    "\U0001f3f4[\U000e0030-\U000e007a]{1,6}\U000e007f|(?<=[^\x00-\x7f])[\u200c\u200d\ufe0e\ufe0f]|[0-9#*]\ufe0f\u20e3?"
)
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u2800\u206a-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e01ef]"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\r]")
# They end a line for JavaScript and others, and for no diff: what follows a comment is code.
_LINE_END = re.compile("[\u2028\u2029]")


def hidden(added: Iterable[Added]) -> Iterator[Leak]:
    """At most one of a kind in each line. What the change only moved is worth a flag."""
    for line in added:
        if _SUSPECT.search(line.text) is None:
            continue
        text = line.text.decode("utf-8", "replace")
        if line.number == 1:
            text = text.removeprefix("\ufeff")  # it says how the file is encoded
        for kind, severity in _in_line(_SHOWN.sub("", text)):
            yield Leak(line.path, line.number, kind, "flag" if line.moved else severity)


def _in_line(text: str) -> Iterator[tuple[str, Severity]]:
    if _BIDI.search(text) is not None:
        if _ended(text):
            yield "a character that changes the order in which text is shown", "flag"
        else:
            yield (
                "a character that changes the order in which text is shown, and nothing that ends it",
                "refuse",
            )
    if _LINE_END.search(text) is not None:
        yield "a character that ends a line where none is shown to end", "flag"
    if _UNSEEN.search(text) is not None:
        yield "a character that does not show", "flag"
    if _CONTROL.search(text) is not None:
        yield "a control character", "flag"


def _ended(text: str) -> bool:
    """Whether each embedding, override and isolate is ended in its line, the inner ones first."""
    within: list[str] = []
    for c in _BIDI.findall(text):
        if c in _EMBEDDING:
            within.append(_POP)
        elif c in _ISOLATE:
            within.append(_POP_ISOLATE)
        elif not within or within.pop() != c:
            return False
    return not within
