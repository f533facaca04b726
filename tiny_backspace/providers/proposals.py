"""What is written where no edit can be read from a request: one file that says so and points at the code."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tiny_backspace.conversation import ToolResult
from tiny_backspace.providers.quoting import fenced, quoted
from tiny_backspace.providers.steps import Batch, Call, Outcome, Script, outcome, write
from tiny_backspace.redact import clean, clean_line, redactor

DUMMY = "dummy"  # its name among the agents
PROPOSAL_PREFIX = "PROPOSAL-"

_TITLE = "# A proposal, made without a model\n"

_SLUG_LENGTH = 40
_MOST_WORDS = 12
_MOST_FILES = 10
_MOST_LINES = 3
_LINE_LENGTH = 160
_WORD = re.compile(r"[^\W\d_]\w{2,}")
_STOP_WORDS = (
    " the and for with that this from into have has had not are was were will would should could can may "
    "please make add use using used all any some each every when where which what who why how then than "
    "also just like want need needs let our your its their them they there here you but out get set new "
    "does did done very more most other such only same over under about create change update implement "
    "write file files code repo repository project fix better improve "
)


@dataclass(frozen=True, slots=True)
class Relevant:
    """A file and what of the request is in it: words, and how many lines have one."""

    path: str
    words: tuple[str, ...]
    matches: int


def proposal_path(prompt: str) -> str:
    """PROPOSAL-<slug>.md at the root; the slug is `[a-z0-9-]`, 1 to 40 characters of the prompt."""
    plain = unicodedata.normalize("NFKD", prompt[:1000]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(slug) > _SLUG_LENGTH:
        slug = slug[: _SLUG_LENGTH + 1].rpartition("-")[0] or slug[:_SLUG_LENGTH]
    return f"{PROPOSAL_PREFIX}{slug or 'request'}.md"


def is_proposal_path(path: str) -> bool:
    """Whether a file of this name is what the dummy writes where it cannot edit."""
    return re.fullmatch(rf"{PROPOSAL_PREFIX}[a-z0-9-]{{1,40}}\.md", path) is not None


def propose(prompt: str, facts: str) -> Script:
    words = search_words(prompt)
    ranked = []
    if words:
        calls = tuple(_grep(word, output="count", limit=2000) for word in words)
        results = yield Batch(f"Searching the repository for {', '.join(words)}.", calls)
        ranked = _ranked(dict(zip(words, results, strict=True)))
    excerpts: tuple[ToolResult, ...] = ()
    if ranked:
        calls = tuple(
            _grep(file.words[0], path=file.path, output="content", limit=_MOST_LINES)
            for file in ranked
        )
        excerpts = yield Batch("Looking at the lines that have those words.", calls)
    path = proposal_path(prompt)
    found = [
        (file, _lines(result, file.path)) for file, result in zip(ranked, excerpts, strict=True)
    ]
    call = write(path, proposal(prompt, facts, found), "write down the request; no model was used")
    (result,) = yield Batch(f"Writing {path}.", (call,))
    return (outcome(result, f"wrote {path}", f"write {path}"),)


def search_words(prompt: str) -> tuple[str, ...]:
    """The prompt's words that are worth a search, in order, each once."""
    words = dict.fromkeys(word.casefold() for word in _WORD.findall(prompt))
    return tuple(word for word in words if f" {word} " not in _STOP_WORDS)[:_MOST_WORDS]


def _grep(word: str, *, output: str, limit: int, path: str = ".") -> Call:
    return Call(
        "grep",
        {
            "pattern": word,
            "path": path,
            "literal": True,
            "ignore_case": True,
            "output": output,
            "limit": limit,
        },
    )


def _ranked(counts: dict[str, ToolResult]) -> list[Relevant]:
    """The ten files with most of the words, then most matches; each one's rarest word comes first."""
    files: dict[str, dict[str, int]] = {}
    for word, result in counts.items():
        for line in () if result.is_error else result.content.splitlines():
            path, _, number = line.rpartition(":")
            if path and number.isdigit() and not path.startswith(PROPOSAL_PREFIX):
                files.setdefault(path.removeprefix("./"), {})[word] = int(number)
    spread = {word: sum(word in found for found in files.values()) for word in counts}
    relevant = [
        Relevant(path, tuple(sorted(found, key=lambda w: spread[w])), sum(found.values()))
        for path, found in files.items()
    ]
    relevant.sort(key=lambda file: (-len(file.words), -file.matches, file.path))
    return relevant[:_MOST_FILES]


def _lines(result: ToolResult, path: str) -> list[str]:
    """Up to three lines of a file as `number: text`."""
    rows = () if result.is_error else result.content.splitlines()
    pattern = re.compile(rf"(?:\./)?{re.escape(path)}:([0-9]+):(.*)")
    found = [match for row in rows if (match := pattern.fullmatch(row)) is not None]
    return [f"{match[1]}: {clean_line(match[2])[:_LINE_LENGTH]}" for match in found[:_MOST_LINES]]


_TEMPLATE = (
    _TITLE
    + """
No model was used. The offline dummy provider of Tiny Backspace carries out plainly worded edits and could
not read this request as one, so it changed no code. It searched the repository for the words of the
request; what follows is what it found, not a solution.

## The request

{request}
## Files that may matter

{files}
## The repository

{facts}
## Next steps

Say it as plain edits, such as ``replace 'helo' with 'hello' in README.md``, or give it to somebody who can
read it: a person, or an agent with a model.
"""
)


def proposal(prompt: str, facts: str, found: Sequence[tuple[Relevant, Sequence[str]]]) -> str:
    """The text of the file. What comes from elsewhere stands in fences that it cannot close."""
    mask = redactor(())  # a secret that stands in the repository is not written down a second time
    listed = "\n".join(
        f"{n}. {quoted(clean_line(file.path))}: {', '.join(file.words)} ({_matches(file)})\n"
        + (f"\n{fenced(mask(chr(10).join(lines)))}" if lines else "")
        for n, (file, lines) in enumerate(found, 1)
    )
    return _TEMPLATE.format(
        request=fenced(mask(clean(prompt).strip("\n"))),
        files=listed or "No file has any of the words of the request.\n",
        # the first paragraph: languages, test command, layout; then come whole files
        facts=fenced(mask(clean(facts).strip("\n").partition("\n\n")[0]))
        if facts.strip()
        else "Nothing is known of it.\n",
    )


def _matches(file: Relevant) -> str:
    return "1 matching line" if file.matches == 1 else f"{file.matches} matching lines"


def summary(path: str, outcomes: Sequence[Outcome]) -> str:
    """The last words after a proposal, for the commit and the pull request."""
    if not all(outcome.done for outcome in outcomes):
        return (
            "No model was used. The request could not be read as a plainly worded edit, and nothing was "
            f"changed: {'; '.join(outcome.says for outcome in outcomes)}."
        )
    return (
        f"No model was used. The request could not be read as a plainly worded edit, so no code was changed: "
        f"{path} holds the request and the files that may matter."
    )
