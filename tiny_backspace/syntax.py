"""Whether the changed files can be parsed, asked of their own languages' parsers in the sandbox.

It is an aid and never an obstacle: where it cannot be told in time, nothing is said.
"""

from __future__ import annotations

import json
from time import monotonic

from tiny_backspace.errors import SandboxError
from tiny_backspace.events import Emit, SyntaxChecked
from tiny_backspace.redact import clean_line
from tiny_backspace.sandbox.interface import ExecResult, Sandbox

_SECONDS = 30.0
_FILES = 200
_PROBLEMS = 20
_LONGEST = 300  # characters of a problem

# Arguments: base, and the tree as it was taken out (repo/quarantine.py), whose objects are in the home folder. Nothing of the work tree is run: it is compiled, read, or given to `bash -n` and
# `node --check` as standard input. What is too deep or too large for a parser counts as no problem, and so
# does what could not be parsed before either (JSON with comments, say). What it does not come to in ten seconds is left out.
# Python 3.8 can run it.
SCRIPT = r'''
import json, os, re, shutil, stat, subprocess, sys, time, warnings
from concurrent.futures import ThreadPoolExecutor
try:
    import tomllib
except ImportError:
    tomllib = None
try:
    from yaml import CSafeLoader, MarkedYAMLError, parse as yaml_events
except ImportError:
    CSafeLoader = None

FILES, SIZE, PROBLEMS, SECONDS = 200, 1 << 20, 20, 10
BASE, TREE = map(os.fsencode, sys.argv[1:])
END = time.monotonic() + SECONDS
ENV = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
ENV["LC_ALL"] = "C"
GIT = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.safecrlf=false"]
WITH_COMMENTS = re.compile(r"(^|/)(\.vscode/.*|[tj]sconfig[^/]*|\.eslintrc|\.?devcontainer)\.json$")

def run(argv, data=b"", **more):
    left = max(0.01, END - time.monotonic())
    return subprocess.run(argv, input=data, capture_output=True, env={**ENV, **more}, timeout=left)

def changed():
    """The files that are new or other than in the base, as bytes."""
    new = ENV["HOME"] + "/.tiny-backspace-objects"
    what = ["diff-tree", "-r", "-z", "--name-only", "--diff-filter=d", "--no-renames"]
    done = run([*GIT, *what, BASE, TREE], GIT_ALTERNATE_OBJECT_DIRECTORIES=new)
    done.check_returncode()
    return [name for name in done.stdout.split(b"\0") if name]

def python(data):
    try:
        compile(data, "file", "exec", dont_inherit=True)
    except SyntaxError as error:
        version = ".".join(map(str, sys.version_info[:2]))
        return error.lineno, f"{error.msg} (Python {version})"
    except ValueError as error:  # a null byte
        return 1, str(error)

def json_(data):
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return error.lineno, error.msg

def toml(data):
    text = data.decode()
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", where)
        return int(line[1]) if line else text.count("\n") + 1, what

def yaml(data):
    try:
        for _ in yaml_events(data, Loader=CSafeLoader):  # not loaded: tags may be of any kind
            pass
    except MarkedYAMLError as error:
        if b"{{" not in data and error.problem_mark:  # or else a template
            return error.problem_mark.line + 1, error.problem

def shell(data):
    first = data.split(b"\n", 1)[0]
    if first.startswith(b"#!") and not re.search(rb"\b(ba|da|k|)sh\b", first):
        return None
    done = run(["bash", "-O", "extglob", "-n"], data)
    said = re.search(r"line (\d+): (.*)", done.stderr.decode(errors="replace"))
    return (int(said[1]), said[2]) if done.returncode and said else None

def script(data, kind):
    done = run(["node", "--check", "--input-type=" + kind, "-"], data)
    text = done.stderr.decode(errors="replace")
    line, said = re.search(r"^\[stdin\]:(\d+)$", text, re.M), re.search(r"^SyntaxError: (.*)", text, re.M)
    return (int(line[1]), said[1]) if done.returncode and line and said else None

def javascript(data):
    plain = script(data, "commonjs")
    module = plain and script(data, "module")
    if not module or module[1] == "Unexpected token '<'":  # JSX
        return None
    return max(plain, module)  # who gets further does not stumble over the other kind's words

def can_run(name):
    return shutil.which(name, path=ENV.get("PATH")) is not None

PARSERS = {".py": python, ".pyi": python, ".json": json_}
if tomllib:
    PARSERS[".toml"] = toml
if CSafeLoader:
    PARSERS[".yaml"] = PARSERS[".yml"] = yaml
if can_run("bash"):
    PARSERS[".sh"] = PARSERS[".bash"] = shell
if can_run("node"):
    PARSERS[".js"] = javascript
    PARSERS[".mjs"] = lambda data: script(data, "module")
    PARSERS[".cjs"] = lambda data: script(data, "commonjs")

def parser(name):
    text = os.fsdecode(name)
    return None if WITH_COMMENTS.search(text) else PARSERS.get(os.path.splitext(text)[1].lower())

def content(name):
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # a link, or it has gone
        return None
    with os.fdopen(file, "rb") as opened:
        found = os.fstat(file)
        return opened.read(SIZE) if stat.S_ISREG(found.st_mode) and found.st_size <= SIZE else None

def found(parse, data):
    try:
        return parse(data)
    except (ValueError, RecursionError, MemoryError, OverflowError, subprocess.TimeoutExpired):
        return None

def look(name):
    """Whether the file was parsed, and its problem."""
    data = content(name) if time.monotonic() < END else None
    if data is None:
        return False, None
    problem = found(parser(name), data)
    if problem:
        try:
            before = run([*GIT, "cat-file", "blob", BASE + b":" + name])
        except subprocess.TimeoutExpired:
            return True, None
        if before.returncode == 0 and (len(before.stdout) > SIZE or found(parser(name), before.stdout)):
            problem = None
    return True, problem and [os.fsdecode(name), max(1, problem[0] or 1), str(problem[1])[:200]]

warnings.simplefilter("ignore")
with ThreadPoolExecutor(4) as pool:
    looked = list(pool.map(look, [name for name in changed() if parser(name)][:FILES]))
problems = [problem for _, problem in looked if problem]
print(json.dumps({"files": sum(parsed for parsed, _ in looked), "problems": problems[:PROBLEMS]}))
'''


