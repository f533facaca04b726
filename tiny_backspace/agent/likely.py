"""Which files a request is likely to be about, by their paths alone. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from math import log2

_MOST = 12
_LONGEST = 200  # characters of a path; longer ones are not told
_TESTS = 2  # told beside one file
_PROMPT = 8000  # characters that are read of it
_WORDS = 40
_MENTION = re.compile(r"[\w.@+-]+(?:/[\w.@+-]+)*")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")
_ENDING = re.compile(r"(?:ing|ers|er|ed|es|s|e)$")
_ROOT = 3  # letters, the least that is compared
_TEST = re.compile(r"(?:^tests?_(.+)|(.+?)(?:[._-](?:tests?|spec)|Tests?|Spec))\.\w+")
# Weights: a path in the request, the end of one, a file's name, one of its folders; words by rarity.
_WHOLE, _PART, _NAMED, _FOLDER = 1000.0, 500.0, 300.0, 100.0
_IN_NAME, _IN_FOLDER, _ENOUGH = 2.0, 1.0, 0.25
_COMMON = (
    " the and for with that this from into not are was should would could can when where which what why how "
    "then also just please make add use let new does did all any some each every there here you our your its "
    "file code test src lib change update implement write fix better improve remove support "
)


def likely(paths: Sequence[str], prompt: str) -> list[str]:
    """At most twelve of the paths: those the prompt mentions, then those with most of its words.

    Rare words count more than those that many paths have. A file's tests come right after it.
    """
    found = (text.strip(".") for text in _MENTION.findall(prompt[:_PROMPT]))
    mentions = dict.fromkeys(filter(None, found))
    scores = _mentioned(paths, {mention.casefold() for mention in mentions})
    # a path that is there was said for itself, not for the words it is made of
    said = _roots(" ".join(mention for mention in mentions if scores.get(mention) != _WHOLE))
    for path, score in _by_words(paths, frozenset(said[:_WORDS])).items():
        scores[path] = scores.get(path, 0) + score
    ranked = sorted(
        (path for path, score in scores.items() if score >= _ENOUGH and len(path) <= _LONGEST),
        key=lambda path: (-scores[path], _is_test(path), path.count("/"), path),
    )[:_MOST]
    tests = _tests(paths) if ranked else {}
    beside = ((path, *tests.get(_subject(path), ())[:_TESTS]) for path in ranked)
    return list(dict.fromkeys(chain.from_iterable(beside)))[:_MOST]


def _mentioned(paths: Iterable[str], mentions: set[str]) -> dict[str, float]:
    """The paths of which the request has the whole, the end, the name or a folder above."""
    ends = tuple(f"/{mention}" for mention in mentions if "/" in mention)
    tops = tuple(f"{mention}/" for mention in mentions if "/" in mention)
    scores = {}
    for path in paths:
        lower = path.casefold()
        if lower in mentions:
            scores[path] = _WHOLE
        elif lower.endswith(ends):
            scores[path] = _PART
        elif lower.rpartition("/")[2] in mentions:
            scores[path] = _NAMED
        elif lower.startswith(tops):
            scores[path] = _FOLDER
    return scores


def _by_words(paths: Iterable[str], wanted: frozenset[str]) -> dict[str, float]:
    """How much of the words' roots is in each path that has any, in its name or its folders."""
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    for path in paths:
        lower = path.casefold()
        if any(root in lower for root in wanted):
            folder, _, name = path.rpartition("/")
            stem = _roots(name.rpartition(".")[0] or name)
            found[path] = (wanted.intersection(stem), wanted.intersection(_roots(folder)))
    spread = Counter(chain.from_iterable(name | folder for name, folder in found.values()))
    weight = {root: 1 / (1 + log2(count)) for root, count in spread.items()}
    return {
        path: sum(
            weight[root] * (_IN_NAME if root in name else _IN_FOLDER) for root in name | folder
        )
        for path, (name, folder) in found.items()
    }


def _roots(text: str) -> list[str]:
    """The words of a text, identifiers taken apart, without the endings that a word is bent with."""
    words = (word.casefold() for word in _PIECE.findall(text))
    roots = (_root(word) for word in words if len(word) >= _ROOT and f" {word} " not in _COMMON)
    return list(dict.fromkeys(root for root in roots if f" {root} " not in _COMMON))


def _root(word: str) -> str:
    root = _ENDING.sub("", word)
    return root if len(root) >= _ROOT else word.removesuffix("s")


def _tests(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The test files by the name of what they test."""
    tests: dict[str, tuple[str, ...]] = {}
    for path in paths:
        if _is_test(path) and len(path) <= _LONGEST:
            subject = _subject(path)
            tests[subject] = (*tests.get(subject, ()), path)
    return tests


def _is_test(path: str) -> bool:
    return _TEST.fullmatch(path.rpartition("/")[2]) is not None


def _subject(path: str) -> str:
    """`parser` for parser.py, test_parser.py, parser.test.ts and ParserTest.java."""
    name = path.rpartition("/")[2]
    found = _TEST.fullmatch(name)
    stem = (found[1] or found[2]) if found else name.partition(".")[0] or name
    return stem.casefold()
