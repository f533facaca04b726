"""The JSON Schema of a line, built from the events themselves."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from tiny_backspace.events import VERSION, Known

_STAMP: dict[str, Any] = {
    "v": {"const": VERSION, "description": "Version of this schema."},
    "seq": {"type": "integer", "minimum": 1, "description": "1, 2, 3 … without a gap."},
    "at": {"type": "string", "format": "date-time", "description": "UTC, with microseconds."},
    "run_id": {"type": "string", "pattern": "^[0-9a-f]{8}$"},
}


def line_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of one line: the stamp, and the fields of exactly one type of event.

    The last alternative is any type this version does not know. An alternative names all fields
    of its event; they are always there.
    """
    models: tuple[type[BaseModel], ...] = get_args(Known)
    definitions: dict[str, Any] = {}
    events = [_event(model, definitions) for model in models]
    known = [event["properties"]["type"]["const"] for event in events]
    newer = {
        "title": "Unknown",
        "description": "An event of a newer version: keep it, or leave it out.",
        "properties": {"type": {"type": "string", "not": {"enum": known}}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of a Tiny Backspace run",
        "type": "object",
        "properties": _STAMP,
        "required": [*_STAMP, "type"],
        "oneOf": [*events, newer],
        "$defs": definitions,
    }


def _event(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """The model's own schema, flat: shared definitions move to the line's `$defs`."""
    schema = model.model_json_schema(mode="serialization")
    definitions |= schema.pop("$defs", {})
    properties = {name: _plain(field) for name, field in schema["properties"].items()}
    properties["type"] = {"const": properties["type"]["const"]}
    event: dict[str, Any] = {"title": schema["title"]}
    if "description" in schema:
        event["description"] = " ".join(schema["description"].split())
    # Closed events stand beside the stamp here, so that `additionalProperties` cannot stay.
    return event | {"properties": properties, "required": list(properties)}


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """Without what pydantic adds for readers of forms: a title that repeats the name, the default."""
    return {key: value for key, value in field.items() if key not in {"title", "default"}}
