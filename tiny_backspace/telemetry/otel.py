"""A run as an OpenTelemetry trace, and in metrics: a subscriber of the records, for `tiny-backspace[otel]`.

It is there when a standard variable says where to (`OTEL_EXPORTER_OTLP_ENDPOINT` and the like). Model turns
and tool calls follow the GenAI semantic conventions (v1.41). What was said is left out, unless
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is true. That nobody takes it never touches the run.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from tiny_backspace import __version__
from tiny_backspace.events import (
    AgentThought,
    ModelTurn,
    ProviderReplaced,
    Record,
    Retry,
    RunFailed,
    RunStarted,
    RunSucceeded,
    StepStarted,
    Timed,
    ToolCalled,
    ToolFinished,
    Verified,
    Warned,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")  # fmt: skip
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_PATIENCE = 3.0  # seconds at the end of a run for what is still to be sent
_NAME = "tiny-backspace"
_PROVIDERS = {"claude": "anthropic"}  # as the conventions call them

Attributes = dict[str, Any]


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the user's environment says where traces or metrics go."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not disabled and any(environment.get(name) for name in _ENDPOINTS)


class Exported:
    """The trace and the metrics of one run, from `__enter__` to `__exit__`.

    Raises (when it is made):
        ImportError: the extra is not installed.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        traces, metrics = (
            environment.get(name, "otlp").lower() != "none"
            for name in ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER")
        )
        self._tracers = _tracers() if traces else None
        self._meters = _meters() if metrics else None
        self._trace = (
            _Trace(self._tracers, environment.get(_CONTENT, "").lower() == "true")
            if self._tracers
            else None
        )
        self._measured = _Measured(self._meters) if self._meters else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Send what is left. One who does not answer is not waited for longer than that."""
        providers = [each for each in (self._tracers, self._meters) if each is not None]
        sending = [
            threading.Thread(target=each.shutdown, name="otel", daemon=True) for each in providers
        ]
        for thread in sending:
            thread.start()
        until = monotonic() + _PATIENCE
        for thread in sending:
            thread.join(max(0.0, until - monotonic()))

    def __call__(self, record: Record) -> None:
        if self._trace is not None:
            self._trace(record)
        if self._measured is not None:
            self._measured(record)


def _resource() -> Any:  # noqa: ANN401 - of the SDK
    """What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say counts more than our name."""
    from opentelemetry.sdk.resources import Resource

    found = Resource.create({"service.version": __version__})
    if str(found.attributes.get("service.name", "")).startswith(
        "unknown_service"
    ):  # the SDK's own default
        found = found.merge(Resource({"service.name": _NAME}))
    return found


def _tracers() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _meters() -> MeterProvider:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return MeterProvider([reader], resource=_resource(), shutdown_on_exit=False)


class _Trace:
    """One span for the run, below it one for each step, and below these what took time."""

    def __init__(self, provider: TracerProvider, content: bool) -> None:
        self._tracer = provider.get_tracer(_NAME, __version__)
        self._content = content
        self._root: Span | None = None
        self._step: Span | None = None
        self._tools: dict[str, tuple[datetime, dict[str, Any]]] = {}

    def __call__(self, record: Record) -> None:
        if self._root is None:
            self._root = self._begun("invoke_agent tiny-backspace", record.at, None, _agent(record))
        match event := record.event:
            case StepStarted():
                self._end_step(record.at)
                self._step = self._begun(f"step {event.step.value}", record.at, self._root, {})
            case RunStarted():
                told = {"repository": event.repo, "agents": list(event.agents), "base": event.base}
                self._root.set_attributes({f"tiny_backspace.{k}": v for k, v in told.items()})
            case ToolCalled():
                self._tools[event.id] = (record.at, event.arguments)
            case RunSucceeded() | RunFailed():
                self._close(event, record.at)
            case Retry() | ProviderReplaced() | Warned() | AgentThought():
                self._note(record)
            case _:
                self._timed(record)

    def _timed(self, record: Record) -> None:
        """An operation is told when it ends."""
        told = _span(record, self._tools)
        if told is None:
            return
        name, duration, attributes, ok = told
        if isinstance(record.event, ToolFinished) and self._content:
            attributes["gen_ai.tool.call.result"] = record.event.excerpt
            _, arguments = self._tools.get(record.event.id, (None, {}))
            attributes["gen_ai.tool.call.arguments"] = str(arguments)
        end = _nanoseconds(record.at)
        span = self._begun(
            name, record.at, self._step or self._root, attributes, int(duration * 1e6)
        )
        if not ok:
            self._failed(span, "failed")
        span.end(end)

    def _note(self, record: Record) -> None:
        match record.event:
            case AgentThought(message=message) if self._content:
                told: Attributes = {"message": message}
            case AgentThought():
                return
            case event:
                told = {k: v for k, v in event.model_dump().items() if k != "type"}
        if self._root is not None:
            self._root.add_event(record.event.type, told, _nanoseconds(record.at))

    def _begun(
        self, name: str, at: datetime, parent: Span | None, attributes: Attributes, before: int = 0
    ) -> Span:
        """A span that began so many nanoseconds before `at`."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        kind = SpanKind.CLIENT if name.startswith("chat ") else SpanKind.INTERNAL
        context = set_span_in_context(parent) if parent is not None else None
        return self._tracer.start_span(
            name, context, kind, attributes, start_time=_nanoseconds(at) - before
        )

    def _end_step(self, at: datetime) -> None:
        if self._step is not None:
            self._step.end(_nanoseconds(at))
            self._step = None

    def _close(self, event: RunSucceeded | RunFailed, at: datetime) -> None:
        self._end_step(at)
        root = self._root
        assert root is not None
        root.set_attributes(
            {
                "tiny_backspace.exit_code": event.exit_code,
                "tiny_backspace.files_changed": event.files_changed,
                "gen_ai.usage.input_tokens": event.input_tokens,
                "gen_ai.usage.output_tokens": event.output_tokens,
                **(
                    {"tiny_backspace.cost_usd": event.cost_usd}
                    if event.cost_usd is not None
                    else {}
                ),
                **({"tiny_backspace.pull_request": event.pr_url} if event.pr_url else {}),
            }
        )
        if isinstance(event, RunFailed):
            self._failed(root, event.error)
        root.end(_nanoseconds(at))

    def _failed(self, span: Span, kind: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR))


