"""`/docs`: what there is to ask, out of the OpenAPI description itself. No script, and nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter()


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
async def docs(request: Request) -> str:
    """The page."""
    return html(request.app.openapi())


def html(schema: dict[str, Any]) -> str:
    """The description as a page."""
    parts = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(method, path, operation))
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<h1>{title}</h1><p>{escape(schema['info'].get('description', ''))}</p>"
        '<p>For programs: <a href="/openapi.json">openapi.json</a></p>' + "".join(parts) + "</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    told = "".join(
        f"<p>{escape(operation[k])}</p>" for k in ("summary", "description") if operation.get(k)
    )
    given = "".join(
        f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}) {escape(each.get('description', ''))}</li>"
        for each in operation.get("parameters", ())
    )
    answered = "".join(
        f"<li>{escape(status)} {escape(answer.get('description', ''))}</li>"
        for status, answer in operation["responses"].items()
    )
    parameters = f"<h3>Parameters</h3><ul>{given}</ul>" if given else ""
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>{told}{parameters}"
        f"<h3>Answers</h3><ul>{answered}</ul>"
    )
