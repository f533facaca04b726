"""Which system calls a sandbox may make: an allow-list of our own, in the format Docker reads.

Everything not named here fails with EPERM: mounts, namespaces, modules, kexec, ptrace and reading other
processes' memory, keyrings, bpf, perf, userfaultfd, secret memory, file handles, NUMA policy, the clock's
setting, swap, quotas, `sync` (it would flush the host's disks), `vmsplice`, fanotify. Only the machine's
own ABI is listed, so a call by the i386 or x32 door ends the process with SIGSYS.

`python -m tiny_backspace.sandbox.seccomp` writes `seccomp.json` beside this file; `text()` reads it.
Names a C library or engine does not know are ignored there: naming new calls is safe.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

Rule: TypeAlias = dict[str, object]

DATA = Path(__file__).with_name("seccomp.json")
"""The profile as a file. Podman takes the option's text for the name of one, which its service opens."""
_EPERM, _ENOSYS = 1, 38

ALLOWED = {
    "open files and what is in them": """
        open openat openat2 creat close close_range read write readv writev pread64 pwrite64 preadv pwritev
        preadv2 pwritev2 lseek sendfile copy_file_range splice tee readahead fadvise64 fallocate truncate
        ftruncate fsync fdatasync sync_file_range flock fcntl ioctl dup dup2 dup3 pipe pipe2 memfd_create
    """,
    "the tree of files": """
        stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 getdents getdents64 getcwd
        chdir fchdir mkdir mkdirat rmdir rename renameat renameat2 link linkat unlink unlinkat symlink symlinkat
        readlink readlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask utime utimes
        futimesat utimensat inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
    """,
    "extended attributes": """
        getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat setxattr lsetxattr
        fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
    """,
    "memory of one's own": """
        brk mmap munmap mremap mprotect madvise msync mincore mlock mlock2 munlock mlockall munlockall mseal
        pkey_alloc pkey_free pkey_mprotect membarrier
    """,
    "processes and threads (clone is below)": """
        fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid setpgid getpgrp
        getsid setsid set_tid_address set_robust_list get_robust_list rseq arch_prctl prctl pidfd_open futex
        futex_waitv futex_wait futex_wake futex_requeue restart_syscall
    """,
    "scheduling": """
        sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler
        sched_setscheduler sched_getattr sched_setattr sched_get_priority_max sched_get_priority_min
        sched_rr_get_interval getpriority setpriority ioprio_get ioprio_set getcpu
    """,
    "signals": """
        rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo
        rt_sigsuspend sigaltstack kill tkill tgkill pidfd_send_signal signalfd signalfd4 pause
    """,
    "who one is; without capabilities these only ever give rights away": """
        getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid
        setresgid setgroups setfsuid setfsgid capget capset
    """,
    "narrowing oneself further": """
        seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
    """,
    "limits and facts": """
        getrlimit setrlimit prlimit64 getrusage times sysinfo uname getrandom
    """,
    "time and timers": """
        time gettimeofday clock_gettime clock_getres nanosleep clock_nanosleep alarm getitimer setitimer
        timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime
        timerfd_gettime
    """,
    "waiting for many things at once": """
        select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
        eventfd eventfd2
    """,
    "sockets, once there is one (socket and socketpair are below)": """
        bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt shutdown sendto
        recvfrom sendmsg recvmsg sendmmsg recvmmsg
    """,
    "System V and POSIX messages, in the container's own namespace": """
        shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink
        mq_timedsend mq_timedreceive mq_notify mq_getsetattr
    """,
}

# Callers try these first and fall back when the kernel is said not to have them; EPERM would stop them.
# io_uring opens sockets past the rules for `socket`; clone3 hides its flags in memory, where no filter looks.
MISSING = """
    clone3 io_uring_setup io_uring_enter io_uring_register io_setup io_destroy io_submit io_cancel io_getevents
    io_pgetevents statmount listmount cachestat map_shadow_stack
"""

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE = 0  # how libraries ask for the interfaces; the others (xfrm, netfilter, audit …) are kernel doors
# Whatever fits, TCP, UDP. Not SCTP, DCCP or MPTCP: the kernel loads their modules for whoever asks.
_IP_PROTOCOLS = (0, 6, 17)
# CLONE_NEWTIME (0x80), NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. In `clone` the first lies
# among the bits of the exit signal, where no signal reaches: refusing it costs nothing.
_NEW_NAMESPACES = 0x80 | 0x2_0000 | 0x7E00_0000
# The native personality, and the question which one is in force. Not PER_LINUX32 or UNAME26 (there is no such
# ABI here) and not the bits that switch address randomisation off or make everything readable executable.
_PERSONALITIES = (0, 0xFFFF_FFFF)


def profile() -> Rule:
    """The profile as Docker's JSON has it. Rules for one call are alternatives; the arguments of a rule all hold."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            *(_allow(*names.split()) for names in ALLOWED.values()),
            *_by_argument(),
            {"names": MISSING.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
        ],
    }


def _by_argument() -> Iterator[Rule]:
    """The calls that are harmless with some arguments only. Arguments are compared in all their 64 bits."""
    yield _allow("clone", _masked(0, _NEW_NAMESPACES, 0))
    for value in _PERSONALITIES:
        yield _allow("personality", _equal(0, value))
    yield _allow("socketpair", _equal(0, _AF_UNIX))
    yield _allow("socket", _equal(0, _AF_UNIX))
    yield _allow("socket", _equal(0, _AF_NETLINK), _equal(2, _NETLINK_ROUTE))
    for domain in (_AF_INET, _AF_INET6):
        for protocol in _IP_PROTOCOLS:
            yield _allow("socket", _equal(0, domain), _equal(2, protocol))
    # Pipes and plain files, for which 0 stands too. Whiteouts, character devices 0:0, would need no capability.
    for kind in (stat.S_IFIFO, stat.S_IFREG, 0):
        yield _allow("mknod", _masked(1, 0o170000, kind))
        yield _allow("mknodat", _masked(2, 0o170000, kind))


def _allow(*parts: str | Rule) -> Rule:
    names = [part for part in parts if isinstance(part, str)]
    arguments = [part for part in parts if not isinstance(part, str)]
    return {"names": names, "action": "SCMP_ACT_ALLOW"} | ({"args": arguments} if arguments else {})


def _equal(index: int, value: int) -> Rule:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def _masked(index: int, mask: int, value: int) -> Rule:
    """The argument has `value` in the bits of `mask`."""
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def rendered() -> str:
    """The profile as JSON, a rule to a line, so that a change of it can be read."""
    head = profile()
    rules = head.pop("syscalls")
    assert isinstance(rules, list)
    lines = ",\n".join(json.dumps(rule, separators=(",", ":")) for rule in rules)
    return f'{json.dumps(head, separators=(",", ":"))[:-1]},"syscalls":[\n{lines}\n]}}\n'


@cache
def text() -> str:
    """The profile as `security_opt=["seccomp=" + …]` takes it: its content, as an engine opens no file of ours."""
    return DATA.read_text(encoding="ascii")


if __name__ == "__main__":
    DATA.write_text(rendered(), encoding="ascii")
