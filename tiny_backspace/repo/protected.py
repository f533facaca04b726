"""Paths whose content is run or obeyed by somebody before a person has read the change; and what
tools leave behind. Data and two questions, pure.

Refused is what runs with the repository's own rights as soon as it is pushed; flagged is what a
reviewer must look at on purpose. Compared without regard to case, as some file systems do.
"""

from __future__ import annotations

import re
import unicodedata

from tiny_backspace.repo.paths import Finding, Severity, matches, text

_RULES: tuple[tuple[Severity, str, tuple[str, ...]], ...] = (
    (
        "refuse",
        "It runs in the repository's CI, with its secrets, before anyone has reviewed it.",
        (
            *(".github", ".github/workflows/**", ".github/actions/**"),
            *(".gitea", ".gitea/workflows/**", ".gitea/actions/**"),
            *(".forgejo", ".forgejo/workflows/**", ".forgejo/actions/**"),
        ),
    ),
    ("flag", "It decides who has to review what.", ("**/CODEOWNERS",)),
    (
        "flag",
        "CI runs it or takes its settings from it.",
        (
            *(".github/**", "**/*.gitlab-ci.yml", ".gitlab/**", ".circleci/**", ".buildkite/**"),
            *(
                "**/azure-pipelines*.y*ml",
                ".azure-pipelines/**",
                ".azuredevops/**",
                ".pipelines/**",
            ),
            *(".vsts-ci.yml", "**/Jenkinsfile*", "**/*.jenkinsfile", ".travis.y*ml", ".drone.*"),
            *(".woodpecker/**", ".woodpecker.y*ml", ".teamcity/**", "bitbucket-pipelines.y*ml"),
            *("appveyor.y*ml", ".appveyor.y*ml", "**/action.yml", "**/action.yaml", ".gitea/**"),
            *(".forgejo/**", ".builds/**", ".build.yml", ".cirrus.*", ".semaphore/**", ".ci/**"),
            *(".tekton/**", "**/cloudbuild*.y*ml", "**/buildspec*.y*ml", "bitrise.y*ml"),
            *("codemagic.yaml", "wercker.yml", "codeship-*.yml", "screwdriver.yaml", ".zuul.y*ml"),
            *(".zuul.d/**", "zuul.d/**", ".harness/**", ".prow.yaml", ".mergify.yml"),
            *("renovate.json*", ".renovaterc*", "netlify.toml", "vercel.json"),
            *(".dependabot/**", ".pyup.yml", ".depfu.yml", ".snyk", "bors.toml"),
            *(".kodiak.toml", "mergify.yml", ".mergify/**", ".jenkins.y*ml"),
            *(".jenkins/**", ".vela.y*ml", ".vela/**", ".gocd.y*ml", "*.gocd.y*ml"),
            *(".onedev-buildspec.yml", ".concourse/**", ".garden.y*ml", "dagger.json"),
            *(".dagger/**", ".releaserc*", "release.config.*"),
            *("release-please-config.json", ".release-please-manifest.json"),
            *("**/.goreleaser.y*ml", "**/goreleaser.y*ml", ".changeset/config.json"),
            *("**/.readthedocs.y*ml", "**/readthedocs.y*ml", "amplify.yml", "wrangler.*"),
            *("firebase.json", "fly.toml", "render.yaml", "heroku.yml", "**/Procfile"),
            *(".ebextensions/**", ".platform/**", ".trunk/**"),
        ),
    ),
    (
        "flag",
        "It changes how git treats files: filters, submodules, large files.",
        ("**/.gitmodules", "**/.gitattributes", "**/.lfsconfig", "**/.gitconfig"),
    ),
    (
        "flag",
        "An editor, a hook or a development container runs it on the machine of whoever opens it.",
        (
            *("**/.claude/**", "**/.cursor/**", "**/.vscode/**", "**/.vs/**", "**/.idea/**"),
            *("**/.zed/**", "**/.fleet/**", "**/*.code-workspace", "**/*.sublime-project"),
            *("**/.exrc", "**/.vimrc", "**/.nvimrc", "**/.nvim.lua", "**/.dir-locals.el"),
            *(
                "**/.husky/**",
                "**/.githooks/**",
                "**/.git-hooks/**",
                "**/.hooks/**",
                "**/.huskyrc*",
            ),
            *("**/.pre-commit-config.y*ml", "**/.pre-commit-hooks.y*ml", "**/.overcommit.yml"),
            *(
                "**/lefthook*.y*ml",
                "**/.lefthook*/**",
                "**/.lintstagedrc*",
                "**/lint-staged.config.*",
            ),
            *("**/.devcontainer/**", "**/.devcontainer.json", "**/.gitpod.*", "**/.idx/**"),
            *("**/.envrc", "**/.mise.toml", "**/mise.toml", "**/.mcp.json"),
            *("**/.mise.*.toml", "**/mise.*.toml", "**/.mise/**", "**/mise/config*.toml"),
            *("**/.config/mise/**", "**/.config/mise*.toml", "**/.tool-versions"),
            *("**/.envrc.*", "**/devbox.json", "**/devenv.*", "**/shell.nix"),
            *("**/default.nix", "**/devfile.y*ml", "**/.devfile.y*ml", "**/.replit"),
            *("**/replit.nix", "**/.codesandbox/**", "**/.stackblitzrc", "**/.theia/**"),
            *("**/.run/**", "**/.project", "**/.lvimrc", "**/.lnvim.lua", "**/_vimrc"),
            *("**/.dir-locals-2.el", "**/.gdbinit", "**/.lldbinit", "**/.pdbrc"),
            *("**/.pdbrc.py", "**/.irbrc", "**/.pryrc", "**/.Rprofile", "**/.Renviron"),
            *("**/.rspec", "**/.bazelrc", "**/*.bazelrc", "**/.bazeliskrc"),
            *("**/tools/bazel", "**/.buckconfig", "**/.simple-git-hooks.*"),
            *("**/simple-git-hooks.*", "**/captainhook.json", "**/grumphp.y*ml"),
            *("**/hk.pkl", "**/prek.toml", "**/.commitlintrc*", "**/commitlint.config.*"),
            *("**/mcp.json", "**/.mcp/**", "**/.direnv/**"),
        ),
    ),
    (
        "flag",
        "It instructs agents that work on this repository.",
        (
            *("**/AGENTS.md", "**/AGENTS.override.md", "**/AGENT.md", "**/CLAUDE.md"),
            *("**/CLAUDE.local.md", "**/GEMINI.md", "**/WARP.md", "**/SKILL.md", "**/.agents/**"),
            *("**/.agent/**", "**/.cursorrules", "**/.windsurfrules", "**/.windsurf/**"),
            *("**/.clinerules/**", "**/.roo/**", "**/.roorules*", "**/.codex/**", "**/.gemini/**"),
            *("**/.opencode/**", "**/opencode.json*", "**/.continue/**", "**/.aider.conf.yml"),
            *("**/.amazonq/**", "**/.kiro/**", "**/.junie/**", "**/.goosehints", "**/.augment/**"),
            *("**/.trae/**", "**/copilot-instructions.md", "**/*.instructions.md", "**/.rules"),
            *("**/.claude-plugin/**", "**/.github/prompts/**", "**/*.prompt.md"),
            *("**/*.chatmode.md", "**/*.agent.md", "**/*.mdc", "**/.aider*"),
            *("**/CRUSH.md", "**/.crush/**", "**/.crush.json", "**/crush.json"),
            *("**/QWEN.md", "**/.qwen/**", "**/.factory/**", "**/.openhands/**"),
            *("**/.openhands_instructions", "**/.devin/**", "**/.jules/**"),
            *("**/.warp/**", "**/.goose/**", "**/.amp/**", "**/.copilot/**"),
            *("**/.cline/**", "**/.kilocode/**", "**/.kilocodemodes", "**/.roomodes"),
            *("**/.antigravity/**", "**/replit.md", "**/.qodo/**", "**/.pr_agent.toml"),
            *("**/.coderabbit.y*ml", "**/greptile.json", "**/.sweep.y*ml"),
            *("**/.zencoder/**", "**/.tabnine/**", "**/.cody/**"),
        ),
    ),
    (
        "flag",
        "It decides what is installed, or runs when something is.",
        (
            *("**/package.json", "**/package-lock.json", "**/npm-shrinkwrap.json", "**/yarn.lock"),
            *("**/pnpm-lock.yaml", "**/pnpm-workspace.yaml", "**/bun.lock", "**/bun.lockb"),
            *("**/bunfig.toml", "**/.npmrc", "**/.yarnrc*", "**/.pnpmfile.cjs", "**/.yarn/**"),
            *("**/deno.json*", "**/deno.lock", "**/setup.py", "**/setup.cfg", "**/pyproject.toml"),
            *("**/requirements*.txt", "**/constraints*.txt", "**/uv.lock", "**/poetry.lock"),
            *("**/pdm.lock", "**/Pipfile", "**/Pipfile.lock", "**/pip.conf", "**/sitecustomize.py"),
            *("**/usercustomize.py", "**/*.pth", "**/Cargo.toml", "**/Cargo.lock", "**/build.rs"),
            *("**/.cargo/**", "**/go.mod", "**/go.sum", "**/go.work", "**/Gemfile"),
            *("**/Gemfile.lock", "**/*.gemspec", "**/composer.json", "**/composer.lock"),
            *("**/*.gradle", "**/*.gradle.kts", "**/gradlew*", "**/gradle-wrapper.*", "**/pom.xml"),
            *("**/mvnw*", "**/.mvn/**", "**/Package.swift", "**/Package.resolved", "**/Podfile"),
            *("**/Podfile.lock", "**/mix.exs", "**/mix.lock", "**/*.csproj", "**/nuget.config"),
            *("**/packages.lock.json", "**/Directory.Build.*", "**/flake.nix", "**/flake.lock"),
            *("**/binding.gyp", "**/.pnp.*", "**/.pnpmfile.*", "**/bower.json"),
            *("**/.bowerrc", "**/rush.json", "**/lerna.json", "**/jsr.json"),
            *("**/tox.ini", "**/noxfile.py", "**/requirements*.in"),
            *("**/requirements/*.txt", "**/requirements/*.in", "**/pylock*.toml"),
            *("**/uv.toml", "**/poetry.toml", "**/pip.ini", "**/.pypirc", "**/.condarc"),
            *(
                "**/environment.y*ml",
                "**/conda-lock.yml",
                "**/pixi.toml",
                "**/pixi.lock",
                "**/hatch.toml",
            ),
            *("**/rust-toolchain*", "**/go.work.sum", "**/vendor/modules.txt"),
            *("**/gems.rb", "**/gems.locked", "**/.bundle/**", "**/*.podspec"),
            *("**/pubspec.yaml", "**/pubspec.lock", "**/*.sbt", "**/.sbtopts"),
            *("**/.jvmopts", "**/gradle.properties", "**/libs.versions.toml"),
            *("**/*.fsproj", "**/*.vbproj", "**/*.targets", "**/*.props"),
            *("**/global.json", "**/dotnet-tools.json", "**/MODULE.bazel*"),
            *("**/WORKSPACE", "**/WORKSPACE.*", "**/conanfile.*", "**/vcpkg*.json"),
            *(
                "**/rebar.config*",
                "**/rebar.lock",
                "**/stack.yaml*",
                "**/*.cabal",
                "**/cabal.project*",
            ),
            *(
                "**/*.opam",
                "**/cpanfile*",
                "**/shard.yml",
                "**/shard.lock",
                "**/Cartfile*",
                "**/Mintfile",
            ),
            *("**/Brewfile*", "**/.terraformrc", "**/.terraform.lock.hcl"),
            *("**/symfony.lock", "**/go.env"),
        ),
    ),
)


