"""What a tool is, and which paths one may be given."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tiny_backspace.conversation import ToolSpec
from tiny_backspace.events import FileEdited
from tiny_backspace.sandbox.interface import Sandbox

ROOT = "/workspace"
ANSWER_BYTES = 64 << 10  # of one result, as the model gets it


class ToolError(Exception):
    """The tool could not do what was asked; the model reads the sentence and tries again."""


class Args(BaseModel):
    """Arguments of a tool. Its name and docstring are the tool's name and description."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _passable(cls, value: Any) -> Any:  # noqa: ANN401 - called with a value of any field
        """Programs take no NUL in an argument, and UTF-8 has no lone surrogates."""
        if isinstance(value, str) and ("\0" in value or not _encodes(value)):
            raise ValueError("NUL and lone surrogates cannot be passed on; use bash with printf")
        return value


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


Path: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=4096, description="File path, relative to /workspace.")
]
Purpose: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        description="What this edit is for, in one short sentence for the person who reviews it.",
    ),
]


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool did. A failed command is `ok=False` and still an answer, not an error."""

    text: str
    ok: bool = True
    exit_code: int | None = None
    events: tuple[FileEdited, ...] = ()


A = TypeVar("A", bound=Args)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    args: type[A]
    run: Callable[[Sandbox, A], Output]

    @property
    def name(self) -> str:
        return self.args.__name__.lower()

    @property
    def spec(self) -> ToolSpec:
        """For the model: a JSON Schema without what says nothing (titles, the docstring again)."""
        schema = self.args.model_json_schema()
        described = (self.args.__doc__ or "").strip()
        properties = {name: _untitled(field) for name, field in schema["properties"].items()}
        return ToolSpec(
            self.name,
            " ".join(described.split()),
            {k: v for k, v in schema.items() if k not in {"title", "description"}}
            | {"properties": properties},
        )


def _untitled(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "title"}


def inside(path: str) -> str:
    """The path relative to the work tree, `.` for the tree itself.

    It is about names alone: links are followed in the container, where they can do no harm.

    Raises:
        ToolError: it names something else.
    """
    whole = posixpath.normpath(posixpath.join(ROOT, path))
    if path and (whole == ROOT or whole.startswith(f"{ROOT}/")):
        return posixpath.relpath(whole, ROOT)
    raise ToolError(f"{path!r} is not in {ROOT}; give a path relative to it")


def editable(path: str) -> str:
    """The same, for a file that a tool may change.

    Raises:
        ToolError: it is outside, or git's own.
    """
    relative = inside(path)
    if relative == "." or path.endswith("/"):
        raise ToolError(f"{path!r} names a folder; give the path of a file")
    if ".git" in relative.lower().split("/"):
        raise ToolError(f"{path!r} is git's own; edit the files of the work tree only")
    return relative
