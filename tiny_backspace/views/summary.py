"""What a run leaves behind on the screen: how it ended, where the work is, what to do next."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator

from rich.console import Console, Group
from rich.text import Text

from tiny_backspace.events import RunFailed, RunSucceeded
from tiny_backspace.views import facts
from tiny_backspace.views.drawing import ACCENT, BAD, DIM, GOOD, WARN, joined, line, lines
from tiny_backspace.views.figures import count, counted, money, size, took
from tiny_backspace.views.state import LONGEST, RunState, elapsed

_FILES = 10
_SAID = 6  # lines of a failed verification's output
_NOTES = 5
_LABEL = 14
_OFFLINE = "dummy"


def print_summary(console: Console, state: RunState) -> None:
    """Nothing is cut to the width: a path or a command is there to be copied whole."""
    console.print(summary(state), crop=False)


def summary(state: RunState) -> Group:
    """To be printed with `crop=False`."""
    rows = [*_result(state), *(_row(name, fact) for name, fact in _facts(state) if fact.plain)]
    return Group(*rows)


def plain_summary(state: RunState) -> str:
    """The same without colours, ending with a newline."""
    console = Console(file=io.StringIO(), width=100, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        print_summary(console, state)
    return captured.get()


def _row(name: str, fact: Text) -> Text:
    row = Text.assemble("  ", (f"{name:<{_LABEL}}", DIM), fact)
    row.no_wrap, row.overflow = True, "ignore"
    return row


def _result(state: RunState) -> list[Text]:
    match state.outcome:
        case RunSucceeded(message=message, exit_code=code):
            return _said("✓", GOOD, message, code)
        case RunFailed(message=message, exit_code=code, hint=hint):
            said = _said("✗", BAD, message, code)
            return [*said, Text.assemble("  ", line(hint))] if hint else said
        case None:
            return [Text("✗ The run has no end: it was killed, or it is still going on.", BAD)]


def _said(sign: str, style: str, message: str, code: int) -> list[Text]:
    first, *rest = lines(message.strip())
    result = Text.assemble((f"{sign} {first}", f"bold {style}"), (f"  exit {code}", DIM))
    return [result, *(Text(f"  {part}") for part in rest)]


def _facts(state: RunState) -> Iterator[tuple[str, Text]]:
    ended, saved = state.outcome, state.saved
    branch = saved.branch or (ended.branch if ended else None)
    patch = saved.patch or (ended.patch if ended else None)
    commit = f"commit {saved.commit[:12]}" if saved.commit else ""
    yield "", Text()
    yield "pull request", line(saved.pr_url or (ended.pr_url if ended else None) or "", ACCENT)
    yield "branch", joined(line(branch or "", ACCENT), line(commit if branch else "", DIM))
    yield "patch", line(patch or "")
    yield "text", line(saved.pull_request_text or "")
    if isinstance(ended, RunFailed):
        yield "report", line(ended.crash_report or "")
    yield from _changed(state)
    yield "checks", facts.checks(state)
    if state.verification is not None and not state.verification.ok:
        for said in lines(state.verification.output.strip()[-LONGEST:])[-_SAID:]:
            yield "", Text.assemble(("│ ", DIM), said)
    yield "agent", _agent(state)
    yield "took", _cost(state)
    for n, note in enumerate(facts.notes(state)[-_NOTES:]):
        yield "" if n else "notes", note
    for n, command in enumerate(_next(state, branch, patch)):
        yield "" if n else "next", line(command)


def _changed(state: RunState) -> Iterator[tuple[str, Text]]:
    total = state.saved if state.saved.files_changed or state.outcome is None else state.outcome
    if total.files_changed:
        lines_changed = facts.plus_minus(total.insertions, total.deletions)
        yield "changed", joined(Text(counted(total.files_changed, "file")), lines_changed)
    if total.files_changed or isinstance(state.outcome, RunFailed):
        shown = list(state.files.items())[:_FILES]
        for path, operation in shown:
            yield "", facts.changed_file(path, operation)
        if len(state.files) > len(shown):
            yield "", Text(f"… {len(state.files) - len(shown)} more", DIM)


def _agent(state: RunState) -> Text:
    """That no model had a part in it is said as plainly as its name would be."""
    names = joined(*map(line, state.providers), by=", ")
    offline = set(state.providers) <= {_OFFLINE}
    replaced = counted(state.fallbacks, "fallback") if state.fallbacks else ""
    tokens = f"{count(state.input_tokens)} tokens in, {count(state.output_tokens)} out"
    return joined(
        names,
        Text("no model was used" if offline else "", WARN),
        Text(counted(state.turns, "turn")),
        Text("" if offline else tokens),
        Text(replaced, WARN),
    )


def _cost(state: RunState) -> Text:
    spent = took(elapsed(state).total_seconds() * 1000)
    peak = state.resources.memory_peak if state.resources else None
    memory = "" if peak is None else f"peak memory {size(peak)}"
    return joined(Text(spent), Text(memory), Text(money(state.cost_usd)))


def _next(state: RunState, branch: str | None, patch: str | None) -> Iterator[str]:
    saved = state.saved
    if branch and saved.remote:
        if not saved.pr_url:
            yield f"git fetch {shlex.quote(saved.remote)} {shlex.quote(branch)}"
    elif branch:
        base = state.branch or state.base[:12] or "HEAD"
        yield f"git diff {shlex.quote(f'{base}...{branch}')}"
        yield f"git switch {shlex.quote(branch)}"
    elif patch and not saved.pr_url:
        yield f"git apply --index {shlex.quote(patch)}"
    if state.turns and not isinstance(state.outcome, RunSucceeded):
        yield f"tiny-backspace resume {state.run_id}"
    yield f"tiny-backspace show {state.run_id}"
