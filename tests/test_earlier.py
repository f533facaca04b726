"""What an earlier run left, in a repository that has programs run for whoever looks at it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.program import git, make_repository
from tests.repo.hostgit import host_git
from tiny_backspace.earlier import at

SIGNATURE = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n"


def test_a_commit_that_says_it_is_signed_has_nothing_run(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {"a": "b\n"})
    canary, program = tmp_path / "canary", tmp_path / "gpg"
    program.write_text(f"#!/bin/sh\ntouch {canary}\n")
    program.chmod(0o755)
    plain = subprocess.run(
        ["git", "cat-file", "commit", "HEAD"], cwd=repository, capture_output=True, check=True
    ).stdout
    head, _, _ = plain.partition(b"\n\n")
    signed = head + b"\n" + SIGNATURE + b"\nTitle\n\nText\n\nTiny-Backspace-Once: k\n"
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        cwd=repository, input=signed, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    git(repository, "update-ref", "refs/heads/tidy", made)
    git(repository, "config", "log.showSignature", "true")
    for name in ("gpg.program", "gpg.openpgp.program"):
        git(repository, "config", name, str(program))

    found = at(host_git(tmp_path), repository / ".git", "refs/heads/tidy", "k")

    assert found is not None
    assert (found.commit, found.title) == (made, "Title")
    assert not canary.exists()
    subprocess.run(["git", "log", "-1", "tidy"], cwd=repository, capture_output=True, check=False)
    assert canary.exists()  # for somebody else it does run
