"""The provider without a model: plain edits by rules, offline, and honest about it.

It holds no state. What it says next is found by replaying its script over the tool results that the
conversation already has, so it can take over, be resumed, or be asked twice and say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiny_backspace.conversation import (
    Assistant,
    Message,
    Reply,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    User,
)
from tiny_backspace.events import Emit
from tiny_backspace.providers import proposals
from tiny_backspace.providers.intents import Intent, wording
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.providers.requests import read_request
from tiny_backspace.providers.scripts import script
from tiny_backspace.providers.steps import Batch, Outcome, Steps
from tiny_backspace.redact import clean_line

NO_MODEL = "No model was used"

_WORDING_LENGTH = 200

_LOOKING = frozenset(("read", "glob", "grep"))
_FOREIGN = (
    f"{NO_MODEL} from here on: no model was left to go on, and the offline dummy cannot judge work that it "
    "did not begin, so it adds no edits. The work so far is kept as a draft; it is not finished."
)
_NO_REPAIR = (
    f"{NO_MODEL}: the offline dummy has none, so it cannot understand or repair what was reported. "
    "The edits stand as they are."
)


@dataclass(frozen=True, slots=True)
class Dummy:
    """A provider of rules."""

    name: str = proposals.DUMMY
    model: str = "rules-1"
    window: int | None = None

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:  # noqa: ARG002 - nothing is streamed: an answer is there at once
        says, calls = _answer(request.conversation)
        message = Assistant((Text(says), *calls))
        stop: Stop = "tool_use" if calls else "unfinished" if says == _FOREIGN else "end_turn"
        return Reply(message, stop, self.name, self.model, cost_usd=0.0)


def _answer(conversation: Sequence[Message]) -> tuple[str, tuple[ToolCall, ...]]:
    """What comes next: words, and calls unless it is the end."""
    says, steps = _script(*_task(conversation[0]))
    batch, ending = _advance(steps, None)
    made = 0
    conversation = _without_looks(conversation)
    for at, message in enumerate(conversation):
        if not isinstance(message, Assistant):
            continue
        calls = _numbered(batch, made)
        if message.tool_calls and message.tool_calls != calls:
            return _FOREIGN, ()
        if batch is None:
            return _NO_REPAIR, ()
        if message.tool_calls:  # else somebody has spoken and done nothing
            made += len(calls)
            batch, ending = _advance(steps, _results(calls, conversation[at + 1 :]))
    if batch is None:
        return ending, ()
    return f"{says} {batch.says}" if made == 0 else batch.says, _numbered(batch, made)


def _without_looks(conversation: Sequence[Message]) -> list[Message]:
    """Leave out the turns in which somebody else only looked: nothing of them is in the work tree."""
    looks = {
        call.id
        for message in conversation
        if isinstance(message, Assistant) and message.tool_calls and _only_looks(message)
        for call in message.tool_calls
    }
    kept: list[Message] = []
    for message in conversation:
        ids = (
            {call.id for call in message.tool_calls}
            if isinstance(message, Assistant)
            else {part.call_id for part in message.parts if isinstance(part, ToolResult)}
        )
        if not ids or ids - looks:
            kept.append(message)
    return kept


def _only_looks(message: Assistant) -> bool:
    own = any(call.id.startswith("dummy-") for call in message.tool_calls)
    return not own and all(call.name in _LOOKING for call in message.tool_calls)


def _task(first: Message) -> tuple[str, str]:
    """The user's own words, and what we know of the repository."""
    texts = [part.text for part in first.parts if isinstance(part, Text)]
    return "".join(texts[:1]), "\n\n".join(texts[1:])


def _script(request: str, facts: str) -> tuple[str, Steps[str]]:
    """The words that the first answer starts with, and the steps; they end with the summary."""
    intents = read_request(request)
    if intents is None:
        says = (
            f"{NO_MODEL}: the offline dummy cannot read this as a plainly worded edit, so it looks for the "
            "files that may matter and writes a proposal."
        )
        return says, _proposal(request, facts)
    read_as = "; ".join(clean_line(wording(intent))[:_WORDING_LENGTH] for intent in intents)
    return f"{NO_MODEL}: the offline dummy reads this as: {read_as}.", _edits(intents)


def _proposal(request: str, facts: str) -> Steps[str]:
    outcomes = yield from proposals.propose(request, facts)
    return proposals.summary(proposals.proposal_path(request), outcomes)


def _edits(intents: Sequence[Intent]) -> Steps[str]:
    outcomes: list[Outcome] = []
    for intent in intents:
        outcomes += yield from script(intent)
    done = [f"- {outcome.says}" for outcome in outcomes if outcome.done]
    not_done = [f"- {outcome.says}" for outcome in outcomes if not outcome.done]
    paragraphs = [f"{NO_MODEL}. The offline dummy carried out what it read by rules."]
    if not done:
        paragraphs = [f"{NO_MODEL}. Nothing was changed."]
    if done:
        paragraphs.append("\n".join(["Done:", *done]))
    if not_done:
        paragraphs.append("\n".join(["Not done:", *not_done]))
    return "\n\n".join(paragraphs)


def _advance(steps: Steps[str], results: tuple[ToolResult, ...] | None) -> tuple[Batch | None, str]:
    """The next batch, or none and the summary."""
    try:
        return (next(steps) if results is None else steps.send(results)), ""
    except StopIteration as end:
        return None, str(end.value)


def _numbered(batch: Batch | None, made: int) -> tuple[ToolCall, ...]:
    calls = () if batch is None else batch.calls
    return tuple(
        ToolCall(f"dummy-{made + n}", call.tool, call.arguments) for n, call in enumerate(calls, 1)
    )


def _results(calls: Sequence[ToolCall], later: Sequence[Message]) -> tuple[ToolResult, ...]:
    """What came of each call; a run that was cut off may know of none."""
    found = {
        part.call_id: part
        for message in later
        if isinstance(message, User)
        for part in message.parts
        if isinstance(part, ToolResult)
    }
    return tuple(
        found.get(call.id) or ToolResult(call.id, "its result was lost", is_error=True)
        for call in calls
    )
