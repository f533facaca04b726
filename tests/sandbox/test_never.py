"""What no line of the package may do: docs/security.md, F5, A10 and A11."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tiny_backspace

PACKAGE = Path(tiny_backspace.__file__).parent
NEVER = {"put_archive", "get_archive", "privileged"}
NEVER_OF_THE_ENGINE = {"export", "commit", "copy"}


def forbidden(source: str) -> set[str]:
    """What may not be used: the archive calls, whoever is asked, and those of the engine; and a word."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=name) if name in NEVER:
                found.add(name)
            case ast.Attribute(
                attr=name,
                value=ast.Attribute(attr="api" | "containers") | ast.Name(id="api" | "client"),
            ) if name in NEVER_OF_THE_ENGINE:
                found.add(name)
            case ast.keyword(arg=str(name)) | ast.Name(id=name) | ast.Constant(value=str(name)):
                found |= {name} & NEVER
            case _:
                continue
    return found


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("engine.api.put_archive(c, '/', data)", "put_archive"),
        ("take = box.get_archive", "get_archive"),
        ("self._engine.api.export(c)", "export"),
        ("api.commit(c)", "commit"),
        ("getattr(api, 'get_archive')(c)", "get_archive"),
        ("create_host_config(privileged=True)", "privileged"),
        ("{'privileged': True}", "privileged"),
    ],
)
def test_a_call_that_may_not_be_made_would_be_found(source: str, name: str) -> None:
    assert forbidden(source) == {name}


def test_no_code_of_ours_moves_files_through_the_engine_nor_asks_for_privileges() -> None:
    sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    assert "def open_sandbox" in sources[PACKAGE / "sandbox" / "opening.py"]
    assert {path: found for path, text in sources.items() if (found := forbidden(text))} == {}
