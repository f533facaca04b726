"""A run as an OpenTelemetry trace: the real program, a collector on loopback that decodes what it is sent."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.program import Finished, Program, make_repository
from tests.servers.models import KEY, Asked, Call, Say, serving
from tests.servers.otlp import Collector, attributes, collecting

TOKEN = "ls-canary-0000000"
SCRIPT = (
    Say("I look.", "", (Call("1", "bash", {"command": "echo canary-in-a-command; false"}),)),
    Say(
        "I write.",
        "",
        (Call("2", "write", {"path": "n.txt", "content": "n\n", "description": "d"}),),
    ),
    Say("Done."),
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", {"README.md": "helo\n"})


def ran(repository: Path, collector: Collector, *flags: str, **environment: str) -> Finished:
    home = repository.parent / "home"
    home.mkdir()

    def answer(asked: Asked) -> Say:
        return SCRIPT[asked.turn - 1]

    with serving(answer) as models:
        program = Program(
            home,
            {
                "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": models.claude_url,
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={TOKEN}",
                **environment,
            },
        )  # fmt: skip
        return program.run(
            "run", str(repository), "do it", "--agents", "claude", *flags, "-o", "jsonl"
        )


def test_a_run_is_a_trace_of_steps_turns_and_tool_calls(repository: Path) -> None:
    with collecting() as collector:
        done = ran(repository, collector, "--verify", "test -e n.txt")
    assert done.exit_code == 0, done.stderr
    run_id = done.lines[0]["run_id"]

    (root,) = collector.named("invoke_agent tiny-backspace")
    told = attributes(root)
    assert told["gen_ai.operation.name"] == "invoke_agent"
    assert told["gen_ai.conversation.id"] == run_id
    assert told["tiny_backspace.exit_code"] == 0
    assert told["tiny_backspace.files_changed"] == 1
    assert {span.trace_id for span in collector.spans} == {root.trace_id}

    steps = {s.name: s for s in collector.spans if s.name.startswith("step ")}
    assert [name.removeprefix("step ") for name in steps] == [
        "validation", "sandbox_init", "clone", "analysis", "ai_processing", "pr_creation",
    ]  # fmt: skip
    assert {s.parent_span_id for s in steps.values()} == {root.span_id}
    turns = collector.named(f"chat {done.of('model_turn')[0]['model']}")
    assert len(turns) == 3
    first = attributes(turns[0])
    assert first["gen_ai.provider.name"] == "anthropic"
    assert first["gen_ai.usage.input_tokens"] == done.of("model_turn")[0]["input_tokens"]
    assert first["gen_ai.response.finish_reasons"] == ["tool_use"]
    assert first["gen_ai.response.time_to_first_chunk"] >= 0
    (bash,) = collector.named("execute_tool bash")
    assert attributes(bash)["process.exit.code"] == 1
    assert bash.status.code == 2
    assert collector.named("execute_tool write")[0].status.code == 0
    assert {span.name for span in collector.spans} >= {
        "fetch",
        "pack_in",
        "sandbox.start",
        "judge",
        "verify base",
        "verify change",
    }
    for span in collector.spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    assert collector.resources[0]["service.name"] == "tiny-backspace"
    assert {headers["x-api-key"] for headers in collector.headers} == {TOKEN}
    sent = b"".join(span.SerializeToString() for span in collector.spans)
    assert b"canary" not in sent
    assert TOKEN not in done.stdout


def test_metrics_count_what_a_run_used(repository: Path) -> None:
    with collecting() as collector:
        done = ran(repository, collector, "--max-turns", "1")
    assert done.exit_code == 6

    def points(name: str) -> list[tuple[dict[str, object], float]]:
        metric = collector.metrics[name]
        return [(attributes(p), p.as_int or p.as_double) for p in metric.sum.data_points]

    assert points("tiny_backspace.runs") == [({"outcome": "failed"}, 1)]
    assert points("tiny_backspace.failures") == [({"error.type": "limit_reached"}, 1)]
    assert collector.metrics["gen_ai.client.token.usage"].histogram.data_points
    assert collector.metrics["tiny_backspace.run.duration"].histogram.data_points[0].count == 1
    (root,) = collector.named("invoke_agent tiny-backspace")
    assert root.status.code == 2
    assert attributes(root)["error.type"] == "limit_reached"


def test_what_was_said_is_sent_only_where_that_is_wanted(repository: Path) -> None:
    wanted = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    with collecting() as collector:
        ran(repository, collector, **wanted)
    (bash,) = collector.named("execute_tool bash")
    assert "canary-in-a-command" in attributes(bash)["gen_ai.tool.call.arguments"]


@pytest.mark.parametrize("trouble", ["refuses", "absent", "silent"])
def test_a_collector_in_trouble_never_touches_the_run(repository: Path, trouble: str) -> None:
    hold = threading.Event() if trouble == "silent" else None
    with collecting(503 if trouble == "refuses" else 200, hold) as collector:
        if trouble == "absent":
            collector.url = "http://127.0.0.1:1"
        done = ran(repository, collector)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.lines[-1]["type"] == "success"


def test_without_an_endpoint_nothing_is_imported_and_nothing_sent(repository: Path) -> None:
    with collecting() as collector:
        done = ran(repository, collector, OTEL_SDK_DISABLED="true")
    assert done.exit_code == 0
    assert collector.headers == []