def check(sandbox: Sandbox, base: str, tree: str, emit: Emit) -> SyntaxChecked:
    """Parse what is other in `tree`, as it was taken out, than in `base` (full shas). Where nothing was parsed there is no event."""
    start = monotonic()
    try:
        done = sandbox.exec(["python3", "-I", "-c", SCRIPT, base, tree], timeout=_SECONDS)
        files, problems = _understood(done)
    except SandboxError:  # who needs it next will say so; the change may be outside already
        files, problems = 0, ()
    checked = SyntaxChecked(
        ok=not problems,
        files=files,
        problems=problems,
        duration_ms=round((monotonic() - start) * 1000, 3),
    )
    if files:
        emit(checked)
    return checked


def complaint(checked: SyntaxChecked) -> str:
    """What the agent is told of files that cannot be parsed."""
    listed = "\n".join(f"- {problem}" for problem in checked.problems)
    return (
        f"Some of the changed files cannot be parsed:\n\n{listed}\n\n"
        "Repair them. If one is meant to be as it is, leave it and say so."
    )


def _understood(done: ExecResult) -> tuple[int, tuple[str, ...]]:
    """The number of files and the problems; (0, ()) if this is no answer of the script."""
    nothing: tuple[int, tuple[str, ...]] = 0, ()
    if not done.ok or done.clipped:
        return nothing
    try:
        answer = json.loads(done.stdout)
    except (ValueError, RecursionError):
        return nothing
    match answer:
        case {"files": int(files), "problems": list(found)} if 0 < files <= _FILES:
            problems = [_problem(item) for item in found[:_PROBLEMS]]
            return files, tuple(problem for problem in problems if problem)
    return nothing


def _problem(item: object) -> str:
    match item:
        case [str(path), int(line), str(message)]:
            return clean_line(f"{path}:{line}: {message}")[:_LONGEST]
    return ""
