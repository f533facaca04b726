"""Whether a request, or an answer, is as GitHub's description of its API has it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT4, SchemaRegistry

from tests.servers.openapi import Json, Misfit, Operation, description, resolved

_NAME = "github"  # of the whole description, for references into it
# A fork that was deleted, and the line of a comment on code that has changed since.
_NULL_AFTER_ALL = re.compile(r"For '(\d+/)?(head/repo|line)', None is not of type")


def query_misfits(operation: Operation, query: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What is wrong with a query, a sentence each."""
    known = {}
    for number, given in enumerate(operation.described.get("parameters", [])):
        parameter = resolved(given)
        if parameter["in"] == "query":
            known[parameter["name"]] = (parameter, _parameter_at(operation, number, given))
    names = [name for name, _ in query]
    for name, (parameter, _) in known.items():
        if parameter.get("required") and name not in names:
            yield f"{operation} needs the query parameter '{name}'."
        if names.count(name) > 1:
            yield f"{operation} takes the query parameter '{name}' once."
    for name, text in query:
        if name not in known:
            yield f"{operation} has no query parameter '{name}'."
            continue
        parameter, schema = known[name]
        for problem in _problems(schema, _read(text, parameter["schema"].get("type"))):
            yield f"{operation} with {name}={text}: {problem}"


def _parameter_at(operation: Operation, number: int, given: Json) -> str:
    if "$ref" in given:
        return f"{given['$ref']}/schema"
    return f"{operation.place}/parameters/{number}/schema"


def _read(text: str, kind: str | None) -> Any:
    """A query's text as the value it stands for; the text where it stands for none."""
    match kind:
        case "integer" if re.fullmatch("-?[0-9]+", text):
            return int(text)
        case "boolean" if text in {"true", "false"}:
            return text == "true"
        case "array":
            return text.split(",")
        case _:
            return text


def body_of(operation: Operation, data: bytes) -> Any:
    """The body of a request, read and judged; an empty object where there is none.

    Raises:
        Misfit: with the first thing that is wrong with it.
    """
    asked = operation.described.get("requestBody")
    if not data:
        if asked is not None and asked.get("required"):
            raise Misfit(f"{operation} needs a body.", 422)
        return {}
    try:
        body = json.loads(data)
    except ValueError as error:
        raise Misfit("Problems parsing JSON", 400) from error
    if asked is None:
        if body != {}:
            raise Misfit(f"{operation} takes no body.", 422)
        return body
    place = f"{operation.place}/requestBody/content/application~1json/schema"
    for problem in _problems(place, body):
        raise Misfit(f"Invalid request.\n\n{problem}", 422)
    permitted = _properties(asked["content"]["application/json"]["schema"])
    for name in body if isinstance(body, dict) else ():
        if name not in permitted:
            raise Misfit(f'Invalid request.\n\n"{name}" is not a permitted key.', 422)
    return body


def _properties(schema: Json) -> set[str]:
    schema = resolved(schema)
    names = set(schema.get("properties", {}))
    for way in ("oneOf", "anyOf", "allOf"):
        names.update(*(_properties(each) for each in schema.get(way, [])))
    return names


def answer_problems(operation: Operation, status: int, body: Any) -> list[str]:
    """What is wrong with an answer of ours; nothing where the description has no such answer, or is
    known to leave out a null that GitHub says."""
    described = operation.described["responses"].get(str(status), {})
    place = described.get("$ref", f"{operation.place}/responses/{status}")
    if "application/json" not in resolved(described).get("content", {}):
        return []
    problems = _problems(f"{place}/content/application~1json/schema", body)
    return [each for each in problems if not _NULL_AFTER_ALL.match(each)]


def _problems(place: str, value: Any) -> Iterator[str]:
    schema = {"$ref": f"{_NAME}{place}"}
    for problem in _Validator(schema, registry=_registry()).iter_errors(value):
        where = "/".join(map(str, problem.absolute_path))
        yield f"For '{where}', {problem.message}."


@functools.cache
def _registry() -> SchemaRegistry:
    whole = DRAFT4.create_resource(description())
    registry: SchemaRegistry = Registry().with_resource(_NAME, whole)
    return registry


def _unless_null(keyword: str) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema adds null to the types."""

    def judge(validator: Any, expected: Any, value: Any, schema: Json) -> Iterator[ValidationError]:
        if value is not None or not schema.get("nullable"):
            yield from Draft4Validator.VALIDATORS[keyword](validator, expected, value, schema)

    return judge


_Validator: type[Draft4Validator] = extend(  # type: ignore[no-untyped-call]  # its stubs say nothing
    Draft4Validator, {keyword: _unless_null(keyword) for keyword in ("type", "enum")}
)
