"""The parts of the live view, each a list of exactly as many rows as it is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import dropwhile, zip_longest

from rich.text import Text

from tiny_backspace.events import RunFailed, RunSucceeded, Step
from tiny_backspace.views import facts
from tiny_backspace.views.drawing import (
    ACCENT,
    BAD,
    DIM,
    GOOD,
    WARN,
    bar,
    box,
    joined,
    line,
    lines,
    row,
    rule,
    sized,
    wrapped,
)
from tiny_backspace.views.figures import clock, count, counted, hunks, money, took
from tiny_backspace.views.state import RunState, ToolRow, elapsed

NAMES = dict(
    zip(Step, ("validate", "sandbox", "clone", "analyse", "solve", "propose", "done"), strict=True)
)
_LABEL = 13
_LONG_NOTE = 3  # rows
_ROOMY = 6  # rows from which on an edit's purpose is shown above its diff
_PAD = {step: f"{step.progress:>{12 - len(name)}}" for step, name in NAMES.items()}
_DIFF = {"+": GOOD, "-": BAD, "@": DIM, "\\": DIM}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a frame shows. `streamed` is the end of a thought being had; `now` is None in a replay."""

    state: RunState
    now: datetime | None
    streamed: str = ""
    verbose: bool = False


def header(scene: Scene, width: int) -> list[Text]:
    """Five rows: what is done to which repository, by whom, at what cost."""
    state = scene.state
    base = f"{state.branch}@{state.base[:7]}" if state.branch else state.base[:12]
    place = joined(line(base), line(state.saved.branch or "", ACCENT), by=" → ")
    tokens = f"{count(state.input_tokens)} in  {count(state.output_tokens)} out"
    spent = joined(Text(tokens), Text(money(state.cost_usd)))
    time = Text(clock(elapsed(state, scene.now)), "bold")
    rows = (
        row(width - 4, line(state.repo, "bold"), place),
        line(state.prompt),
        row(width - 4, facts.agent(state), spent),
    )
    title = joined(Text("tiny-backspace", f"bold {ACCENT}"), line(state.run_id, DIM))
    return box(width, title, time, rows)


