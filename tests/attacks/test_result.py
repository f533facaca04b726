"""A49 to A51, A59, A61: what a model makes of the repository."""

from __future__ import annotations

import pytest

from tests.attacks.scene import EDIT, Scene, acting, bash, turns, write
from tests.docker.test_hostile import FORGER
from tests.program import git

# All by which an agent may change what its own git says of its change.
MISLEADING = """
for at in --global --local; do
  git config $at diff.noprefix true; git config $at diff.external 'touch /tmp/external;'; git config $at diff.algorithm bad
  git config $at core.autocrlf true; git config $at core.quotePath false; git config $at diff.renames copies
  git config $at core.attributesFile /tmp/attributes; git config $at diff.evil.command 'touch /tmp/external;'
done
echo '* diff=evil -text' >.git/info/attributes; cp .git/info/attributes /tmp/attributes
echo 'README.md' >>.git/info/exclude; echo '*' >/home/agent/ignore; git config --global core.excludesFile /home/agent/ignore
git update-index --assume-unchanged README.md; git update-index --skip-worktree app.py; rm app.py
mkdir -p .git/refs/replace; git replace --graft HEAD; ln -s /etc .git/objects/info/alternates
git config core.worktree /tmp; echo 'ref: refs/heads/nowhere' >.git/HEAD; rm -f .git/index; echo x >.git/index.lock
"""


def test_a49_nothing_in_the_containers_git_bends_the_change(scene: Scene) -> None:
    """Expected: what leaves is the change, or nothing. Patches that are bad: tests/repo/test_quarantine.py."""
    scene.answer = turns(acting(EDIT, bash("m", MISLEADING)))

    done = scene.run()

    assert done.exit_code == 0, done.lines[-1]
    assert scene.place.at(scene.branch, "README.md") == "hello"
    assert git(scene.place.bare, "diff", "--name-status", f"main...{scene.branch}").split("\n") == [
        "M\tREADME.md",
        "D\tapp.py",
    ]


FORGED = """b'1' + (9).to_bytes(4, 'big') + b'no patch\\n' + b'X' + (36).to_bytes(4, 'big') + b'{"exit_code": 0, "timed_out": false}'"""


def test_a49_an_answer_that_was_forged_is_no_patch(scene: Scene) -> None:
    """Expected: the run fails, or the change is the one that was made."""
    forge = FORGER.format(frame=FORGED)
    scene.answer = turns(acting(EDIT, bash("f", f"python3 - <<'END'\n{forge}\nEND")))

    done = scene.run()

    assert done.exit_code in {0, 4, 6}, done.lines[-1]
    for branch in scene.place.new:
        assert scene.place.at(branch, "README.md") == "hello"
        assert git(scene.place.bare, "diff", "--name-only", f"main...{branch}") == "README.md"


MEASURES = {
    "files": ("mkdir d; seq 3000 | sed 's|^|d/|' | xargs touch", {"too-many-files"}),
    "lines and bytes": (
        "yes x | head -n 300000 >lines; truncate -s 64M zeros",
        {"too-many-lines", "blob-too-large"},
    ),
}


@pytest.mark.parametrize("what", MEASURES)
def test_a50_a_result_without_measure_is_refused_by_its_measures(scene: Scene, what: str) -> None:
    """Expected: a clean failure. Bombs of an upstream repository: A44."""
    command, rules = MEASURES[what]
    scene.answer = turns(acting(bash("m", command)))

    done = scene.run()

    assert done.exit_code == 8, done.lines[-1]
    assert {e["rule"] for e in done.of("policy") if e["decision"] == "refuse"} >= rules
    assert (scene.place.new, scene.place.packs) == ([], 0)


