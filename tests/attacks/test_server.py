"""A72 to A80: the service, attacked by whoever reaches it."""

from __future__ import annotations

import ast
import gzip
import inspect
import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.oracles import holding
from tests.attacks.scene import EDIT, EDITING, PROMPT, Scene, hostile, turns
from tests.attacks.watching import processes
from tests.program import Finished
from tests.server.serving import SECONDS, Event, Served, Stream, configure, serving, until
from tests.server.test_asked import NOT_SERVED
from tests.servers.models import Say
from tiny_backspace.errors import UsageError
from tiny_backspace.events import AgentThought, Record, RunSucceeded
from tiny_backspace.server import auth
from tiny_backspace.server.auth import new_token
from tiny_backspace.server.listening import check
from tiny_backspace.telemetry.store import History

REPO = "owner/project"
CLAUDE: dict[str, Any] = {"options": {"agents": ["claude"]}}
LONG: dict[str, Any] = {
    "options": {"agents": ["claude"], "verify": "sleep 60", "verifyAttempts": 1}
}
MINE, THEIRS, ADMIN = (new_token() for _ in range(3))
SETTINGS = f"""
patience = 1
drain = 1
workers = 2
queue = 3
rate = 10000
admins = ["admin"]
[server.tokens]
mine = "{MINE[1]}"
theirs = "{THEIRS[1]}"
admin = "{ADMIN[1]}"
"""


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[tuple[Scene, Served]]:
    """A service with tokens, asked with `mine`; all oracles hold when it has ended."""
    with hostile(tmp_path) as scene:
        configure(scene.place.program, SETTINGS)
        with holding(scene), serving(scene.place.program, token=MINE[0]) as served:
            scene.answer = EDITING
            yield scene, served


def bearer(token: str | None) -> Mapping[str, str | None]:
    return {"Authorization": f"Bearer {token}" if token else None}


def heard(scene: Scene, stream: Stream) -> list[Event]:
    """All of it; the oracles look at it as at a run's output."""
    events = list(stream)
    lines = "".join(f"{event.data}\n" for event in events if not event.type)
    scene.finished.append(Finished(0, lines, ""))
    return events


def ended(scene: Scene, served: Served, run_id: str) -> None:
    """End a run and hear of it."""
    served.ask("POST", f"/runs/{run_id}/cancel")
    with served.stream("GET", f"/runs/{run_id}/events") as stream:
        heard(scene, stream)


def raw(served: Served, request: bytes) -> bytes:
    """The whole answer to these bytes, whatever they are."""
    with served.open() as connection:
        with suppress(OSError):  # it may answer, and go, before it has all
            connection.sendall(request)
        said = b""
        with suppress(ConnectionError):
            while piece := connection.recv(1 << 16):
                said += piece
    return said


def test_a72_without_the_right_token_nothing_is_said(attacked: tuple[Scene, Served]) -> None:
    """Expected: 401; compared in constant time; bound to this machine alone by default."""
    scene, served = attacked
    body = {"repoUrl": REPO, "prompt": PROMPT, **CLAUDE}
    for token in (None, "", "x", MINE[1], MINE[0][:-1], f"{MINE[0]}x", MINE[0].upper()):
        for method, path in (
            ("GET", "/runs"),
            ("GET", "/health"),
            ("GET", "/metrics"),
            ("GET", "/page/"),
        ):
            assert served.ask(method, path, headers=bearer(token)).status == 401
        assert served.ask("POST", "/code", body, bearer(token)).status == 401
    assert served.address[0] == "127.0.0.1"
    port = f"{served.address[1]:04X}"
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()
        if f":{port} 00000000:0000 0A" in line
    ]
    assert listening == [f"0100007F:{port}"]
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(UsageError, match="Without a token"):
            check(host, tokens=False)
    assert _compares_in_constant_time()
    assert scene.models.requests == []
    environments = b"".join(environ for _, environ in processes())
    assert MINE[0].encode() not in environments


