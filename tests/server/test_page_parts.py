"""The files of the page, as they are handed out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.application import Application
from tiny_backspace.server.auth import hashed
from tiny_backspace.server.page import PATHS, POLICY


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Application]:
    made = Application(tmp_path, {"tokens": {"one": hashed("tbs_one")}})
    yield made
    made.service.close()


@pytest.mark.parametrize("path", sorted(PATHS))
def test_each_is_there_for_everybody_under_a_policy_that_knows_no_inline_code(
    guarded: Application, path: str
) -> None:
    answer = guarded.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    kind = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert answer.headers["content-type"].startswith(kind.get(path.rpartition(".")[2], "text/html"))
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(
    "path", ["/page/nothing", "/page/..%2Fpage.py", "/page/%2e%2e/page.py", "/page/"]
)
def test_and_nothing_else_is(guarded: Application, path: str) -> None:
    with_token = {"Authorization": "Bearer tbs_one"}
    assert guarded.get(path).status_code == 401
    assert guarded.get(path, headers=with_token).status_code == 404


def test_what_they_name_is_among_them_and_nothing_is_from_elsewhere(guarded: Application) -> None:
    named = set()
    for path in sorted(PATHS):
        text = guarded.get(path).text
        named |= set(re.findall(r'["\'](/page/[^"\']+)["\']', text))
        addresses = set(re.findall(r"https?://[^\s\"'`]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not [each for each in addresses if not each.startswith(r"https?:\/\/")]
    assert {"/page/page.js", "/page/page.css", "/page/client.js"} <= named <= PATHS


def test_text_only_ever_becomes_text(guarded: Application) -> None:
    scripts = [guarded.get(path).text for path in PATHS if path.endswith(".js")]
    assert len(scripts) > 5
    for text in scripts:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|cookie|localStorage",
            text,
        )
    page = guarded.get("/").text
    assert not re.search(r"<style|\son[a-z]+=|\sstyle=|<script(?! type=\"module\" src=)", page)
