"""Who is let in, and with what, before anything of a request is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.application import URL, Application
from tiny_backspace.server.auth import Rate, hashed, new_token
from tiny_backspace.server.guards import HEADERS, OPEN

TOKEN, OTHER = "tbs_one", "tbs_two"
TOKENS = {"tokens": {"one": hashed(TOKEN), "two": hashed(OTHER)}}


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    made = Application(tmp_path)
    yield made
    made.service.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Application]:
    made = Application(tmp_path, TOKENS)
    yield made
    made.service.close()


@pytest.mark.parametrize(
    "path", ["/runs", "/runs/0123456789", "/health", "/metrics", "/nothing", "/page/"]
)
def test_without_a_token_of_the_settings_nothing_is_said(guarded: Application, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {hashed(TOKEN)}"},
        {"Authorization": "Bearer " + "x" * 100_000},
        {"Cookie": f"tiny-backspace-token={TOKEN}; Authorization=Bearer {TOKEN}"},
    ):
        answer = guarded.get(path, headers=headers)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


def test_with_one_all_is_open(guarded: Application) -> None:
    answer = guarded.get("/runs", headers={"Authorization": f"bearer  {OTHER}"})
    assert answer.json() == {"runs": []}


@pytest.mark.parametrize("path", sorted(OPEN))
def test_what_tells_of_no_run_needs_none(guarded: Application, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_a_token_is_256_random_bits_and_only_its_hash_is_kept() -> None:
    token, kept = new_token()
    assert len(token) > 43
    assert kept == hashed(token)
    assert token not in kept
    assert new_token()[0] != token


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "[", "evil.example:8321", "127.0.0.2", "user@evil"],
)  # fmt: skip
def test_by_a_foreign_name_nobody_is_answered(application: Application, host: str) -> None:
    answer = application.get("/livez", headers={"Host": host})
    assert answer.status_code == 403
    assert "evil" not in answer.text


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8321", "LOCALHOST"])
def test_this_machines_own_names_are_ours(application: Application, host: str) -> None:
    assert application.get("/livez", headers={"Host": host}).status_code == 200


def test_the_settings_name_more(tmp_path: Path) -> None:
    application = Application(tmp_path, {"hosts": ["bot.example.org"]})
    assert application.get("/livez", url="http://bot.example.org").status_code == 200
    assert application.get("/livez", url="http://x.bot.example.org").status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1:8321.evil"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_origin_may_not_ask(
    application: Application, origin: str, method: str
) -> None:
    answer = application.ask(method, "/runs", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_our_own_page_may(application: Application) -> None:
    headers = {"Origin": URL, "Sec-Fetch-Site": "same-origin"}
    assert application.get("/runs", headers=headers).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_is_from_elsewhere_changes_nothing(
    application: Application, site: str
) -> None:
    answer = application.ask("POST", "/runs/0/cancel", headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403


def test_an_origin_that_the_settings_name_may_and_is_told_so(tmp_path: Path) -> None:
    origin = "https://app.example.org"
    application = Application(tmp_path, {"cors": [origin], **TOKENS})
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}

    preflight = application.ask("OPTIONS", "/code", headers=asked)
    answer = application.get(
        "/runs", headers={"Origin": origin, "Authorization": f"Bearer {TOKEN}"}
    )

    assert preflight.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-credentials" not in preflight.headers
    assert answer.headers["access-control-allow-origin"] == origin
    assert application.get("/runs", headers={"Origin": f"{origin}.evil"}).status_code == 403


@pytest.mark.parametrize("path", ["/runs", "/nothing", "/docs", "/livez", "/openapi.json"])
def test_every_answer_has_the_headers_of_the_careful(application: Application, path: str) -> None:
    for headers in ({}, {"Host": "evil.example"}):
        answer = application.get(path, headers=headers)
        for name in HEADERS:
            assert name in answer.headers
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("text/plain", {}),
        ("application/x-www-form-urlencoded", {}),
        ("multipart/form-data; boundary=x", {}),
        ("application/jsonp", {}),
        ("application/json", {"Content-Encoding": "gzip"}),
    ],
)
def test_a_body_that_is_no_plain_json_is_not_looked_at(
    application: Application, kind: str, more: dict[str, str]
) -> None:
    headers = {"Content-Type": kind, **more}
    body = b'{"repoUrl": "owner/name", "prompt": "x"}'
    assert application.ask("POST", "/code", content=body, headers=headers).status_code == 415


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    application = Application(tmp_path, {"body_limit": 1000})
    headers = {"Content-Type": "application/json"}

    async def pieces(size: int) -> object:
        for _ in range(size // 100):
            yield b" " * 100

    for size, status in ((1000, 422), (1100, 413)):
        said = application.ask("POST", "/code", content=b" " * size, headers=headers)
        unsaid = application.ask("POST", "/code", content=pieces(size), headers=headers)

        assert (said.status_code, unsaid.status_code) == (status, status)
        assert said.headers["content-type"] == "application/problem+json"
        assert unsaid.headers["content-type"] == "application/problem+json"


def test_each_caller_has_so_many_requests_a_minute_of_its_own(tmp_path: Path) -> None:
    application = Application(tmp_path, {"rate": 3, **TOKENS})

    def status(token: str) -> int:
        return application.get("/runs", headers={"Authorization": f"Bearer {token}"}).status_code

    assert [status(TOKEN) for _ in range(4)] == [200, 200, 200, 429]
    assert status(OTHER) == 200
    assert [status("wrong") for _ in range(4)] == [401, 401, 401, 429]
    application.clock.now += 20
    assert [status(TOKEN) for _ in range(2)] == [200, 429]


def test_who_is_too_early_is_told_how_long(tmp_path: Path) -> None:
    application = Application(tmp_path, {"rate": 2})
    answers = [application.get("/runs") for _ in range(3)]
    assert answers[2].headers["retry-after"] == "30"
    assert answers[2].json()["status"] == 429


def test_the_rates_of_any_number_of_callers_take_no_more_memory() -> None:
    rate = Rate(1, lambda: 0.0)
    for n in range(20_000):
        rate.wait(str(n))
    assert len(rate._left) == 10_000


def test_a_problem_says_nothing_of_what_is_inside(tmp_path: Path) -> None:
    application = Application(tmp_path, engine=False)
    (tmp_path / "history.db").write_bytes(b"no database" * 1000)

    broken, ready = application.get("/runs"), application.get("/readyz")

    assert (broken.status_code, ready.status_code) == (503, 503)
    for answer in (broken, ready):
        assert "/" not in answer.json()["detail"]
        assert str(tmp_path) not in answer.text