def _agent(record: Record) -> Attributes:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": _NAME,
        "gen_ai.conversation.id": record.run_id,
        "tiny_backspace.run_id": record.run_id,
    }


def _span(
    record: Record, tools: Mapping[str, tuple[datetime, dict[str, Any]]]
) -> tuple[str, float, Attributes, bool] | None:
    """Name, milliseconds, attributes, and whether it went well; None for what takes no time."""
    match event := record.event:
        case ModelTurn():
            return f"chat {event.model}", event.duration_ms, _turn(event), True
        case ToolFinished():
            attributes: Attributes = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": event.tool,
                "gen_ai.tool.call.id": event.id,
                "gen_ai.tool.type": "function",
                **({} if event.exit_code is None else {"process.exit.code": event.exit_code}),
            }
            begun = tools.get(event.id)
            took = (
                event.duration_ms
                if begun is None
                else (record.at - begun[0]).total_seconds() * 1000
            )
            return f"execute_tool {event.tool}", max(took, event.duration_ms), attributes, event.ok
        case Verified():
            attributes = {
                "process.exit.code": event.exit_code,
                "tiny_backspace.attempt": event.attempt,
            }
            return f"verify {event.on}", event.duration_ms, attributes, event.ok
        case Timed():
            return event.operation, event.duration_ms, {}, event.ok
        case _:
            return None


def _turn(event: ModelTurn) -> Attributes:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(event.provider, event.provider),
        "gen_ai.request.model": event.model,
        "gen_ai.response.model": event.model,
        "gen_ai.response.finish_reasons": [event.stop],
        "gen_ai.usage.input_tokens": event.input_tokens,
        "gen_ai.usage.output_tokens": event.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": event.cached_tokens,
        "tiny_backspace.turn": event.turn,
        **({} if event.cost_usd is None else {"tiny_backspace.cost_usd": event.cost_usd}),
        **({} if event.first_token_ms is None
           else {"gen_ai.response.time_to_first_chunk": event.first_token_ms / 1000}),
    }  # fmt: skip


class _Measured:
    """Counts and distributions over runs; the collector adds them up."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(_NAME, __version__)
        self._runs = meter.create_counter("tiny_backspace.runs", "{run}", "Runs that ended")
        self._failures = meter.create_counter(
            "tiny_backspace.failures", "{run}", "Runs that failed"
        )
        self._duration = meter.create_histogram(
            "tiny_backspace.run.duration", "s", "How long runs took"
        )
        self._cost = meter.create_counter("tiny_backspace.cost", "USD", "What answers cost")
        self._fallbacks = meter.create_counter(
            "tiny_backspace.fallbacks", "{fallback}", "Providers that were replaced"
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of an answer"
        )
        self._answers = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "How long answers took"
        )

    def __call__(self, record: Record) -> None:
        match event := record.event:
            case ModelTurn():
                about: Attributes = {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": _PROVIDERS.get(event.provider, event.provider),
                    "gen_ai.request.model": event.model,
                }
                self._answers.record(event.duration_ms / 1000, about)
                self._tokens.record(event.input_tokens, about | {"gen_ai.token.type": "input"})
                self._tokens.record(event.output_tokens, about | {"gen_ai.token.type": "output"})
                self._cost.add(event.cost_usd or 0.0, about)
            case ProviderReplaced():
                self._fallbacks.add(1, {"from": event.failed, "to": event.next})
            case RunSucceeded() | RunFailed():
                failed = isinstance(event, RunFailed)
                self._runs.add(1, {"outcome": "failed" if failed else "succeeded"})
                self._duration.record(event.duration_ms / 1000)
                if isinstance(event, RunFailed):
                    self._failures.add(1, {"error.type": event.error})
            case _:
                pass


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
