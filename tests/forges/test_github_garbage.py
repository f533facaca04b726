"""Whatever a server sends, what comes of it is an answer or a ForgeError."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from tests.forges.github_api import API, TOKEN, Talk, issue, pull, repo
from tiny_backspace.errors import ForgeError, UsageError
from tiny_backspace.forges.github import GitHub
from tiny_backspace.forges.interface import Proposal
from tiny_backspace.redact import clean_line

PROPOSAL = Proposal("main", "fix", "A fix", "Why", labels=("a",), reviewers=("b", "c"), assignees=("d",))  # fmt: skip
CALLS: tuple[Callable[[GitHub], object], ...] = (
    GitHub.repository,
    GitHub.fork,
    lambda github: github.find_pull_request("fix"),
    lambda github: github.open_pull_request(PROPOSAL),
    lambda github: github.issue(12),
    lambda github: github.answered_by(12),
    lambda github: github.pull_request(7),
    lambda github: github.unresolved(7),
    lambda github: github.update_fork("main", "1" * 40),
)
KINDS = ("application/json", "text/html; charset=base64", "text/plain; charset=no-such", "")
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud83d"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
fields = st.dictionaries(st.sampled_from((*repo(), *pull(), *issue(), "data", "errors")), junk)
contents = st.one_of(
    st.binary(),
    st.sampled_from((b"", b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"[[]]", b"[{}]")),
    junk.map(lambda value: json.dumps(value).encode()),
    fields.map(lambda odd: json.dumps(repo() | pull() | issue() | odd).encode()),
    fields.map(lambda odd: json.dumps([pull() | odd]).encode()),
    junk.map(lambda odd: json.dumps({"data": {"repository": {"pullRequest": odd}}}).encode()),
)
TALK = Talk()  # one for all examples: making it takes longer than they do


@settings(deadline=None)  # the first one imports ghapi
@given(
    st.sampled_from(CALLS),
    st.lists(st.tuples(contents, st.sampled_from((200, 201, 301, 403, 404, 422, 500)), st.sampled_from(KINDS)), min_size=1),
)  # fmt: skip
def test_no_garbage_makes_it_fail_otherwise_than_with_a_forge_error(
    call: Callable[[GitHub], object], sent: list[tuple[bytes, int, str]]
) -> None:
    TALK.events.clear()
    TALK.waited.clear()
    TALK.server.requests.clear()
    TALK.server.answers = [
        httpx2.Response(
            status, content=content, headers={"content-type": kind, "location": f"{API}/repositories/1"}
        )
        for _ in range(60)
        for content, status, kind in sent
    ]  # fmt: skip

    try:
        call(TALK.github)
    except (ForgeError, UsageError) as error:  # the latter for an issue that is a pull request
        assert clean_line(str(error)) == str(error)  # noqa: PT017 - it may as well succeed

    assert TOKEN not in repr(TALK.events)


class Endless(httpx2.SyncByteStream):
    def __init__(self, piece: bytes) -> None:
        self._piece = piece

    @override
    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self._piece


def test_an_answer_without_end_is_left_after_16_mib() -> None:
    talk = Talk(httpx2.Response(200, stream=Endless(b" " * 100_000)))

    with pytest.raises(ForgeError, match="longer than 16 MiB"):
        talk.github.repository()


def test_nobody_asks_for_a_packed_answer_and_nobody_takes_one() -> None:
    packed = httpx2.ByteStream(gzip.compress(b"{}"))
    talk = Talk(httpx2.Response(200, stream=packed, headers={"content-encoding": "gzip"}))

    with pytest.raises(ForgeError, match="it is packed"):
        talk.github.repository()

    assert talk.server.requests[0].headers["accept-encoding"] == "identity"
