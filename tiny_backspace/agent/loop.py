"""The agent: ask, act, tell, until there is nothing left to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from time import monotonic
from typing import Protocol

from tiny_backspace.agent.budget import Budget
from tiny_backspace.agent.folding import fold, size
from tiny_backspace.agent.repetition import Repetitions
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Reply,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    User,
)
from tiny_backspace.errors import (
    AgentError,
    ContextOverflow,
    LimitReached,
    ProviderError,
    Refused,
    Unfinished,
)
from tiny_backspace.events import AgentThought, ContextFolded, Emit, ModelTurn, ThoughtStep, Warned
from tiny_backspace.providers.interface import ModelRequest, Provider

_EDITING = frozenset(("edit", "write", "bash"))
_FULL = 0.8  # of the window: then the conversation is folded, to half of that
_ODD = 3  # answers in a row that cannot be acted on
_GO_ON = {
    "max_tokens": "Your answer was cut off before it was complete, and no tool was run. Go on, in smaller steps.",
    "unknown": "Your answer ended for a reason that is not known here, and no tool was run. Go on.",
}
_EMPTY = "Your answer was empty. Go on, or say in a few words what you did and that you are done."


class Journal(Protocol):
    """Who keeps the work after each turn."""

    def completed(self, conversation: tuple[Message, ...], *, acted: bool) -> None:
        """The turn is over; `acted` if the work tree may be another one now. Does not wait for the keeping."""
        ...

    def settle(self) -> None:
        """Wait until what was begun is kept: the work tree is about to change."""
        ...


@dataclass(frozen=True, slots=True)
class Agent:
    """Who works, with what, within which limits, and who keeps the work."""

    system: str
    provider: Provider
    toolbox: Toolbox
    budget: Budget
    journal: Journal


@dataclass(frozen=True, slots=True)
class Solution:
    """`summary` is what the model said last; `acted` that it used a tool before."""

    summary: str
    acted: bool
    conversation: tuple[Message, ...]


def solve(conversation: tuple[Message, ...], agent: Agent, emit: Emit) -> Solution:
    """Let the model work until it stops asking for tools.

    Raises:
        LimitReached: the budget is used up, or it goes round in circles. What was done stays in the sandbox.
        AgentError: the model refuses, or gives no answer that can be acted on.
        ProviderError: no provider answers.
    """
    asked, repetitions, odd, acted = _Asked(agent, emit), Repetitions(), 0, False
    while True:
        conversation, reply = asked.about(conversation)
        calls, said = reply.message.tool_calls, reply.message.said
        match reply.stop:
            case "refusal":
                raise Refused(f"{reply.provider} declined the task: {said}")
            case "unfinished":
                raise Unfinished(said)
            case "tool_use" | "end_turn" if calls:
                conversation = _acted((*conversation, reply.message), agent, repetitions, emit)
                odd, acted = 0, True
            case "end_turn" if said:
                conversation = (*conversation, reply.message)
                agent.journal.completed(conversation, acted=False)
                return Solution(said, acted, conversation)
            case "pause" if odd < _ODD:
                odd += 1
                conversation = (*conversation, reply.message)
            case _ if odd < _ODD:
                odd += 1
                go_on = User((Text(_GO_ON.get(reply.stop, _EMPTY)),))
                conversation = (*conversation, *_without_calls(reply.message), go_on)
            case _:
                raise AgentError(
                    f"{reply.provider} gave {odd + 1} answers in a row that cannot be acted on "
                    f"(the last one stopped with {reply.stop!r})"
                )


def _acted(
    conversation: tuple[Message, ...], agent: Agent, repetitions: Repetitions, emit: Emit
) -> tuple[Message, ...]:
    """Do what the last message asks for; the conversation with the results, as the journal keeps it."""
    asking = conversation[-1]
    calls = asking.tool_calls if isinstance(asking, Assistant) else ()
    acting = not all(map(agent.toolbox.reads, calls))
    if acting:
        agent.journal.settle()
    results: list[ToolResult] = []
    told = None
    try:
        for result in _act(calls, agent, emit):
            results.append(result)  # noqa: PERF402 - those before a limit count
        told = repetitions.saw(calls, results)
        if told:
            emit(Warned(message=f"The agent repeats itself, and was told: {told}"))
    except LimitReached as limit:  # what was done is kept: it is gone on with from here
        left = (ToolResult(c.id, f"not run: {limit}", is_error=True) for c in calls[len(results) :])
        agent.journal.completed((*conversation, User((*results, *left))), acted=acting)
        raise
    notes = (Text(told),) if told else ()
    conversation = (*conversation, User((*results, *notes)))
    agent.journal.completed(conversation, acted=acting)
    return conversation


def _without_calls(message: Assistant) -> tuple[Assistant, ...]:
    """What was said; a call that may be cut off is not remembered, nor is the reasoning that led to it."""
    said = tuple(part for part in message.parts if isinstance(part, Text) and part.text.strip())
    return (Assistant(said),) if said else ()


def _act(calls: Sequence[ToolCall], agent: Agent, emit: Emit) -> Iterator[ToolResult]:
    """The results in the order of the calls; neighbours that only read are done at the same time."""
    for reading, group in groupby(calls, key=agent.toolbox.reads):
        if reading:
            together = tuple(group)
            for _ in together:
                agent.budget.begin_tool_call()
            yield from agent.toolbox.call_together(together, emit)
        else:
            for call in group:
                agent.budget.begin_tool_call()
                yield agent.toolbox.call(call, emit)


class _Asked:
    """One turn's question, with a shorter conversation where the model's window wants it."""

    def __init__(self, agent: Agent, emit: Emit) -> None:
        self._agent = agent
        self._emit = emit
        told = (
            agent.system,
            *(f"{t.name} {t.description} {t.schema}" for t in agent.toolbox.specs),
        )
        self._always = size([User(tuple(map(Text, told)))])  # goes out with every question
        self._scale = 1.0  # what the model counts for a token of our estimate

    def about(self, conversation: tuple[Message, ...]) -> tuple[tuple[Message, ...], Reply]:
        """The conversation that was asked about, and the answer.

        Raises:
            ContextOverflow: it is too long for the model even when told in short.
        """
        self._agent.budget.begin_turn()
        window = self._agent.provider.window
        if window is not None and self._tokens(conversation) > window * _FULL:
            conversation = self._folded(conversation, window)
        try:
            return conversation, self._answer(conversation)
        except ContextOverflow as overflow:
            window = self._agent.provider.window  # of another provider, maybe
            known = self._tokens(conversation)
            shorter = self._folded(conversation, known if window is None else min(window, known))
            if shorter is conversation:
                raise self._too_long(conversation) from overflow
        try:
            return shorter, self._answer(shorter)
        except ContextOverflow as overflow:
            raise self._too_long(shorter) from overflow

    def _tokens(self, conversation: Sequence[Message]) -> int:
        return int((self._always + size(conversation)) * self._scale)

    def _folded(self, conversation: tuple[Message, ...], window: int) -> tuple[Message, ...]:
        """A shorter one, or the same if there is none."""
        folded = fold(conversation, int(window * _FULL / 2 / self._scale) - self._always)
        if size(folded) >= size(conversation):
            return conversation
        self._emit(
            ContextFolded(
                turn=self._agent.budget.turn,
                messages_before=len(conversation),
                messages_after=len(folded),
                tokens_before=self._tokens(conversation),
                tokens_after=self._tokens(folded),
            )
        )
        return folded

    def _too_long(self, conversation: Sequence[Message]) -> ContextOverflow:
        what = (
            "the task alone does" if len(conversation) == 1 else "even told in short, the work does"
        )
        return ContextOverflow(
            f"{what} not fit into the context window of {self._agent.provider.model}",
            hint="Shorten the task, or take a model with a larger window.",
        )

    def _answer(self, conversation: tuple[Message, ...]) -> Reply:
        agent, start = self._agent, monotonic()
        request = ModelRequest(
            agent.system,
            conversation,
            agent.toolbox.specs,
            agent.budget.turn,
            agent.budget.until,
            self._tokens(conversation),
        )
        try:
            reply = agent.provider.reply(request, self._emit)
        except ProviderError:
            agent.budget.check_time()  # an answer that was cut off because the time is over is no failure
            raise
        asks_a_model = agent.provider.window is not None
        if agent.budget.spend(reply, request.tokens if asks_a_model else 0):
            self._emit(
                Warned(
                    message=f"No price is known for {reply.model}: --max-cost cannot hold for it, "
                    "--max-tokens does. Prices can be set in the settings file."
                )
            )
        self._tell(reply, monotonic() - start)
        if reply.usage.input_tokens:
            estimate = max(1, self._always + size(conversation))
            self._scale = max(0.5, min(3.0, reply.usage.input_tokens / estimate))
        return reply

    def _tell(self, reply: Reply, seconds: float) -> None:
        self._emit(
            ModelTurn(
                provider=reply.provider,
                model=reply.model,
                turn=self._agent.budget.turn,
                stop=reply.stop,
                input_tokens=reply.usage.input_tokens,
                output_tokens=reply.usage.output_tokens,
                cached_tokens=reply.usage.cached_tokens,
                cost_usd=reply.cost_usd,
                duration_ms=round(seconds * 1000, 3),
            )
        )
        step = _about(reply.message, self._agent.budget.turn)
        for part in reply.message.parts:
            if isinstance(part, Text | Thinking) and part.text.strip():
                self._emit(AgentThought(step=step, message=part.text.strip()))


def _about(message: Assistant, turn: int) -> ThoughtStep:
    """Which of the contract's words fits a thought: by what the model does with it."""
    if turn == 1:
        return "prompt_interpretation"
    if not message.tool_calls:
        return "validation"
    editing = any(call.name in _EDITING for call in message.tool_calls)
    return "code_generation" if editing else "file_analysis"
