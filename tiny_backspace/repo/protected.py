"""Paths whose content is run or obeyed by somebody before a person has read the change. Pure data.

Refused is what runs with the repository's own rights as soon as it is pushed; flagged is what a
reviewer must look at on purpose. Compared without regard to case, as some file systems do.
"""

from __future__ import annotations

from tiny_backspace.repo.paths import Finding, Severity, matches

_RULES: tuple[tuple[Severity, str, tuple[str, ...]], ...] = (
    (
        "refuse",
        "It runs in the repository's CI, with its secrets, before anyone has reviewed it.",
        (
            *(".github", ".github/workflows/**", ".github/actions/**"),
            *(".gitea/workflows/**", ".forgejo/workflows/**"),
        ),
    ),
    ("flag", "It decides who has to review what.", ("**/CODEOWNERS",)),
    (
        "flag",
        "CI runs it or takes its settings from it.",
        (
            *(".github/**", ".gitlab-ci.yml", ".gitlab/**", ".circleci/**", ".buildkite/**"),
            *("**/azure-pipelines*.yml", "**/azure-pipelines*.yaml", "**/Jenkinsfile*"),
            *(".travis.yml", ".drone.yml", ".woodpecker/**", ".woodpecker.yml", ".teamcity/**"),
            *("bitbucket-pipelines.yml", "appveyor.yml", "action.yml", "action.yaml"),
            *(
                ".gitea/**",
                ".forgejo/**",
                ".builds/**",
                ".build.yml",
                ".cirrus.yml",
                ".semaphore/**",
            ),
            *(".tekton/**", "**/cloudbuild.yaml", "**/cloudbuild.yml"),
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
            *("**/.claude/**", "**/.cursor/**", "**/.vscode/**", "**/.idea/**", "**/.husky/**"),
            *("**/.devcontainer/**", "**/.devcontainer.json", "**/.githooks/**", "**/.envrc"),
            *(
                "**/.pre-commit-config.yaml",
                "**/lefthook.yml",
                "**/.mcp.json",
                "**/*.code-workspace",
            ),
        ),
    ),
    (
        "flag",
        "It instructs agents that work on this repository.",
        (
            *("**/AGENTS.md", "**/AGENTS.override.md", "**/CLAUDE.md", "**/CLAUDE.local.md"),
            *("**/GEMINI.md", "**/.cursorrules", "**/.windsurfrules", "**/.clinerules/**"),
        ),
    ),
    (
        "flag",
        "It decides what is installed, or runs when something is.",
        (
            *("**/package.json", "**/package-lock.json", "**/npm-shrinkwrap.json", "**/yarn.lock"),
            *("**/pnpm-lock.yaml", "**/bun.lock", "**/bun.lockb", "**/.npmrc", "**/.yarnrc*"),
            *(
                "**/.pnpmfile.cjs",
                "**/.yarn/**",
                "**/setup.py",
                "**/setup.cfg",
                "**/pyproject.toml",
            ),
            *(
                "**/requirements*.txt",
                "**/uv.lock",
                "**/poetry.lock",
                "**/Pipfile",
                "**/Pipfile.lock",
            ),
            *("**/Cargo.toml", "**/Cargo.lock", "**/build.rs", "**/.cargo/**", "**/go.mod"),
            *("**/go.sum", "**/Gemfile", "**/Gemfile.lock", "**/*.gemspec", "**/composer.json"),
            *("**/composer.lock", "**/gradle-wrapper.*", "**/.mvn/**"),
        ),
    ),
)


def protection(path: bytes) -> Finding | None:
    """How this path is protected, and why; None if it is not."""
    for severity, reason, globs in _RULES:
        if matches(path, globs, ignore_case=True):
            return Finding(severity, reason)
    return None
