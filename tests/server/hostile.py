"""A run whose repository and model are up to no good: markup, scripts, bidi and a terminal's escapes, wherever text can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tiny_backspace import events as ev
from tiny_backspace.events import Event, Record, Step

RUN = "e511" * 8
MARKUP = '<script>window.pwned=1</script><img src=x onerror="window.pwned=1"><svg onload=pwned=1>'
TEXT = f"{MARKUP}\u202egnp.exe\u2066\x1b[31m\x00\u200b{{{{7*7}}}}${{7*7}}"
SHOWN = f"{MARKUP}\\u{{202e}}gnp.exe\\u{{2066}}\\u{{1b}}[31m\\u{{0}}\\u{{200b}}{{{{7*7}}}}${{7*7}}"
ADDRESS = "javascript:window.pwned=1//"
LONG = "x" * 3000


def records() -> list[Record]:
    return [
        Record(seq=n, at=datetime.now(UTC) + timedelta(milliseconds=n), run_id=RUN, event=event)
        for n, event in enumerate(_events(), 1)
    ]


def _events() -> list[Event]:
    return [
        ev.StepStarted(message=TEXT, step=Step.VALIDATION, progress=10),
        ev.RunStarted(repo=TEXT, prompt=TEXT, base=TEXT, agents=(TEXT,), limits={}, version=TEXT),
        ev.RepositoryAnalysed(base=TEXT, branch=TEXT, files=1, languages={TEXT: 1}),
        ev.AgentThought(message=TEXT + LONG, step="planning"),
        ev.ModelTurn(
            provider=TEXT, model=LONG, turn=1, stop=TEXT, input_tokens=1, output_tokens=1, cached_tokens=0,
            cost_usd=0.1, duration_ms=1,
        ),
        ev.Retry(provider=TEXT, reason=TEXT, attempt=1, wait_s=1),
        ev.ProviderReplaced(failed=TEXT, next=TEXT, reason=TEXT, turn=1),
        ev.ToolCalled(id=TEXT, tool=TEXT, arguments={"command": TEXT + LONG}),
        ev.ToolFinished(
            id=TEXT, tool=TEXT, ok=False, exit_code=1, duration_ms=1, size=1, excerpt=TEXT
        ),
        ev.ToolCalled(id="2", tool="x", arguments={TEXT: [TEXT]}),
        ev.FileEdited(
            filepath=TEXT + LONG, operation="rename", old_path=TEXT, description=TEXT,
            diff=f"--- a\n+++ b\n@@ -1 +1 @@ {TEXT}\n-{TEXT}\n+{TEXT}{LONG}\n {TEXT}\n",
        ),
        ev.Verified(command=TEXT, attempt=1, ok=False, exit_code=1, duration_ms=1, output=TEXT),
        ev.SyntaxChecked(ok=False, files=1, problems=(TEXT,), duration_ms=1),
        ev.PolicyDecided(rule=TEXT, path=TEXT, decision="refuse", message=TEXT),
        ev.GitOperation(command=TEXT, output=TEXT),
        ev.PullRequestCreation(command=TEXT, output=TEXT),
        ev.Egress(host=TEXT, port=1, decision="denied", reason=TEXT),
        ev.Warned(message=TEXT),
        ev.WorkSaved(patch=TEXT, branch=TEXT, commit=TEXT, pr_url=ADDRESS, files_changed=1),
        ev.Unknown.model_validate({"type": TEXT, TEXT: TEXT}),
        ev.RunFailed(
            error=TEXT, exit_code=1, message=TEXT, hint=TEXT, pr_url=ADDRESS, branch=TEXT, patch=TEXT,
            files_changed=1, providers=(TEXT,),
        ),
    ]  # fmt: skip
