"""From the patch to where the user wants it: judged on the tree, committed by us, left as a branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tiny_backspace.errors import (
    AgentError,
    PolicyRefused,
    Refused,
    TinyBackspaceError,
    VerificationFailed,
)
from tiny_backspace.events import Emit, FileEdited, Step, StepStarted, Warned, WorkSaved, timed
from tiny_backspace.forges import proposal
from tiny_backspace.providers.proposals import is_proposal_path
from tiny_backspace.redact import Redact
from tiny_backspace.repo.difference import Change, Numstat, parse_numstat, parse_raw
from tiny_backspace.repo.origin import LocalRepository, leave_branch
from tiny_backspace.repo.policy import Decision, Limits, judge
from tiny_backspace.repo.quarantine import JUDGED_LIMIT, Patch, Quarantine
from tiny_backspace.repo.source import Remote
from tiny_backspace.statedir import write_private
from tiny_backspace.views.state import RunState

_LINK = "120000"
_SUBMODULE = "160000"
_OPERATIONS: Mapping[str, Literal["create", "delete"]] = {"A": "create", "D": "delete"}


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the change is to leave. `identity` is git's GIT_AUTHOR_… and GIT_COMMITTER_… variables.

    Prompt and summary go through `redact` before they name or describe anything.
    """

    run_id: str
    prompt: str
    branch: bool
    allow_path: tuple[str, ...]
    identity: Mapping[str, str]
    redact: Redact


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of the agent's work. `failure` is why it ended early, if it did."""

    patch: Patch
    summary: str
    failure: TinyBackspaceError | None


def deliver(
    delivery: Delivery,
    origin: LocalRepository | Remote,
    cage: Quarantine,
    finding: Finding,
    so_far: Callable[[], RunState],
    emit: Emit,
) -> str:
    """Judge, commit and leave the change; the closing sentence.

    Raises:
        PolicyRefused: it may not leave. The patch is kept.
        VerificationFailed, or `finding.failure`: after the change was left where it can be seen.
    """
    if not finding.patch.size:
        if finding.failure is not None:
            raise finding.failure
        if not finding.patch.complete:
            raise AgentError(f"the change could not be taken out: {finding.patch.left_out}")
        _check_verification(so_far(), "Nothing was changed.")
        return "Nothing to change: the agent left the repository as it was."
    if finding.patch.size > JUDGED_LIMIT:
        raise PolicyRefused(
            f"the change is larger than {JUDGED_LIMIT >> 20} MiB",
            hint="It is kept as a patch. Did the agent leave build output behind?",
        )
    wanted = delivery.branch and not isinstance(finding.failure, Refused)
    target = origin if isinstance(origin, LocalRepository) and wanted else None
    what = "Creating branch..." if target else "Saving the patch and the pull request's text..."
    emit(StepStarted.at(Step.PR_CREATION, what))
    with timed("judge", emit):
        numstat = _judged(cage, finding, delivery, so_far, emit)
    state = so_far()
    if target is not None:
        closing = _commit(delivery, target, cage, finding, state, emit)
    else:
        closing = _put_down(delivery, origin, finding, state, numstat, emit)
    if finding.failure is not None:
        raise finding.failure
    _check_verification(state, f"The change is kept as a draft. {closing}")
    return closing


def _commit(
    delivery: Delivery,
    target: LocalRepository,
    cage: Quarantine,
    finding: Finding,
    state: RunState,
    emit: Emit,
) -> str:
    """The one commit, and the branch on it in the user's repository."""
    prompt, summary = delivery.redact(delivery.prompt), _told(delivery, finding, state)
    title, branch = (
        _title(finding, state, prompt, summary),
        proposal.branch(prompt, delivery.run_id),
    )
    message = proposal.commit_message(title, summary, delivery.run_id, state.answered)
    with timed("commit", emit):
        commit = cage.commit(finding.patch.tree, message, delivery.identity)
    with timed("branch", emit):
        leave_branch(target, branch, commit, cage.base, cage.path, emit)
    emit(WorkSaved(branch=branch, commit=commit))
    if not all(is_proposal_path(path) for path in state.files):
        return f"Branch {branch} is ready."
    closing = f"Branch {branch} holds a proposal, not a change: no model was used for it."
    emit(Warned(message=closing))
    return closing


def _title(finding: Finding, state: RunState, prompt: str, summary: str) -> str:
    """What is not finished, or did not pass, says so in its first word."""
    draft = finding.failure is not None or bool(_shortcomings(state))
    return ("[draft] " if draft else "") + proposal.title(prompt, summary)


def _told(delivery: Delivery, finding: Finding, state: RunState) -> str:
    """The agent's words, and what we saw that they may not say."""
    return delivery.redact("\n\n".join((finding.summary, *_shortcomings(state))).strip())


def _shortcomings(state: RunState) -> list[str]:
    found = []
    if state.verification is not None and not state.verification.ok:
        command, code = state.verification.command, state.verification.exit_code
        found.append(f"Verification failed: `{command}` ended with exit code {code}.")
    if state.syntax is not None and not state.syntax.ok:
        found.append(f"These files cannot be parsed: {'; '.join(state.syntax.problems)}.")
    return found


