"""Which changed files Git LFS is to keep: as the attributes of the result say."""

from __future__ import annotations

from pathlib import Path

from tests.repo.built import FILE, LINK, built, plain
from tests.repo.hostgit import mirrored
from tiny_backspace.repo.attributes import kept_by_lfs
from tiny_backspace.repo.difference import parse_raw
from tiny_backspace.repo.quarantine import quarantine

RULES = {
    b".gitattributes": b"*.bin filter=lfs -text\n*.txt filter=other\nplain.bin !filter\nodd\xff* filter=lfs\n",
    b"sub/.gitattributes": b"*.bin -filter\n*.psd filter=lfs\n",
}


def test_new_content_is_told_and_a_pointer_that_moved_is_not(tmp_path: Path) -> None:
    base_tree = {**RULES, b"old.bin": b"pointer", b"same.bin": b"same", b"changed.bin": b"before"}
    result = {
        **RULES,
        b"moved.bin": b"pointer", b"same.bin": b"same", b"changed.bin": b"after", b"new.bin": b"1",
        b"plain.bin": b"2", b"a.txt": b"3", b"sub/a.bin": b"4", b"sub/a.psd": b"5", b"odd\xff\n": b"6",
        b"-x.bin": b"7", b"link.bin": (LINK, b"8"),
    }  # fmt: skip
    source = built(tmp_path / "r", base_tree)
    mirror, base = mirrored(source, tmp_path)
    with quarantine(tmp_path / "q.git", mirror, base) as cage:
        index = b""
        for path, content in result.items():
            mode, data = content if isinstance(content, tuple) else (FILE, content)
            blob = plain(cage.path, "hash-object", "-w", "--stdin", stdin=data).strip()
            index += b"%s %s\t%s\0" % (mode.encode(), blob, path)
        plain(cage.path, "read-tree", "--empty")
        plain(cage.path, "update-index", "-z", "--index-info", stdin=index)
        tree = plain(cage.path, "write-tree").decode().strip()
        raw = cage.read("diff-tree", "-r", "-z", "--raw", "--full-index", base.sha, tree)

        found = kept_by_lfs(cage, parse_raw(raw))

    assert found == {b"changed.bin", b"new.bin", b"sub/a.psd", b"odd\xff\n", b"-x.bin"}
    assert kept_by_lfs(cage, []) == frozenset()
