"""What a sentence plainly asks for: all of it understood, or None. Pure.

A request is one or more clauses; a clause is read by the first form whose words fit it from end to end
and whose operands make sense. Nothing is skipped, so a negation, a condition, a question or any other
word that no form knows makes the whole request one that is not understood.
"""

from __future__ import annotations

import re

from tiny_backspace.providers.forms import FORMS, VERBS
from tiny_backspace.providers.intents import Intent
from tiny_backspace.providers.quoting import Masked, mask

_LONGEST_CLAUSE = 2000  # characters without the literals; the forms are matched in quadratic time

_LEAD = r"(?:(?:and|then|also|next|finally|afterwards|first|now|please),?\s+)"
_BETWEEN = re.compile(
    rf"(?:\s?[;\n]\s?{_LEAD}{{0,4}}|\s?[.,]\s{_LEAD}{{0,4}}|\s{_LEAD}{{1,4}})(?=(?:{VERBS})\s)",
    re.IGNORECASE,
)
_LEADS = re.compile(rf"{_LEAD}{{0,4}}", re.IGNORECASE)
_BULLET = re.compile(r"(?m)^[ \t]*(?:[-*•]|[0-9]+[.)])\s+")
_PLACE_FIRST = re.compile(r"(in \S+),? *((?:replace|change) .+)", re.IGNORECASE)
_PLACE_ONLY = re.compile(r"in \S+", re.IGNORECASE)


def read_request(prompt: str) -> tuple[Intent, ...] | None:
    """The edits that the prompt asks for, in order; None unless every word of it was understood."""
    masked = mask(prompt)
    if masked is None or (masked.block and _is_list(masked.literals[-1])):
        return None
    intents: list[Intent] = []
    for clause in _clauses(masked.text):
        read = _read_clause(clause, masked)
        if read is None:
            return None
        intents += read
    return tuple(intents) or None


def _is_list(block: str) -> bool:
    """Does a line of what looks like a file's content ask for something itself?"""
    return any(read_request(_BULLET.sub("", line)) is not None for line in block.splitlines())


def _clauses(text: str) -> list[str]:
    """The sentence cut before each verb that a new clause can start with."""
    text = _BULLET.sub("", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n\s*", "\n", text).strip()
    clauses: list[str] = []
    place = ""
    for piece in _BETWEEN.split(text):
        clause = piece.replace("\n", " ").rstrip(" .!,")
        clause = place + re.sub(r" please$", "", _LEADS.sub("", clause, count=1))
        place = f"{clause} " if _PLACE_ONLY.fullmatch(clause) else ""
        if not place:
            clauses.append(clause)
    return [*clauses, place] if place else clauses


def _read_clause(clause: str, masked: Masked) -> tuple[Intent, ...] | None:
    if len(clause) > _LONGEST_CLAUSE:
        return None
    if (place := _PLACE_FIRST.fullmatch(clause)) is not None:
        clause = f"{place[2]} {place[1]}"
    for form, build in FORMS:
        match = form.fullmatch(clause)
        if match is not None and (intents := build(match, masked)) is not None:
            return intents
    return None
