"""What a change is offered as: branch, title, commit message, description. Pure.

The words come from the user, the repository and the model and are made harmless; what is said
about tests, costs and models comes from the run's own record.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tiny_backspace.events import PolicyDecided, ProviderReplaced, SandboxAttested, Verified
from tiny_backspace.forges.markdown import (
    SHORTENED,
    code,
    code_cell,
    fenced,
    one_line,
    phrase,
    prose,
    visible,
    within,
)
from tiny_backspace.forges.wording import WIDTH, plain_line, plain_text, shortened

LONGEST_BODY = 65_000  # characters; GitHub refuses more than 65,536
DRAFT = "[draft] "
"""How a title begins where the work is not finished."""
ONCE = "Tiny-Backspace-Once"
"""The trailer that has the key of `--once`."""
_SLUG = 40
_UNNAMED = "Change made by tiny-backspace"
_MACHINE = (
    "This change was made by a machine, in a container without network and credentials. "
    "Review it as you would a stranger's."
)
# Characters of raw text, which can grow threefold in a block of code …
_PROMPT, _OUTPUT = 6000, 2000
# … and of Markdown. Together they stay below the longest body.
_SUMMARY, _FILES, _NOTES, _REPLACED, _AGENTS = 14_000, 12_000, 6000, 4000, 3000


@dataclass(frozen=True, slots=True)
class FileLines:
    """One changed file; lines are None where it is binary."""

    path: str
    insertions: int | None
    deletions: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """How a change came about, as the run recorded it.

    `agents` are those that answered, `name:model`, in order; `cost_usd` is None where no price is known;
    `resumes` is the run whose work it went on with, `sandbox` what the container said of itself,
    `left_alone` what of the repository was not in it as the repository means it.
    """

    run_id: str
    agents: tuple[str, ...]
    turns: int
    cost_usd: float | None
    replaced: tuple[ProviderReplaced, ...] = ()
    resumes: str | None = None
    sandbox: SandboxAttested | None = None
    left_alone: tuple[str, ...] = ()

    @property
    def without_model(self) -> bool:
        return _without_model(self.agents)


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything a description is written from. `verified` is the last verification of the change, and
    `before` that of the base, if there was one; `closes` the issue that the user gave for a prompt.
    """

    prompt: str
    summary: str
    made: Made
    files: tuple[FileLines, ...] = ()
    verified: Verified | None = None
    before: Verified | None = None
    policy: tuple[PolicyDecided, ...] = ()
    closes: int | None = None


def is_ours(branch: str, body: str) -> bool:
    """Whether a pull request of this branch and description was made by this tool."""
    return branch.startswith("tiny-backspace/") or _MACHINE in body


def slug(prompt: str) -> str:
    """`[a-z0-9-]{1,40}`: the prompt's first words, or "change" if none can be spelled so."""
    folded = unicodedata.normalize("NFKD", prompt[:1000]).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", folded).strip("-")
    cut = words[: _SLUG + 1]
    if len(cut) > _SLUG:
        cut = cut.rpartition("-")[0] or cut[:_SLUG]
    return cut or "change"


def branch(prompt: str, run_id: str, once: str | None = None) -> str:
    """Told from others by the run's id, or by the key of what is done only once."""
    told = hashlib.sha256(once.encode()).hexdigest() if once else run_id
    return f"tiny-backspace/{slug(prompt)}-{told[:8]}"


def title(prompt: str, summary: str) -> str:
    """At most 72 characters: the first line of the prompt that says something, else of the summary."""
    for text in (prompt, summary):
        for line in visible(text).split("\n"):
            words = plain_line(line.lstrip(" \t#>*-"))
            if any(c.isalnum() for c in words):
                return shortened(words, WIDTH)
    return _UNNAMED


def commit_message(
    title: str, summary: str, run_id: str, providers: Sequence[str], co_author: str | None = None,
    once: str | None = None,
) -> str:  # fmt: skip
    """Subject, wrapped text, and trailers, which are ours alone."""
    names = ", ".join(shortened(plain_line(name), WIDTH) for name in providers)
    made = f"Made with {names}." if names else ""
    if _without_model(providers):
        made = "No model was used."
    if made in summary:  # the dummy says so itself
        made = ""
    parts = (
        shortened(plain_line(title), WIDTH) or _UNNAMED,
        plain_text(_cut(summary, 4000)),
        plain_text(made) if made else "",
        f"Tiny-Backspace-Run: {run_id}"
        + (f"\n{ONCE}: {once}" if once else "")
        + (f"\nCo-authored-by: {co_author}" if co_author else ""),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def body(draft: Draft) -> str:
    """The description in GitHub Markdown, of at most 65,000 characters."""
    sections = (
        ("What and why", [prose(draft.summary, _SUMMARY) or "The agent gave no summary."]),
        ("Files", _files(draft.files)),
        ("Verification", _verification(draft.verified, draft.before)),
        ("How it was made", _made(draft.made)),
        ("Policy", _policy(draft.policy)),
    )
    blocks = [f"## {heading}\n\n" + "\n".join(lines) for heading, lines in sections if lines]
    prompt = f"<details>\n<summary>The prompt</summary>\n\n{fenced(_cut(draft.prompt, _PROMPT))}\n\n</details>"
    closes = [f"Closes #{draft.closes}"] if draft.closes is not None else []
    return "\n\n".join((*closes, *blocks, prompt)) + "\n"


def _without_model(agents: Sequence[str]) -> bool:
    """Where nobody answered, nobody can say so."""
    return bool(agents) and all(agent.partition(":")[0] == "dummy" for agent in agents)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}\n{SHORTENED}"


