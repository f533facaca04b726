"""The syntax check in the image the agent works in: its parsers, its limits, its locked-down ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.docker.conftest import SMALL, Opener
from tiny_backspace.events import SyntaxChecked
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.quarantine import take_out
from tiny_backspace.sandbox import image
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import Engine
from tiny_backspace.sandbox.interface import Sandbox
from tiny_backspace.syntax import check

_BEGIN = """
git init -q && echo 'const a = <div>old</div>' >old.js && echo 1 >a.json && git add -A &&
git -c user.name=a -c user.email=a@b commit -qm base && cp -p .git/index .git/tiny-backspace-index
"""


def begin(sandbox: Sandbox) -> str:
    """A repository with a first commit; what it is called."""
    done = sandbox.call(["sh", "-c", _BEGIN])
    assert done.ok, done.stderr
    return sandbox.call(["git", "rev-parse", "HEAD"]).stdout.decode().strip()


@pytest.fixture(scope="module")
def begun(sandbox: DockerSandbox) -> str:
    return begin(sandbox)


@pytest.fixture
def changed(sandbox: DockerSandbox, begun: str) -> Iterator[tuple[DockerSandbox, str]]:
    """A work tree without a change, at the time."""
    yield sandbox, begun
    assert sandbox.call(["sh", "-c", "git reset -q --hard && git clean -fdqx"]).ok


def looked(changed: tuple[DockerSandbox, str], files: dict[str, str]) -> SyntaxChecked:
    sandbox, base = changed
    for name, content in files.items():
        sandbox.write(name, content.encode())
    with TemporaryDirectory() as folder:
        tree = take_out(sandbox, Base(base, None), Path(folder) / "change.patch").tree
    return check(sandbox, base, tree, lambda _: None)


def test_the_image_parses_all_the_languages(changed: tuple[DockerSandbox, str]) -> None:
    checked = looked(
        changed,
        {
            "a.py": "def f(:\n", "a.json": "{,}", "a.toml": "a =\n", "a.sh": "if\n",
            "a.js": "let x = 1\nlet y = ;\n", "a.mjs": "import a from 'b'\nlet a = 1\n",
            "a.cjs": "\nimport a from 'b'\n", "a.yaml": "a: ]\n",
        },
    )  # fmt: skip

    assert checked.files == 8
    assert {problem.split(" ")[0] for problem in checked.problems} == {
        "a.py:1:", "a.json:1:", "a.toml:1:", "a.sh:2:", "a.js:2:", "a.mjs:2:", "a.cjs:2:",
        "a.yaml:1:",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "const a = require('a')\nif (a) return\nexports.b = 010\n",
        "import a from 'a'\nexport default await a\n",
        "#!/usr/bin/env node\nawait fetch('x')\nexport const url = import.meta.url\n",
        "import React from 'react'\nexport default () => <div>new</div>\n",
        "",
    ],
)
def test_a_script_may_be_a_module_or_none_or_jsx(
    changed: tuple[DockerSandbox, str], text: str
) -> None:
    checked = looked(changed, {"new.js": text})

    assert (checked.files, checked.problems) == (1, ())


def test_the_fault_in_a_module_is_told_and_not_its_being_one(
    changed: tuple[DockerSandbox, str],
) -> None:
    checked = looked(changed, {"new.js": "import a from 'a'\n\nexport const b = {\n"})

    assert checked.problems == ("new.js:4: Unexpected end of input",)


def test_what_was_no_plain_script_before_is_not_complained_of(
    changed: tuple[DockerSandbox, str],
) -> None:
    checked = looked(changed, {"old.js": "const a = <div>new</div>\nlet : x\n"})

    assert (checked.ok, checked.files) == (True, 1)


def test_no_script_is_run(changed: tuple[DockerSandbox, str]) -> None:
    run = "require('fs').writeFileSync('/tmp/ran', '')\n"

    checked = looked(changed, {"a.js": run, "b.cjs": run, "c.mjs": "await " + run})

    assert checked.files == 3
    assert not changed[0].call(["test", "-e", "/tmp/ran"]).ok


def test_an_image_without_python_is_no_obstacle(engine: Engine, opener: Opener) -> None:
    with opener(replace(SMALL, image=image.default_base(engine.api)), []) as bare:
        bare.write("a.py", b"(")
        checked = check(bare, "0" * 40, "1" * 40, lambda _: None)

    assert (checked.ok, checked.files) == (True, 0)
