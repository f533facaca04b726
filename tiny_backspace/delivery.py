"""From the patch to where the user wants it: judged on the tree, put into words, committed by us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from tiny_backspace.destinations import Destination, Offer, PatchFile
from tiny_backspace.errors import (
    PolicyRefused,
    ProviderError,
    Refused,
    TinyBackspaceError,
    VerificationFailed,
)
from tiny_backspace.events import Emit, Step, StepStarted, Verified, Warned, timed
from tiny_backspace.forges import proposal
from tiny_backspace.judging import judged, shown
from tiny_backspace.providers.proposals import is_proposal_path
from tiny_backspace.redact import Redact, clean_line
from tiny_backspace.repo.difference import Numstat
from tiny_backspace.repo.policy import Policy
from tiny_backspace.repo.quarantine import JUDGED_LIMIT, Patch, Quarantine
from tiny_backspace.views.state import RunState

_SAID = 300  # characters of the agent's last words


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the change is to leave. `identity` is git's GIT_AUTHOR_… and GIT_COMMITTER_… variables.

    `name`, `title` and `draft` are what the user said of branch and pull request; None: found from
    the prompt, and from how the work went. `once` is the key that its commit bears, `answered` who did the
    work if it was all done in a run that this one resumes. `closes` is the issue that was given for a prompt. Prompt and summary go through `redact` before they name or describe anything.
    """

    run_id: str
    prompt: str
    policy: Policy
    identity: Mapping[str, str]
    redact: Redact
    name: str | None = None
    title: str | None = None
    draft: bool | None = None
    labels: tuple[str, ...] = ()
    co_author: str | None = None
    closes: int | None = None
    once: str | None = None
    answered: tuple[str, ...] = ()

    @property
    def branch(self) -> str:
        return self.name or proposal.branch(self.redact(self.prompt), self.run_id, self.once)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of the agent's work. `failure` is why it ended early, if it did."""

    patch: Patch
    summary: str
    failure: TinyBackspaceError | None


def deliver(
    delivery: Delivery,
    destination: Destination,
    cage: Quarantine,
    finding: Finding,
    so_far: Callable[[], RunState],
    emit: Emit,
) -> str:
    """Judge the change, put it into words and let it leave; the closing sentence.

    Raises:
        PolicyRefused: it may not leave. The patch is kept.
        VerificationFailed, or `finding.failure`: after the change was left where it can be seen.
    """
    if not finding.patch.size:
        if finding.failure is not None:
            raise finding.failure
        _check_verification(so_far(), "Nothing was changed.")
        return f"Nothing to change: the agent left the repository as it was. {_in_short(delivery, finding)}".rstrip()
    if finding.patch.size > JUDGED_LIMIT:
        raise PolicyRefused(
            f"the change is larger than {JUDGED_LIMIT >> 20} MiB",
            hint="It is kept as a patch. Did the agent leave build output behind?",
        )
    if isinstance(finding.failure, Refused):
        destination = PatchFile()  # what a model would not stand for is not offered
    emit(StepStarted.at(Step.PR_CREATION, destination.doing))
    with timed("judge", emit):
        numstat = judged(cage, finding.patch, delivery.policy, finding.failure, so_far, emit)
    state = so_far()
    closing = destination.take(_offer(delivery, cage, finding, state, numstat), emit)
    if state.files and all(is_proposal_path(path) for path in state.files):
        closing = f"{closing} It is a proposal, not a change: no model was used for it."
        if state.replaced:  # models were wanted, and a proposal is not what was asked of them
            last = state.replaced[-1]
            raise ProviderError(f"no model answered: {last.reason}", hint=closing)
        emit(Warned(message=closing))
    if finding.failure is not None:
        raise finding.failure
    _check_verification(state, f"The change is kept as a draft. {closing}")
    return closing


def _offer(
    delivery: Delivery, cage: Quarantine, finding: Finding, state: RunState, numstat: Numstat
) -> Offer:
    prompt, shortcomings = delivery.redact(delivery.prompt), _shortcomings(state)
    # the agent's words, and what we saw that they may not say
    summary = delivery.redact("\n\n".join((finding.summary, *shortcomings)).strip())
    unfinished = finding.failure is not None or bool(shortcomings)
    agents = state.answered or delivery.answered
    title = (proposal.DRAFT if unfinished else "") + (
        delivery.title or proposal.title(prompt, summary)
    )
    message = proposal.commit_message(
        title, summary, delivery.run_id, agents, delivery.co_author, delivery.once
    )
    words = proposal.Draft(
        prompt=prompt,
        summary=summary,
        made=proposal.Made(
            run_id=delivery.run_id,
            agents=agents,
            turns=state.turns,
            cost_usd=state.cost_usd,
            replaced=state.replaced,
            resumes=state.resumes,
            sandbox=state.sandbox,
            left_alone=state.left_alone,
        ),
        files=tuple(
            proposal.FileLines(shown(f.path), f.insertions, f.deletions) for f in numstat.files
        ),
        verified=state.verification,
        before=state.before,
        policy=state.policy,
        closes=delivery.closes,
    )
    return Offer(
        branch=delivery.branch,
        title=title,
        draft=_is_draft(words, unfinished=unfinished) if delivery.draft is None else delivery.draft,
        labels=(*_labels(words), *delivery.labels),
        body=delivery.redact(proposal.body(words)),  # paths can hold secrets too
        patch=finding.patch.path,
        cage=cage,
        tree=finding.patch.tree,
        commit=partial(cage.commit, finding.patch.tree, message, delivery.identity),
    )


def _is_draft(words: proposal.Draft, *, unfinished: bool) -> bool:
    """Unless the user says otherwise, what somebody has to look at first is a draft."""
    flagged = any(decision.decision == "flag" for decision in words.policy)
    return unfinished or flagged or words.made.without_model


def _labels(words: proposal.Draft) -> list[str]:
    verified = words.verified is not None and words.verified.ok
    return [
        "tiny-backspace",
        *(() if verified else ("needs-verification",)),
        *(("fallback",) if words.made.replaced else ()),
    ]


def _in_short(delivery: Delivery, finding: Finding) -> str:
    """The agent's reason, where it gave one."""
    said = clean_line(delivery.redact(finding.summary))
    if not said:
        return ""
    return f"It said: {said if len(said) <= _SAID else said[: _SAID - 1] + '…'}"


def _shortcomings(state: RunState) -> list[str]:
    found = []
    if state.verification is not None and not state.verification.ok:
        found.append(f"Verification failed: {_ended(state.verification, state.before)}.")
    if state.syntax is not None and not state.syntax.ok:
        found.append(f"These files cannot be parsed: {'; '.join(state.syntax.problems)}.")
    return found


def _check_verification(state: RunState, hint: str) -> None:
    verdict = state.verification
    if verdict is not None and not verdict.ok:
        raise VerificationFailed(f"verification failed: {_ended(verdict, state.before)}", hint=hint)


def _ended(verdict: Verified, before: Verified | None) -> str:
    said = f"`{verdict.command}` ended with exit code {verdict.exit_code}"
    if before is None:
        return said
    return f"{said}; before the change {'it passed' if before.ok else f'with {before.exit_code}'}"
