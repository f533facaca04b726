"""A37, A41 to A43, A45 to A48: a repository, or whoever serves it, that wants this host to do something."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.attacks.oracles import holding
from tests.attacks.scene import DONE, EDITING, PROMPT, Scene, acting, bash, hostile, turns, write
from tests.docker.forge import FILES
from tests.program import git
from tests.repo.built import LINK, NOWHERE, SUBMODULE, built
from tests.servers.git_faults import Moved, Words, hook, on
from tests.servers.github_faults import Fault as ApiFault
from tests.servers.github_state import Token
from tests.servers.models import KEY, serving


def test_a37_no_file_of_a_repository_says_whom_we_ask(tmp_path: Path) -> None:
    """Expected: ignored: no settings from the current folder or the repository."""
    with serving(lambda _: DONE, key=KEY) as thief:
        told = (
            f"ANTHROPIC_BASE_URL={thief.claude_url}\nOPENAI_BASE_URL={thief.openai_url}\nOPENAI_API_KEY={KEY}\n"
            f"HTTP_PROXY={thief.url}\nHTTPS_PROXY={thief.url}\nALL_PROXY={thief.url}\nNO_PROXY=\n"
            f"TINY_BACKSPACE_AGENTS=openai\nTINY_BACKSPACE_GITHUB_API_URL={thief.url}\nDOCKER_HOST=tcp://127.0.0.1:1\n"
        )
        settings = f'agents = ["openai"]\n[providers.claude]\nbase_url = "{thief.url}"\n'
        names = (".env", ".env.local", ".envrc")
        files = FILES | dict.fromkeys(names, told) | dict.fromkeys(("tiny-backspace.toml", "config.toml"), settings)  # fmt: skip
        files |= {"pyproject.toml": f"[tool.tiny-backspace]\n{settings}", ".git-config": settings}
        with hostile(tmp_path, files=files, environment={"OPENAI_API_KEY": KEY}) as scene, holding(scene):  # fmt: skip
            scene.answer = EDITING
            done = scene.command("run", ".", PROMPT, "--publish", "pr", "-o", "jsonl")

            assert (done.exit_code, done.lines[-1]["providers"]) == (0, ["claude"])
        assert thief.raw == []


@pytest.mark.parametrize(
    "address",
    [
        "ext::sh -c touch% {pwned}", "--upload-pack=touch {pwned}", "git@-oProxyCommand=touch:{pwned}",
        "git@github.com:-x/--upload-pack=x", "http://169.254.169.254/owner/project", "https://user:{canary}@github.com/owner/project",
    ],
)  # fmt: skip
def test_a41_an_address_that_is_a_command_is_no_address(scene: Scene, address: str) -> None:
    """Expected: refused by the parser; see also tests/repo/test_source.py."""
    done = scene.run(repo=address.format(pwned=scene.pwned, canary=scene.canary))

    assert done.exit_code == 2
    assert (scene.place.git.asked, scene.models.raw, scene.tap.requests) == ([], [], [])


HOOKS = (
    "post-checkout", "post-commit", "post-merge", "post-rewrite", "post-index-change", "pre-commit", "pre-push",
    "commit-msg", "prepare-commit-msg", "reference-transaction", "applypatch-msg", "fsmonitor-watchman", "push-to-checkout",
)  # fmt: skip


def commands(run: str) -> dict[str, str]:
    """Every setting of git's by which a repository's own configuration runs a program."""
    names = (
        "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.editor", "core.pager", "core.askPass",
        "core.alternateRefsCommand", "credential.helper", "gpg.program", "sequence.editor", "diff.external",
        "uploadpack.packObjectsHook", "remote.origin.uploadpack", "remote.origin.receivepack", "pager.log",
        "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.command", "diff.evil.textconv",
        "merge.evil.driver", "interactive.diffFilter", "ssh.variant", "trailer.x.command", "alias.fetch",
    )  # fmt: skip
    more = {
        "core.hooksPath": ".git/hooks", "commit.gpgSign": "true", "filter.evil.required": "true", "include.path": "../evil",
        "protocol.ext.allow": "always", "submodule.recurse": "true", "fetch.recurseSubmodules": "true", "core.worktree": "/",
        "url.ext::sh -c true .insteadOf": "http", "http.proxy": "http://127.0.0.1:1", "transfer.bundleURI": "true",
    }  # fmt: skip
    return dict.fromkeys(names, f"!{run}") | more | {"core.fsmonitor": run}


GITMODULES = (
    '[submodule "a"]\n\tpath = a\n\turl = ext::sh -c touch% {pwned}\n\tupdate = !touch {pwned}\n'
    '[submodule "b"]\n\tpath = "sub\r"\n\turl = --upload-pack=touch {pwned}\n'
)


def test_a42_a_clone_that_runs_programs_for_its_user_runs_none_for_us(tmp_path: Path) -> None:
    """Expected: none of a repository's filters, hooks, submodules and commands runs here."""
    pwned = tmp_path / "pwned"
    files = FILES | {
        ".gitattributes": "* filter=evil diff=evil merge=evil\nbig filter=lfs\n",
        ".gitmodules": GITMODULES.format(pwned=pwned),
        ".lfsconfig": f"[lfs]\n\turl = file://{tmp_path}\n",
        "big": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    }
    with hostile(tmp_path, files=files) as scene:
        config = scene.place.work / ".git" / "config"
        for key, value in commands(f"touch {pwned};").items():
            git(tmp_path, "config", "--file", str(config), key, value)
        for name in HOOKS:
            hook(scene.place.work / ".git", name, f"touch {pwned}")
        with holding(scene):
            scene.answer = EDITING
            local = scene.run("--publish", "patch", repo=".")
            remote = scene.run()

    assert (local.exit_code, remote.exit_code) == (0, 0), local.lines[-1]
    assert (local.lines[-1]["files_changed"], remote.lines[-1]["files_changed"]) == (1, 1)


