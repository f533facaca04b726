"""What later steps and readers of a job get: outputs, and a summary in Markdown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex

from tiny_backspace.actions.commands import output
from tiny_backspace.events import Record, RunFailed, RunSucceeded
from tiny_backspace.forges.markdown import code, code_cell, phrase
from tiny_backspace.views.figures import count, counted, money, took
from tiny_backspace.views.state import RunState, advance, elapsed
from tiny_backspace.views.timings import Span, spans

_FILES, _NOTES, _SPANS = 50, 20, 15


class Report:
    """Written when the run has ended, to the files that the runner names in the environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._output = environment.get("GITHUB_OUTPUT")
        self._summary = environment.get("GITHUB_STEP_SUMMARY")
        self._state = RunState()
        self._records: list[Record] = []

    def __call__(self, record: Record) -> None:
        """Raises OSError: a file cannot be written."""
        self._state = advance(self._state, record)
        self._records.append(record)
        if not isinstance(record.event, RunSucceeded | RunFailed):
            return
        if self._output:
            told = (
                output(name, value, token_hex(16)) for name, value in outputs(self._state).items()
            )
            _append(Path(self._output), "".join(told))
        if self._summary:
            _append(Path(self._summary), summary(self._state, spans(self._records)))


def outputs(state: RunState) -> dict[str, str]:
    """For `steps.ID.outputs`. Empty where there is none."""
    ended, saved = state.outcome, state.saved
    return {
        "pr-url": saved.pr_url or "",
        "branch": saved.branch or "",
        "run-id": state.run_id,
        "exit-code": str(ended.exit_code) if ended else "",
        "cost": "" if state.cost_usd is None else f"{state.cost_usd:.6f}",
    }


def summary(state: RunState, timings: tuple[Span, ...]) -> str:
    """All of others' text is escaped: nothing in it is a link, a mention or HTML."""
    return "\n".join(
        (*_head(state), "", *_table(state), *_files(state), *_timings(timings), *_notes(state), "")
    )


def _head(state: RunState) -> Iterator[str]:
    ended = state.outcome
    good = isinstance(ended, RunSucceeded)
    yield f"### {'✅' if good else '❌'} {phrase(ended.message if ended else 'The run has no end.')}"
    if isinstance(ended, RunFailed) and ended.hint:
        yield f"\n{phrase(ended.hint)}"
    if state.saved.pr_url:  # the forge's own answer, checked when it came
        yield f"\n<{state.saved.pr_url}>"


def _table(state: RunState) -> Iterator[str]:
    saved, checked, before, sandbox = state.saved, state.verification, state.before, state.sandbox
    yield "| | |"
    yield "|:--|:--|"
    yield f"| Repository | {code_cell(state.repo)} |"
    if saved.branch:
        yield f"| Branch | {code_cell(saved.branch)} |"
    lines = f"+{saved.insertions} −{saved.deletions}"
    yield f"| Change | {counted(saved.files_changed, 'file')}, {lines} |"
    if checked is None:
        yield "| Verification | not run |"
    else:
        then = "" if before is None else f"; before the change exit {before.exit_code}"
        result = "passed" if checked.ok else "**failed**"
        yield f"| Verification | {code_cell(checked.command[:200])} {result}, exit {checked.exit_code}{then} |"
    agents = ", ".join(map(code_cell, state.answered)) or "none"
    yield f"| Agents | {agents}, {counted(state.turns, 'turn')} |"
    tokens = f"{count(state.input_tokens)} tokens in, {count(state.output_tokens)} out"
    yield f"| Cost | {money(state.cost_usd)}, {tokens} |"
    yield f"| Took | {took(elapsed(state).total_seconds() * 1000)} |"
    if sandbox is not None:
        facts = f"uid {sandbox.uid}, capabilities {sandbox.capabilities}, interfaces {', '.join(sandbox.interfaces)}"
        yield f"| Sandbox, from inside | {code_cell(facts)} |"
    yield f"| Run | {code_cell(state.run_id)} |"


def _files(state: RunState) -> Iterator[str]:
    if not state.files:
        return
    yield f"\n<details>\n<summary>{counted(len(state.files), 'file')}</summary>\n"
    for path, operation in list(state.files.items())[:_FILES]:
        yield f"- {operation} {code(path[:300])}"
    yield "\n</details>"


def _timings(found: tuple[Span, ...]) -> Iterator[str]:
    longest = sorted(found, key=lambda span: -span.duration)[:_SPANS]
    if not longest:
        return
    yield "\n<details>\n<summary>Where the time went</summary>\n\n| operation | took |\n|:--|--:|"
    for span in longest:
        yield f"| {code_cell(span.name)} | {took(span.duration)} |"
    yield "\n</details>"


def _notes(state: RunState) -> Iterator[str]:
    notes = [
        *state.warnings,
        *(f"{each.next} took over from {each.failed}: {each.reason}" for each in state.replaced),
    ]
    flagged = [
        f"{each.path} {each.rule}: {each.message}"
        for each in state.policy
        if each.decision != "allow"
    ]
    for note in (*notes, *flagged)[:_NOTES]:
        yield f"\n> {phrase(note[:500])}"


def _append(path: Path, text: str) -> None:
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8"
    ) as file:
        file.write(text)
