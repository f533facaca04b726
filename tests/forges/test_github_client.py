"""GitHub is asked patiently, by its own rules, and learns nothing but the token; nobody else learns that."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import httpx2
import pytest
from pydantic import SecretStr

from tests.forges.github_api import API, NOON, TOKEN, Answered, Talk, no, ok, pull, raised, repo
from tiny_backspace.errors import ForgeDenied, ForgeError
from tiny_backspace.events import Retry, Timed
from tiny_backspace.forges.github import GitHub

SOON = str(int(NOON) + 59)


@pytest.mark.parametrize(
    ("failures", "waited"),
    [
        ([no(500)], [1.0]),
        ([no(503), no(502), httpx2.ReadTimeout("m"), httpx2.ConnectError("m")], [1.0, 2.0, 4.0, 8.0]),
        ([httpx2.RemoteProtocolError("cut"), no(408)], [1.0, 2.0]),
        ([no(503, retry_after="20")], [20.0]),
        ([no(403, x_ratelimit_remaining="0", x_ratelimit_reset=SOON)], [60.0]),
        ([no(429, x_ratelimit_remaining="0", x_ratelimit_reset=SOON)], [60.0]),
        ([no(403, retry_after="30")], [30.0]),
        ([no(429, retry_after="0")], [1.0]),
        ([no(403, "You have exceeded a secondary rate limit."), no(429)], [60.0, 120.0]),
        ([no(403, x_ratelimit_remaining="0", x_ratelimit_reset="soon")], [60.0]),
    ],
)  # fmt: skip
def test_a_failure_that_may_pass_is_waited_for(
    failures: list[Answered], waited: list[float]
) -> None:
    talk = Talk(*failures, ok(repo()))

    assert talk.github.repository().full_name == "me/it"

    assert talk.waited == waited
    assert [(e.provider, e.attempt, e.wait_s) for e in talk.retries] == [
        ("github", n, seconds) for n, seconds in enumerate(waited, 1)
    ]
    timed = [event.ok for event in talk.events if isinstance(event, Timed)]
    assert timed == [False] * len(failures) + [True]


@pytest.mark.parametrize(
    ("failure", "waited", "sentence"),
    [
        (no(502), [1.0, 2.0, 4.0, 8.0], "(asked 5 times)"),
        (httpx2.ConnectError("refused"), [1.0, 2.0, 4.0, 8.0], "cannot be reached (refused) (asked 5 times)"),
        (no(429), [60.0, 120.0], "too many requests in a short time"),
        (no(403, retry_after="70"), [70.0] * 4, "(asked 5 times)"),
        (no(403, retry_after="100"), [100.0] * 3, "(asked 4 times)"),
        (no(429, retry_after="301"), [], "too many requests in a short time"),
        (no(503, retry_after="301"), [], "it cannot answer now"),
        (no(403, x_ratelimit_remaining="0", x_ratelimit_reset=str(int(NOON) + 120)), [], "until 2027-01-15 08:02:01 UTC"),
        (no(401), [], "the token is refused"),
        (no(418), [], "it refuses this"),
        (httpx2.LocalProtocolError(f"Bearer {TOKEN}"), [], "could not be sent"),
        (httpx2.UnsupportedProtocol("m"), [], "its address is none"),
    ],
)  # fmt: skip
def test_what_does_not_pass_ends_after_five_tries_or_five_minutes_or_at_once(
    failure: Answered, waited: list[float], sentence: str
) -> None:
    talk = Talk()
    talk.server.answers = [failure] * 9

    with pytest.raises(ForgeError) as told:
        talk.github.repository()

    assert sentence in str(told.value)
    assert talk.waited == waited
    assert len(talk.asked) == len(waited) + 1


def test_what_is_posted_is_sent_again_only_if_it_was_not_taken() -> None:
    talk = Talk(no(403, retry_after="5"), no(429, retry_after="6"), no(502))

    with pytest.raises(ForgeError, match="it cannot answer now"):
        talk.github.fork()

    assert (talk.waited, len(talk.asked)) == ([5.0, 6.0], 3)


def test_half_of_a_wait_is_by_chance() -> None:
    waited: list[float] = []
    server = Talk(no(500), ok(repo())).server
    github = GitHub(
        "me", "it", SecretStr(TOKEN), API, lambda _: None,
        transport=server, wait=waited.append, jitter=lambda: 0.0,
    )  # fmt: skip

    github.repository()

    assert waited == [0.5]


def test_each_request_says_who_we_are_and_what_we_want() -> None:
    talk = Talk(ok(repo()), ok(pull(), 201))
    talk.github.repository()
    talk.github.pull_request(7)
    for request in talk.server.requests:
        headers = request.headers
        assert headers["authorization"] == f"Bearer {TOKEN}"
        assert headers["accept"] == "application/vnd.github+json"
        assert headers["x-github-api-version"] == "2022-11-28"
        assert headers["user-agent"].startswith("tiny-backspace/")
        assert TOKEN not in str(request.url)
        assert [name for name, value in headers.items() if TOKEN in value] == ["authorization"]


def test_the_environment_neither_says_who_we_are_nor_where_we_send(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("GH_HOST", "GITHUB_TOKEN", "GITHUB_JWT_TOKEN", "GH_TOKEN", "GHAPI_DEBUG", "GITHUB_API_URL"):  # fmt: skip
        monkeypatch.setenv(name, "http://evil.test")
    talk = Talk(ok(repo()))

    talk.github.repository()

    (request,) = talk.server.requests
    assert str(request.url) == "http://github.test/repos/me/it"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert "evil" not in repr(dict(request.headers))
    assert capsys.readouterr() == ("", "")


def test_nor_does_it_where_it_is_read_when_ghapi_is_imported() -> None:
    script = f"""
