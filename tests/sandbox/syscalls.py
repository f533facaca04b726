"""The kernel's system calls by number, and those that a sandbox must not have."""

from pathlib import Path
from typing import NamedTuple


class Call(NamedTuple):
    x86_64: int | None
    aarch64: int | None


def _number(word: str) -> int | None:
    return None if word == "-" else int(word)


_LINES = Path(__file__).with_name("syscalls.txt").read_text(encoding="ascii").splitlines()[1:]
CALLS = {
    name: Call(_number(intel), _number(arm))
    for name, intel, arm in (line.split() for line in _LINES)
}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


REFUSED = _names("""
    mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick
    mount_setattr swapon swapoff quotactl quotactl_fd acct nfsservctl sysfs ustat vhangup lookup_dcookie
    unshare setns sethostname setdomainname reboot kexec_load kexec_file_load syslog
    init_module finit_module delete_module create_module query_module get_kernel_syms
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_getfd kcmp
    keyctl add_key request_key bpf perf_event_open userfaultfd memfd_secret fanotify_init fanotify_mark
    name_to_handle_at open_by_handle_at vmsplice remap_file_pages uselib sync syncfs
    iopl ioperm modify_ldt set_thread_area get_thread_area
    settimeofday clock_settime clock_adjtime adjtimex
    get_mempolicy set_mempolicy set_mempolicy_home_node mbind move_pages migrate_pages
    file_getattr file_setattr lsm_get_self_attr lsm_set_self_attr lsm_list_modules
    _sysctl afs_syscall epoll_ctl_old epoll_wait_old getpmsg putpmsg security tuxcall vserver
""")
