"""A run that was killed goes on from its last completed turn, and comes to the same end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.pipeline import Job, Ran, bash, says, write
from tests.program import git, make_repository
from tiny_backspace.agent.budget import Limits
from tiny_backspace.conversation import Assistant, Message, Reply, ToolCall, ToolResult, User
from tiny_backspace.events import Emit, Record, RunStarted
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.repo.mirror import Base
from tiny_backspace.run import Resumed
from tiny_backspace.telemetry.turns import resumable
from tiny_backspace.verification import Verification

AGAIN = "9f8e7d6c"
FILES = {"a.py": "x = 1\n", "b.txt": "one\ntwo\n", "gone.txt": "bye\n", "d/run.sh": "echo\n"}
EDIT = {"path": "b.txt", "old": "two", "new": "zwei", "description": "german"}
SCRIPT = (
    says(
        "I look", ToolCall("1", "read", {"path": "a.py"}), ToolCall("2", "grep", {"pattern": "o"})
    ),
    says("I write", write("new/ä.txt", "neu\n")),
    says("I edit", ToolCall("4", "edit", EDIT), bash("chmod +x d/run.sh && rm gone.txt", "5")),
    says("I make a mess", bash("printf '\\0\\1' > bin.dat; ln -s a.py link", "6")),
    says("I think it is done"),
    says("I repair", write("ok.txt", "ok\n")),
    says("now it is done"),
)


@dataclass
class Stateless:
    """Answers by how far the conversation is, as a model does; and checks that it is a whole one."""

    name: str = "stateless"
    model: str = "s-1"
    window: int | None = None

    def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        said = [m for m in request.conversation if isinstance(m, Assistant)]
        assert said == list(SCRIPT[: len(said)]), "what was said before is not what came back"
        assert _answered(request.conversation), "a call without its result"
        message = SCRIPT[len(said)]
        return Reply(
            message, "tool_use" if message.tool_calls else "end_turn", self.name, self.model
        )


def _answered(conversation: tuple[Message, ...]) -> bool:
    calls = {c.id for m in conversation if isinstance(m, Assistant) for c in m.tool_calls}
    parts = (p for m in conversation if isinstance(m, User) for p in m.parts)
    return calls == {p.call_id for p in parts if isinstance(p, ToolResult)}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("resume") / "r", FILES)


def job(repository: Path, folder: Path) -> Job:
    verification = Verification("test -f ok.txt", attempts=2, timeout=60)
    return Job(repository, folder, Stateless(), verification=verification)


def tree(repository: Path, ran: Ran) -> str:
    assert ran.closing.branch is not None, ran.closing
    return git(repository, "rev-parse", f"{ran.closing.branch}^{{tree}}")


def killed(one: Job, *, at: int) -> None:
    """Run it in a process of its own, which SIGKILL ends right after record number `at`."""

    def kill(record: Record) -> None:
        if record.seq == at:
            os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        try:
            replace(one, listener=kill).go()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"there is no record {at}"


def resumed(one: Job) -> Ran:
    """Go on as the command line does: with what the history knows, or from the beginning."""
    found = resumable(one.history, one.run_id)
    if found is None or found[0].base is None:
        return replace(one, run_id=AGAIN).go()
    task, work = found
    base = Base(str(task.base), task.branch)
    return replace(one, run_id=AGAIN, resumed=Resumed(one.run_id, base, work)).go()


@pytest.fixture(autouse=True)
def clean(repository: Path) -> Iterator[None]:
    """What the runs leave would be in the way of others of the same id."""
    yield
    for left in git(repository, "branch", "--list", "tiny-*", "--format=%(refname:short)").split():
        git(repository, "branch", "-q", "-D", left)


@pytest.fixture(scope="module")
def whole(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    ran = job(repository, tmp_path_factory.mktemp("whole")).go()
    assert ran.code == 0, ran.closing
    return ran


def test_killed_at_every_step_and_resumed_it_comes_to_the_same_tree(
    repository: Path, whole: Ran, tmp_path: Path
) -> None:
    wanted = tree(repository, whole)
    git(repository, "branch", "-D", str(whole.closing.branch))
    resumes = set()
    for at in (
        r.seq for r in whole.records[:-1] if r.event.type not in {"host_command", "resources"}
    ):
        one = job(repository, tmp_path / str(at))

        killed(one, at=at)
        again = resumed(one)

        assert (again.code, tree(repository, again)) == (0, wanted), f"killed after record {at}"
        resumes |= {event.resumes for event in again.of(RunStarted)}
        git(repository, "branch", "-D", str(again.closing.branch))
        for left in git(repository, "branch", "--list", "tiny-backspace/*").split():
            git(repository, "branch", "-D", left)
    assert resumes == {None, "0a1b2c3d"}


def test_a_run_that_reached_its_limit_goes_on_with_a_new_one(
    repository: Path, tmp_path: Path
) -> None:
    one = replace(job(repository, tmp_path), limits=Limits(turns=3))
    ran = one.go()
    assert (ran.code, ran.closing.branch is not None) == (6, True)

    again = resumed(replace(one, limits=Limits()))

    assert again.code == 0
    assert git(repository, "show", f"{again.closing.branch}:ok.txt") == "ok"


def test_what_was_completed_is_not_asked_for_again(repository: Path, tmp_path: Path) -> None:
    one = replace(job(repository, tmp_path), limits=Limits(turns=4))
    one.go()

    again = resumed(replace(one, limits=Limits()))

    turns = [r for r in again.records if r.event.type == "model_turn"]
    assert len(turns) == len(SCRIPT) - 4
