"""Runs as they would be recorded: made up, but in the order and with the facts of real ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from tiny_backspace.events import (
    AgentThought,
    CacheHit,
    ContextFolded,
    Event,
    FileEdited,
    GitOperation,
    HostCommand,
    ModelTurn,
    PolicyDecided,
    ProviderReplaced,
    Record,
    RepositoryAnalysed,
    Resources,
    Retry,
    RunFailed,
    RunStarted,
    RunSucceeded,
    SandboxAttested,
    Step,
    StepStarted,
    SyntaxChecked,
    Timed,
    ToolCalled,
    ToolFinished,
    Verified,
    Warned,
    WorkSaved,
)

START = datetime(2026, 3, 4, 1, 23, 45, tzinfo=UTC)
RUN = "3f9a2c1b"
BRANCH = "tiny-backspace/fix-the-typo-3f9a2c1b"
DIFF = """\
--- a/README.md
+++ b/README.md
@@ -1,4 +1,4 @@
 # Example
 =======
-Say helo to the world.
+Say hello to the world.
 It answers.
"""


def recorded(
    events: Iterable[Event], *, gap: timedelta = timedelta(milliseconds=700)
) -> list[Record]:
    """Stamped, one `gap` after the other."""
    return [
        Record(seq=n, at=START + gap * (n - 1), run_id=RUN, event=event)
        for n, event in enumerate(events, 1)
    ]


def run_started(*agents: str) -> RunStarted:
    return RunStarted(
        repo="https://github.com/example/simple-api",
        prompt="Fix the typo in the README",
        base="main",
        agents=agents or ("dummy:dummy-1",),
        limits={"turns": 40, "seconds": 900, "usd": 2.0},
        version="0.1.0",
    )


def attested() -> SandboxAttested:
    return SandboxAttested(
        ok=True,
        container="8c1d5e0f7a2b4c6d",
        image="tiny-backspace/sandbox:5d41402a",
        uid=1000,
        capabilities="0000000000000000",
        no_new_privs=True,
        seccomp=True,
        memory=512 << 20,
        cpus=2,
        pids=256,
        interfaces=("lo",),
        writable=("/workspace", "/tmp"),
    )


def turn(number: int, *, provider: str = "dummy", cost: float | None = 0.0) -> ModelTurn:
    paid = provider != "dummy"
    return ModelTurn(
        provider=provider,
        model="dummy-1" if not paid else "example-large-2",
        turn=number,
        stop="tool_use",
        input_tokens=4200 * number if paid else 0,
        output_tokens=310 if paid else 0,
        cached_tokens=3800 * number if paid else 0,
        cost_usd=cost,
        duration_ms=3.2 if not paid else 4210.5,
    )


def beginning(*agents: str) -> Iterator[Event]:
    yield run_started(*agents)
    yield StepStarted.at(Step.VALIDATION, "Validating repository URL...")
    yield HostCommand(argv=("git", "ls-remote", "origin"), exit_code=0, duration_ms=181.0)
    yield StepStarted.at(Step.SANDBOX_INIT, "Initializing secure sandbox...")
    yield attested()
    yield Timed(operation="sandbox.start", duration_ms=284.1)
    yield StepStarted.at(Step.CLONE, "Cloning repository...")
    yield GitOperation(
        command="git fetch --depth=1 origin main", output="From https://github.com/example"
    )
    yield StepStarted.at(Step.ANALYSIS, "Analyzing repository structure...")
    yield RepositoryAnalysed(
        base="1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
        branch="main",
        files=42,
        languages={"Python": 30, "Markdown": 3},
        test_command="pytest -q",
    )
    yield Resources(memory=48 << 20, memory_peak=61 << 20, cpu_s=0.7, pids=4)
    yield StepStarted.at(Step.AI_PROCESSING, "Generating code improvements...")


def call(number: int, tool: str, ok: bool = True, **arguments: object) -> Iterator[Event]:
    code = (0 if ok else 1) if tool in {"bash", "grep"} else None
    yield ToolCalled(id=f"call-{number}", tool=tool, arguments=arguments)
    yield ToolFinished(
        id=f"call-{number}",
        tool=tool,
        ok=ok,
        exit_code=code,
        duration_ms=12.0 * number,
        size=310,
        excerpt="README.md:3:Say helo to the world." if ok else "1 failed, 41 passed",
    )


def successful() -> list[Record]:
    """The dummy fixes a typo; a branch and a patch are left."""
    return recorded(
        (
            *beginning(),
            AgentThought(message='The request names a typo. I look for "helo".', step="planning"),
            turn(1),
            *call(1, "grep", pattern="helo", path="."),
            turn(2),
            *call(2, "edit", path="README.md", old="helo", new="hello", description="Fix the typo"),
            FileEdited(
                filepath="README.md", operation="modify", description="Fix the typo", diff=DIFF
            ),
            AgentThought(message="The typo is gone. I run the tests.", step="validation"),
            turn(3),
            Verified(
                command="pytest -q", attempt=1, ok=True, exit_code=0, duration_ms=1240, output="42"
            ),
            PolicyDecided(
                rule="paths.ordinary",
                path="README.md",
                decision="allow",
                message="an ordinary file",
            ),
            WorkSaved(patch="runs/3f9a2c1b.patch", files_changed=1, insertions=1, deletions=1),
            StepStarted.at(Step.PR_CREATION, "Creating pull request..."),
            GitOperation(
                command=f"git checkout -b {BRANCH}",
                output=f"Switched to a new branch '{BRANCH}'",
                simulated=True,
            ),
            WorkSaved(branch=BRANCH, commit="9f8e7d6c5b4a39281706f5e4d3c2b1a098765432"),
            RunSucceeded(
                message="The change is on a branch of your repository.",
                branch=BRANCH,
                patch="runs/3f9a2c1b.patch",
                duration_ms=21000,
                files_changed=1,
                insertions=1,
                deletions=1,
                providers=("dummy",),
            ),
        )
    )


def failing() -> list[Record]:
    """One provider is busy and is replaced; the tests fail; the work is kept as a patch."""
    return recorded(
        (
            *beginning("claude:example-large-2", "openai:example-other-6"),
            turn(1, provider="claude", cost=0.0213),
            Retry(provider="claude", reason="overloaded", attempt=2, wait_s=4),
            ProviderReplaced(
                failed="claude", next="openai", reason="overloaded three times", turn=2
            ),
            CacheHit(provider="openai", model="example-other-6", key="5c0ffee5c0ffee"),
            ContextFolded(
                turn=2,
                messages_before=40,
                messages_after=7,
                tokens_before=219000,
                tokens_after=81000,
            ),
            Warned(message="claude was overloaded three times; openai takes over in turn 2"),
            turn(2, provider="openai", cost=None),
            *call(1, "write", path="app/models.py", content="…", description="Add the models"),
            FileEdited(
                filepath="app/models.py",
                operation="create",
                description="Add the models",
                diff="@@ -0,0 +1,2 @@\n+class User:\n+\tname: str\n",
            ),
            *call(2, "bash", ok=False, command="pytest -q"),
            SyntaxChecked(
                ok=False, files=2, problems=("app/models.py:3: invalid syntax",), duration_ms=140
            ),
            Verified(
                command="pytest -q", attempt=2, ok=False, exit_code=1, duration_ms=2400, output="1"
            ),
            PolicyDecided(
                rule="paths.workflow",
                path=".github/workflows/ci.yml",
                decision="flag",
                message="a workflow was changed",
            ),
            WorkSaved(patch="runs/3f9a2c1b.patch", files_changed=1, insertions=2, deletions=0),
            RunFailed(
                error="verification_failed",
                exit_code=9,
                message="The tests fail with the change.",
                hint="Look at the patch, or resume the run with another request.",
                patch="runs/3f9a2c1b.patch",
                cost_usd=None,
                duration_ms=31000,
                files_changed=1,
                insertions=2,
                providers=("claude", "openai"),
            ),
        )
    )


def long(rounds: int = 60) -> list[Record]:
    """Many tool calls, many files and thoughts of many kilobytes; it has not ended yet."""
    thought = "The handlers share one shape, so one decorator can validate them all. " * 400
    diff = "@@ -1,80 +1,80 @@\n" + "".join(
        f"-    return handler_{n}(request.json)\n+    return validated(handler_{n}, request)\n"
        for n in range(40)
    )
    events: list[Event] = [*beginning("claude:example-large-2")]
    for n in range(1, rounds + 1):
        path = f"app/handlers/resource_{n:02}.py"
        events += [AgentThought(message=thought, step="code_generation")]
        events += [turn(n, provider="claude", cost=0.0312)]
        events += [*call(3 * n, "read", path=path)]
        events += [*call(3 * n + 1, "edit", path=path, description="Validate the input")]
        events += [
            FileEdited(
                filepath=path, operation="modify", description="Validate the input", diff=diff
            )
        ]
        events += [*call(3 * n + 2, "bash", ok=n % 7 != 0, command=f"pytest -q tests/test_{n}.py")]
        events += [Resources(memory=(90 + n) << 20, memory_peak=(140 + n) << 20, cpu_s=n, pids=9)]
    events += [ToolCalled(id="last", tool="bash", arguments={"command": "pytest -q && ruff check"})]
    return recorded(events)
