"""What was asked for, as the pipeline takes it. Pure but for the user's home folder."""

from __future__ import annotations

from pathlib import Path

from tiny_backspace.agent.budget import Limits
from tiny_backspace.delivery import Delivery
from tiny_backspace.errors import UsageError
from tiny_backspace.redact import Redact
from tiny_backspace.repo import policy
from tiny_backspace.repo.policy import Policy
from tiny_backspace.repo.source import Local, page, parse
from tiny_backspace.run import Request
from tiny_backspace.settings import PROMPT_LIMIT, Settings
from tiny_backspace.tasks import Asked
from tiny_backspace.verification import Verification


def understood(asked: Asked, settings: Settings, run_id: str, redact: Redact) -> Request:
    """The request, with everything in it checked that can be checked without touching anything.

    Raises:
        UsageError: the repository or the prompt is not acceptable.
    """
    found = page(asked.repo)
    source = found.remote if found else parse(asked.repo, settings.github.url)
    size = len(asked.prompt.encode(errors="replace"))
    if not asked.prompt.strip():
        raise UsageError("the prompt is empty", hint='Say what to change: "fix the typo in …".')
    if size > PROMPT_LIMIT:
        raise UsageError(f"the prompt has {size} bytes; at most {PROMPT_LIMIT} are taken")
    verification = (
        Verification(
            settings.verify,
            settings.verify_attempts,
            settings.verify_timeout,
            settings.verify_base,
        )
        if settings.verify
        else None
    )
    identity = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", settings.author_name), ("EMAIL", settings.author_email))
    }
    return Request(
        source=source,
        repo=str(Path(source.path).expanduser().absolute())
        if isinstance(source, Local)
        else source.url,
        prompt=asked.prompt,
        base=asked.base,
        verification=verification,
        delivery=Delivery(
            run_id=run_id,
            prompt=asked.prompt,
            policy=Policy(
                settings.allow_path,
                policy.Limits(settings.max_files, settings.max_lines, settings.max_file_size),
            ),
            identity=identity,
            redact=redact,
            name=_name(asked, settings),
            title=settings.title,
            draft=settings.draft,
            labels=settings.label,
            co_author=settings.co_author,
            closes=asked.closes,
            once=settings.once,
            answered=asked.resumed.answered if asked.resumed else (),
        ),
        limits=Limits(
            settings.max_turns,
            settings.max_tool_calls,
            settings.timeout,
            settings.max_cost,
            settings.max_tokens,
        ),
        command_timeout=settings.command_timeout,
        resumed=asked.resumed,
        depth=_depth(asked, settings),
        revises=asked.revises.commits if asked.revises else None,
    )


def _name(asked: Asked, settings: Settings) -> str | None:
    """The branch that is there already where one is gone on with, and otherwise what the user says."""
    if asked.revises is not None:
        return asked.revises.head
    left = asked.resumed.left if asked.resumed else None
    return left.branch if left is not None else settings.branch


def _depth(asked: Asked, settings: Settings) -> int | None:
    """Of a pull request its commits come along, and the one before them."""
    if settings.history == "full":
        return None
    return 1 + (asked.revises.commits if asked.revises else 0)
