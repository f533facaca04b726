"""One turn's question to whoever answers: told short enough for the model's window, paid for, and told of."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from tiny_backspace.agent.budget import Budget
from tiny_backspace.agent.folding import fold, size
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import Assistant, Message, Reply, Text, Thinking, User
from tiny_backspace.errors import ContextOverflow, ProviderError
from tiny_backspace.events import (
    AgentThought,
    ContextFolded,
    Emit,
    Event,
    ModelTurn,
    ProviderReplaced,
    Retry,
    ThoughtDelta,
    ThoughtStep,
    Warned,
)
from tiny_backspace.providers.interface import ModelRequest, Provider

_EDITING = frozenset(("edit", "write", "bash"))
_FULL = 0.8  # of the window: then the conversation is folded, to half of that


class Answering(Protocol):
    """Who is asked, with what to work with, and within which limits."""

    @property
    def system(self) -> str: ...

    @property
    def provider(self) -> Provider: ...

    @property
    def toolbox(self) -> Toolbox: ...

    @property
    def budget(self) -> Budget: ...


class Asked:
    """One turn's question, with a shorter conversation where the model's window wants it."""

    def __init__(self, agent: Answering, emit: Emit) -> None:
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
        while True:
            try:
                return conversation, self._answer(conversation)
            except ContextOverflow as overflow:
                window = self._agent.provider.window  # of another provider, maybe
                known = self._tokens(conversation)
                room = known if window is None else min(window, known)
                shorter = self._folded(conversation, room)
                if shorter is conversation:
                    raise self._too_long(conversation) from overflow
                conversation = shorter

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
        first: float | None = None  # when its first piece came
        request = ModelRequest(
            agent.system,
            conversation,
            agent.toolbox.specs,
            agent.budget.turn,
            agent.budget.until,
            self._tokens(conversation),
        )

        def emit(event: Event | ThoughtDelta) -> None:
            nonlocal start, first  # waiting for one that fails is not the time of the one that answers
            if isinstance(event, Retry | ProviderReplaced):
                start = monotonic() + (event.wait_s if isinstance(event, Retry) else 0)
                first = None
            elif isinstance(event, ThoughtDelta) and first is None:
                first = monotonic()
            self._emit(event)

        try:
            reply = agent.provider.reply(request, emit)
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
        self._tell(reply, monotonic() - start, None if first is None else max(0.0, first - start))
        if reply.usage.input_tokens:
            estimate = max(1, self._always + size(conversation))
            self._scale = max(0.5, min(3.0, reply.usage.input_tokens / estimate))
        return reply

    def _tell(self, reply: Reply, seconds: float, first: float | None) -> None:
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
                first_token_ms=None if first is None else round(first * 1000, 3),
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
