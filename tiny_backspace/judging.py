"""What the agent changed, judged on the tree that came of it: told in events, refused where policy says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from tiny_backspace.errors import PolicyRefused, TinyBackspaceError
from tiny_backspace.events import Emit, FileEdited, WorkSaved
from tiny_backspace.repo.attributes import kept_by_lfs
from tiny_backspace.repo.difference import Change, Numstat, parse_numstat, parse_raw
from tiny_backspace.repo.ignored import ignored_by_base
from tiny_backspace.repo.lines import OPTIONS, added_lines, removed_lines
from tiny_backspace.repo.policy import Decision, Policy, judge
from tiny_backspace.repo.quarantine import Patch, Quarantine
from tiny_backspace.views.state import RunState

_LINK = "120000"
_SUBMODULE = "160000"
_IMMENSE = 10_000  # changed files; of more, where so many may not be, the lines are not counted
_OPERATIONS: Mapping[str, Literal["create", "delete"]] = {"A": "create", "D": "delete"}


def judged(
    cage: Quarantine,
    patch: Patch,
    policy: Policy,
    failure: TinyBackspaceError | None,
    so_far: Callable[[], RunState],
    emit: Emit,
) -> Numstat:
    """Look at the tree, tell what is in it, and refuse what may not leave.

    Raises:
        AgentError: the patch is none, or leads elsewhere than the container said.
        PolicyRefused: the change may not leave. `failure` is why the work ended early, if it did.
    """
    tree = cage.apply(patch)
    cage.write_patch(tree, patch.path)  # what people are shown is what git says, not what came out
    between = ("-r", "-z", "--no-renames", cage.base.sha, tree)
    changes = parse_raw(cage.read("diff-tree", "--raw", "--full-index", *between))
    immense = len(changes) > max(policy.limits.files, _IMMENSE)
    numstat = parse_numstat(b"" if immense else cage.read("diff-tree", "--numstat", *between))
    emit(
        WorkSaved(
            files_changed=len(changes),
            insertions=numstat.insertions,
            deletions=numstat.deletions,
        )
    )
    looked_at = changes[: policy.limits.files]  # more are refused anyway, and told by their number
    told = so_far().files
    for event in _edits(looked_at):
        if event.filepath not in told:  # a command did it, not one of the file tools
            emit(event)
    decisions = _decisions(cage, tree, changes, numstat, policy)
    for decision in decisions:
        emit(decision.event())
    _check(decisions, failure)
    return numstat


def _decisions(
    cage: Quarantine, tree: str, changes: list[Change], numstat: Numstat, policy: Policy
) -> tuple[Decision, ...]:
    """What policy says of the change; its lines are read only if there are not too many of them."""
    limits = policy.limits
    blobs = [c for c in changes[: limits.files] if c.new_mode not in ("000000", _SUBMODULE)]
    sizes = cage.sizes([c.new_id for c in blobs])
    amount = numstat.insertions + numstat.deletions
    too_much = len(changes) > limits.files or amount > limits.lines
    new = {
        c.new_id for c in blobs if c.new_id != c.old_id
    }  # of the others a mode changed, or a name
    too_much = too_much or any(sizes.get(each, 0) > limits.blob_bytes for each in new)
    lines = b"" if too_much else cage.read("diff-tree", *OPTIONS, cage.base.sha, tree)
    return judge(
        changes,
        sizes=sizes,
        links={
            c.new_id: cage.read("cat-file", "blob", c.new_id)
            for c in changes[: limits.files]
            if c.new_mode == _LINK
        },
        existing=_names(cage, tree) if any(c.status == "A" for c in changes) else (),
        lines=amount,
        allow=policy.allow,
        limits=limits,
        added=[] if too_much else list(added_lines(lines, changes)),
        removed=[] if too_much else list(removed_lines(lines, changes)),
        ignored=ignored_by_base(cage, [c.path for c in changes[: limits.files] if c.status == "A"]),
        lfs=kept_by_lfs(cage, changes[: limits.files]),
    )


def shown(path: bytes) -> str:
    return path.decode(errors="replace")


def _check(decisions: Sequence[Decision], failure: TinyBackspaceError | None) -> None:
    refused = [d for d in decisions if d.decision == "refuse"]
    if not refused:
        return
    protected = any(d.rule == "protected-path" for d in refused)
    early = f" (and the work ended early: {failure})" if failure else ""
    raise PolicyRefused(
        f"the change may not leave: {_reasons(refused)}{early}",
        hint="It is kept as a patch."
        + (" `--allow-path GLOB` permits protected files." if protected else ""),
    )


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
            filepath=shown(change.path),
            operation="rename" if old else _OPERATIONS.get(change.status, "modify"),
            old_path=shown(old.path) if old else None,
        )
