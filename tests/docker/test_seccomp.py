import json
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.docker.locked import NO_NEW_PRIVILEGES, Box, locked
from tests.sandbox.syscalls import CALLS, REFUSED
from tiny_backspace.sandbox.seccomp import MISSING

PROBE = (Path(__file__).parent / "syscall_probe.py").read_text()
EPERM, ENOSYS = 1, 38
UNCONFINED: dict[str, Any] = {"security_opt": [NO_NEW_PRIVILEGES, "seccomp=unconfined"]}
ENGINES_OWN: dict[str, Any] = {"security_opt": [NO_NEW_PRIVILEGES]}
SIGCHLD = 17

# Calls that are refused for their arguments, and some of the others with arguments that would work.
WITH_ARGUMENTS: dict[str, tuple[str, list[int | str]]] = {
    "unshare a user namespace": ("unshare", [0x10000000]),
    "clone into a user namespace": ("clone", [0x10000000 | SIGCHLD]),
    "clone into a network namespace": ("clone", [0x50000000 | SIGCHLD]),
    "trace oneself": ("ptrace", [0]),
    "enter no namespace": ("setns", [2**64 - 1, 0]),
    "a keyring": ("keyctl", [0, 2**64 - 2, 1]),
    "an io_uring": ("io_uring_setup", [1, 0]),
    "userfaultfd": ("userfaultfd", [1]),
    "no address randomisation": ("personality", [0x40000]),
    "a 32-bit personality": ("personality", [8]),
    "an overlay whiteout": ("mknodat", [2**64 - 100, "/tmp/whiteout", 0o020600, 0]),
    "an AF_ALG socket": ("socket", [38, 5, 0]),
    "an AF_VSOCK socket": ("socket", [40, 1, 0]),
    "an AF_RXRPC socket": ("socket", [33, 2, 2]),
    "an AF_PACKET socket": ("socket", [17, 3, 0]),
    "an AF_KEY socket": ("socket", [15, 3, 2]),
    "a NETLINK_XFRM socket": ("socket", [16, 3, 6]),
    "an SCTP socket": ("socket", [2, 1, 132]),
    "an MPTCP socket": ("socket", [10, 1, 262]),
    "a pair of AF_TIPC sockets": ("socketpair", [30, 1, 0, 0]),
}
# These need no capability on any kernel: whoever is not filtered is told something other than EPERM and ENOSYS.
VISIBLE = {
    "trace oneself",
    "enter no namespace",
    "no address randomisation",
    "a 32-bit personality",
    "an AF_ALG socket",
    "an AF_VSOCK socket",
    "an AF_RXRPC socket",
    "a NETLINK_XFRM socket",
    "a pair of AF_TIPC sockets",
    "an SCTP socket",
    "unshare",
    "process_vm_readv",
    "sync",
    "vmsplice",
    "clone3",
    "keyctl",
}


def probed(box: Box) -> dict[str, Any]:
    plain: dict[str, tuple[str, list[int | str]]] = {
        name: (name, []) for name in REFUSED | set(MISSING.split())
    }
    calls = {
        label: {**CALLS[name]._asdict(), "arguments": arguments}
        for label, (name, arguments) in (plain | WITH_ARGUMENTS).items()
    }
    code, said = box.python(PROBE, json.dumps({"calls": calls}))
    assert code == 0, said
    found: dict[str, Any] = json.loads(said)
    assert set(found["calls"]) == {
        label for label, call in calls.items() if call[found["machine"]] is not None
    }
    return found


@pytest.fixture(scope="module")
def box() -> Generator[Box]:
    with locked() as container:
        yield container


def test_none_of_the_dangerous_calls_gets_through(box: Box) -> None:
    codes = probed(box)["calls"]
    assert {label: code for label, code in codes.items() if code not in (EPERM, ENOSYS)} == {}
    # What this kernel does not know is missing anyway; the rest must be missing, or refused, by the filter.
    assert {codes[label] for label in (*MISSING.split(), "an io_uring")} == {ENOSYS}
    assert {codes[label] for label in WITH_ARGUMENTS if label != "an io_uring"} == {EPERM}