def _files(files: Sequence[FileLines]) -> list[str]:
    if not files:
        return []
    rows = (
        f"| {code_cell(_cut_path(file.path))} | {_count('+', file.insertions)} "
        f"| {_count('-', file.deletions)} |"
        for file in files
    )
    table = within(rows, _FILES)
    return ["| File | Added | Removed |", "|:--|--:|--:|", *table.split("\n")]


def _cut_path(path: str) -> str:
    return path if len(path) <= 300 else path[:300] + "…"  # noqa: PLR2004 - wider than any screen


def _count(sign: str, lines: int | None) -> str:
    return "binary" if lines is None else f"{sign}{lines}"


def _verification(verified: Verified | None, before: Verified | None) -> list[str]:
    """Only what the host saw: nothing an agent says about tests gets here."""
    if verified is None:
        return ["Not run."]
    command = code(verified.command[:300])
    attempt = f", attempt {verified.attempt}" if verified.attempt > 1 else ""
    said = [f"{command}, each time in a fresh container:", ""]
    if before is not None:
        said.append(f"- before the change: {_ended(before)}")
    said.append(f"- after it: {_ended(verified)}{attempt}")
    output = verified.output.strip()
    if not output:
        return said
    end = output if len(output) <= _OUTPUT else f"{SHORTENED}\n{output[-_OUTPUT:]}"
    return [
        *said,
        "",
        "<details>\n<summary>Its output</summary>\n",
        fenced(end),
        "\n</details>",
    ]


def _ended(verified: Verified) -> str:
    result = "passed" if verified.ok else "**failed**"
    return f"{result} with exit code {verified.exit_code} in {verified.duration_ms / 1000:.1f} s"


def _made(made: Made) -> list[str]:
    cost = "unknown" if made.cost_usd is None else f"${made.cost_usd:.4f}"
    if made.without_model:
        agents = "No model was used: the change was made by fixed rules (the dummy agent)."
    elif not made.agents:
        agents = "No agent was asked in this run."
    else:
        agents = within(
            (f"{n}. {code(agent[:200])}" for n, agent in enumerate(made.agents, 1)), _AGENTS
        )
        agents = f"The agents, in order:\n\n{agents}\n"
    return [
        _MACHINE,
        "",
        agents,
        f"- Turns: {made.turns}",
        f"- Cost: {cost}",
        f"- Run: {code(made.run_id)}",
        *_attested(made.sandbox),
        *_left_alone(made.left_alone),
        *_resumed(made.resumes),
        *within(_replacements(made.replaced), _REPLACED).splitlines(),
    ]


def _attested(sandbox: SandboxAttested | None) -> list[str]:
    if sandbox is None:
        return []
    facts = (
        f"uid {sandbox.uid}",
        f"capabilities {sandbox.capabilities}",
        f"network interfaces {', '.join(sandbox.interfaces) or 'none'}",
        f"seccomp {'on' if sandbox.seccomp else 'off'}",
    )
    return [f"- The container, as read from inside: {code(', '.join(facts)[:300])}"]


def _left_alone(kinds: Sequence[str]) -> list[str]:
    said = phrase(", ".join(kinds)[:300])
    return [f"- Left alone, and not checked out in the container: {said}"] if kinds else []


def _resumed(run_id: str | None) -> list[str]:
    said = "It went on with the work of run {}, whose agents, turns and cost are not counted here."
    return [f"- {said.format(code(run_id))}"] if run_id else []


def _replacements(replaced: Sequence[ProviderReplaced]) -> Iterator[str]:
    for one in replaced:
        yield (
            f"- {code(one.failed[:100])} failed and {code(one.next[:100])} went on: "
            f"{phrase(one.reason[:300])}"
        )


def _policy(decisions: Sequence[PolicyDecided]) -> list[str]:
    words = {"allow": "Allowed", "flag": "Look at this", "refuse": "Refused"}
    lines = (
        f"- {words[found.decision]}: {code(_cut_path(found.path)) or 'the change as a whole'} "
        f"({code(found.rule)}). {phrase(one_line(found.message)[:300])}"
        for found in decisions
    )
    return within(lines, _NOTES).splitlines()