def _compares_in_constant_time() -> bool:
    """No text is compared by ==, and each of the tokens is, whichever it is."""
    tree = ast.parse(inspect.getsource(auth.caller))
    loops = [n for n in ast.walk(tree) if isinstance(n, ast.For)]
    compared = [n for n in ast.walk(tree) if isinstance(n, ast.Eq | ast.NotEq | ast.In)]
    early = [n for loop in loops for n in ast.walk(loop) if isinstance(n, ast.Break | ast.Return)]
    return "hmac.compare_digest" in ast.unparse(loops[0]) and not early and len(compared) <= 1


def test_a73_a_page_of_somebody_elses_gets_nowhere(attacked: tuple[Scene, Served]) -> None:
    """Expected: 403 for a foreign name or origin; JSON is required."""
    scene, served = attacked
    body = json.dumps({"repoUrl": REPO, "prompt": PROMPT, **CLAUDE}).encode()
    host, port = served.address
    for name, status in (
        ("evil.example", 403),
        (f"evil.example:{port}", 403),
        (f"{host}:{port}", 200),
    ):
        assert served.ask("GET", "/runs", headers={"Host": name}).status == status
    for origin in ("http://evil.example", "null", f"http://{host}:1"):
        for method in ("GET", "POST", "OPTIONS"):
            answer = served.ask(
                method, "/code" if method != "GET" else "/runs", headers={"Origin": origin}
            )
            assert answer.status == 403
            assert not [
                name for name in answer.headers if name.lower().startswith("access-control")
            ]
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        assert served.ask("POST", "/code", body, {"Content-Type": kind}).status == 415
    assert (
        served.ask("POST", "/code", json.loads(body), {"Sec-Fetch-Site": "cross-site"}).status
        == 403
    )
    cookie = {
        **bearer(None),
        "Cookie": f"tiny-backspace-token={MINE[0]}",
    }  # no browser sends it by itself
    assert served.ask("POST", "/code", json.loads(body), cookie).status == 401
    two = f"GET /runs HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert raw(served, two.encode()).split()[1] in (b"400", b"403")
    assert scene.place.git.asked == []


@pytest.mark.parametrize("repository", NOT_SERVED)
def test_a74_no_other_place_is_asked(shared: tuple[Scene, Served], repository: str) -> None:
    """Expected: 422."""
    scene, served = shared
    answer = served.ask("POST", "/code", {"repoUrl": repository, "prompt": PROMPT})
    assert answer.status == 422
    assert served.ask("GET", "/runs").json == {"runs": []}
    assert scene.place.git.asked == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, Served]]:
    """One for attacks that get nowhere."""
    with hostile(tmp_path_factory.mktemp("shared")) as scene:
        configure(scene.place.program, "rate = 100000")
        with holding(scene), serving(scene.place.program) as served:
            yield scene, served


FORGED = 'x\n\nevent: done\nid: 99999\nretry: 1\ndata: {"type":"success"}\n\n\r\r: ping\u2028\u2029\x85\0data: y\n\n'


def test_a75_no_word_of_a_model_is_an_event(attacked: tuple[Scene, Served]) -> None:
    """Expected: data is JSON of one line; the count of events is exact."""
    scene, served = attacked
    edit = Say(FORGED, "", (EDIT,))
    scene.answer = turns(edit, Say(FORGED, FORGED))
    body = json.dumps({"repoUrl": REPO, "prompt": f"{PROMPT} {FORGED}", **CLAUDE}).encode()
    head = f"POST /code HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {MINE[0]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

    said = raw(served, head.encode() + body).partition(b"\r\n\r\n")[2]

    (run,) = served.ask("GET", "/runs").json["runs"]
    shown = scene.command("show", run["run_id"], "--json").stdout.splitlines()
    blocks = [b for b in said.decode().split("\n\n") if b and b != ": ping"]
    assert blocks == [f"data: {line}\nid: {n}" for n, line in enumerate(shown, 1)]
    assert any("event: done" in line for line in shown)
    assert all(line.isprintable() for line in said.decode().split("\n"))
    last = {"Last-Event-ID": "1\n\nevent: done"}
    with suppress(ValueError):  # our own client refuses to send such a header
        served.ask("GET", f"/runs/{run['run_id']}/events", headers=last)
    for number in ("x", "-1", "1e3", "9" * 40, "1;DROP TABLE records"):
        answer = served.ask(
            "GET", f"/runs/{run['run_id']}/events", headers={"Last-Event-ID": number}
        )
        assert answer.status == 422