HISTORY = """
who='-c user.name=Mallory -c user.email=mallory@example.org'
echo 1 >one; git add -A; git $who commit -q -m 'one [skip ci]' --date=2001-01-01
git branch side; git $who commit -q --allow-empty -m two; git checkout -q side
echo secret >two; git add -A; git $who commit -q -m three; git rm -q two; git $who commit -q -m four
git $who merge -q -m merged main HEAD~1; git tag -a v9 -m v9 2>/dev/null; git $who tag -a v9 -m v9
git $who notes add -m noted; git replace HEAD HEAD~1; git update-ref refs/heads/tiny-backspace/mine HEAD
git $who commit -q --amend --reset-author -m 'Release' --allow-empty; git stash list; git checkout -q --detach
"""


def test_a51_of_all_that_an_agent_commits_one_tree_leaves(scene: Scene) -> None:
    """Expected: only one commit, made here, on one branch, named here (the oracle)."""
    scene.answer = turns(acting(EDIT, bash("h", HISTORY)))

    done = scene.run()

    assert done.exit_code == 0, done.lines[-1]
    assert git(scene.place.bare, "diff", "--name-status", f"main...{scene.branch}").split("\n") == [
        "M\tREADME.md",
        "A\tone",
    ]
    told = git(scene.place.bare, "log", "-1", "--format=%B%an%cn", scene.branch)
    assert "Mallory" not in told
    assert "Release" not in told
    assert git(scene.place.bare, "for-each-ref", "--format=%(refname)").count("\n") == 1


def test_a59_what_ci_runs_is_refused(scene: Scene) -> None:
    """Expected: blocked; see also tests/repo/test_policy.py."""
    flow = write("w", ".github/workflows/ci.yml", "on: push\n")
    action = write("a", ".github/actions/x/action.yml", "runs: {}\n")
    scene.answer = turns(acting(flow, action))

    done = scene.run()

    assert (done.exit_code, scene.place.new, scene.place.packs) == (8, [], 0)
    refused = {each["path"] for each in done.of("policy") if each["decision"] == "refuse"}
    assert refused == {".github/workflows/ci.yml", ".github/actions/x/action.yml"}


FLAGGED = (
    "CODEOWNERS", "package-lock.json", "package.json", ".claude/settings.json", ".vscode/tasks.json", "AGENTS.md",
    ".gitattributes", ".gitmodules", ".husky/pre-commit", ".devcontainer/devcontainer.json", ".pre-commit-config.yaml",
)  # fmt: skip


def test_a59_what_editors_agents_and_installers_obey_is_flagged_and_a_draft(scene: Scene) -> None:
    postinstall = '{"scripts": {"postinstall": "node x.js"}}\n'
    scene.answer = turns(acting(*(write(f"w{n}", p, postinstall) for n, p in enumerate(FLAGGED))))

    done = scene.run()

    assert done.exit_code == 0, done.lines[-1]
    flagged = {each["path"] for each in done.of("policy") if each["decision"] == "flag"}
    assert flagged >= set(FLAGGED)
    assert scene.place.pull.draft
    assert all(f"`{path}`" in scene.place.pull.body for path in FLAGGED)


ODD = """
ln -s /etc/passwd absolute; ln -s ../../../x above; ln -s .git/config into; mkdir -p sub; (cd sub; git init -q .
git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x); printf x >'a\\tb'; printf x >"$(printf 'c\\033[31m')"
printf x >README.MD
"""
REFUSED = {
    "absolute": "symlink-escape",
    "above": "symlink-escape",
    "sub": "submodule",
    "README.MD": "case-collision",
}


def test_a61_links_that_lead_out_and_repositories_within_are_refused_by_name(scene: Scene) -> None:
    """Expected: refused with the path named; modes that git does not give: tests/repo/test_policy.py."""
    scene.answer = turns(acting(bash("o", ODD)))

    done = scene.run()

    assert (done.exit_code, scene.place.new) == (8, [])
    rules = {e["path"]: e["rule"] for e in done.of("policy") if e["decision"] == "refuse"}
    assert REFUSED.items() <= rules.items(), rules
    assert any("\\x1b" in path or "u001b" in path.lower() for path in rules), rules
