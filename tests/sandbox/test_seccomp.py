import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.syscalls import CALLS, REFUSED
from tiny_backspace.sandbox.seccomp import profile, rendered, text

PROFILE: dict[str, Any] = json.loads(text())
RULES: list[dict[str, Any]] = PROFILE["syscalls"]
ALLOWED, EPERM, ENOSYS = 0, 1, 38
WORD = st.integers(0, 2**64 - 1)


def holds(condition: dict[str, Any], arguments: tuple[int, ...]) -> bool:
    value = arguments[condition["index"]] % 2**64
    match condition["op"]:
        case "SCMP_CMP_EQ":
            return bool(value == condition["value"])
        case "SCMP_CMP_MASKED_EQ":
            return bool(value & condition["value"] == condition["valueTwo"])
        case other:
            raise AssertionError(other)


def answer(name: str, *arguments: int) -> int:
    """What a filter made of the profile answers, as libseccomp reads it: rules or-ed, conditions and-ed."""
    padded = arguments + (0,) * (6 - len(arguments))
    answers = {
        {"SCMP_ACT_ALLOW": ALLOWED, "SCMP_ACT_ERRNO": rule.get("errnoRet", EPERM)}[rule["action"]]
        for rule in RULES
        if name in rule["names"] and all(holds(one, padded) for one in rule.get("args", ()))
    }
    assert len(answers) <= 1, "rules contradict each other"
    return answers.pop() if answers else EPERM


def named(action: str) -> set[str]:
    return {name for rule in RULES if rule["action"] == action for name in rule["names"]}


def test_the_file_is_what_the_source_says() -> None:
    assert text() == rendered()
    assert profile() == PROFILE


def test_whatever_has_no_rule_is_refused_with_eperm() -> None:
    assert PROFILE["defaultAction"] == "SCMP_ACT_ERRNO"
    assert PROFILE["defaultErrnoRet"] == EPERM


def test_only_the_machines_own_abi_is_listed() -> None:
    assert PROFILE["archMap"] == [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
    ]


def test_every_system_call_is_decided_on_and_none_is_misspelt() -> None:
    decided = named("SCMP_ACT_ALLOW") | named("SCMP_ACT_ERRNO") | REFUSED
    assert decided == set(CALLS)
    assert not REFUSED & (named("SCMP_ACT_ALLOW") | named("SCMP_ACT_ERRNO"))


def test_a_call_is_in_one_list_only() -> None:
    assert not named("SCMP_ACT_ALLOW") & named("SCMP_ACT_ERRNO")
    plain = [name for rule in RULES if "args" not in rule for name in rule["names"]]
    assert len(plain) == len(set(plain))
    assert not set(plain) & {name for rule in RULES if "args" in rule for name in rule["names"]}


@pytest.mark.parametrize(
    "name", ["io_uring_setup", "io_uring_enter", "io_uring_register", "clone3"]
)
def test_what_libraries_fall_back_from_is_said_to_be_missing(name: str) -> None:
    assert answer(name) == ENOSYS


AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((AF_UNIX, 1, 0), ALLOWED),
        ((AF_INET, 1, 0), ALLOWED),
        ((AF_INET, 1, 6), ALLOWED),
        ((AF_INET6, 2, 17), ALLOWED),
        ((AF_INET6, 0o2000001, 6), ALLOWED),
        ((AF_NETLINK, 3, 0), ALLOWED),
        ((AF_INET, 1, 132), EPERM),  # SCTP
        ((AF_INET, 1, 262), EPERM),  # MPTCP
        ((AF_NETLINK, 3, 6), EPERM),  # NETLINK_XFRM
        ((AF_NETLINK, 3, 12), EPERM),  # NETLINK_NETFILTER
        ((15, 3, 2), EPERM),  # AF_KEY
        ((17, 3, 0), EPERM),  # AF_PACKET
        ((33, 2, 2), EPERM),  # AF_RXRPC
        ((38, 5, 0), EPERM),  # AF_ALG
        ((40, 1, 0), EPERM),  # AF_VSOCK
        ((2**32 + AF_INET, 1, 0), EPERM),  # the kernel would cut off the upper half
    ],
)
def test_sockets_are_of_few_families(arguments: tuple[int, ...], expected: int) -> None:
    assert answer("socket", *arguments) == expected


@given(WORD, WORD, WORD)
def test_no_other_socket_family_has_a_way_in(domain: int, kind: int, protocol: int) -> None:
    if answer("socket", domain, kind, protocol) == ALLOWED:
        assert domain in (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
    assert (answer("socketpair", domain, kind, protocol) == ALLOWED) == (domain == AF_UNIX)


NAMESPACES = {
    "time": 0x80,
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}


@given(WORD, st.sampled_from(sorted(NAMESPACES)))
def test_no_clone_makes_a_namespace(flags: int, namespace: str) -> None:
    assert answer("clone", flags | NAMESPACES[namespace]) == EPERM


@pytest.mark.parametrize("flags", [17, 0x4111, 0x3D0F00, 0x1200011, 0x1000 | 17])
def test_processes_and_threads_can_be_made(flags: int) -> None:
    assert answer("clone", flags) == ALLOWED


@given(WORD)
def test_the_personality_stays_native(persona: int) -> None:
    assert (answer("personality", persona) == ALLOWED) == (persona in (0, 0xFFFFFFFF))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(0o010000, ALLOWED), (0o100000, ALLOWED), (0, ALLOWED), (0o020000, EPERM), (0o060000, EPERM)],
    ids=["pipe", "file", "file unsaid", "character device", "block device"],
)
def test_device_nodes_cannot_be_made(kind: int, expected: int) -> None:
    assert answer("mknod", 0, kind | 0o644) == expected
    assert answer("mknodat", 0, 0, kind | 0o644) == expected
