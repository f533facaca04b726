"""Going round in circles, and how it is noticed. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from tiny_backspace.conversation import ToolCall, ToolResult
from tiny_backspace.errors import Repetition
from tiny_backspace.redact import clean_line

_TURNS = 30  # what is longer ago is forgotten
_TOLD = 3  # times
_ENOUGH = 5
_LABEL = 80  # characters
_EDITING = frozenset(("edit", "write"))
_CHANGING = _EDITING | {"bash"}
_DURATION = re.compile(
    r"(?<!\d)\d{1,9}(?:\.\d{1,9})?\s?(?:ms|s|secs?|seconds?)\b"
)  # no two test runs take as long


@dataclass(frozen=True, slots=True)
class _Made:
    """One call: `what` is a digest of it and its result, `changes` whether it may have changed the work tree."""

    turn: int
    what: bytes
    changes: bool
    edits: bool
    label: str


class Repetitions:
    """Told of each turn's calls and results; says first what is repeated, and stops the work if it goes on.

    A call is repeated if its name and arguments (but for `description`) and its result (but for
    durations) were there before, in an earlier one of the last thirty turns. The third time counts
    if all that may have changed the work tree in between (edits and writes that succeeded, and any
    bash command) was the same each time, or nothing: so tests that fail alike after every new edit
    are honest work, and a command over and over, or two that take turns, are not. An edit or write
    that succeeded counts unless a new one lies between, for only what was undone can be done again.
    """

    def __init__(self) -> None:
        self._turn = 0
        self._made: list[_Made] = []
        self._told: dict[bytes, int] = {}

    def saw(self, calls: Sequence[ToolCall], results: Sequence[ToolResult]) -> str | None:
        """What the model is to be told, if anything: the third time. Calls of one turn count once.

        Raises:
            Repetition: it was told, and goes on: the fifth time.
        """
        self._turn += 1
        oldest = self._turn - _TURNS
        now = [_made(self._turn, *pair) for pair in zip(calls, results, strict=True)]
        self._made = [*(made for made in self._made if made.turn > oldest), *now]
        self._told = {what: turn for what, turn in self._told.items() if turn > oldest}
        told = None
        for made in {made.what: made for made in now}.values():
            at = self._places(made)
            times = self._times(made, at)
            if made.what not in self._told:
                if times >= _TOLD and told is None:
                    told = self._tell(made, at[_TOLD - 1])
            elif times >= _ENOUGH:
                raise Repetition(
                    f"the agent went round in circles: {made.label}, {times} times with the same result",
                    hint="A task told in smaller steps, or another model, may get further.",
                )
        return told

    def forget_looks(self) -> None:
        """The conversation was begun anew, in short: what was only looked at has to be looked at again."""
        self._made = [made for made in self._made if made.changes]

    def _places(self, made: _Made) -> list[int]:
        """Where the call stands, the latest first; of each turn its last."""
        places = {other.turn: at for at, other in enumerate(self._made) if other.what == made.what}
        return sorted(places.values(), reverse=True)

    def _times(self, made: _Made, places: Sequence[int]) -> int:
        """How often in a row it was made with the same changes in between."""
        pieces = [self._made[earlier:later] for later, earlier in pairwise(places)]
        if made.edits:
            often = Counter(other.what for other in self._made)
            news = (any(o.edits and often[o.what] == 1 for o in piece) for piece in pieces)
            return 1 + sum(1 for _ in takewhile(lambda new: not new, news))
        between = [frozenset(other.what for other in piece if other.changes) for piece in pieces]
        alike = 0
        while alike < len(between) and between[alike] == between[0]:
            alike += 1
        return 1 + alike

    def _tell(self, made: _Made, since: int) -> str:
        """Of the call and of those that took turns with it, which are not told of again."""
        often = Counter(other.what for other in self._made[since:])
        circle = {o.what: o.label for o in self._made[since:] if often[o.what] > 1}
        circle[made.what] = made.label
        self._told |= dict.fromkeys(circle, self._turn)
        return (
            f"You are going round in circles. Again and again, with the same result: "
            f"{'; '.join(circle.values())}. Once more will show nothing new. Try another way; "
            "if there is none, say what you found out and what stands in the way, and finish."
        )


def _made(turn: int, call: ToolCall, result: ToolResult) -> _Made:
    arguments = {name: value for name, value in call.arguments.items() if name != "description"}
    shown = _DURATION.sub("", result.content)
    whole = json.dumps([call.name, arguments, result.is_error, shown], sort_keys=True, default=str)
    subject = next((value for value in arguments.values() if isinstance(value, str)), "")
    return _Made(
        turn,
        hashlib.blake2b(whole.encode(), digest_size=16).digest(),
        changes=call.name in _CHANGING and not result.is_error,
        edits=call.name in _EDITING and not result.is_error,
        label=clean_line(f"{call.name[:_LABEL]} {subject[:_LABEL]}")[:_LABEL],
    )