def test_without_the_filter_the_probe_sees_that_they_get_through() -> None:
    with locked(**UNCONFINED) as open_box:
        codes = probed(open_box)["calls"]
    through = {label for label, code in codes.items() if code not in (EPERM, ENOSYS)}
    assert through >= VISIBLE


def test_the_doors_of_other_abis_are_death(box: Box) -> None:
    found = probed(box)
    expected = {"i386": -signal.SIGSYS, "x32": -signal.SIGSYS}
    assert found["doors"] == (expected if found["machine"] == "x86_64" else {})


def test_under_the_engines_own_filter_the_doors_are_open() -> None:
    with locked(**ENGINES_OWN) as other:
        found = probed(other)
    assert -signal.SIGSYS not in found["doors"].values()
    assert found["doors"].get("i386", 0) == 0


SHELL = {
    "git": """
        git init -q r && cd r && git config user.email a@b && git config user.name A
        echo one >f && git add -A && git commit -qm one && git clone -q . ../clone && git gc -q
        echo two >>f && git diff --binary | git -C ../clone apply --index && git -C ../clone status --short""",
    "ripgrep": "mkdir -p d && echo needle >d/a && rg -n needle d",
    "make": "printf 'all: a b\\na b:\\n\\techo $@ >$@.out\\n' >Makefile && make -sj2 && cat a.out b.out",
    "job control": """bash -c 'set -m; sleep 60 & kill -STOP %1; kill -CONT %1; kill %1; wait %1; test $? = 143'
        bash -c 'sleep 0.1 & sleep 0.1 & wait; mkfifo p; echo x >p & cat p'""",
    "jq": """echo '{"a": [1, 2]}' | jq -c .a""",
    "timeout": "code=0; timeout 0.2 sleep 30 || code=$?; test $code = 124 && echo done",
    "patch and perl": "echo a >x && printf -- '--- x\\n+++ x\\n@@ -1 +1 @@\\n-a\\n+b\\n' | patch -s x && perl -pe 's/b/c/' x",
    "archives, xargs and find": "mkdir -p t && touch t/1 t/2 && tar czf t.tgz t && tar tzf t.tgz | xargs -P2 -n1 ls -d",
    "nice and setsid": "nice -n 5 true && setsid -w true && ulimit -n 64 && echo done",
    "a virtual environment": "python3 -m venv v && v/bin/pip --version && v/bin/pip --help | head -3",
    "pytest": "mkdir -p p && echo 'def test_a(tmp_path): assert tmp_path' >p/test_a.py && python3 -m pytest -q p",
}  # fmt: skip

