"""The forms that a clause of a request can have, and the intents they stand for. Pure.

In a form, `Q` is a literal, `PATH` one word or literal, `LIST` words; what they may be, operands.py says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from tiny_backspace.providers.intents import (
    Append,
    CreateFile,
    Delete,
    Docstring,
    Header,
    Ignore,
    Insert,
    InsertNear,
    Intent,
    Rename,
    Replace,
)
from tiny_backspace.providers.operands import entries, files, is_word, one_file, one_path
from tiny_backspace.providers.quoting import LITERAL, Masked

Build: TypeAlias = Callable[[re.Match[str], Masked], tuple[Intent, ...] | None]

VERBS = (
    "create|make|write|save|add|append|prepend|insert|put|replace|change|substitute|correct|fix|update"
    "|rename|move|mv|delete|remove|rm"
)
# Files where a thing that is "added" can only be a line at the end.
_LINE_BY_LINE = (".txt", ".md", ".rst", ".csv", "ignore")


def _text(match: re.Match[str], masked: Masked, group: str = "text") -> str | None:
    """A group's literal, if there is anything in it that could be a line."""
    text = masked.value(match[group])
    return text if text.strip("\r\n") else None


def _create(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    noun = match["noun"] is not None
    path = one_file(match["path"], masked, known_file=noun)
    content = masked.value(match["text"])
    if path is None or not content:
        return None
    return (CreateFile(path, content if content.endswith("\n") else content + "\n"),)


def _create_empty(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    path = one_file(match["path"], masked, known_file=True)
    return None if path is None else (CreateFile(path, ""),)


def _ignore(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    if masked.value(match["path"]) != ".gitignore":
        return None
    found = entries(match["entries"], masked)
    return None if found is None else tuple(Ignore(entry) for entry in found)


def _append(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    text, paths = _text(match, masked), files(match["paths"], masked)
    if text is None or paths is None:
        return None
    plain = (
        match["verb"].lower() == "append"
        or match.groupdict().get("end")
        or "line" in match["what"].lower()
    )
    if not plain and not all(path.endswith(_LINE_BY_LINE) for path in paths):
        return None
    return tuple(Append(path, text) for path in paths)


def _prepend(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    text, paths = _text(match, masked), files(match["paths"], masked)
    if text is None or paths is None:
        return None
    return tuple(Insert(path, text, 1) for path in paths)


def _insert(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    text, path = _text(match, masked), one_file(match["path"], masked)
    at = int(match["line"]) + (match["side"].lower() == "after")
    if text is None or path is None or at < 1:
        return None
    return (Insert(path, text, at),)


def _insert_near(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    text, path = _text(match, masked), one_file(match["path"], masked)
    anchor = masked.value(match["anchor"])
    if text is None or path is None or not anchor.strip() or "\n" in anchor:
        return None
    return (InsertNear(path, text, anchor, match["side"].lower() in {"after", "below", "under"}),)


def _replace(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    old, new = masked.value(match["old"]), masked.value(match["new"])
    if not old or old == new:
        return None
    if match["paths"] is None:
        return (Replace(old, new, None),)
    paths = files(match["paths"], masked)
    return None if paths is None else tuple(Replace(old, new, path) for path in paths)


def _replace_word(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    words = is_word(match["old"]) and is_word(match["new"])
    intents = _replace(match, masked) if words else None
    if intents is None:
        return None
    return tuple(replace(i, word=True) for i in intents if isinstance(i, Replace))


def _rename(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    into, move = match["into"].lower() == "into", match["verb"].lower() != "rename"
    source = one_path(match["old"], masked)
    goal = one_path(match["new"], masked, known_file=into)
    if source is None or goal is None:
        return None
    (old, _), (new, folder) = source, goal
    if not re.match(r"(?:the )?file ", match["new"], re.IGNORECASE):
        folder = folder or into or (move and _has_suffix(old) and not _has_suffix(new))
        if not move and not folder and "/" not in new and "/" in old:
            new = f"{old.rpartition('/')[0]}/{new}"  # a new name in the same place
    intent = Rename(old, new, folder)
    inside = f"{intent.target}/".startswith(f"{old}/")
    return None if inside else (intent,)


def _has_suffix(path: str) -> bool:
    return "." in path.rpartition("/")[2]


def _delete(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    one = one_path(match["paths"], masked)
    if one is not None:
        return (Delete(*one),)
    paths = files(match["paths"], masked)
    return None if paths is None else tuple(Delete(path) for path in paths)


def _header(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    text, paths = _text(match, masked), files(match["paths"], masked)
    return None if text is None or paths is None else (Header(paths, text),)


def _docstring(match: re.Match[str], masked: Masked) -> tuple[Intent, ...] | None:
    text, paths = _text(match, masked), files(match["paths"], masked)
    return None if text is None or paths is None else (Docstring(paths, text),)


_THE = r"(?:(?:a|an|the|this|these|following|new) )*"
_SAYS = r"(?:with|saying|reading|containing|(?:that|which) (?:says|reads|contains))"
_WHAT = rf"(?P<what>(?:(?:a|an|the|this|these|following|new|lines?|text|sentence|row|{_SAYS}):? )*)"
_TOP = r"(?:the )?(?:very )?(?:top|beginning|start|head) of "
_END = r"(?:the )?(?:very )?(?P<end>end|bottom) of "
_TEXT, _ANCHOR = rf"(?P<text>{LITERAL})", rf"(?P<anchor>{LITERAL})"
_OLD, _NEW = rf"(?P<old>{LITERAL})", rf"(?P<new>{LITERAL})"
_FILE = rf"{_THE}(?:text )?(?P<noun>file )?(?:called |named |at )?(?P<path>[^\s,:]+)"
_CONTENT = (
    rf"(?:{_SAYS}|holding)(?: (?:the|this|these|following|contents?|text|lines?|as))*(?: is)?"
)
_LINE = r"(?P<side>at|on|as|before|after) (?:the )?line (?:number )?(?P<line>[0-9]{1,9})"
_NEAR = (
    r"(?:right |directly |immediately |just )?(?P<side>after|before|above|below|under) "
    rf"(?:the )?(?:line |text )?(?:{_SAYS} )?{_ANCHOR}"
)
_EVERYWHERE = (
    r"(?:everywhere|(?:everywhere )?(?:in|across|throughout) (?:(?:all|every|each)(?: of)?(?: the)? "
    r"(?:files?|places?)(?: (?:in|of) (?:the|this) (?:repo|repository|project))?"
    r"|(?:the |this |our )?(?:whole |entire )?(?:repo|repository|project|code ?base)))"
)
_PLACE = rf",? (?:(?P<everywhere>{_EVERYWHERE})|(?:in|throughout) (?P<paths>.+))"
_ALL = r"(?:(?:all|every|each|any|of|the|occurrences?|instances?|words?|text|string|phrase|typo|name) )*"
_HEADER = (
    r"(?:header comment|comment header|(?:(?:licen[cs]e|copyright|file) )?header|copyright notice)"
)
_DOCSTRING = r"(?:module(?:-level)? )?docstring"


def _form(pattern: str, build: Build) -> tuple[re.Pattern[str], Build]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL), build


def _labelled(noun: str, build: Build) -> tuple[tuple[re.Pattern[str], Build], ...]:
    """The forms of "add the NOUN saying Q to LIST" and "add the NOUN to LIST saying Q"."""
    start = rf"(?:add|insert|put|prepend) {_THE}{noun}"
    to = rf" (?:to|at|in|into|on) (?:{_TOP})?"
    return (
        _form(rf"{start}(?: {_SAYS})?(?: the text)?:? {_TEXT}{to}(?P<paths>.+)", build),
        _form(rf"{start}{to}(?P<paths>.+?)(?:,? {_SAYS})?(?: the text)?:? {_TEXT}", build),
    )


FORMS: tuple[tuple[re.Pattern[str], Build], ...] = (
    _form(rf"(?:create|make|add|write) {_FILE}(?: file)?,? {_CONTENT}:? {_TEXT}", _create),
    _form(rf"(?:create|make|write) {_FILE}: {_TEXT}", _create),
    _form(rf"(?:write|save) {_WHAT}{_TEXT} (?:to|into|in) {_FILE}", _create),
    _form(rf"(?:create|make|add) {_THE}empty {_FILE}", _create_empty),
    _form(
        r"(?:add|append|put) (?:(?:the )?(?:entries|patterns|lines|files|folders) )?(?P<entries>.+) "
        r"(?:to|in|into) (?:the )?(?P<path>\S+)(?: file)?",
        _ignore,
    ),
    *_labelled(_HEADER, _header),
    *_labelled(_DOCSTRING, _docstring),
    _form(
        rf"(?:add|insert|put|prepend) {_THE}comment(?: {_SAYS})?:? {_TEXT} "
        rf"(?:to|at|on) {_TOP}(?P<paths>.+)",
        _header,
    ),
    _form(rf"(?P<verb>append|add|put) {_WHAT}{_TEXT} (?:to|at|on) {_END}(?P<paths>.+)", _append),
    _form(
        rf"(?P<verb>prepend|insert|add|put) {_WHAT}{_TEXT} (?:to|at|on|in) {_TOP}(?P<paths>.+)",
        _prepend,
    ),
    _form(rf"prepend {_WHAT}{_TEXT} to (?P<paths>.+)", _prepend),
    _form(rf"(?P<verb>append|add) {_WHAT}{_TEXT} to (?P<paths>.+)", _append),
    _form(rf"(?P<verb>append|add) {_WHAT}to (?:{_END})?(?P<paths>.+?):? {_TEXT}", _append),
    _form(rf"(?:insert|add|put) {_WHAT}{_TEXT} {_LINE} (?:of|in|into|to) (?P<path>.+)", _insert),
    _form(rf"(?:insert|add|put) {_WHAT}{_TEXT} (?:in|into|to) (?P<path>.+?),? {_LINE}", _insert),
    _form(
        rf"(?:insert|add|put) {_WHAT}{_TEXT} {_NEAR} (?:of|in|into|to) (?P<path>.+)", _insert_near
    ),
    _form(
        rf"(?:insert|add|put) {_WHAT}{_TEXT} (?:in|into|to) (?P<path>.+?),? {_NEAR}", _insert_near
    ),
    _form(
        r"(?P<verb>rename|move|mv) (?P<old>.+?) (?P<into>to|into|as|->|=>|→) (?P<new>.+)", _rename
    ),
    _form(
        rf"(?:replace|change|substitute|correct|fix|update) {_ALL}{_OLD} "
        rf"(?:with|by|to|into|->|=>|→) {_ALL}{_NEW}(?:{_PLACE})?",
        _replace,
    ),
    _form(rf"rename {_ALL}{_OLD} (?:to|into|as|->|=>|→) {_ALL}{_NEW}{_PLACE}", _replace),
    _form(
        rf"(?:replace|substitute) {_ALL}(?P<old>\S+) (?:with|by) {_ALL}(?P<new>\S+){_PLACE}",
        _replace_word,
    ),
    _form(r"(?:delete|remove|rm) (?P<paths>.+)", _delete),
)