def _check_verification(state: RunState, hint: str) -> None:
    verdict = state.verification
    if verdict is not None and not verdict.ok:
        raise VerificationFailed(
            f"verification failed: `{verdict.command}` ended with exit code {verdict.exit_code}",
            hint=hint,
        )


def _judged(
    cage: Quarantine,
    finding: Finding,
    delivery: Delivery,
    so_far: Callable[[], RunState],
    emit: Emit,
) -> Numstat:
    """Look at the tree, tell what is in it, and refuse what may not leave."""
    tree, failure = cage.apply(finding.patch), finding.failure
    between = ("-r", "-z", "--no-renames", cage.base.sha, tree)
    changes = parse_raw(cage.read("diff-tree", "--raw", "--full-index", *between))
    numstat = parse_numstat(cage.read("diff-tree", "--numstat", *between))
    emit(
        WorkSaved(
            files_changed=len(changes),
            insertions=numstat.insertions,
            deletions=numstat.deletions,
        )
    )
    judged = changes[: Limits().files]  # more are refused anyway, and told by their number
    told = so_far().files
    for event in _edits(judged):
        if event.filepath not in told:  # a command did it, not one of the file tools
            emit(event)
    decisions = judge(
        changes,
        sizes=cage.sizes([c.new_id for c in changes if c.new_mode not in ("000000", _SUBMODULE)]),
        links={
            c.new_id: cage.read("cat-file", "blob", c.new_id) for c in judged if c.new_mode == _LINK
        },
        existing=_names(cage, tree) if any(c.status == "A" for c in changes) else (),
        lines=numstat.insertions + numstat.deletions,
        allow=delivery.allow_path,
    )
    for decision in decisions:
        emit(decision.event())
    if refused := [d for d in decisions if d.decision == "refuse"]:
        protected = any(d.rule == "protected-path" for d in refused)
        early = f" (and the work ended early: {failure})" if failure else ""
        raise PolicyRefused(
            f"the change may not leave: {_reasons(refused)}{early}",
            hint="It is kept as a patch."
            + (" `--allow-path GLOB` permits protected files." if protected else ""),
        )
    return numstat


def _names(cage: Quarantine, tree: str) -> list[bytes]:
    return cage.read("ls-tree", "-r", "-z", "--name-only", tree).split(b"\0")[:-1]


def _reasons(refused: list[Decision]) -> str:
    first = "; ".join(f"{d.path}: {d.message}" if d.path else d.message for d in refused[:3])
    return first + (f"; and {len(refused) - 3} more" if len(refused) > 3 else "")  # noqa: PLR2004 - as shown


def _edits(changes: list[Change]) -> Iterator[FileEdited]:
    """What happened to each file; the same content gone here and new there is a rename."""
    gone: dict[str, list[Change]] = {}
    for change in changes:
        if change.status == "D":
            gone.setdefault(change.old_id, []).append(change)
    added = (c for c in changes if c.status == "A")
    renamed = {c.path: gone[c.new_id].pop(0) for c in added if gone.get(c.new_id)}
    moved_away = {old.path for old in renamed.values()}
    for change in changes:
        if change.path in moved_away:
            continue
        old = renamed.get(change.path)
        yield FileEdited(
            filepath=_shown(change.path),
            operation="rename" if old else _OPERATIONS.get(change.status, "modify"),
            old_path=_shown(old.path) if old else None,
        )


def _shown(path: bytes) -> str:
    return path.decode(errors="replace")


def _put_down(
    delivery: Delivery, origin: LocalRepository | Remote, finding: Finding, state: RunState,
    numstat: Numstat, emit: Emit,
) -> str:  # fmt: skip
    """Without a branch: the patch stays, and beside it what a pull request would say."""
    draft = proposal.Draft(
        prompt=delivery.redact(delivery.prompt),
        summary=_told(delivery, finding, state),
        made=proposal.Made(
            run_id=delivery.run_id,
            agents=state.answered,
            turns=state.turns,
            cost_usd=state.cost_usd,
            replaced=state.replaced,
            resumes=state.resumes,
        ),
        files=tuple(
            proposal.FileLines(_shown(f.path), f.insertions, f.deletions) for f in numstat.files
        ),
        verified=state.verification,
        policy=state.policy,
    )
    text = finding.patch.path.with_name("pull-request.md")
    title = _title(finding, state, draft.prompt, draft.summary)
    words = delivery.redact(f"# {title}\n\n{proposal.body(draft)}")  # paths can hold secrets too
    write_private(text, words.encode())
    emit(WorkSaved(pull_request_text=str(text)))
    if isinstance(origin, Remote):
        emit(
            Warned(
                message=f"Nothing was pushed to {origin.url} and no pull request was opened: "
                "publishing is not built yet. The patch and the text of the pull request are kept."
            )
        )
    return f"The patch is ready: {finding.patch.path}"
