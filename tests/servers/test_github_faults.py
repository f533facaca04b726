"""The GitHub of the tests fails on demand, before or after it did what it was asked for."""

from __future__ import annotations

from http.client import IncompleteRead, RemoteDisconnected

import httpx2
import pytest

from tests.servers import github_faults as faults
from tests.servers.github import github_server
from tests.servers.github_client import ask, proposal
from tests.servers.github_state import CLASSIC
from tests.servers.test_github import hello

REPO = "/repos/octo/hello"


@pytest.mark.parametrize("status", [403, 429])
def test_the_hour_is_used_up_until_a_time_that_is_told(status: int) -> None:
    with github_server([hello()]) as server:
        server.faults = faults.in_turn(faults.primary_limit(1_000, status))
        limited, again = ask(server, "GET", REPO), ask(server, "GET", REPO)
    assert limited.status == status
    assert limited.headers["x-ratelimit-remaining"] == "0"
    assert limited.headers["x-ratelimit-reset"] == "1000"
    assert "rate limit exceeded" in limited.message
    assert again.status == 200


@pytest.mark.parametrize("seconds", [7, None])
def test_too_much_at_once_says_how_long_to_wait_or_not(seconds: int | None) -> None:
    with github_server([hello()]) as server:
        server.faults = faults.in_turn(faults.secondary_limit(seconds))
        limited = ask(server, "GET", REPO)
    assert limited.status == 403
    assert limited.headers.get("retry-after") == (None if seconds is None else "7")
    assert limited.headers["x-ratelimit-remaining"] != "0"
    assert "secondary rate limit" in limited.message


def test_what_fails_before_its_effect_has_none() -> None:
    repo = hello()
    with github_server([repo]) as server:
        server.faults = faults.in_turn(faults.failing(503))
        reply = ask(server, "POST", f"{REPO}/pulls", proposal())
    assert (reply.status, reply.headers["content-type"]) == (503, "text/html")
    assert repo.pulls == []


def test_a_pull_request_is_opened_and_a_gateway_says_that_it_failed() -> None:
    repo = hello()
    with github_server([repo]) as server:
        server.faults = faults.in_turn(faults.failing(502, done=True))
        reply = ask(server, "POST", f"{REPO}/pulls", proposal())
        found = ask(server, "GET", f"{REPO}/pulls?head=octo:tb/x")
    assert reply.status == 502
    assert [each["number"] for each in found.body] == [1]


def test_a_pull_request_is_opened_and_the_connection_is_cut() -> None:
    repo = hello()
    with github_server([repo]) as server:
        server.faults = faults.in_turn(faults.DONE_THEN_CUT)
        with pytest.raises(RemoteDisconnected):
            ask(server, "POST", f"{REPO}/pulls", proposal())
    assert len(repo.pulls) == 1


def test_a_pull_request_is_opened_and_half_of_the_answer_comes() -> None:
    repo = hello()
    with github_server([repo]) as server:
        server.faults = faults.in_turn(faults.DONE_THEN_HALF)
        with pytest.raises(IncompleteRead):
            ask(server, "POST", f"{REPO}/pulls", proposal())
    assert len(repo.pulls) == 1


def test_a_connection_is_cut_before_anything_was_done() -> None:
    repo = hello()
    with github_server([repo]) as server:
        server.faults = faults.in_turn(faults.CUT)
        with pytest.raises(RemoteDisconnected):
            ask(server, "POST", f"{REPO}/pulls", proposal())
    assert repo.pulls == []


def test_nothing_ever_comes_until_the_client_has_gone() -> None:
    headers = {"Authorization": f"Bearer {CLASSIC.value}"}
    with github_server([hello()]) as server:
        server.faults = faults.in_turn(faults.STALL)
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.get(server.api_url + REPO, headers=headers, timeout=0.2)
        assert server.left.wait(10)


def test_a_page_and_broken_json_come_with_status_200() -> None:
    with github_server([hello()]) as server:
        server.faults = faults.in_turn(faults.HTML, faults.NO_JSON)
        page, broken = ask(server, "GET", REPO), ask(server, "GET", REPO)
    assert (page.status, page.headers["content-type"]) == (200, "text/html")
    assert (broken.status, broken.headers["content-type"]) == (
        200,
        "application/json; charset=utf-8",
    )
    with pytest.raises(ValueError, match="Unterminated"):
        _ = broken.body


def test_a_refusal_of_no_state_can_be_said() -> None:
    with github_server([hello()]) as server:
        server.faults = faults.in_turn(
            faults.refusing(
                403, "Although you appear to have the correct authorization", x_what="1"
            )
        )
        reply = ask(server, "GET", REPO)
    assert reply.message.startswith("Although you appear")
    assert reply.headers["x-what"] == "1"


def test_faults_are_for_the_requests_that_are_meant() -> None:
    with github_server([hello()]) as server:
        server.faults = faults.only("POST", "/pulls", faults.in_turn(None, faults.failing()))
        statuses = [
            ask(server, "GET", f"{REPO}/pulls").status,
            ask(server, "POST", f"{REPO}/pulls", proposal()).status,
            ask(server, "POST", f"{REPO}/pulls", proposal()).status,
            ask(server, "POST", f"{REPO}/pulls", proposal()).status,
        ]
    assert statuses == [200, 201, 502, 422]
    assert len(server.requests) == 4