def progress(scene: Scene, width: int) -> list[Text]:
    """Two rows: the steps, and the present one's message beside the bar."""
    state = scene.state
    names = (Text.assemble(*_step(state, step)) for step in Step)
    message = line(state.message, BAD if isinstance(state.outcome, RunFailed) else "")
    room = max(width // 2 - 2, 10)
    return [
        row(width, Text("  ").join(names)),
        row(width, message, bar(room, state.progress, _tone(state))),
    ]


def step_list(scene: Scene, width: int) -> list[Text]:
    """Eleven rows: every step with its share and the time it took, the bar, the present message."""
    state = scene.state
    ends = [at for _, at in state.steps[1:]]
    last = state.last if state.outcome is not None or scene.now is None else scene.now
    spans = {
        step: (end or last or at) - at
        for (step, at), end in zip_longest(state.steps, ends)
        if step is not Step.COMPLETE
    }
    message = line(state.message, BAD if isinstance(state.outcome, RunFailed) else "")
    rows = [
        row(
            width,
            Text.assemble(*_step(state, step), (_PAD[step], DIM)),
            Text(took(max(spans[step].total_seconds() * 1000, 0)) if step in spans else "", DIM),
        )
        for step in Step
    ]
    done = bar(width, state.progress, _tone(state))
    return sized([rule(width, "progress"), *rows, Text(), done, message], width, 11)


def _tone(state: RunState) -> str:
    match state.outcome:
        case RunSucceeded():
            return GOOD
        case RunFailed():
            return BAD
        case None:
            return ACCENT


def _step(state: RunState, step: Step) -> tuple[tuple[str, str], str, tuple[str, str]]:
    order, name = list(Step), NAMES[step]
    if isinstance(state.outcome, RunSucceeded) or order.index(step) < order.index(state.step):
        return ("✓", GOOD), " ", (name, "")
    if step is not state.step or not state.steps:
        return ("○", DIM), " ", (name, DIM)
    failed = state.outcome is not None
    return ("✗" if failed else "●", BAD if failed else ACCENT), " ", (name, "bold")


def thinking(scene: Scene, width: int, height: int) -> list[Text]:
    """The end of the present thought, or of the last one."""
    last = scene.state.thoughts[-1] if scene.state.thoughts else None
    text = scene.streamed or (last.message if last else "")
    label = "" if scene.streamed or last is None else last.step.replace("_", " ")
    tail = wrapped(text.strip(), width)[-(height - 1) :] if height > 1 else []
    return sized([rule(width, "thinking", Text(label, DIM)), *map(Text, tail)], width, height)


def tools(scene: Scene, width: int, height: int) -> list[Text]:
    state, room = scene.state, height - 1
    note = counted(state.tool_calls, "call") if state.tool_calls else ""
    shown = [part for call in state.tools for part in _call(call, width, scene.verbose)]
    shown = shown[-room:] if room > 0 else []
    return sized([rule(width, "tools", Text(note, DIM)), *shown], width, height)


def _call(call: ToolRow, width: int, verbose: bool) -> list[Text]:
    shown = [row(width, *facts.tool_call(call))]
    if verbose and call.excerpt:
        shown += [Text(f"  {part}", DIM) for part in wrapped(call.excerpt, width - 2)[:3]]
    return shown


def edits(scene: Scene, width: int, height: int) -> list[Text]:
    """The last edit: what it is for if there is room to say so, and its diff."""
    state, room = scene.state, height - 1
    if not state.edits:
        return sized([rule(width, "edits")], width, height)
    last = state.edits[-1]
    files = Text(counted(len(state.files), "file"), DIM)
    diff = lines("\n".join(hunks(last.diff)))
    if room < _ROOMY:  # then what changed, not what stands around it
        diff = list(dropwhile(lambda part: part[:1] not in {"+", "-"}, diff))
    body = [Text(part, _DIFF.get(part[:1], "")) for part in diff]
    if last.description and room >= _ROOMY:
        body = [line(last.description), *body]
    if len(body) > room >= _ROOMY:
        body = [*body[: room - 1], Text(f"… {len(body) - room + 1} more lines", DIM)]
    return sized([rule(width, "edits", joined(facts.edited(last), files)), *body], width, height)


def git(scene: Scene, width: int, height: int) -> list[Text]:
    """The last operations, each with the first words of its output below it."""
    rows: list[Text] = []
    for operation in scene.state.git:
        rows.append(line(operation.command))
        rows += [Text.assemble("  ", line(operation.output, DIM))] if operation.output else []
    tail = rows[-(height - 1) :] if height > 1 else []
    return sized([rule(width, "git"), *tail], width, height)


def surroundings(scene: Scene, width: int) -> list[Text]:
    """Four rows: git, checks, sandbox, and what needs attention or else the limits."""
    state, attested = scene.state, scene.state.sandbox
    last = state.git[-1] if state.git else None
    command = line(last.command) if last else Text("nothing yet", DIM)
    cage = Text("not started", DIM)
    if attested is not None:
        switches = (("caps", facts.capabilities(attested)), ("network", facts.network(attested)))
        named = [Text.assemble((f"{name} ", DIM), fact) for name, fact in switches]
        seccomp = Text.assemble(("seccomp ", DIM), facts.switch(attested.seccomp))
        cage = joined(facts.user(attested), *named, seccomp)
    alarms = facts.notes(state)
    bounds = facts.limits(attested) if attested else Text()
    return [
        _fact(width, "git", command, line(last.output, DIM) if last else None),
        _fact(width, "checks", facts.checks(state)),
        _fact(width, "sandbox", cage, facts.memory(state.resources)),
        _fact(width, "note", alarms[-1]) if alarms else _fact(width, "limits", bounds),
    ]


def sandbox(scene: Scene, width: int) -> list[Text]:
    """Eleven rows: what the container attested from inside, and what it uses."""
    attested, used = scene.state.sandbox, scene.state.resources
    if attested is None:
        return sized([rule(width, "sandbox"), Text("not started", DIM)], width, 11)
    shown = (
        ("container", line(attested.container[:12])),
        ("user", facts.user(attested)),
        ("caps", facts.capabilities(attested)),
        ("network", facts.network(attested)),
        ("seccomp", facts.switch(attested.seccomp)),
        ("no new privs", facts.switch(attested.no_new_privs)),
        ("limits", facts.limits(attested)),
        ("memory", facts.memory(used)),
        ("cpu", facts.load(used)),
    )
    rows = [_fact(width, name, fact) for name, fact in shown]
    problems = [line(problem, BAD) for problem in attested.problems[:1]]
    return sized([rule(width, "sandbox"), *rows, *problems], width, 11)


def notes(scene: Scene, width: int, height: int) -> list[Text]:
    """Checks, warnings, decisions, and the counts of what went on unseen."""
    state = scene.state
    counts = (
        counted(state.host_commands, "host command") if state.host_commands else "",
        counted(state.retries, "retried call") if state.retries else "",
        counted(state.fallbacks, "fallback") if state.fallbacks else "",
    )
    quiet = [Text(each, DIM) for each in counts if each]
    alarms = [
        Text(part, WARN)
        for note in facts.notes(state)
        for part in wrapped(note.plain, width)[:_LONG_NOTE]
    ]
    room = max(height - 2 - len(quiet), 0)
    checked = facts.checks(state)
    rows = [rule(width, "checks"), checked, *(alarms[-room:] if room else []), *quiet]
    return sized(rows, width, height)


def _fact(width: int, name: str, fact: Text, end: Text | None = None) -> Text:
    return row(width, Text.assemble((f"{name:<{_LABEL}}", DIM), fact), end)
