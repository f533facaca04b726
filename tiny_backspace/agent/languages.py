"""The language of a file, by its name."""

from __future__ import annotations

_BY_NAME = {
    "CMakeLists.txt": "CMake",
    "Dockerfile": "Dockerfile",
    "GNUmakefile": "Makefile",
    "Gemfile": "Ruby",
    "Jenkinsfile": "Groovy",
    "Makefile": "Makefile",
    "Rakefile": "Ruby",
    "makefile": "Makefile",
}
_BY_LANGUAGE = {
    "C": "c h",
    "C#": "cs",
    "C++": "cc cpp cxx hh hpp hxx",
    "CMake": "cmake",
    "CSS": "css less sass scss",
    "Clojure": "clj cljc cljs",
    "Dart": "dart",
    "Dockerfile": "dockerfile",
    "Elixir": "ex exs",
    "Erlang": "erl hrl",
    "F#": "fs fsx",
    "Fortran": "f90 f95 f03",
    "Go": "go",
    "Groovy": "gradle groovy",
    "HTML": "htm html jinja jinja2 j2",
    "Haskell": "hs",
    "JSON": "json jsonc",
    "Java": "java",
    "JavaScript": "cjs js jsx mjs",
    "Julia": "jl",
    "Jupyter": "ipynb",
    "Kotlin": "kt kts",
    "Lua": "lua",
    "Makefile": "mk",
    "Markdown": "markdown md mdx",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "mm",
    "PHP": "php",
    "Perl": "pl pm",
    "PowerShell": "ps1 psm1",
    "Protobuf": "proto",
    "Python": "py pyi pyx",
    "R": "r rmd",
    "Ruby": "rake rb",
    "Rust": "rs",
    "SQL": "sql",
    "Scala": "sbt scala",
    "Shell": "bash bats fish sh zsh",
    "Svelte": "svelte",
    "Swift": "swift",
    "TOML": "toml",
    "Terraform": "hcl tf",
    "TypeScript": "cts mts ts tsx",
    "Vue": "vue",
    "XML": "xml xsd xsl",
    "YAML": "yaml yml",
    "Zig": "zig",
    "reStructuredText": "rst",
}
_BY_ENDING = {ending: name for name, endings in _BY_LANGUAGE.items() for ending in endings.split()}


def language(path: str) -> str | None:
    """None for a file whose name does not tell."""
    name = path.rpartition("/")[2]
    if name in _BY_NAME:
        return _BY_NAME[name]
    stem, _, ending = name.rpartition(".")
    return _BY_ENDING.get(ending.lower()) if stem else None
