from __future__ import annotations

from datetime import datetime, timedelta
from functools import reduce
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from rich.console import Console

from tests.views.records import (
    BRANCH,
    RUN,
    START,
    call,
    failing,
    long,
    recorded,
    successful,
    turn,
)
from tiny_backspace.events import (
    Egress,
    Event,
    FileEdited,
    Known,
    ModelTurn,
    ProviderReplaced,
    Record,
    Resources,
    RunFailed,
    RunSucceeded,
    Step,
    ToolCalled,
    Unknown,
    Verified,
    Warned,
    WorkSaved,
)
from tiny_backspace.views.lines import plain_line
from tiny_backspace.views.live import frame
from tiny_backspace.views.panels import Scene
from tiny_backspace.views.state import KEPT, RunState, advance, elapsed
from tiny_backspace.views.summary import plain_summary, print_summary

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _any_of(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    arguments = st.dictionaries(st.sampled_from(("path", "command", "pattern", "x")), _JSON)
    hints: dict[str, Any] = {name: info.annotation for name, info in model.model_fields.items()}
    fields = {
        name: arguments if name == "arguments" else st.from_type(hint)
        for name, hint in hints.items()
    }
    return st.builds(model, **fields)


EVENTS = st.one_of(
    *(_any_of(model) for model in Known.__args__),
    st.builds(Unknown, type=st.text(min_size=1), more=_JSON),
)
RECORDS = st.lists(
    st.builds(
        Record,
        v=st.just(1),
        seq=st.integers(),
        at=st.datetimes(timezones=st.none() | st.timezones()),
        run_id=st.text(),
        event=EVENTS,
    ),
    max_size=12,
)


def folded(records: list[Record]) -> RunState:
    return reduce(advance, records, RunState())


def of(*events: Event) -> RunState:
    return folded(recorded(events))


@settings(deadline=None, max_examples=60)
@given(RECORDS, st.integers(1, 220), st.integers(1, 60), st.booleans())
def test_any_records_can_be_folded_and_shown_and_no_frame_is_too_large(
    records: list[Record], width: int, height: int, verbose: bool
) -> None:
    state = folded(records)
    rows = frame(Scene(state, START, "", verbose), width, height)
    assert len(rows) == max(min(height - 1, len(rows)), 1)
    assert all(row.cell_len == width and "\n" not in row.plain for row in rows)
    assert plain_summary(state)
    for record in records:
        most = (
            13 if isinstance(record.event, Verified) else 1
        )  # with the end of what a failed one said
        assert 1 <= len((plain_line(record, verbose=True) or "").splitlines()) <= most
    assert state.unknown == sum(isinstance(record.event, Unknown) for record in records)


def test_a_successful_run_ends_complete_with_everything_it_left() -> None:
    state = folded(successful())
    assert isinstance(state.outcome, RunSucceeded)
    assert (state.step, state.progress) == (Step.COMPLETE, 100)
    assert [step for step, _ in state.steps] == list(Step)
    assert (state.run_id, state.started) == (RUN, START)
    assert (state.saved.branch, state.saved.patch) == (BRANCH, "runs/3f9a2c1b.patch")
    assert (state.saved.files_changed, state.saved.insertions, state.saved.deletions) == (1, 1, 1)
    assert state.files == {"README.md": "modify"}
    assert (state.providers, state.turns, state.host_commands) == (("dummy",), 3, 1)
    assert [(row.tool, row.title, row.status) for row in state.tools] == [
        ("grep", "'helo'", "ok"),
        ("edit", "README.md", "ok"),
    ]


def test_a_failing_run_stays_where_it_failed() -> None:
    state = folded(failing())
    assert isinstance(state.outcome, RunFailed)
    assert (state.step, state.progress) == (Step.AI_PROCESSING, 70)
    assert (state.providers, state.provider) == (("claude", "openai"), "openai")
    assert (state.retries, state.fallbacks) == (1, 1)
    assert state.tools[-1].status == "failed"
    assert state.verification is not None
    assert not state.verification.ok


def test_a_cost_stays_unknown_once_a_turn_had_no_price() -> None:
    def paid(cost: float | None) -> ModelTurn:
        return turn(1, provider="claude", cost=cost)

    assert of(paid(0.25), paid(0.5)).cost_usd == 0.75
    assert of(paid(0.25), paid(None), paid(0.5)).cost_usd is None


def test_a_provider_that_takes_over_brings_the_model_it_was_configured_with() -> None:
    state = folded(failing()[:-1])
    replaced = ProviderReplaced(failed="openai", next="claude", reason="gone")
    assert advance(state, recorded([replaced])[0]).model == "example-large-2"


def test_the_highest_memory_use_is_kept_and_a_missing_sample_hides_nothing() -> None:
    def sample(memory: int | None, peak: int | None, cpu: float | None) -> Resources:
        return Resources(memory=memory, memory_peak=peak, cpu_s=cpu, pids=None)

    state = of(sample(10, 50, 1.5), sample(70, None, None), sample(5, 60, None))
    assert state.resources == Resources(memory=5, memory_peak=70, cpu_s=1.5, pids=None)


def test_later_news_of_saved_work_adds_to_earlier_news() -> None:
    state = of(
        WorkSaved(patch="p", files_changed=2, insertions=3), WorkSaved(branch="b", commit="c")
    )
    assert state.saved == WorkSaved(
        patch="p", branch="b", commit="c", files_changed=2, insertions=3
    )


def test_a_renamed_file_counts_once_under_its_new_name() -> None:
    made = FileEdited(filepath="a", operation="create")
    moved = FileEdited(filepath="b", operation="rename", old_path="a")
    assert of(made, moved).files == {"b": "rename"}


def test_a_result_belongs_to_its_call_only() -> None:
    first, second = call(1, "bash", command="true"), call(2, "bash", ok=False, command="false")
    one, two = next(first), next(second)
    state = of(one, two, next(second))
    assert [(row.title, row.status) for row in state.tools] == [
        ("true", "running"),
        ("false", "failed"),
    ]


def test_however_long_a_run_is_its_state_stays_small() -> None:
    state = folded(long(rounds=100))
    assert (len(state.tools), len(state.thoughts), len(state.edits)) == (KEPT, KEPT, KEPT)
    assert state.tool_calls == 301
    warned = of(*(Warned(message=str(n)) for n in range(100)))
    assert warned.warnings == tuple(str(n) for n in range(80, 100))
    assert max(len(thought.message) for thought in state.thoughts) <= 4000
    many = of(*(FileEdited(filepath=str(n), operation="create") for n in range(1200)))
    assert len(many.files) == 1000


def test_what_a_setup_was_kept_from_is_among_the_warnings() -> None:
    state = of(
        Egress(host="a.example", port=443, decision="allowed"),
        Egress(host="b.example", port=22, decision="denied", reason="not allowed"),
        Egress(host="c.example", port=443, decision="failed", reason="no answer"),
    )
    assert state.warnings == (
        "setup: b.example:22 denied: not allowed",
        "setup: c.example:443 failed: no answer",
    )


def test_time_passes_by_the_clock_until_the_run_has_ended() -> None:
    going, ended = folded(successful()[:-1]), folded(successful())
    later = START + timedelta(hours=1)
    assert elapsed(going, later) == timedelta(hours=1)
    assert elapsed(ended, later) == elapsed(ended) == timedelta(milliseconds=700 * 28)
    assert elapsed(RunState(), later) == timedelta()
    assert elapsed(going, START - timedelta(hours=1)) == timedelta()


def test_a_record_without_a_time_zone_is_taken_as_utc() -> None:
    naive = Record(
        seq=1,
        at=datetime(2026, 3, 4, 1, 23, 45),  # noqa: DTZ001 - that is the case
        run_id=RUN,
        event=ToolCalled(id="1", tool="bash", arguments={}),
    )
    assert advance(RunState(), naive).started == START


def test_the_summary_never_cuts_a_path_or_a_command() -> None:
    branch = "tiny-backspace/" + "x" * 200
    console = Console(width=40, color_system=None)
    with console.capture() as captured:
        print_summary(console, of(WorkSaved(branch=branch)))
    assert f"git switch {branch}\n" in captured.get()
