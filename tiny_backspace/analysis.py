"""What is known of the repository before the agent starts, and what the agent is told of it."""

from __future__ import annotations

from tiny_backspace.agent.clip import clip
from tiny_backspace.agent.facts import Facts, look
from tiny_backspace.agent.prompt import opening
from tiny_backspace.conversation import Text, User
from tiny_backspace.events import AgentThought, Emit, RepositoryAnalysed, Warned
from tiny_backspace.repo.mirror import Base
from tiny_backspace.sandbox.interface import Sandbox

_DIFF = 40_000  # bytes of what a pull request changes so far


def analyse(sandbox: Sandbox, base: Base, emit: Emit) -> Facts:
    """Look at the repository, and say what was seen."""
    facts = look(sandbox)
    emit(
        RepositoryAnalysed(
            base=base.sha,
            branch=base.branch,
            files=facts.files,
            languages=facts.languages,
            test_command=facts.test_command,
            instructions=facts.instructions,
            left_alone=facts.left_alone,
        )
    )
    languages = ", ".join(facts.languages) or "no language that we know"
    tests = f"tests run with `{facts.test_command}`" if facts.test_command else "no test command"
    emit(
        AgentThought(
            step="repository_analysis", message=f"{facts.files} files, {languages}; {tests}."
        )
    )
    for kind in facts.left_alone:
        emit(Warned(message=f"This repository has {kind}; they are left alone."))
    return facts


def first_message(prompt: str, facts: Facts, revises: int | None, sandbox: Sandbox) -> User:
    """What the agent is told first; with what the last `revises` commits, a pull request's, change so far."""
    first = opening(prompt, facts)
    if revises is None:
        return first
    asked = ("git", "diff", "--no-color", "--no-ext-diff", f"HEAD~{revises}", "HEAD")
    diff = sandbox.call(asked, timeout=60).stdout.decode(errors="replace")
    if not diff:
        return first
    told = f"What the pull request changes so far:\n\n{clip(diff, _DIFF)}"
    return User((*first.parts, Text(told)))
