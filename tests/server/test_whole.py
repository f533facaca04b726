"""The service as its users have it: a real server, real runs, clients that stay, come late, go and come back."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.forge import PROMPT, Place
from tests.server.serving import SECONDS, Event, Served, serving, until

REPO = "owner/project"
LONG = {"options": {"verify": "sleep 60"}}  # goes on until somebody ends it


@pytest.fixture
def served(place: Place) -> Iterator[Served]:
    with serving(place.program) as made:
        yield made


def shown(place: Place, run_id: str) -> list[str]:
    """What `show --json` tells of it."""
    done = place.run("show", run_id, "--json")
    assert done.exit_code == 0, done.stderr
    return done.stdout.splitlines()


def status(served: Served, run_id: str) -> str:
    return str(served.ask("GET", f"/runs/{run_id}").json["status"])


def test_a_post_is_answered_with_the_records_and_a_pull_request(
    place: Place, served: Served
) -> None:
    with served.code(REPO, PROMPT) as stream:
        run_id, events = stream.run_id, list(stream)

    assert [event.data for event in events] == shown(place, run_id)
    assert [event.id for event in events] == [str(n) for n in range(1, len(events) + 1)]
    assert {event.type for event in events} == {""}
    closing = events[-1].record
    assert (closing["type"], closing["run_id"]) == ("success", run_id)
    assert closing["pr_url"].endswith(f"/{REPO}/pull/{place.pull.number}")
    assert len(run_id) == 32
    found = served.ask("GET", f"/runs/{run_id}").json
    assert (found["status"], found["pr_url"]) == ("succeeded", closing["pr_url"])
    assert served.ask("GET", "/runs").json["runs"] == [found]


def test_who_comes_late_or_comes_back_misses_nothing_and_hears_nothing_twice(
    place: Place, served: Served
) -> None:
    heard: dict[str, list[Event]] = {}

    def listen(name: str, run_id: str, last: str | None) -> None:
        headers = {"Last-Event-ID": last}
        with served.stream("GET", f"/runs/{run_id}/events", headers=headers) as stream:
            heard[name] = list(stream)

    with served.code(REPO, PROMPT) as first:
        run_id = first.run_id
        beside = threading.Thread(target=listen, args=("beside", run_id, None))
        beside.start()
        begun = [event for event, _ in zip(first, range(12), strict=False)]
    listen("back", run_id, begun[-1].id)
    beside.join(SECONDS)
    listen("late", run_id, None)

    whole = shown(place, run_id)
    assert [event.data for event in heard["beside"]] == whole
    assert [event.data for event in heard["late"]] == whole
    assert [event.data for event in begun + heard["back"]] == whole


def test_after_the_last_one_there_is_nothing_and_a_browser_stops_asking(served: Served) -> None:
    with served.code(REPO, PROMPT) as stream:
        run_id, last = stream.run_id, list(stream)[-1].id
    for path, headers in (
        (f"/runs/{run_id}/events", {"Last-Event-ID": last}),
        (f"/runs/{run_id}/events?after={last}", {}),
        (f"/runs/{run_id}/events", {"Last-Event-ID": "999999"}),
    ):
        assert served.ask("GET", path, headers=headers).status == 204
    assert (
        served.ask("GET", f"/runs/{run_id}/events", headers={"Last-Event-ID": "-1"}).status == 422
    )


def test_a_run_goes_on_when_its_client_goes(place: Place, served: Served) -> None:
    with served.code(REPO, PROMPT) as stream:
        run_id = stream.run_id
        next(iter(stream))
    until(lambda: status(served, run_id) == "succeeded")
    assert len(place.repo.pulls) == 1


def test_or_it_ends_if_that_was_asked_for(place: Place, served: Served) -> None:
    with served.code(REPO, PROMPT, onDisconnect="cancel", **LONG) as stream:
        run_id = stream.run_id
        with served.stream("GET", f"/runs/{run_id}/events") as other:
            stream.leave()
            next(
                event
                for event in other
                if event.record["type"] == "verification" or event.record["type"] == "work_saved"
            )
            assert status(served, run_id) == "running"  # somebody still follows it
    until(lambda: status(served, run_id) == "failed")
    assert json.loads(shown(place, run_id)[-1])["error"] == "terminated"


def test_a_run_is_ended_by_its_owner_and_keeps_its_work(place: Place, served: Served) -> None:
    with served.code(REPO, PROMPT, **LONG) as stream:
        events = iter(stream)
        next(event for event in events if event.record["type"] == "work_saved")
        cancelled = served.ask("POST", f"/runs/{stream.run_id}/cancel")
        closing = list(events)[-1].record

    assert (cancelled.status, cancelled.json) == (202, {"run_id": stream.run_id})
    assert (closing["type"], closing["exit_code"]) == ("error", 143)
    assert Path(closing["patch"]).exists()
    assert served.ask("POST", f"/runs/{stream.run_id}/cancel").status == 409
    assert served.ask("POST", f"/runs/{'0' * 32}/cancel").status == 404


def test_so_many_run_so_many_wait_and_the_rest_is_told_to_come_again(place: Place) -> None:
    with (
        serving(place.program, settings="workers = 1\nqueue = 1") as served,
        served.code(REPO, PROMPT, **LONG) as first,
        served.code(REPO, PROMPT) as second,
    ):
        next(iter(first))
        refused = served.ask("POST", "/code", {"repoUrl": REPO, "prompt": "x"})
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) > 0
        assert status(served, second.run_id) == "queued"
        (queued,) = served.ask("GET", "/runs?status=queued").json["runs"]
        assert queued["run_id"] == second.run_id
        served.ask("POST", f"/runs/{first.run_id}/cancel")
        assert list(second)[-1].record["type"] == "success"


def test_a_run_that_waits_is_ended_before_it_begins(place: Place) -> None:
    with serving(place.program, settings="workers = 1") as served:
        with served.code(REPO, PROMPT, **LONG) as first, served.code(REPO, PROMPT) as second:
            served.ask("POST", f"/runs/{second.run_id}/cancel")
            (only,) = list(second)
            served.ask("POST", f"/runs/{first.run_id}/cancel")
        assert (only.type, only.id) == ("problem", "")
        assert only.record == {"detail": "It was cancelled before it began."}
        assert status(served, second.run_id) == "failed"
        with served.stream("GET", f"/runs/{second.run_id}/events") as late:
            assert list(late) == [only]


def test_the_same_key_is_the_same_run_also_after_a_restart(place: Place) -> None:
    headers = {"Idempotency-Key": "build-7"}
    with serving(place.program) as served:
        with served.code(REPO, PROMPT, headers) as one, served.code(REPO, PROMPT, headers) as two:
            assert one.run_id == two.run_id
            assert [e.data for e in one] == [e.data for e in two]
        other = served.ask("POST", "/code", {"repoUrl": REPO, "prompt": "else"}, headers)
        assert other.status == 422
        assert "Idempotency-Key" in other.json["detail"]
    with serving(place.program) as served, served.code(REPO, PROMPT, headers) as three:
        assert three.run_id == one.run_id
        assert list(three)[-1].record["type"] == "success"
    assert len(place.new) == 1


def test_told_to_end_it_takes_nothing_on_and_lets_runs_come_to_their_end(place: Place) -> None:
    with serving(place.program) as served, served.code(REPO, PROMPT) as stream:
        events = iter(stream)
        begun = [next(events)]
        served.process.send_signal(signal.SIGTERM)
        until(lambda: served.ask("GET", "/readyz").status == 503)
        assert served.ask("POST", "/code", {"repoUrl": REPO, "prompt": "x"}).status == 503
        assert served.ask("GET", "/livez").status == 200
        told = [*begun, *events]

        assert told[-1].record["type"] == "success"
        assert served.process.wait(SECONDS) == 0
    said = served.errors.read_text()
    assert "1 run may go on for 30 s" in said
    assert said.endswith("Ended: all runs are over.\n")
    assert [event.data for event in told] == shown(place, stream.run_id)


@pytest.mark.parametrize("hurry", [False, True])
def test_what_does_not_end_in_time_is_ended_and_nothing_is_left(
    place: Place, *, hurry: bool
) -> None:
    settings = "workers = 1\ndrain = " + ("600" if hurry else "0.2")
    with serving(place.program, settings=settings) as served:
        with served.code(REPO, PROMPT, **LONG) as stream, served.code(REPO, PROMPT) as waiting:
            events = iter(stream)
            next(event for event in events if event.record["type"] == "work_saved")
            served.process.send_signal(signal.SIGTERM)
            if hurry:
                until(lambda: served.ask("GET", "/readyz").status == 503)
                served.process.send_signal(signal.SIGINT)
            assert list(events)[-1].record["error"] == "terminated"
            assert next(iter(waiting)).type == "problem"
        assert served.process.wait(SECONDS) == 0


def test_a_service_that_is_killed_takes_its_runs_along(place: Place) -> None:
    with serving(place.program) as served, served.code(REPO, PROMPT, **LONG) as stream:
        run_id = stream.run_id
        next(iter(stream))
        served.process.kill()
        served.process.wait()
    with serving(place.program) as served:
        with served.stream("GET", f"/runs/{run_id}/events") as stream:
            told = [event.data for event in stream]
        assert status(served, run_id) == "failed"
    assert told == shown(place, run_id)
    assert json.loads(told[-1])["error"] == "terminated"


def test_a_run_that_cannot_begin_says_why(place: Place, served: Served) -> None:
    """Its settings were spoiled after the service had read them."""
    config = place.program.home / "config" / "tiny-backspace" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("max_turns = 'many'\n")
    with served.code(REPO, PROMPT) as stream:
        (only,) = list(stream)
    assert only.type == "problem"
    assert str(config) not in only.data  # which is for whoever started the service
    assert f"Run {stream.run_id} could not begin: " in served.errors.read_text()
    assert f"max_turns in {config}" in served.errors.read_text()
    found = served.ask("GET", f"/runs/{stream.run_id}").json
    assert (found["status"], found["problem"]) == ("failed", only.record["detail"])


def test_a_run_that_ends_before_it_begins_is_told_by_its_records(
    place: Place, served: Served
) -> None:
    with served.code("owner/missing", PROMPT) as stream:
        closing = list(stream)[-1].record
    assert closing["type"] == "error"
    assert status(served, stream.run_id) == "failed"


def test_a_run_of_the_command_line_is_followed_too(place: Place, served: Served) -> None:
    with place.program.start("run", REPO, PROMPT, "--quiet", cwd=place.work) as process:
        until(lambda: bool(served.ask("GET", "/runs").json["runs"]))
        run_id = served.ask("GET", "/runs").json["runs"][0]["run_id"]
        with served.stream("GET", f"/runs/{run_id}/events") as stream:
            told = [event.data for event in stream]
        ended = served.ask("POST", f"/runs/{run_id}/cancel")
        process.communicate()
    assert told == shown(place, run_id)
    assert ended.status == 409


def test_health_and_metrics_tell_of_it(served: Served) -> None:
    with served.code(REPO, PROMPT) as stream:
        list(stream)
    until(lambda: b'runs_ended_total{result="success"} 1\n' in served.ask("GET", "/metrics").body)
    measured = served.ask("GET", "/metrics")
    assert measured.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in measured.body.decode().splitlines():
        assert line.startswith(
            ("# HELP tiny_backspace_", "# TYPE tiny_backspace_", "tiny_backspace_")
        )
    health = served.ask("GET", "/health").json
    assert (health["runs"], health["succeeded"]) == (1, 1)
    assert served.ask("GET", "/readyz").status == 200
