"""What a change may touch: every rule broken once, and both sides of every limit."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.errors import RepoError
from tiny_backspace.events import PolicyDecided
from tiny_backspace.repo.difference import Change, FileLines, parse_numstat, parse_raw
from tiny_backspace.repo.lines import Added
from tiny_backspace.repo.paths import DEEPEST, LONGEST, matches, shown
from tiny_backspace.repo.policy import Decision, Limits, Rule, judge

NOTHING, OLD, NEW = "0" * 40, "a" * 40, "b" * 40


def added(path: str | bytes, mode: str = "100644", blob: str = NEW) -> Change:
    name = path if isinstance(path, bytes) else path.encode()
    return Change("000000", mode, NOTHING, blob, "A", name)


def modified(path: str, old_mode: str = "100644", new_mode: str = "100644") -> Change:
    return Change(old_mode, new_mode, OLD, NEW, "M", path.encode())


def deleted(path: str, mode: str = "100644") -> Change:
    return Change(mode, "000000", OLD, NOTHING, "D", path.encode())


def judged(
    *changes: Change,
    sizes: Mapping[str, int] | None = None,
    links: Mapping[str, bytes] | None = None,
    existing: Collection[bytes] = (),
    lines: int = 1,
    new: Sequence[Added] = (),
    ignored: Collection[bytes] = (),
    lfs: Collection[bytes] = (),
    allow: Sequence[str] = (),
) -> tuple[Decision, ...]:
    return judge(
        changes,
        sizes={NEW: 10} if sizes is None else sizes,
        links=links or {},
        existing=existing,
        lines=lines,
        added=new,
        ignored=ignored,
        lfs=lfs,
        allow=allow,
    )


def verdicts(*decisions: Decision) -> list[tuple[str, str]]:
    return [(found.rule, found.decision) for found in decisions]


def test_a_plain_change_is_passed_over_in_silence() -> None:
    changes = [
        added("src/größe.py"),
        modified("README.md"),
        modified("run.sh", "100644", "100755"),
        deleted("old.txt"),
        Change("100644", "100644", OLD, OLD, "R", b"new/place.py", b"old/place.py"),
    ]
    assert judged(*changes, existing=[b"src/main.py", b"README.md"]) == ()


def test_a_decision_is_told_as_an_event() -> None:
    (found,) = judged(added("x\n.py"))
    assert found.event() == PolicyDecided(
        rule="path-name", path="x\\n.py", decision="refuse", message=found.message
    )


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        ".github/workflows/deep/er/ci.yml",
        ".GitHub/Workflows/ci.yml",
        ".github/actions/build/action.yml",
        *(".github", ".github/workflows", ".gitea", ".forgejo", ".gitea/workflows/ci.yml"),
        *(
            ".forgejo/workflows/ci.yml",
            ".forgejo/actions/x/action.yml",
            ".gitea/actions/x/action.yml",
        ),
    ],
)
def test_workflows_are_refused_unless_allowed(path: str) -> None:
    assert verdicts(*judged(added(path))) == [("protected-path", "refuse")]
    (found,) = judged(added(path), allow=["docs/**", path])
    assert (found.rule, found.decision, found.path) == ("protected-path", "allow", path)
    assert "--allow-path" in found.message


def test_a_workflow_may_be_neither_deleted_nor_moved_away() -> None:
    path = ".github/workflows/ci.yml"
    assert verdicts(*judged(deleted(path))) == [("protected-path", "refuse")]
    moved = Change("100644", "100644", OLD, OLD, "R", b"ci.txt", path.encode())
    assert [(d.decision, d.path) for d in judged(moved)] == [("refuse", path)]


@pytest.mark.parametrize(
    "path",
    [
        *("CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS", ".github/dependabot.yml"),
        *(".gitlab-ci.yml", ".circleci/config.yml", "azure-pipelines.yml", "Jenkinsfile"),
        *(".gitmodules", ".gitattributes", "sub/.gitattributes", ".claude/settings.json"),
        *(".cursor/rules/x.mdc", ".vscode/tasks.json", ".devcontainer/devcontainer.json"),
        *(".husky/pre-commit", "AGENTS.md", "pkg/CLAUDE.md", "agents.md", "package.json"),
        *("web/package-lock.json", "yarn.lock", "pnpm-lock.yaml", "pyproject.toml", "setup.py"),
        *("requirements-dev.txt", "uv.lock", "Cargo.toml", "build.rs", "go.sum", "Gemfile.lock"),
        *("ci/.gitlab-ci.yml", ".travis.yaml", ".drone.jsonnet", ".appveyor.yml", "x/action.yml"),
        *(".azure-pipelines/a.yml", "buildspec.yml", ".zuul.d/x.yaml", ".ci/run", "renovate.json"),
        *(
            ".zed/tasks.json",
            ".nvim.lua",
            "lefthook.yaml",
            ".lefthook/x",
            ".gitpod.yml",
            "mise.toml",
        ),
        *(".windsurf/rules/x", ".codex/config.toml", ".gemini/settings.json", "opencode.json"),
        *(
            ".roo/rules",
            ".kiro/x",
            "AGENT.md",
            ".agents/skills/x/SKILL.md",
            "a/copilot-instructions.md",
        ),
        *("sitecustomize.py", "x.pth", "build.gradle.kts", "gradlew", "pom.xml", "flake.nix"),
        *(".dependabot/config.yml", "bors.toml", ".jenkins.yml", ".vela.yml", ".releaserc.js"),
        *(".goreleaser.yaml", ".readthedocs.yaml", ".buildkite/pipeline.yml", "wrangler.toml"),
        *(".pre-commit-config.yaml", ".mise.local.toml", ".config/mise/config.toml", ".envrc"),
        *(".tool-versions", "devbox.json", "shell.nix", ".run/x.run.xml", ".gdbinit", ".pdbrc"),
        *(".Rprofile", ".bazelrc", ".simple-git-hooks.cjs", "commitlint.config.js", ".replit"),
        *(".github/copilot-instructions.md", "CRUSH.md", ".openhands/x.md", ".coderabbit.yaml"),
        *(".aider.conf.yml", "x.mdc", ".kilocode/rules/x.md", ".claude-plugin/plugin.json"),
        *("binding.gyp", ".pnp.cjs", "requirements/dev.txt", "tox.ini", "environment.yml"),
        *("rust-toolchain.toml", "pubspec.lock", "build.sbt", "MODULE.bazel", "x.targets"),
    ],
)
def test_what_ci_editors_agents_and_installers_obey_is_flagged(path: str) -> None:
    assert verdicts(*judged(modified(path))) == [("protected-path", "flag")]
    assert verdicts(*judged(modified(path), allow=["**"])) == [("protected-path", "allow")]


@pytest.mark.parametrize(
    "path",
    [
        *(".gitmodules::$DATA", ".gitmodules .", "gitmod~1", "GITMOD~4", "gi7eba~1", "gi7eb~10"),
        *(
            ".git\u200dmodules",
            ".GitModules",
            "GITATT~1",
            "gi7d29~1",
            ".gitattributes:x",
            "a/gitatt~2",
        ),
        "\N{FULLWIDTH FULL STOP}gitmodules",
    ],
)
def test_every_disguise_of_gits_own_files_is_flagged(path: str) -> None:
    assert ("protected-path", "flag") in verdicts(*judged(modified(path)))


@pytest.mark.parametrize(
    "path", ["gitmod", "gitmod~", "gi7eba~10", "gi8eba~1", "modules~1", "git:x"]
)
def test_names_near_gits_own_files_are_not_protected(path: str) -> None:
    assert judged(modified(path)) == ()


@pytest.mark.parametrize("path", ["workflows/ci.yml", "docs/github/workflows/x", "package.json.md"])
def test_what_only_looks_protected_is_not(path: str) -> None:
    assert judged(modified(path)) == ()


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", ".GIT/config", "sub/.git/hooks/x", "git~1/config", "GIT~2", ".git"),
        *(".git /config", ".git./config", ".git . ./config", ".git::$INDEX_ALLOCATION/config"),
        *(".g\u200cit/config", ".gi\u200et", "\ufeff.git/config", ".\u202agit/x", "a\\.git\\b"),
        "\N{FULL STOP}\N{FULLWIDTH LATIN SMALL LETTER G}it/config",
    ],
)
def test_every_disguise_of_gits_own_folder_is_refused(path: str) -> None:
    assert ("git-dir", "refuse") in verdicts(*judged(added(path)))
    assert ("git-dir", "refuse") in verdicts(*judged(added(path), allow=["**"]))


@pytest.mark.parametrize(
    "path", [".gitignore", ".github2/x", "git/x", "a.git/x", ".git-old", "git~"]
)
def test_names_near_git_are_fine(path: str) -> None:
    assert judged(added(path)) == ()


@pytest.mark.parametrize(
    ("path", "target"),
    [
        *(("a", "/etc/passwd"), ("a", "../x"), ("a", ".."), ("d/e/a", "../../../x")),
        *(("d/a", "b/../../x"), ("a", "b/../c"), ("a", "./../x"), ("a", ""), ("a", "x\0y")),
        *(("a", ".git/config"), ("d/a", "../.GIT"), ("a", "git~1/hooks"), ("a", "C:/x")),
        *(("a", "..\\x"), ("a", "x" * (LONGEST + 1))),
    ],
)
def test_a_link_that_leaves_the_tree_is_refused(path: str, target: str) -> None:
    found = judged(added(path, "120000"), links={NEW: target.encode()})
    assert verdicts(*found) == [("symlink-escape", "refuse")]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "b"),
        ("a", "./b/c"),
        ("d/a", "../b"),
        ("d/e/a", "../../b/c"),
        ("d/a", ".."),
        ("a", "."),
    ],
)
def test_a_link_within_the_tree_is_fine(path: str, target: str) -> None:
    assert judged(added(path, "120000"), links={NEW: target.encode()}) == ()


def test_a_link_whose_target_is_not_known_is_refused() -> None:
    file_to_link = Change("100644", "120000", OLD, NEW, "T", b"a")
    assert verdicts(*judged(file_to_link)) == [("symlink-escape", "refuse")]


def test_a_submodule_may_be_taken_out_but_neither_added_nor_moved_on() -> None:
    assert verdicts(*judged(added("lib", "160000"))) == [("submodule", "refuse")]
    assert verdicts(*judged(modified("lib", "160000", "160000"))) == [("submodule", "refuse")]
    assert verdicts(*judged(deleted("lib", "160000"))) == [("submodule", "flag")]
    replaced = Change("160000", "100644", OLD, NEW, "T", b"lib")
    assert verdicts(*judged(replaced)) == [("submodule", "flag")]


@pytest.mark.parametrize("mode", ["106777", "100664", "100777", "020666", "104755"])
def test_a_mode_git_does_not_give_is_refused(mode: str) -> None:
    assert verdicts(*judged(added("x", mode))) == [("file-mode", "refuse")]


@pytest.mark.parametrize(
    "path",
    [
        *(b"a\nb", b"a\x1b[2Jb", b"a\x7f", "a\x9bb".encode(), "a\u202eb".encode(), b"a\xff"),
        *("a\u200bb".encode(), "a\u3164".encode(), "e\u0301".encode(), b"-rf", b"--x/y", b"a\\b"),
        *(b"a//b", b"/a", b"../a", b"a/./b", "a\ue000".encode(), "a\u2028".encode()),
    ],
)
def test_a_name_that_hides_or_misleads_is_refused(path: bytes) -> None:
    assert verdicts(*judged(added(path))) == [("path-name", "refuse")]


@pytest.mark.parametrize(
    "path",
    [
        *("aux.c", "src/CON", "nul", "COM1.txt", "lpt9 .log", "a:b", "a?b", "what*", 'q"', "a|b"),
        *("folder./x", "name ", "d/-rf", "<x>"),
    ],
)
def test_a_name_that_only_some_systems_stumble_over_is_flagged(path: str) -> None:
    assert verdicts(*judged(added(path))) == [("path-name", "flag")]


def test_a_name_that_was_there_before_is_not_the_changes_doing() -> None:
    assert judged(modified("drivers/aux.c"), deleted("-x")) == ()


def test_a_path_may_be_a_kibibyte_long_and_64_parts_deep() -> None:
    assert judged(added("a" * LONGEST), added("/".join("a" * DEEPEST))) == ()
    assert verdicts(*judged(added("a" * (LONGEST + 1)))) == [("path-name", "refuse")]
    assert verdicts(*judged(added("/".join("a" * (DEEPEST + 1))))) == [("path-name", "refuse")]


@pytest.mark.parametrize(
    ("path", "other"),
    [
        *(("README.md", "readme.md"), ("Src/a.py", "src/b.py"), ("a", "A/b"), ("A/b", "a")),
        *(("STRASSE", "straße"), ("É.txt", "e\u0301.txt")),
    ],
)
def test_two_names_that_some_file_systems_take_for_one_are_refused(path: str, other: str) -> None:
    found = judged(added(path), existing=[path.encode(), other.encode()])
    assert verdicts(*found) == [("case-collision", "refuse")]
    assert shown(other.split("/", maxsplit=1)[0].encode()) in found[0].message


def test_two_new_names_collide_as_well() -> None:
    assert verdicts(*judged(added("x/Makefile"), added("x/makefile"))) == [
        ("case-collision", "refuse")
    ]


def test_a_collision_that_was_there_before_does_not_stop_other_files() -> None:
    existing = [b"net/xt_MARK.h", b"net/xt_mark.h", b"net/new.c", b"other/new.c"]
    assert judged(added("net/new.c"), existing=existing) == ()


def test_a_rename_that_only_changes_the_case_is_fine() -> None:
    renamed = [deleted("readme.md"), added("README.md")]
    assert judged(*renamed, existing=[b"README.md", b"src/x"]) == ()


def test_as_many_files_as_the_limit_pass_and_one_more_does_not() -> None:
    changes = [modified(f"f{n}") for n in range(101)]
    assert judged(*changes[:100]) == ()
    assert verdicts(*judged(*changes)) == [("too-many-files", "refuse")]


def test_far_too_many_files_are_not_judged_one_by_one() -> None:
    found = judged(*(added(f"-{n}") for n in range(5000)))
    assert verdicts(*found) == [("too-many-files", "refuse")] + [("path-name", "refuse")] * 100


def test_as_many_lines_as_the_limit_pass_and_one_more_does_not() -> None:
    assert judged(modified("x"), lines=10_000) == ()
    assert verdicts(*judged(modified("x"), lines=10_001)) == [("too-many-lines", "refuse")]


def test_a_blob_as_large_as_the_limit_passes_and_one_byte_more_does_not() -> None:
    limit = Limits().blob_bytes
    assert judged(added("x"), sizes={NEW: limit}) == ()
    assert verdicts(*judged(added("x"), sizes={NEW: limit + 1})) == [("blob-too-large", "refuse")]


def test_a_blob_of_unknown_size_is_refused_unless_its_content_is_the_old_one() -> None:
    assert verdicts(*judged(modified("x"), sizes={})) == [("blob-too-large", "refuse")]
    assert judged(Change("100644", "100755", OLD, OLD, "M", b"x"), sizes={}) == ()


TOKEN = "ghp_" + "".join(Random(7).choices("abcdefghijkmnopqrstuvwxyz234567", k=36))


def new_lines(*texts: str, path: str = "a.py", moved: bool = False) -> list[Added]:
    return [Added(path.encode(), n, t.encode(), moved) for n, t in enumerate(texts, start=1)]


def test_a_secret_is_refused_with_its_lines_and_without_its_value() -> None:
    (one,) = judged(modified("a.py"), new=new_lines("x", TOKEN))
    (many,) = judged(modified("a.py"), new=new_lines(*[TOKEN] * 8))

    assert (one.rule, one.decision, one.path) == ("secret", "refuse", "a.py")
    assert one.message == "Line 2 holds a GitHub token."
    assert many.message == "Lines 1, 2, 3 and 5 more hold a GitHub token."


def test_what_only_looks_like_a_secret_is_flagged_and_a_placeholder_is_neither() -> None:
    guess = f'token = "{TOKEN[4:]}"'

    assert verdicts(*judged(modified("a.py"), new=new_lines(guess))) == [("secret", "flag")]
    assert judged(modified("a.py"), new=new_lines('token = "<your token>"', TOKEN[:20])) == ()


def test_a_secret_in_a_name_is_refused() -> None:
    (found,) = judged(added(f"keys/{TOKEN}.txt"))
    assert (found.rule, found.decision, found.message) == (
        "secret", "refuse", "The name holds a GitHub token.",
    )  # fmt: skip
    assert judged(modified(f"keys/{TOKEN}.txt"), deleted(f"keys/{TOKEN}")) == ()


def test_no_glob_lets_a_secret_through() -> None:
    found = judged(modified("a.py"), new=new_lines(TOKEN), allow=["**"])

    assert verdicts(*found) == [("secret", "refuse")]


CONFLICT = ("<<<<<<< HEAD", "ours", "=======", "theirs", ">>>>>>> branch")


@pytest.mark.parametrize(
    "texts",
    [CONFLICT, ("<<<<<<<", "||||||| base", "=======", ">>>>>>>"), (">>>>>>> b", "<<<<<<< a")],
)
def test_a_conflict_that_begins_and_ends_is_refused(texts: tuple[str, ...]) -> None:
    (found,) = judged(modified("a.py"), new=new_lines("plain", *texts))

    assert (found.rule, found.decision, found.path) == ("conflict-marker", "refuse", "a.py")
    assert "from line 2 on" in found.message


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", ">>>>>>> branch", "||||||| base"])
def test_half_a_conflict_is_flagged(mark: str) -> None:
    found = judged(modified("a.py"), new=new_lines("=======", mark))

    assert verdicts(*found) == [("conflict-marker", "flag")]


@pytest.mark.parametrize(
    "texts",
    [
        *(("Title", "======="), ("======= x",), ("<<<<<< a", ">>>>>> b"), (" <<<<<<< a", " >>>>>>> b")),
        *(("<<<<<<<< a", ">>>>>>>> b"), ("<<<<<<<a", ">>>>>>>b"), ("|||||||x",), ("x <<<<<<< a",)),
    ],
)  # fmt: skip
def test_headings_and_what_is_no_mark_are_nothing(texts: tuple[str, ...]) -> None:
    assert judged(modified("a.md"), new=new_lines(*texts)) == ()


def test_marks_in_two_files_are_no_conflict_and_moved_ones_were_there_before() -> None:
    apart = new_lines(CONFLICT[0], path="a") + new_lines(CONFLICT[4], path="b")

    assert [d.decision for d in judged(modified("a"), modified("b"), new=apart)] == ["flag", "flag"]
    assert judged(modified("a"), new=new_lines(*CONFLICT, moved=True)) == ()


def test_a_new_file_that_the_base_ignores_is_flagged() -> None:
    ignored = [b"out/a", b"out/b", b"local.cfg"]

    found = judged(added("out/a"), added("local.cfg"), added("b.py"), ignored=ignored)

    assert [(d.rule, d.path, d.decision) for d in found] == [
        ("ignored-file", "local.cfg", "flag"),
        ("ignored-file", "out/a", "flag"),
    ]
    assert judged(modified("out/a"), deleted("local.cfg"), ignored=ignored) == ()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("web/node_modules/x/index.js", "web/node_modules"),
        ("a/__pycache__/b.cpython-311.pyc", "a/__pycache__"),
        *((".venv/bin/python", ".venv"), ("dist/x.whl", "dist"), ("target/debug/x", "target")),
        *(("x.egg-info/PKG-INFO", "x.egg-info"), ("htmlcov/index.html", "htmlcov")),
        *((p, p) for p in ("a.pyc", "b/A.class", ".DS_Store", ".coverage", "x/y.orig", "a.py~")),
    ],
)
def test_what_tools_make_is_flagged_when_it_is_new(path: str, told: str) -> None:
    (found,) = judged(added(path), existing=[path.encode()])

    assert (found.rule, found.path, found.decision) == ("build-junk", told, "flag")
    assert judged(modified(path), deleted(path)) == ()


@pytest.mark.parametrize(
    "path", ["dist", "src/distance/x", "targets/x", "a.pycx", "node_modules.md"]
)
def test_what_only_sounds_like_build_output_is_not(path: str) -> None:
    assert judged(added(path)) == ()


def test_a_folder_of_junk_is_told_once_and_ignored_junk_by_the_ignore_rule() -> None:
    files = [f"node_modules/{n}" for n in range(20)]
    (found,) = judged(*map(added, files))
    (other,) = judged(*map(added, files), ignored=[f.encode() for f in files])

    assert (found.rule, found.path) == ("build-junk", "node_modules")
    assert found.message.startswith("20 new files")
    assert (other.rule, other.path) == ("ignored-file", "node_modules")


def test_a_folder_that_the_repository_keeps_is_no_junk() -> None:
    assert judged(added("dist/new.js"), existing=[b"dist/new.js", b"dist/index.js"]) == ()


BREAKING: Mapping[Rule, tuple[Decision, ...]] = {
    "protected-path": judged(added(".github/workflows/x.yml")),
    "git-dir": judged(added(".git/config")),
    "symlink-escape": judged(added("a", "120000"), links={NEW: b"/etc/passwd"}),
    "submodule": judged(added("lib", "160000")),
    "file-mode": judged(added("x", "100777")),
    "path-name": judged(added("-rf")),
    "case-collision": judged(added("A"), existing=[b"A", b"a"]),
    "too-many-files": judged(*(modified(f"f{n}") for n in range(101))),
    "too-many-lines": judged(modified("x"), lines=10_001),
    "blob-too-large": judged(added("x"), sizes={NEW: Limits().blob_bytes + 1}),
    "lfs-file": judged(modified("x.bin"), lfs=[b"x.bin"]),
    "secret": judged(modified("a.py"), new=new_lines(TOKEN)),
    "hidden-character": judged(modified("a.py"), new=new_lines("x\u200by")),
    "conflict-marker": judged(modified("a.py"), new=new_lines(*CONFLICT)),
    "ignored-file": judged(added("x.log"), ignored=[b"x.log"]),
    "build-junk": judged(added("node_modules/x")),
    "weakened-test": judged(deleted("tests/test_a.py")),
}


def test_every_rule_can_be_broken_and_is_documented_in_the_order_of_the_code() -> None:
    table = (Path(__file__).parents[2] / "docs" / "policy.md").read_text("utf-8")
    documented = re.findall(r"^\| `([a-z-]+)` \| (?:refuse|flag)", table, re.MULTILINE)

    assert list(dict.fromkeys(documented)) == list(BREAKING) == list(get_args(Rule))
    assert all({d.rule for d in found} == {rule} for rule, found in BREAKING.items())


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        (".github/workflows/*", ".github/workflows/a.yml", True),
        (".github/workflows/*", ".github/workflows/d/a.yml", False),
        ("*", ".github/workflows/a.yml", False),
        ("**", ".github/workflows/a.yml", True),
        (".github/", ".github/workflows/a.yml", True),
        (".github/**", ".github", True),
        (".github/**", ".github2/x", False),
        ("**/x", "x", True),
        ("**/x", "a/b/x", True),
        ("**/x", "a/bx", False),
        ("a/**/x", "a/b/c/x", True),
        ("a/**/x", "a/x", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
        ("A", "a", False),
    ],
)
def test_a_star_stays_in_its_folder_and_two_do_not(glob: str, path: str, fits: bool) -> None:
    assert matches(path.encode(), [glob]) is fits


@given(st.binary(min_size=1), st.binary(), st.sampled_from(["100644", "120000", "160000", "1"]))
def test_any_path_and_target_can_be_judged_and_shown(path: bytes, target: bytes, mode: str) -> None:
    for found in judged(added(path, mode), links={NEW: target}, existing=[path, target]):
        assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl"} for c in found.path)
        assert found.event().rule == found.rule


def git(folder: Path, *argv: str, stdin: bytes = b"") -> bytes:
    environment = {
        "PATH": "/usr/bin:/bin",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    command = ("git", "-C", str(folder), *argv)
    return subprocess.run(
        command, input=stdin, env=environment, capture_output=True, check=True
    ).stdout


def trees(folder: Path) -> tuple[str, str]:
    """Two trees: a file and a link before; the file changed, a binary and an odd name added, the link gone."""
    git(folder, "init", "-q", "--bare", ".")

    def blob(data: bytes) -> str:
        return git(folder, "hash-object", "-w", "--stdin", stdin=data).decode().strip()

    def tree(*entries: tuple[str, str, bytes]) -> str:
        lines = b"".join(b"%s blob %s\t%s\0" % (m.encode(), b.encode(), p) for m, b, p in entries)
        return git(folder, "mktree", "-z", stdin=lines).decode().strip()

    base = tree(("100644", blob(b"1\n2\n"), b"a"), ("120000", blob(b"a"), b"link"))
    result = tree(
        ("100755", blob(b"1\n3\n4\n"), b"a"),
        ("100644", blob(b"\0\1"), b"bin"),
        ("100644", blob(b"x\n"), b"new\n\xff"),
    )
    return base, result


def test_gits_own_raw_difference_is_read(tmp_path: Path) -> None:
    base, result = trees(tmp_path)
    output = git(
        tmp_path, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", base, result
    )
    changes = parse_raw(output)
    assert [(c.status, c.old_mode, c.new_mode, c.path) for c in changes] == [
        ("M", "100644", "100755", b"a"),
        ("A", "000000", "100644", b"bin"),
        ("D", "120000", "000000", b"link"),
        ("A", "000000", "100644", b"new\n\xff"),
    ]
    assert changes[1].old_id == NOTHING
    assert git(tmp_path, "cat-file", "blob", changes[3].new_id) == b"x\n"


def test_gits_own_line_counts_are_read(tmp_path: Path) -> None:
    base, result = trees(tmp_path)
    counts = parse_numstat(git(tmp_path, "diff-tree", "-r", "-z", "--numstat", base, result))
    assert (counts.insertions, counts.deletions) == (3, 2)
    assert counts.files == (
        FileLines(b"a", 2, 1),
        FileLines(b"bin", None, None),
        FileLines(b"link", 0, 1),
        FileLines(b"new\n\xff", 1, 0),
    )


def test_renames_are_read_with_both_paths() -> None:
    raw = f":100644 100644 {OLD} {NEW} R087\0old\0new\0".encode()
    assert parse_raw(raw) == [Change("100644", "100644", OLD, NEW, "R", b"new", b"old")]
    assert parse_numstat(b"1\t2\t\0old\0new\0") == (1, 2, (FileLines(b"new", 1, 2),))


def test_no_difference_is_an_empty_one() -> None:
    assert parse_raw(b"") == []
    assert parse_numstat(b"") == (0, 0, ())


HEADER = f":100644 100644 {OLD} {NEW} M".encode()


@pytest.mark.parametrize(
    "output",
    [
        *(b"x", b"\0", HEADER, HEADER + b"\0", HEADER + b"\0a", HEADER + b"\0\0"),
        *(b":100644 100644 aaaa bbbb M\0a\0", HEADER.replace(b" M", b" C100") + b"\0a\0b\0"),
        *(HEADER.replace(b" M", b" R1") + b"\0a\0", HEADER + b"\0a\0junk\0"),
    ],
)
def test_a_raw_difference_that_is_cut_or_strange_is_not_believed(output: bytes) -> None:
    with pytest.raises(RepoError):
        parse_raw(output)


@pytest.mark.parametrize(
    "output", [b"1\t2\ta", b"1\ta\0", b"-\t2\ta\0", b"1\t2\t\0a\0", b"x\ty\tz\0"]
)
def test_line_counts_that_are_cut_or_strange_are_not_believed(output: bytes) -> None:
    with pytest.raises(RepoError):
        parse_numstat(output)