# By the names that git itself looks for in every disguise (path.c, `is_ntfs_dotgitmodules` and its
# like): what a short name on NTFS begins with, and with what once that is taken.
_SHORT_NAMES = (("gitmod", "gi7eba", ".gitmodules"), ("gitatt", "gi7d29", ".gitattributes"))
_SHORT = re.compile(r"([a-z0-9]+)~([0-9]+)")
_SHORT_LENGTH = 8

_JUNK_FOLDERS = frozenset(
    b"node_modules bower_components __pycache__ .venv venv dist target htmlcov lcov-report .nyc_output"
    b" .pytest_cache .mypy_cache .ruff_cache .tox .nox .eggs .gradle .next .nuxt .turbo .parcel-cache"
    b" .terraform .hypothesis".split()
)
_JUNK_FILES = (
    *("**/*.pyc", "**/*.pyo", "**/*.class", "**/*.o", "**/*.obj", "**/.DS_Store", "**/Thumbs.db"),
    *(
        "**/.coverage",
        "**/.coverage.*",
        "**/coverage.xml",
        "**/lcov.info",
        "**/*.gcda",
        "**/*.gcno",
    ),
    *("**/*.swp", "**/*.*~", "**/*.orig", "**/*.rej", "**/npm-debug.log*", "**/yarn-error.log"),
)


