"""docs/service.md says what the service is; `/docs` says what its description does, safely."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic.alias_generators import to_camel

from tests.server.application import Application
from tiny_backspace.server.asked import Code, Options
from tiny_backspace.server.docs import html
from tiny_backspace.serving import ServerSettings

DOC = (Path(__file__).parents[2] / "docs" / "service.md").read_text("utf-8")


def test_every_setting_is_there_with_its_default() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", DOC, re.DOTALL)
    told = tomllib.loads(block)["server"]
    assert set(told) == set(ServerSettings.model_fields)
    told["tokens"] = {"alice": "0" * 64}
    defaults = ServerSettings()
    read = ServerSettings.model_validate(told)
    examples = {"tokens", "admins", "repos", "hosts"}
    for name in set(told) - examples:
        assert getattr(read, name) == getattr(defaults, name), name


def test_every_field_and_every_option_is_there() -> None:
    for name in (*Code.model_fields, *Options.model_fields):
        assert f"`{to_camel(name)}`" in DOC, name


def test_every_route_is_there_and_on_the_page(tmp_path: Path) -> None:
    application = Application(tmp_path)
    schema = application.app.openapi()
    page = application.get("/docs")
    for path, methods in schema["paths"].items():
        for method in methods:
            shown = f"{method.upper()} {path.replace('run_id', 'id')}"
            assert f"`{shown}`" in DOC, shown
            assert f"{method.upper()} {path}" in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text.replace("https://", "")
    application.service.close()


def test_what_the_description_says_is_text() -> None:
    operation = {
        "summary": "<script>1</script>", "description": "<b>",
        "parameters": [{"name": "<i>", "in": "query", "description": "<u>"}],
        "responses": {"200": {"description": "<a>"}},
    }  # fmt: skip
    page = html({"info": {"title": "<t>", "version": "1"}, "paths": {"/<p>": {"get": operation}}})
    for tag in ("script", "b", "i", "u", "a", "t", "p>x"):
        assert f"<{tag}>1" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<a ") == 1
