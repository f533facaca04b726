"""Repositories as they are: one change comes out, as a branch and as a pull request, and nothing else moves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docker.forge import Place, github
from tests.program import Program, git
from tests.repo.built import LINK, NOWHERE, PROGRAM, SUBMODULE, Content, built, changed, plain
from tests.servers.models import KEY, Asked, Call, Say, serving

PROMPT = "replace 'helo' with 'hello' in README.md"
README = {b"README.md": b"helo! A small project.\r\nA line.\n\r\nNo end"}
EDITED = {b"README.md": ("100644", "100644")}
SPEC = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"a" * 64)
LFS = b"*.psd filter=lfs diff=lfs merge=lfs -text\n"

ODD = (
    b"caf\xe9.txt", "caf\u00e9.txt".encode(), unicodedata.normalize("NFD", "caf\u00e9.txt").encode(),
    b"new\nline", b'quo"te', b"it's", b"tab\there", b"-dash", b"--help", b"trailing ", b" leading",
    b"back\\slash", b"escape\x1b[31m", b"star*?[x]", b":(top)x", b"!x", b"#x", b"con", b"end\r", b"dir\xff/f",
    "\u65e5\u672c\u8a9e/\u30d5\u30a1\u30a4\u30eb".encode(), b"c" * 255, b"/".join([b"d" * 199] * 20 + [b"f" * 94]),
)  # fmt: skip
NAMES: dict[bytes, Content] = {path: b"content of %d\n" % n for n, path in enumerate(ODD)}
CONTENTS: dict[bytes, Content] = {
    b"crlf": b"a\r\nb\r\n", b"mixed": b"a\r\nb\nc\rd", b"bom": b"\xef\xbb\xbfa\n", b"latin": b"caf\xe9\n",
    b"utf16": "a\n".encode("utf-16"), b"binary": bytes(range(256)), b"no-end": b"x", b"empty": b"",
    b"run.sh": (PROGRAM, b"#!/bin/sh\n"), b"readme.md": b"another\n", b"Folder/a": b"1", b"folder/a": b"2",
}  # fmt: skip
LINKS: dict[bytes, Content] = {
    b"absolute": (LINK, b"/etc/passwd"), b"up": (LINK, b"../../x"), b"nowhere": (LINK, b"caf\xe9\n"),
    b"loop": (LINK, b"loop"), b"folder-link": (LINK, b"folder"), b"folder/a": b"a",
}  # fmt: skip
CONVERTED: dict[bytes, Content] = {
    b".gitattributes": b"* text=auto eol=crlf\nwide working-tree-encoding=UTF-16LE\nid ident\n",
    b"against-the-rule": b"a\r\nb\r\n", b"wide": b"a\n", b"id": b"$Id$\n", b"odd/.gitattributes": b"* filter=x\n",
    b"odd/a": b"a\n",
}  # fmt: skip
ELSEWHERE: dict[bytes, Content] = {
    b".gitmodules": b'[submodule "l"]\n\tpath = lib\n\turl = ../lib.git\n', b"lib": (SUBMODULE, NOWHERE),
    b"vendor/not told": (SUBMODULE, NOWHERE), b"art/.gitattributes": LFS, b"art/x.psd": SPEC, b"art/y.psd": SPEC,
}  # fmt: skip
TOO_LONG: dict[bytes, Content] = {
    b"/".join([b"n" * 200] * 49 + [b"leaf"]): b"10 kB\n", b"k" * 256: b"one part\n", b"z": b"z\n",
}  # fmt: skip


@pytest.mark.parametrize(
    ("tree", "left_alone"),
    [
        pytest.param({**NAMES, **CONTENTS}, [], id="names and contents"),
        pytest.param(LINKS, [], id="links"),
        pytest.param(CONVERTED, [], id="attributes"),
        pytest.param(ELSEWHERE, ["submodules", "LFS files (as pointers)"], id="elsewhere"),
        pytest.param(TOO_LONG, ["paths too long to be checked out"], id="too long"),
    ],
)
def test_one_line_is_changed_and_the_rest_is_what_it_was(
    tmp_path: Path, tree: Mapping[bytes, Content], left_alone: list[str]
) -> None:
    source = built(tmp_path / "source", {**README, **tree})
    with github(tmp_path, source=source) as place:
        opened, local = place.asked(prompt=PROMPT), place.asked(prompt=PROMPT, repo=".")
        assert place.api.refused == []

    assert (opened.exit_code, local.exit_code) == (0, 0), opened.stderr + local.stderr
    for folder, branch in ((place.bare, place.pull.head), (source, local.lines[-1]["branch"])):
        assert changed(folder, "main", branch) == EDITED
        content = plain(folder, "cat-file", "blob", f"{branch}:README.md")
        assert content == README[b"README.md"].replace(b"helo", b"hello")
        assert plain(folder, "fsck", "--strict", "--no-progress") == b""
    for run in (opened, local):
        assert run.of("repository")[0]["left_alone"] == left_alone
        warned = [w["message"] for w in run.of("warning") if "left alone" in w["message"]]
        assert warned == [
            f"This repository has {kind}; they are left alone." for kind in left_alone
        ]
    said = [line for line in place.pull.body.splitlines() if line.startswith("- Left alone")]
    assert len(said) == bool(left_alone)
    assert all(kind.partition(" (")[0] in said[0] for kind in left_alone)


def answered(place: Path, tree: Mapping[bytes, Content], command: str) -> tuple[Place, str]:
    """A pull request of what a model does with one command; and what it was told."""

    def answer(asked: Asked) -> Say:
        call = Call("c1", "bash", {"command": command})
        return Say("I do it.", calls=(call,)) if asked.turn == 1 else Say("Done.")

    source = built(place / "source", {**README, **tree})
    with serving(answer) as model:
        keys = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": model.claude_url}
        with github(place, source=source, environment=keys) as there:
            done = there.asked(prompt="Do it.")
            assert done.exit_code == 0, done.stderr + done.stdout
            assert there.api.refused == []
        return there, json.dumps(model.requests[0].body["messages"])


def test_a_file_of_any_name_and_content_can_be_changed(tmp_path: Path) -> None:
    tree = {**NAMES, **CONTENTS}
    each = "find . -path ./.git -prune -o -type f -execdir sh -c 'printf more >>\"$1\"' sh {} \\;"
    place, _ = answered(tmp_path, tree, each)

    branch = place.pull.head
    modes = {path: c[0] if isinstance(c, tuple) else "100644" for path, c in tree.items()}
    assert changed(place.bare, "main", branch) == {
        **EDITED,
        **{path: (mode, mode) for path, mode in modes.items()},
    }
    for path, content in {**README, **tree}.items():
        before = content[1] if isinstance(content, tuple) else content
        after = plain(place.bare, "cat-file", "blob", f"{branch}:{os.fsdecode(path)}")
        assert after == before + b"more"


def test_what_is_written_into_a_submodule_stays_out_and_into_an_lfs_file_is_flagged(
    tmp_path: Path,
) -> None:
    command = (
        "echo x >lib/new; git mv art/y.psd art/z.psd; printf raw >art/x.psd; printf . >>README.md"
    )
    place, told = answered(tmp_path, ELSEWHERE, command)

    kept = {b"art/y.psd": ("100644", "000000"), b"art/z.psd": ("000000", "100644")}
    mode = ("100644", "100644")
    assert changed(place.bare, "main", place.pull.head) == {**EDITED, **kept, b"art/x.psd": mode}
    assert "It has submodules" in told
    assert "It uses Git LFS" in told
    flagged = [line for line in place.pull.body.splitlines() if "`lfs-file`" in line]
    assert len(flagged) == 1
    assert "`art/x.psd`" in flagged[0]
    assert place.pull.draft


def hostile(folder: Path, canaries: Path) -> dict[str, str]:
    """Settings of git that would change a run or start a program, each of which would leave a canary."""
    folder.mkdir()
    canaries.mkdir()
    (folder / "attributes").write_text("* filter=x working-tree-encoding=UTF-16\n")
    hooks = folder / "template" / "hooks"
    hooks.mkdir(parents=True)
    named = "pre-commit post-commit post-checkout reference-transaction post-index-change pre-push update"
    for name in (*named.split(), "program"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{canaries}/{name}'\nexit 1\n")
        (hooks / name).chmod(0o755)
    program = str(hooks / "program")
    return {
        "url.https://127.0.0.1:9/.insteadOf": "http://127.0.0.1",
        "url./nowhere/.insteadOf": str(folder.parent),
        "url.ext::false.pushInsteadOf": "http://",
        **dict.fromkeys(
            ("core.fsmonitor", "core.sshCommand", "core.askPass", "core.editor", "core.pager",
             "credential.helper", "gpg.program", "filter.x.clean", "filter.x.smudge", "filter.x.process",
             "diff.external", "uploadpack.packObjectsHook", "core.gitProxy", "alias.fetch"), program,
        ),
        "core.hooksPath": str(hooks), "init.templateDir": str(folder / "template"),
        "core.attributesFile": str(folder / "attributes"), "commit.gpgSign": "true", "push.gpgSign": "true",
        "core.autocrlf": "true", "core.fileMode": "false", "core.ignoreCase": "true", "core.symlinks": "false",
        "diff.noprefix": "true", "apply.whitespace": "error", "color.ui": "always",
        "http.extraHeader": "X: 1", "http.proxy": "http://127.0.0.1:9", "protocol.allow": "never",
        "protocol.file.allow": "never", "protocol.http.allow": "never", "transfer.hideRefs": "refs/",
        "init.defaultObjectFormat": "sha256", "user.useConfigOnly": "true", "safe.bareRepository": "explicit",
        "trace2.eventTarget": str(canaries / "trace"),
    }  # fmt: skip


@pytest.mark.parametrize("where", ["global", "system", "environment", "variables"])
def test_nothing_that_the_user_has_told_git_changes_a_run_or_is_executed(
    tmp_path: Path, where: str
) -> None:
    canaries = tmp_path / "canaries"
    settings = hostile(tmp_path / "hostile", canaries)
    config = tmp_path / "gitconfig"
    environment = {}
    for key, value in settings.items():
        git(tmp_path, "config", "--file", str(config), key, value)
    if where == "system":
        environment = {"GIT_CONFIG_SYSTEM": str(config), "GIT_CONFIG_GLOBAL": str(config)}
    elif where == "environment":
        told = [(f"KEY_{n}", f"VALUE_{n}", *pair) for n, pair in enumerate(settings.items())]
        environment = {f"GIT_CONFIG_{k}": key for k, _, key, _ in told}
        environment |= {f"GIT_CONFIG_{v}": value for _, v, _, value in told}
        environment |= {"GIT_CONFIG_COUNT": str(len(told))}
    elif where == "variables":
        other = built(tmp_path / "other", {b"README.md": b"helo, wrong one\n"})
        program = str(tmp_path / "hostile" / "template" / "hooks" / "program")
        places = (
            "INDEX_FILE",
            "WORK_TREE",
            "OBJECT_DIRECTORY",
            "COMMON_DIR",
            "TEMPLATE_DIR",
            "EXEC_PATH",
        )
        environment = {f"GIT_{name}": str(tmp_path / "hostile") for name in places}
        run = ("SSH", "SSH_COMMAND", "ASKPASS", "EDITOR", "PAGER", "EXTERNAL_DIFF", "PROXY_COMMAND")
        environment |= {f"GIT_{name}": program for name in run}
        environment |= {"GIT_DIR": str(other / ".git"), "GIT_TRACE": str(canaries / "trace")}
        environment |= {
            "GIT_NAMESPACE": "x",
            "GIT_ALLOW_PROTOCOL": "",
            "GIT_DEFAULT_HASH": "sha256",
        }
    source = built(tmp_path / "source", {**README, **CONTENTS})
    with github(tmp_path, source=source, environment=environment) as place:
        if where == "global":
            shutil.copy(config, place.program.home / ".gitconfig")
        opened, local = place.asked(prompt=PROMPT), place.asked(prompt=PROMPT, repo=".")

    assert (opened.exit_code, local.exit_code) == (0, 0), opened.stderr + local.stderr
    assert list(canaries.iterdir()) == []
    assert changed(place.bare, "main", place.pull.head) == EDITED
    branch = local.lines[-1]["branch"]
    assert changed(source, "main", branch) == EDITED
    assert b"gpgsig" not in plain(source, "cat-file", "commit", branch)
    for asked in ("status", "version"):
        subprocess.run(["git", asked], cwd=source, env=place.program.env, check=False)
    assert list(canaries.iterdir()) != []  # a plain git does as it is told


def test_work_trees_submodules_and_bare_repositories_of_somebody_elses_are_taken(
    tmp_path: Path,
) -> None:
    source = built(tmp_path / "source", README)
    git(source, "reset", "-q", "--hard")
    git(source, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    git(tmp_path, "clone", "-q", "--bare", str(source), "bare.git")
    above = built(tmp_path / "above", {b"x": b"x"})
    git(above, "submodule", "add", "-q", str(source), "lib")
    (tmp_path / "bin").mkdir()
    (tmp_path / "home").mkdir()
    theirs = (
        tmp_path / "bin" / "git"
    )  # so git takes every repository for another user's: its own tests do so
    theirs.write_text(
        f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n'
    )
    theirs.chmod(0o755)
    program = Program(tmp_path / "home", {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})

    for place in (tmp_path / "linked", tmp_path / "bare.git", above / "lib"):
        head = plain(place, "rev-parse", "HEAD").decode().strip()
        done = program.run("run", str(place), PROMPT, "-q")
        assert done.exit_code == 0, done.stderr
        assert changed(place, head, done.stdout.strip()) == EDITED


def test_a_detached_head_becomes_a_pull_request_to_a_default_branch_of_any_name(
    tmp_path: Path,
) -> None:
    source = built(tmp_path / "source", README, branch="feature/\u00fc")
    git(source, "checkout", "-q", "--detach")
    git(source, "reset", "-q", "--hard")
    git(source, "tag", "feature/\u00fc")
    with github(tmp_path / "gh", source=source) as place:
        git(place.bare, "symbolic-ref", "HEAD", "refs/heads/feature/\u00fc")
        place.repo.default_branch = "feature/\u00fc"
        opened = place.asked("--publish", "pr", prompt=PROMPT, repo=".")
        assert place.api.refused == []

    assert opened.exit_code == 0, opened.stderr
    assert place.pull.base == "feature/\u00fc"
    assert changed(place.bare, "refs/heads/feature/\u00fc", place.pull.head) == EDITED
