"""What may be asked of the service, and the command line that it becomes.

Nothing here names a file, a folder, an image or a setting of the machine: those are the server's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic.alias_generators import to_camel

from tiny_backspace.errors import UsageError
from tiny_backspace.repo.source import Local, parse
from tiny_backspace.settings import PROMPT_LIMIT, Settings

_LIMITS = (
    *("max_cost", "max_turns", "max_tool_calls", "max_tokens", "timeout", "command_timeout"),
    "verify_attempts",
)
_REACH = ("patch", "branch", "pr")  # how far a change goes

Name = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[^-\s,\x00-\x1f][^,\x00-\x1f]*$")
]

_LINE = r"^[^\x00-\x1f\x7f]*$"
_NameList = Annotated[tuple[Name, ...], FailFast()]


class _Asked(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _is_no_flood(cls, given: object) -> object:
        """One fault, and not one for each of a hundred thousand fields."""
        if isinstance(given, Mapping) and len(given) > len(cls.model_fields):
            raise ValueError("There are more fields than there can be.")
        return given


class Options(_Asked):
    """Settings of one run, within those of the server: limits can be lower, never higher; a change goes no further than there, is a
    draft where it is one there, and is verified as it is there. Times in seconds.
    """

    base: str | None = Field(
        None, min_length=1, max_length=200, pattern=r"^[^-\x00-\x20][^\x00-\x20]*$"
    )
    publish: Literal["pr", "branch", "patch"] | None = None
    dry_run: bool | None = None
    branch: str | None = Field(None, min_length=1, max_length=200, pattern=_LINE)
    title: str | None = Field(None, min_length=1, max_length=240, pattern=_LINE)
    label: _NameList = Field((), max_length=20)
    draft: bool | None = None
    verify: str | None = Field(None, min_length=1, max_length=4000, pattern=r"^[^\x00]*$")
    verify_attempts: int | None = Field(None, ge=1, le=10)
    agents: _NameList = Field((), max_length=10)
    max_cost: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_turns: int | None = Field(None, ge=1)
    max_tool_calls: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    timeout: float | None = Field(None, gt=0, allow_inf_nan=False)
    command_timeout: float | None = Field(None, gt=0, allow_inf_nan=False)


class Code(_Asked):
    """A repository and what to change in it. `onDisconnect`: what becomes of the run when nobody follows it any more."""

    repo_url: str = Field(min_length=1, max_length=500)
    prompt: str = Field(min_length=1, max_length=PROMPT_LIMIT)
    options: Options = Options()
    on_disconnect: Literal["continue", "cancel"] = "continue"

    def digest(self) -> str:
        """The same for the same request, however it was spelled."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def repository(text: str, settings: Settings) -> str:
    """The address of a repository that this service works on.

    Raises:
        UsageError: it is none.
    """
    source = parse(text, settings.github.url)
    if isinstance(source, Local):
        raise UsageError(
            "A folder of the server is not worked on.",
            hint="Give owner/name, or its https address.",
        )
    home = urlsplit(settings.github.url).netloc
    if not settings.server.serves(source.host, f"{source.owner}/{source.name}", home):
        raise UsageError("This service does not work on that repository.")
    return source.url


def words(run_id: str, place: str, options: Options, settings: Settings) -> list[str]:
    """The arguments of `tiny-backspace` for a run on the repository at that address; the prompt comes by standard input.

    Raises:
        UsageError: it is more than the server's settings permit.
    """
    said = ["run", place, "-", "--run-id", run_id]
    for name, value in _given(options, settings).items():
        flag = f"--{name.replace('_', '-')}"
        match value:
            case True:
                said.append(flag)
            case False:
                said += {"draft": ["--ready"]}.get(name, [])
            case tuple():
                said += (
                    [f"{flag}={','.join(value)}"]
                    if name == "agents"
                    else [f"{flag}={v}" for v in value]
                )
            case _:
                said.append(f"{flag}={value}")
    return said


def _given(options: Options, settings: Settings) -> Mapping[str, Any]:
    given = options.model_dump(exclude_none=True, exclude_defaults=True)
    for name in _LIMITS:
        most = getattr(settings, name)
        if name in given and given[name] > most:
            raise UsageError(f"{to_camel(name)} is at most {most:g} here")
    _check_kept(options, settings)
    return given


def _check_kept(options: Options, settings: Settings) -> None:
    """Raises UsageError: what the server's settings ask for would not be done."""
    publish, most = options.publish, settings.publish or _REACH[-1]
    if publish is not None and _REACH.index(publish) > _REACH.index(most):
        raise UsageError(f"publish is {most} here, or less")
    if options.draft is False and settings.draft:
        raise UsageError("Every pull request is a draft here.")
    if options.verify is not None and settings.verify is not None:
        raise UsageError("The service verifies with a command of its own.")
    known = {agent.partition(":")[0] for agent in settings.agents}
    if unknown := [a for a in options.agents if a.partition(":")[0] not in known]:
        raise UsageError(f"{unknown[0]} is none of the agents here: {', '.join(sorted(known))}")
