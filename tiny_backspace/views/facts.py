"""Single facts of a run as coloured text: the live view and the summary say them alike."""

from __future__ import annotations

from rich.text import Text

from tiny_backspace.events import FileEdited, PolicyDecided, Resources, SandboxAttested, Verified
from tiny_backspace.views.drawing import ACCENT, BAD, DIM, GOOD, WARN, joined, line
from tiny_backspace.views.figures import changes, size, took
from tiny_backspace.views.state import Operation, RunState, ToolRow

_MARKS: dict[Operation, tuple[str, str]] = {
    "create": ("+", GOOD),
    "modify": ("~", ""),
    "delete": ("-", BAD),
    "rename": (">", ""),
}
_TOOL_MARKS = {"running": ("●", ACCENT), "ok": ("✓", GOOD), "failed": ("✗", BAD)}


def mark(ok: bool) -> Text:
    return Text("✓", GOOD) if ok else Text("✗", BAD)


def plus_minus(added: int, removed: int) -> Text:
    return Text.assemble((f"+{added}", GOOD), " ", (f"−{removed}", BAD))


def edited(edit: FileEdited) -> Text:
    added, removed = changes(edit.diff)
    path = f"{edit.old_path} → {edit.filepath}" if edit.old_path else edit.filepath
    return joined(line(path, "bold"), plus_minus(added, removed))


def changed_file(path: str, operation: Operation) -> Text:
    sign, style = _MARKS[operation]
    return Text.assemble((sign, style), " ", line(path))


def tool_call(call: ToolRow) -> tuple[Text, Text]:
    """What was called, and how it went."""
    sign, style = _TOOL_MARKS[call.status]
    code = "" if call.exit_code in {None, 0} else f"exit {call.exit_code}"
    spent = "" if call.duration_ms is None else took(call.duration_ms)
    name = line(f"{call.tool:<5}", "bold")
    return (
        Text.assemble((sign, style), " ", name, " " * max(6 - name.cell_len, 1), line(call.title)),
        joined(Text(code, BAD), Text(spent, DIM)),
    )


def checks(state: RunState) -> Text:
    """The results as they were, never better."""
    syntax = state.syntax
    unparsed = "" if syntax is None or syntax.ok else "✗ syntax"
    if unparsed and state.verification is None:
        return joined(Text(unparsed, BAD), Text("verification not run", DIM))
    return joined(Text(unparsed, BAD), _verification(state.verification, state.before))


def _verification(checked: Verified | None, before: Verified | None) -> Text:
    if checked is None:
        return Text("not run", DIM)
    attempt = f"attempt {checked.attempt}" if checked.attempt > 1 else ""
    then = "" if before is None else f"before the change exit {before.exit_code}"
    facts = (f"exit {checked.exit_code}", took(checked.duration_ms), attempt, then)
    return joined(
        Text.assemble(mark(checked.ok), " ", line(checked.command)),
        *(Text(fact, DIM) for fact in facts),
    )


def user(attested: SandboxAttested) -> Text:
    return Text(f"uid {attested.uid}", BAD if attested.uid == 0 else "")


def capabilities(attested: SandboxAttested) -> Text:
    """None if the mask is all zeros; a mask that was not read is not a good one."""
    mask = attested.capabilities
    if mask == "none" or (mask and not mask.removeprefix("0x").strip("0")):
        return Text("none")
    return line(mask or "unknown", BAD)


def network(attested: SandboxAttested) -> Text:
    names = attested.interfaces
    return Text("none") if set(names) <= {"lo"} else line(", ".join(names), BAD)


def switch(on: bool) -> Text:
    return Text("on") if on else Text("off", BAD)


def limits(attested: SandboxAttested) -> Text:
    known = (
        "" if attested.memory is None else size(attested.memory),
        "" if attested.cpus is None else f"{attested.cpus:g} cpu",
        "" if attested.pids is None else f"{attested.pids} pids",
    )
    return joined(*map(Text, known))


def memory(used: Resources | None) -> Text:
    if used is None:
        return Text()
    now = "" if used.memory is None else size(used.memory)
    peak = "" if used.memory_peak is None else f"peak {size(used.memory_peak)}"
    return joined(Text(now), Text(peak))


def load(used: Resources | None) -> Text:
    if used is None:
        return Text()
    cpu = "" if used.cpu_s is None else f"{used.cpu_s:.1f} s"
    pids = "" if used.pids is None else f"{used.pids} pids"
    return joined(Text(cpu), Text(pids))


def decided(decision: PolicyDecided) -> Text:
    style = BAD if decision.decision == "refuse" else WARN
    return joined(line(f"{decision.decision} {decision.rule}", style), line(decision.path))


def notes(state: RunState) -> list[Text]:
    """What a person should know, the newest last: fallbacks, warnings, and what the policy did not simply allow."""
    flagged = [decided(each) for each in state.policy if each.decision != "allow"]
    replaced = [
        f"{each.next} took over from {each.failed}: {each.reason}" for each in state.replaced
    ]
    return [*(line(text, WARN) for text in (*replaced, *state.warnings)), *flagged]


def agent(state: RunState) -> Text:
    """Who answers, and in which turn."""
    name = joined(line(state.provider or "no model yet"), line(state.model or "", DIM))
    return joined(name, Text(f"turn {state.turn}" if state.turn else ""))
