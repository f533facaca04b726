"""Changed files are parsed by their own languages, and whatever goes wrong with that is nobody's problem."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes import FakeSandbox, FolderSandbox
from tiny_backspace.errors import SandboxLost
from tiny_backspace.events import Event, SyntaxChecked, ThoughtDelta
from tiny_backspace.repo.mirror import Base
from tiny_backspace.repo.quarantine import take_out
from tiny_backspace.sandbox.interface import ExecResult
from tiny_backspace.syntax import SCRIPT, check, complaint

Said = list[Event | ThoughtDelta]

NO_YAML = "import sys; sys.modules['yaml'] = None\n"
VERSION = f"(Python {sys.version_info[0]}.{sys.version_info[1]})"


@dataclass(frozen=True)
class Repository:
    """A repository with a first commit, and the tools there are in it: git, bash, Python, and no node."""

    folder: Path
    tools: Path
    base: str

    def write(self, files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def check(self, files: dict[str, str | bytes], before: str = NO_YAML) -> SyntaxChecked:
        """Write these files and look at the change; `before` is put in front of the script."""
        self.write(files)
        inside = FolderSandbox(self.folder)
        tree = take_out(inside, Base(self.base, None), self.folder.parent / "change.patch").tree

        def run(argv: Sequence[str], stdin: bytes) -> ExecResult:
            assert argv[3] == SCRIPT
            return inside.exec(
                ["env", f"PATH={self.tools}", *argv[:3], before + SCRIPT, *argv[4:]], stdin=stdin
            )

        said: Said = []
        checked = check(FakeSandbox(run=run), self.base, tree, said.append)
        assert said == ([checked] if checked.files else [])
        assert checked.ok == (not checked.problems)
        return checked


Make = Callable[[dict[str, str | bytes]], Repository]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(files: dict[str, str | bytes]) -> Repository:
        folder, tools = tmp_path / "work", tmp_path / "tools"
        folder.mkdir()
        tools.mkdir()
        for tool in ("git", "bash"):
            (tools / tool).symlink_to(str(shutil.which(tool)))
        (tools / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tools / "python3").chmod(0o755)
        new = Repository(folder, tools, "")
        new.write({".gitignore": "ignored/\n", **files})
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]):
            subprocess.run([*git, *command], cwd=folder, check=True)
        said = subprocess.run([*git, "rev-parse", "HEAD"], cwd=folder, check=True, stdout=-1)
        return Repository(folder, tools, said.stdout.decode().strip())

    return made


def test_a_change_that_can_be_parsed_is_well(make: Make) -> None:
    changed: dict[str, str | bytes] = {
        "a.py": "x = 2\n", "new/b.py": "def f(): ...\n", "c.json": '{"a": [1]}', "d.toml": "a = 1\n",
        "e.sh": "#!/bin/bash\nx=(1 2)\ncase a in !(b|c)) ;; esac\n", "f.txt": "(((", "g.js": "(((",
        "h.yaml": "a: [",
    }  # fmt: skip

    checked = make({"a.py": "x = 1\n"}).check(changed)

    assert (checked.ok, checked.files, checked.problems) == (True, 5, ())


def test_each_language_tells_what_is_wrong_and_where(make: Make) -> None:
    files: dict[str, str | bytes] = {
        "a.py": "x = 1\ndef f(:\n", "b.pyi": "return 1\n", "c.json": '{\n "a": 1,\n}\n',
        "d.toml": "a = 1\nb =\n", "e.toml": "a = [1,", "f.sh": "if true; then\n echo\n",
        "g.bash": "echo )\n", "h.PY": "x = 'a\n",
    }  # fmt: skip

    checked = make({}).check(files)

    assert not checked.ok
    assert checked.files == 8
    starts = [
        "a.py:2: ", "b.pyi:1: 'return' outside function", "c.json:", "d.toml:2: Invalid value",
        "e.toml:1: ", "f.sh:", "g.bash:1: syntax error near unexpected token", "h.PY:1: unterminated",
    ]  # fmt: skip
    told = sorted(checked.problems, key=str.lower)
    assert [problem[: len(start)] for problem, start in zip(told, starts, strict=True)] == starts
    assert told[0].endswith(VERSION)


def test_only_what_was_changed_is_looked_at(make: Make) -> None:
    repository = make({"broken.py": "(((", "deleted.py": "x", "kept.json": "{"})
    (repository.folder / "deleted.py").unlink()
    (repository.folder / "kept.json").touch()

    checked = repository.check({"good.py": "x = 1", "ignored/bad.py": "((("})

    assert (checked.files, checked.problems) == (1, ())


def test_what_could_not_be_parsed_before_is_not_complained_of(make: Make) -> None:
    repository = make({"settings.json": '{ // why\n"a": 1}', "python2.py": "print 'a'\n"})

    checked = repository.check({"settings.json": '{ // why\n"a": 2}', "python2.py": "print 'b'\n"})

    assert (checked.ok, checked.files) == (True, 2)


def test_what_could_be_parsed_before_is_complained_of(make: Make) -> None:
    checked = make({"a.json": "{}"}).check({"a.json": "{,}"})

    assert [problem.split(": ")[0] for problem in checked.problems] == ["a.json:1"]


def test_files_that_are_json_with_comments_by_custom_are_left_alone(make: Make) -> None:
    names = ("tsconfig.json", "a/tsconfig.app.json", "jsconfig.json", ".vscode/settings.json",
             ".eslintrc.json", ".devcontainer/devcontainer.json")  # fmt: skip

    assert make({}).check(dict.fromkeys(names, "// c\n{,}")).files == 0


def test_what_the_agent_committed_or_hid_from_git_is_changed_all_the_same(make: Make) -> None:
    repository = make({"a.py": "x = 1", "b.py": "x = 1"})
    repository.write({"a.py": "(", "b.py": "("})
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["update-index", "--assume-unchanged", "b.py"], ["commit", "-qam", "mine"]):
        subprocess.run([*git, *command], cwd=repository.folder, check=True)

    assert [p[:4] for p in repository.check({}).problems] == ["a.py", "b.py"]


def test_the_work_tree_and_its_index_stay_as_they_are(make: Make) -> None:
    repository = make({"a.py": "x = 1"})
    repository.write({"a.py": "x = 2", "b.py": "("})
    before = {p: p.read_bytes() for p in repository.folder.rglob("*") if p.is_file()}

    repository.check({})

    after = {p: p.read_bytes() for p in repository.folder.rglob("*") if p.is_file()}
    assert after == before


def test_names_of_any_bytes_are_told_on_one_clean_line(make: Make) -> None:
    repository = make({})
    names = [
        b"-rf.py",
        b"a b'\".py",
        b"new\nline\x1b[31m.py",
        b"caf\xe9.py",
        b"\xe2\x80\xae.py",
        b":(top).py",
    ]
    for name in names:
        Path(os.fsdecode(bytes(repository.folder) + b"/" + name)).write_text("(")

    checked = repository.check({})

    assert checked.files == len(names)
    told = {problem.split(".py:")[0] for problem in checked.problems}
    assert told == {"-rf", "a b'\"", "new line", "caf", "", ":(top)"}
    checked.model_dump_json()


def test_links_and_what_is_no_file_are_left_alone(make: Make) -> None:
    repository = make({"was.py": "x = 1", "d/in.py": "x = 1"})
    outside = repository.folder.parent / "outside"
    outside.mkdir()
    (outside / "in.py").write_text("(")
    (repository.folder / "was.py").unlink()
    (repository.folder / "was.py").symlink_to(outside / "in.py")
    (repository.folder / "link.py").symlink_to(outside / "in.py")
    shutil.rmtree(repository.folder / "d")
    (repository.folder / "d").symlink_to(outside)
    os.mkfifo(repository.folder / "pipe.py")
    (repository.folder / "folder.py").mkdir()

    assert repository.check({}).files == 0


def test_nothing_of_what_is_parsed_is_run(make: Make) -> None:
    repository = make({})
    mark = repository.folder.parent / "ran"
    run = f"touch {mark}"
    (repository.folder / ".git/hooks/post-index-change").write_text(f"#!/bin/sh\n{run}\n")
    (repository.folder / ".git/hooks/post-index-change").chmod(0o755)
    python = f"import os; os.system({run!r})\n"

    checked = repository.check(
        {"a.py": python, "json.py": python, "yaml.py": python, "sitecustomize.py": python,
         "b.sh": f"{run}\n$({run})\n"}, before=""
    )  # fmt: skip

    assert (checked.ok, checked.files) == (True, 5)
    assert not mark.exists()
    assert not list(repository.folder.rglob("__pycache__"))


def test_a_script_for_another_shell_is_left_to_it(make: Make) -> None:
    checked = make({}).check(
        {"a.sh": "#!/usr/bin/env zsh\nif [[ a ]] {\n", "b.sh": "#!/bin/sh\nif\n", "c.sh": "if\n"}
    )

    assert [problem[:4] for problem in checked.problems] == ["b.sh", "c.sh"]


def test_warnings_and_encodings_of_a_python_file_are_no_problems(make: Make) -> None:
    checked = make({}).check({
        "a.py": "x = '\\d'\nassert (x, 'y')\nx is 1\n", "b.py": b"# coding: latin-1\nx = '\xe9'\n",
        "c.py": b"\xef\xbb\xbfx = 1\n", "d.py": b"x = '\xe9'\n", "e.py": b"x = 1\0\n",
    })  # fmt: skip

    assert sorted(problem[:4] for problem in checked.problems) == ["d.py", "e.py"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "[" * 200_000), ("a.json", '{"a":' * 100_000), ("a.json", "9" * 900_000),
        ("a.json", b"\xff\xfe\xff"), ("a.toml", "a=" + "[" * 100_000),
        ("a.toml", b"a = '\xe9'"), ("a.py", "-" * 30_000 + "1"), ("a.py", "x" + ".a" * 30_000),
        ("a.py", "x = " + "1+" * 100_000 + "1"), ("a.py", "x = 'a' * 10 ** 10"),
    ],
)  # fmt: skip
def test_what_is_too_much_for_a_parser_does_no_harm(
    make: Make, name: str, content: str | bytes
) -> None:
    checked = make({}).check({name: content, "b.py": "("})

    assert (checked.files, [problem[:4] for problem in checked.problems]) == (2, ["b.py"])


def test_files_beyond_a_size_and_a_number_are_not_read(make: Make) -> None:
    repository = make({})

    assert repository.check({"a.py": "(" + " " * (1 << 20)}).files == 0
    checked = repository.check({f"b{n:03}.json": "(" for n in range(230)})

    assert checked.files == 199  # and the one that is too large
    assert len(checked.problems) == 20
    assert checked.problems[0].startswith("b000.json:1: ")


# A clock that moves by a tenth of a second each time the script looks at it.
HASTY = """
import itertools, subprocess, time
time.monotonic = map(0.1 .__mul__, itertools.count()).__next__
"""


def test_what_is_not_parsed_in_time_is_left_and_the_rest_is_told(make: Make) -> None:
    checked = make({}).check({f"{n:03}.json": "(" for n in range(150)}, HASTY)

    assert 20 < checked.files < 150
    assert len(checked.problems) == 20


STAND_IN = """
import sys, types
class Mark: line = 1
class Marked(Exception): problem_mark, problem = Mark, "found unexpected end"
def parse(data, Loader):
    assert Loader == "C"
    if b"[" in data:
        raise Marked
    yield 1