PYTHON = {
    "threads": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(16) as pool: assert sum(pool.map(abs, range(100))) == 4950""",
    "processes": """
        import multiprocessing as m, multiprocessing.shared_memory as s, os, subprocess, time
        with m.get_context('fork').Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]
        with m.get_context('forkserver').Manager() as manager: assert manager.list([1])[0] == 1
        memory = s.SharedMemory(create=True, size=4096); memory.close(); memory.unlink()
        assert subprocess.run(['sh', '-c', 'cat'], input=b'x', capture_output=True).stdout == b'x'
        assert subprocess.run(['true'], start_new_session=True, user=os.getuid()).returncode == 0
        pid = os.posix_spawn('/bin/true', ['true'], {}); assert os.waitid(os.P_PIDFD, os.pidfd_open(pid), os.WEXITED)
        p = subprocess.Popen(['sleep', '60']); p.terminate(); assert p.wait() == -15""",
    "sqlite": """
        import sqlite3
        d = sqlite3.connect('/workspace/a.db'); d.execute('pragma journal_mode=wal'); d.execute('create table t(a)')
        d.execute('insert into t values (1)'); d.commit(); assert d.execute('select a from t').fetchone() == (1,)""",
    "asyncio over loopback and unix sockets": """
        import asyncio, socket
        async def echo(reader, writer): writer.write(await reader.readline()); writer.close()
        async def ask(streams):
            reader, writer = await streams; writer.write(b'x\\n'); assert await reader.readline() == b'x\\n'; writer.close()
        async def main():
            tcp = await asyncio.start_server(echo, '127.0.0.1', 0)
            unix = await asyncio.start_unix_server(echo, '/tmp/s')
            await ask(asyncio.open_connection(*tcp.sockets[0].getsockname()[:2]))
            await ask(asyncio.open_unix_connection('/tmp/s'))
            process = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)
            assert (await process.communicate(b'x'))[0] == b'x'
        asyncio.run(main())
        assert socket.getaddrinfo('127.0.0.1', 80); socket.socketpair(); socket.if_nameindex()
        socket.create_server(('::1', 0), family=socket.AF_INET6)""",
    "terminals, pipes, files and signals": """
        import fcntl, mmap, os, pty, resource, select, shutil, signal, tempfile, time
        assert pty.spawn(['sh', '-c', 'test -t 0']) == 0
        os.mkfifo('/tmp/fifo'); os.mknod('/tmp/node'); os.symlink('a', '/tmp/link'); os.listxattr('/tmp')
        with tempfile.TemporaryFile() as f:
            fcntl.flock(f, fcntl.LOCK_EX); f.write(b'x'); f.flush(); os.fsync(f.fileno())
            os.posix_fallocate(f.fileno(), 0, 4096); assert mmap.mmap(f.fileno(), 4096)[:1] == b'x'
        shutil.copyfile('/tmp/node', '/tmp/copy'); os.utime('/tmp/copy'); os.chmod('/tmp/copy', 0o600); os.memfd_create('m')
        select.epoll().close(); assert os.eventfd_read(os.eventfd(7)) == 7
        signal.setitimer(signal.ITIMER_REAL, 0.05); signal.signal(signal.SIGALRM, lambda *_: None); signal.pause()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.nice(1); time.sleep(0.01)
        os.sched_setaffinity(0, os.sched_getaffinity(0))""",
}  # fmt: skip

NODE = """
const fs = require('fs'), http = require('http'), child = require('child_process'), dns = require('dns')
const { Worker } = require('worker_threads')
const work = () => new Promise((ok, no) => {
  const w = new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true })
  w.on('message', ok).on('error', no)
})
const serve = () => new Promise((ok, no) => {
  const s = http.createServer((q, r) => r.end('served')).listen(0, '127.0.0.1', () =>
    http.get({ port: s.address().port, host: '127.0.0.1', agent: false }, r => {
      r.setEncoding('utf8').on('data', t => { s.close(); ok(t) })
    }).on('error', no))
})
;(async () => {
  fs.watch('/tmp').close()
  await fs.promises.writeFile('/tmp/n', 'written'); await fs.promises.copyFile('/tmp/n', '/tmp/n2')
  const said = child.execFileSync('sh', ['-c', 'echo child']).toString().trim()
  console.log(await work(), await serve(), fs.readFileSync('/tmp/n2', 'utf8'), said, require('os').cpus().length > 0)
})()
"""


@pytest.mark.parametrize("tool", SHELL)
def test_tools_work(box: Box, tool: str) -> None:
    script = f"set -e; rm -rf /workspace/w; mkdir /workspace/w; cd /workspace/w; {SHELL[tool]}"
    code, said = box.run(["bash", "-c", script])
    assert code == 0, said
    assert said


@pytest.mark.parametrize("what", PYTHON)
def test_python_works(box: Box, what: str) -> None:
    lines = PYTHON[what].splitlines()[1:]
    code, said = box.python("\n".join(line.removeprefix(" " * 8) for line in lines))
    assert (code, said) == (0, b"")


def test_node_works(box: Box) -> None:
    code, said = box.run(["node", "-e", NODE])
    assert (code, said) == (0, b"42 served written child true\n")