def test_a76_who_reads_nothing_or_says_nothing_is_left_and_runs_go_on(
    attacked: tuple[Scene, Served],
) -> None:
    """Expected: bounded, the run unaffected. Records are read from the history at each reader's own pace, so
    that nothing has to be dropped for a slow one; one that stands still is."""
    scene, served = attacked
    long = _long_history(scene)
    before = served.memory
    with ExitStack() as stack:
        idle = [stack.enter_context(served.open()) for _ in range(1000)]
        for connection in idle[::2]:
            connection.sendall(b"GET /runs HTTP/1.1\r\nHost: ")
        for connection in idle[:100:5]:
            connection.sendall(
                f"localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {MINE[0]}\r\nContent-Length: 9\r\n\r\n{{".encode()
            )
        slow = [stack.enter_context(served.open()) for _ in range(20)]
        for connection in slow:
            connection.sendall(
                f"GET /runs/{long}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN[0]}\r\n\r\n".encode()
            )
        with served.code(REPO, PROMPT, **CLAUDE) as stream:
            assert heard(scene, stream)[-1].record["type"] == "success"
        for connection in idle:
            _is_left(connection)
        until(lambda: b"tiny_backspace_streams 0\n" in served.ask("GET", "/metrics").body)
        for connection in slow:
            _is_left(connection)
    assert served.memory - before < 96 << 20


def _is_left(connection: socket.socket) -> None:
    """It is closed from the other side, whatever comes before."""
    with suppress(ConnectionResetError):
        while connection.recv(1 << 20):
            pass


def _long_history(scene: Scene) -> str:
    """A run of 20 MB, which nothing on the way to a client can hold."""
    run, at = "ab" * 16, datetime.now(UTC)
    with History(scene.place.program.state / "history.db") as history:
        for seq in range(1, 400):
            thought = AgentThought(message="x" * 50_000, step="planning")
            history(Record(seq=seq, at=at, run_id=run, event=thought))
        history(Record(seq=400, at=at, run_id=run, event=RunSucceeded(message="done")))
    return run