def test_a43_published_holes_of_git_find_nothing_to_work_with(tmp_path: Path) -> None:
    """Expected: inert: no checkout here, no recursion, no bundle URI (CVE-2025-48384, CVE-2025-48385, CVE-2024-32002,
    CVE-2022-39253)."""
    pwned, key = tmp_path / "pwned", tmp_path / "home" / ".ssh" / "id_rsa"
    tree: dict[bytes, bytes | tuple[str, bytes]] = {
        b"README.md": b"helo\n",
        b".gitmodules": GITMODULES.format(pwned=pwned).encode(),
        b"sub\r": (SUBMODULE, NOWHERE),
        b"a": (SUBMODULE, NOWHERE),
        b"A/hooks": (LINK, b".git/hooks"),
        b"key": (LINK, os.fsencode(key)),
    }
    with hostile(tmp_path, source=built(tmp_path / "work", tree)) as scene:
        bare = scene.place.bare
        for name, value in (
            ("uploadpack.advertiseBundleURIs", "true"), ("bundle.version", "1"), ("bundle.mode", "all"),
            ("bundle.x.uri", f"file://{key}"),
        ):  # fmt: skip
            git(bare, "config", name, value)
        (bare / "objects" / "info" / "http-alternates").write_text(f"{key}\n")
        packs = scene.place.work / ".git" / "objects" / "pack"
        (packs / "pack-00.keep").symlink_to(key)
        (scene.place.work / ".git" / "objects" / "info" / "alternates").symlink_to(key)
        with holding(scene):
            scene.answer = EDITING
            remote = scene.run()
            local = scene.run("--publish", "patch", repo=".")

    assert remote.exit_code == 0, remote.lines[-1]
    assert local.exit_code in {0, 3}, local.lines[-1]


def test_a45_nothing_follows_a_redirect_with_a_token(tmp_path: Path) -> None:
    """Expected: the token never goes elsewhere, whether git's server or the API sends us there."""
    with serving(lambda _: DONE) as thief:
        moved = on("GET", "info/refs?service=git-upload-pack", Moved(thief.url))
        asking = on("GET", "info/refs?service=git-upload-pack", Words(401, f"try {thief.url}"))
        for folder, fault in (("moved", moved), ("asking", asking)):
            (tmp_path / folder).mkdir()
            with hostile(tmp_path / folder, fault=fault) as scene, holding(scene):
                assert scene.run().exit_code in {3, 7}
        with hostile(tmp_path / "api") as scene, holding(scene):
            there = {"Location": f"{thief.url}/repos/owner/project"}
            scene.place.api.faults = lambda _: ApiFault(status=302, headers=there)
            assert scene.run().exit_code == 7

        assert thief.raw == []