sys.modules["yaml"] = types.SimpleNamespace(CSafeLoader="C", MarkedYAMLError=Marked, parse=parse)
"""


def test_yaml_is_parsed_where_its_parser_is_there_and_templates_are_not(make: Make) -> None:
    files: dict[str, str | bytes] = {
        "a.yaml": "a: !Ref b\n", "b.yml": "a:\n [", "chart.yaml": "{{ a }} [",
    }  # fmt: skip
    repository = make({})

    with_yaml, without = repository.check(files, STAND_IN), repository.check({})

    assert (with_yaml.files, with_yaml.problems) == (3, ("b.yml:2: found unexpected end",))
    assert without.files == 0


def test_without_a_change_there_is_nothing_to_say(make: Make) -> None:
    checked = make({"a.py": "x"}).check({})

    assert (checked.ok, checked.files, checked.problems) == (True, 0, ())


def _answer(**fields: object) -> bytes:
    return json.dumps({"files": 1, "problems": [], **fields}).encode()


@pytest.mark.parametrize(
    "result",
    [
        ExecResult(127, b"", b"no python3"),
        ExecResult(1, _answer(), b"Traceback"),
        ExecResult(0, _answer(), timed_out=True),
        ExecResult(0, _answer(), clipped=True),
        ExecResult(0),
        ExecResult(0, b"\xff"),
        ExecResult(0, b"[" * 100_000),
        ExecResult(0, b"[]"),
        ExecResult(0, b"{}"),
        ExecResult(0, _answer(files="1")),
        ExecResult(0, _answer(files=0, problems=[["a", 1, "b"]])),
        ExecResult(0, _answer(files=-1)),
        ExecResult(0, _answer(files=10**6)),
        ExecResult(0, _answer(problems="x")),
    ],
)
def test_an_answer_that_is_none_is_no_obstacle(result: ExecResult) -> None:
    said: Said = []

    checked = check(FakeSandbox(run=lambda _, __: result), "0" * 40, "1" * 40, said.append)

    assert (checked.ok, checked.files, checked.problems, said) == (True, 0, (), [])


def test_what_comes_out_is_kept_within_bounds() -> None:
    found = [["a\x1b[2J\nb", 1, "x" * 10_000], ["a", "1", "m"], ["a"], "a", *[["c", 2, "d"]] * 500]
    answer = ExecResult(0, _answer(problems=found))

    checked = check(FakeSandbox(run=lambda _, __: answer), "0" * 40, "1" * 40, lambda _: None)

    assert checked.problems[0].startswith("a b:1: xxx")
    assert max(map(len, checked.problems)) == 300
    assert checked.problems[1:] == ("c:2: d",) * 16


def test_a_lost_sandbox_is_no_obstacle() -> None:
    def lost(argv: Sequence[str], stdin: bytes) -> ExecResult:
        raise SandboxLost("gone")

    checked = check(FakeSandbox(run=lost), "0" * 40, "1" * 40, lambda _: None)

    assert (checked.ok, checked.files) == (True, 0)


def test_a_tree_that_is_not_there_is_no_obstacle(make: Make) -> None:
    repository = make({})
    repository.write({"a.py": "("})

    checked = check(FolderSandbox(repository.folder), repository.base, "1" * 40, lambda _: None)

    assert (checked.ok, checked.files) == (True, 0)


def test_the_agent_is_told_what_and_that_it_may_be_meant_so() -> None:
    told = complaint(
        SyntaxChecked(ok=False, files=3, problems=("a.py:1: x", "b.sh:2: y"), duration_ms=1)
    )

    assert "\n- a.py:1: x\n- b.sh:2: y\n" in told
    assert "meant" in told


def test_the_script_is_python_that_older_ones_understand() -> None:
    import ast

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ast.parse(SCRIPT, feature_version=(3, 8))