BODIES: Mapping[str, tuple[bytes, Mapping[str, str]]] = {
    "huge": (b'{"repoUrl": "' + b"x" * (64 << 20) + b'"}', {}),
    "deep": (b'{"a":' * 70_000 + b"1" + b"}" * 70_000, {}),
    "deep array": (b"[" * 500_000, {}),
    "wide": (b"{" + b",".join(b'"%d":1' % n for n in range(45_000)) + b"}", {}),
    "flood": (
        b'{"repoUrl":"a/b","prompt":"x","options":{"label":[' + b"0," * 200_000 + b"0]}}",
        {},
    ),
    "number": (b'{"repoUrl":' + b"9" * 500_000 + b"}", {}),
    "gzip": (gzip.compress(bytes(512 << 20), 9), {"Content-Encoding": "gzip"}),
    "no utf-8": (b'{"repoUrl": "owner/project", "prompt": "\xff\xfe\xed\xa0\x80"}', {}),
    "surrogate": (b'{"repoUrl": "owner/project", "prompt": "\\ud800"}', {}),
    "nul": (b'{"repoUrl": "owner/project\\u0000", "prompt": "x"}', {}),
    "utf-16": ('{"repoUrl": "a/b"}'.encode("utf-16"), {}),
    "twice": (b'{"repoUrl": "owner/project", "repoUrl": "/etc", "prompt": "x"}', {}),
    "nan": (b'{"repoUrl": "owner/project", "prompt": "x", "options": {"maxCost": NaN}}', {}),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("chunked", [False, True])
def test_a77_a_body_that_is_a_bomb_does_not_go_off(
    shared: tuple[Scene, Served], name: str, *, chunked: bool
) -> None:
    """Expected: refused quickly, in flat memory."""
    scene, served = shared
    served.ask("GET", "/runs")
    before = served.memory
    body, more = BODIES[name]
    headers = {
        "Content-Type": "application/json",
        "Host": "localhost",
        "Connection": "close",
        **more,
    }
    headers |= {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
    head = "POST /code HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body

    said = raw(served, head.encode() + sent)

    assert not said or said.split()[1] in (b"400", b"413", b"415", b"422"), said[:300]
    assert served.memory - before < 32 << 20
    assert served.ask("GET", "/runs").json == {"runs": []}
    assert scene.models.requests == []


def test_a78_a_flood_is_held_up_and_the_same_key_is_the_same_run(
    attacked: tuple[Scene, Served],
) -> None:
    """Expected: 429 beyond the queue; the same run for the same key."""
    scene, served = attacked
    streams: list[Stream] = []

    def post(key: str | None) -> int | str:
        body = {"repoUrl": REPO, "prompt": PROMPT, **LONG}
        connection, response = served.begun("POST", "/code", body, {"Idempotency-Key": key})
        stream = Stream(connection, response)
        streams.append(stream)
        return stream.run_id if response.status == 200 else response.status

    with ThreadPoolExecutor(50) as pool:
        same = set(pool.map(post, ["one"] * 10))
        told = list(pool.map(post, [None] * 50))
    taken = {run for run in (*told, *same) if isinstance(run, str)}
    assert len(same) == 1
    assert len(taken) == 5  # two go on, three wait
    assert [each for each in told if each == 429] == [429] * 46
    for stream in streams:
        stream.leave()
    assert len(served.ask("GET", "/runs").json["runs"]) == 5
    for run in [run["run_id"] for run in served.ask("GET", "/runs").json["runs"]]:
        ended(scene, served, str(run))
    assert post("one") in same
    streams[-1].leave()


def test_a79_the_runs_of_others_are_not_there(attacked: tuple[Scene, Served]) -> None:
    """Expected: 404, whether there is one or not; ids of 128 bits."""
    scene, served = attacked
    with served.code(REPO, PROMPT, **CLAUDE) as stream:
        run_id = stream.run_id
        heard(scene, stream)
    assert len(bytes.fromhex(run_id)) == 16
    nobody = os.urandom(16).hex()
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        theirs = served.ask(method, f"/runs/{run_id}{path}", headers=bearer(THEIRS[0]))
        none = served.ask(method, f"/runs/{nobody}{path}", headers=bearer(THEIRS[0]))
        assert (theirs.status, theirs.body) == (none.status, none.body)
        assert theirs.status == 404
    assert served.ask("GET", "/runs", headers=bearer(THEIRS[0])).json == {"runs": []}
    for path in (
        run_id[:8],
        "last",
        "%2e%2e",
        "..%2fhistory.db",
        "%00",
        "' OR 1=1 --".replace(" ", "%20"),
        "%ff",
    ):
        assert served.ask("GET", f"/runs/{path}").status == 404
    for token in (MINE[0], ADMIN[0]):
        assert (
            served.ask("GET", f"/runs/{run_id}", headers=bearer(token)).json["status"]
            == "succeeded"
        )
    key = {"Idempotency-Key": "k"}
    body = {"repoUrl": REPO, "prompt": PROMPT, **CLAUDE}
    with (
        served.stream("POST", "/code", body, key) as one,
        served.stream("POST", "/code", body, {**key, **bearer(THEIRS[0])}) as two,
    ):
        assert one.run_id != two.run_id  # a key is its owner's
        heard(scene, one)
        heard(scene, two)


@pytest.mark.parametrize("policy", ["continue", "cancel"])
@pytest.mark.parametrize("reset", [False, True])
def test_a80_a_client_that_goes_leaves_no_orphan(
    attacked: tuple[Scene, Served], policy: str, *, reset: bool
) -> None:
    """Expected: the run goes on or is cancelled, as was asked for; never orphaned."""
    scene, served = attacked
    more = LONG if policy == "cancel" else CLAUDE
    stream = served.code(REPO, PROMPT, onDisconnect=policy, **more)
    next(iter(stream))
    stream.leave(reset=reset)

    def state() -> str:
        return str(served.ask("GET", f"/runs/{stream.run_id}").json["status"])

    until(lambda: state() == ("succeeded" if policy == "continue" else "failed"))
    with served.stream("GET", f"/runs/{stream.run_id}/events") as late:
        closing = heard(scene, late)[-1].record
    assert closing["exit_code"] == (0 if policy == "continue" else 143)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(SECONDS) == 0