@pytest.mark.parametrize(("name", "code"), [("$(touch${IFS}pwned)", 0), ("--upload-pack=touch", 7)])
def test_a46_the_name_of_a_branch_is_no_option_and_no_command(
    tmp_path: Path, name: str, code: int
) -> None:
    """Expected: refused or quoted; explicit refspecs only."""
    source = built(tmp_path / "work", {b"README.md": b"helo\n"})
    git(source, "update-ref", f"refs/heads/{name}", "main")
    git(source, "symbolic-ref", "HEAD", f"refs/heads/{name}")
    git(source, "update-ref", "-d", "refs/heads/main")
    with hostile(tmp_path, source=source) as scene, holding(scene):
        scene.answer = EDITING
        done = scene.run(cwd=tmp_path)

        assert done.exit_code == code, done.lines[-1]
        assert [pull.base for pull in scene.place.repo.pulls] == ([] if code else [name])
    assert not list(tmp_path.rglob("pwned"))


def test_a46_a_head_outside_of_the_branches_is_no_base(tmp_path: Path) -> None:
    with hostile(tmp_path) as scene:
        git(scene.place.bare, "update-ref", "refs/evil/main", "main")
        git(scene.place.bare, "symbolic-ref", "HEAD", "refs/evil/main")
        with holding(scene):
            scene.answer = EDITING
            done = scene.run()
            assert done.exit_code in {0, 3, 7}
            assert all(pull.base == "main" for pull in scene.place.repo.pulls)


TRICKS: dict[str, tuple[int, dict[bytes, bytes | tuple[str, bytes]]]] = {
    "git's own folder": (3, {b".git/hooks/post-checkout": b"touch x"}),
    "its short name": (3, {b"git~1/config": b"x"}),
    "names that some file systems take for one": (
        0,
        {
            b"readme.md": b"x",
            b"README.MD": (LINK, b"/etc"),
            b"a": (LINK, b".git/hooks"),
            b"A/post-checkout": b"touch x",
            "é".encode(): b"1",
            "e\u0301".encode(): (LINK, b".."),
        },
    ),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a47_a_path_that_is_a_trick_is_refused_or_stays_in_the_container(
    tmp_path: Path, trick: str
) -> None:
    """Expected: only inside the container."""
    code, tree = TRICKS[trick]
    source = built(tmp_path / "work", {b"README.md": b"helo\n", **tree})
    with hostile(tmp_path, source=source) as scene, holding(scene):
        scene.answer = EDITING
        done = scene.run()

    assert done.exit_code == code, done.lines[-1]


POISON = """
git config core.fsmonitor 'touch /tmp/pwn'; git config core.hooksPath .git/hooks; git config core.alternateRefsCommand true
git -c user.name=M -c user.email=m@x commit -q --allow-empty -m poison; git update-ref refs/tiny-backspace/evil HEAD
git replace HEAD~1 HEAD; echo poison | git hash-object -w --stdin; git gc -q --prune=now
mkdir -p .git/objects/info; echo /etc >.git/objects/info/alternates; rm -f .git/objects/info/alternates
printf 'post' >.git/hooks/post-checkout; chmod +x .git/hooks/post-checkout; git checkout -q HEAD~1
"""


def test_a48_nothing_of_a_run_is_in_the_cache_and_access_is_asked_for_each_time(
    scene: Scene,
) -> None:
    """Expected: the mirror equals the upstream (the oracle); a token that was revoked opens nothing."""
    scene.answer = turns(acting(bash("p", POISON), write("w", "README.md", "poisoned\n")))
    first = scene.run()
    scene.answer = turns(
        acting(bash("p", "git log --all --format=%s; git replace -l; cat README.md"))
    )
    second = scene.run()
    clean = scene.results["p"]
    scene.place.program.environment["GITHUB_TOKEN"] = Token("ghp_revoked0123456789").value  # type: ignore[index]
    asked = len(scene.models.requests)
    third = scene.run()

    assert (first.exit_code, second.exit_code, third.exit_code) == (0, 0, 7)
    assert clean == f"exit 0\nfirst\n{FILES['README.md']}"
    assert len(scene.models.requests) == asked