def protection(path: bytes) -> Finding | None:
    """How this path is protected, and why; None if it is not."""
    undisguised = "/".join(map(_undisguised, text(path).split("/")))
    spellings = {path, undisguised.encode("utf-8", "surrogateescape")}
    for severity, reason, globs in _RULES:
        if any(matches(spelling, globs, ignore_case=True) for spelling in spellings):
            return Finding(severity, reason)
    return None


def _undisguised(name: str) -> str:
    """What NTFS or HFS+ may take this name for: see `paths.is_git_dir`."""
    visible = "".join(c for c in name if unicodedata.category(c) != "Cf")
    plain = unicodedata.normalize("NFKC", visible).partition(":")[0].rstrip(". ") or name
    short = _SHORT.fullmatch(plain.lower())
    if short is None:
        return plain
    for first, later, long in _SHORT_NAMES:
        hashed = later.startswith(short[1]) and len(plain) == _SHORT_LENGTH
        if hashed or short[1] == first:
            return long
    return plain


def junk(path: bytes) -> bytes | None:
    """The folder or file of this path that tools make and nobody keeps; None if there is none."""
    parts = path.split(b"/")
    for depth, part in enumerate(parts[:-1], start=1):
        if part in _JUNK_FOLDERS or part.endswith(b".egg-info"):
            return b"/".join(parts[:depth])
    return path if matches(path, _JUNK_FILES) else None