import httpx2
from pydantic import SecretStr
from tiny_backspace.forges.github import GitHub
asked = []
def answer(request):
    asked.append(str(request.url))
    return httpx2.Response(404, json={{}})
github = GitHub("me", "it", SecretStr("{TOKEN}"), "{API}", print, transport=httpx2.MockTransport(answer))
try:
    github.repository()
except Exception as error:
    print(type(error).__name__, asked)
"""
    environment = {"GH_HOST": "http://evil.test", "GITHUB_JWT_TOKEN": "evil", "GHAPI_DEBUG": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"ForgeDenied ['{API}/repos/me/it']"
    assert "evil" not in done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_ghapi_is_imported_with_the_first_question_and_not_before() -> None:
    script = (
        "import sys; from tiny_backspace.forges.github import GitHub; from pydantic import SecretStr;"
        f"GitHub('me', 'it', SecretStr('{TOKEN}'), '{API}', print);"
        "print([m for m in ('ghapi', 'httpx2', 'fastcore') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (no(401, f"Bad token {TOKEN}"), True),
        (no(403, TOKEN, x_github_sso=f"required; url=https://github.test/{TOKEN}"), True),
        (no(404, TOKEN), True),
        (no(422, TOKEN, TOKEN, {"message": TOKEN}), False),
        (httpx2.ConnectError(f"no way to {TOKEN}"), False),
        (httpx2.Response(200, text=TOKEN), False),
        (ok({"full_name": TOKEN}), False),
        (no(500, TOKEN), False),
    ],
)
def test_the_token_is_in_no_message_event_exception_or_representation(
    answer: Answered, hint: bool
) -> None:
    talk = Talk()
    talk.server.answers = [answer] * 5

    error = raised(talk.github.repository)

    assert isinstance(error, ForgeError)
    assert bool(error.hint) is hint or not hint
    told = [str(error), repr(error), str(error.hint), repr(talk.events), repr(talk.github), repr(vars(talk.github))]  # fmt: skip
    chain: BaseException | None = error
    while chain is not None:
        told.append(repr(chain))
        chain = chain.__cause__ or chain.__context__
    assert not [text for text in told if TOKEN in text]
    assert all(event.reason.isprintable() for event in talk.events if isinstance(event, Retry))


@pytest.mark.parametrize("token", ["", "ghp\n", "ghp ab", "ghp_ä"])
def test_a_token_that_is_none_is_never_sent(token: str) -> None:
    server = Talk(ok(repo())).server
    github = GitHub("me", "it", SecretStr(token), API, lambda _: None, transport=server)

    with pytest.raises(ForgeDenied, match="the token is empty or has characters"):
        github.repository()

    assert server.asked == []


def test_a_certificate_file_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    github = GitHub("me", "it", SecretStr(TOKEN), API, lambda _: None)

    with pytest.raises(ForgeError, match="GitHub cannot be asked"):
        github.repository()


def test_it_is_gone_when_nobody_has_it_any_more() -> None:
    server = Talk(ok(repo())).server
    github = GitHub("me", "it", SecretStr(TOKEN), API, lambda _: None, transport=server)
    github.repository()
    client = weakref.ref(github._client)

    del github
    gc.collect()

    assert client() is None
