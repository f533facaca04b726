"""What `<repo>` may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.errors import UsageError
from tiny_backspace.repo.source import LONGEST, Local, Page, Remote, page, parse

GITHUB = Remote("https://github.com/owner/name.git", "github.com", "owner", "name")
SECRET = "hunter2-ghp-s3cr3t"


def refusal(text: str) -> str:
    """The sentence it is refused with, and its hint."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "path",
    [
        ".",
        "..",
        "/",
        "/srv/repo",
        "./repo",
        "../repo",
        "~",
        "~/repo",
        "~ann/repo",
        "repo",
        "my\xa0repo",
        "repo.git",
        ".hidden",
        "./a/b/c",
        "/a/../b",
        "./-x",
        "repo@2",
        "größe",
    ],
)
def test_a_path_is_kept_as_it_was_written(path: str) -> None:
    assert parse(path) == Local(path)


def test_a_file_url_is_a_local_path_with_its_escapes_undone_once() -> None:
    assert parse("file:///srv/my%20repo%2520") == Local("/srv/my repo%20")


@pytest.mark.parametrize(
    "text",
    [
        "owner/name",
        "owner/name.git",
        "owner/name/",
        "https://github.com/owner/name",
        "https://github.com/owner/name.git",
        "https://github.com/owner/name/",
        "https://github.com/owner/name.git/",
        "HTTPS://GitHub.COM:443/owner/name",
        "https://www.github.com/owner/name",
        "git@github.com:owner/name.git",
        "git@github.com:owner/name",
    ],
)
def test_every_spelling_of_a_github_repository_becomes_one_url(text: str) -> None:
    assert parse(text) == GITHUB


@pytest.mark.parametrize(
    ("text", "url", "host"),
    [
        ("https://git.example.org:8443/o/n", "https://git.example.org:8443/o/n.git", None),
        ("https://xn--bcher-kva.example/o/n", "https://xn--bcher-kva.example/o/n.git", None),
        ("https://192.0.2.7/o/n", "https://192.0.2.7/o/n.git", None),
        ("https://[2001:DB8::0:1]/o/n", "https://[2001:db8::1]/o/n.git", "[2001:db8::1]"),
        ("http://127.0.0.1:8080/o/n.git", "http://127.0.0.1:8080/o/n.git", "127.0.0.1:8080"),
        ("http://127.9.9.9/o/n", "http://127.9.9.9/o/n.git", "127.9.9.9"),
        ("http://localhost:080/o/n", "http://localhost/o/n.git", "localhost"),
        ("http://[::1]:99/o/n", "http://[::1]:99/o/n.git", "[::1]:99"),
        ("http://[0:0:0::1]/git/deep/o/n", "http://[::1]/git/deep/o/n.git", "[::1]"),
        ("git@example.org:o/n", "https://example.org/o/n.git", "example.org"),
    ],
)
def test_a_url_is_built_anew_from_its_checked_parts(text: str, url: str, host: str | None) -> None:
    remote = parse(text)
    assert isinstance(remote, Remote)
    assert (remote.url, remote.owner, remote.name) == (url, "o", "n")
    assert remote.host == (host or url.split("/")[2])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a" * (LONGEST + 1), "4 kB"),
        ("ü" * (LONGEST // 2 + 1), "4 kB"),
        ("owner/na\nme", "control"),
        ("repo\0", "control"),
        ("repo\x1b[31m", "control"),
        ("repo\u202egnp", "control"),
        ("https://github.com/ow\u200bner/name", "control"),
        ("file:///srv/a%00b", "control"),
        ("file:///srv/a%0ab", "control"),
        ("--upload-pack=touch x", "dash"),
        ("-oProxyCommand=x/y", "dash"),
        ("..\\..\\x", "backslash"),
        ("https://github.com\\@evil.example/o/n", "backslash"),
        ("file:///srv/a%5cb", "encoded"),
        ("ext::sh -c id", "ext:"),
        ("fd::7", "fd:"),
        ("ssh://git@github.com/o/n", "ssh:"),
        ("git://github.com/o/n", "git:"),
        ("ftp://example.org/o/n", "ftp:"),
        ("http://github.com/o/n", "Plain http"),
        ("http://169.254.169.254/o/n", "Plain http"),
        ("http://[::ffff:127.0.0.1]/o/n", "Plain http"),
        ("http://localhost.example.org/o/n", "Plain http"),
        ("http://127.0.0.1.example.org/o/n", "Plain http"),
        ("https://github.com/o/../n", ".."),
        ("https://github.com/o/..", ".."),
        ("https://github.com/./n", ".."),
        ("https://github.com/o/%2e%2E", "encoded"),
        ("https://github.com/o%2fn", "encoded"),
        ("file:///srv/../etc", ".."),
        ("file:///srv/%2e%2e/etc", "encoded"),
        ("owner/..", ".."),
        ("owner/.", ".."),
        ("https://github.com/o/n?ref=x", "query"),
        ("https://github.com/o/n#readme", "fragment"),
        ("file:///srv/x?y", "query"),
        ("git@github.com:o/n#1", "fragment"),
        ("file://host/share", "absolute"),
        ("file:////host/share", "absolute"),
        ("file:///srv/%ff", "UTF-8"),
        ("https:///o/n", "host"),
        ("https://-x.example/o/n", "host"),
        ("https://bücher.example/o/n", "xn--"),
        ("https://a..b/o/n", "host"),
        ("https://" + "a." * 127 + "b/o/n", "host"),
        ("https://2130706433/o/n", "host"),
        ("https://0x7f.1/o/n", "host"),
        ("https://0x7f000001/o/n", "host"),
        ("https://127.0.0.01/o/n", "host"),
        ("https://[::1/o/n", "host"),
        ("https://[nope]/o/n", "host"),
        ("https://[fe80::1%25eth0]/o/n", "zone"),
        ("https://example.org:0/o/n", "port"),
        ("https://example.org:65536/o/n", "port"),
        ("https://example.org:/o/n", "port"),
        ("https://example.org:٣/o/n", "port"),
        ("git@-x:o/n", "host"),
        ("git@host:22/o/n", "two parts"),
        ("git@host:/o/n", "two parts"),
        ("https://github.com/owner", "two parts"),
        ("https://github.com/", "two parts"),
        ("https://gitlab.example/group/sub/name", "two parts"),
        ("https://github.com/o//n", "two parts"),
        ("http://127.0.0.1/o//n", "A-Z"),
        ("a/b/c", "./"),
        ("github.com/o/n", "https://"),
        ("-", "dash"),
        ("own er/name", "A-Z"),
        ("owner/-name", "A-Z"),
        ("owner/.name", "A-Z"),
        (".owner/name", "A-Z"),
        ("owner/.git", "A-Z"),
        ("owner/näme", "A-Z"),
        ("owner/name%20x", "A-Z"),
        ("owner/$(id)", "A-Z"),
        ("https:/github.com/o/n", "neither"),
        ("host:owner/name", "neither"),
        ("C:/repo", "neither"),
        ("https://github.com/o/n/issues/12", "page"),
        ("https://github.com/o/n/pull/3", "page"),
        ("https://github.com/o/n/tree/main/src", "page"),
        ("https://github.com/o/n/Pull/3/files", "page"),
    ],
)
def test_what_is_refused_says_why(text: str, word: str) -> None:
    assert word in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@github.com/o/n",
        f"https://{SECRET}@github.com/o/n",
        f"https://x:{SECRET}/more@github.com/o/n?q",
        f"http://{SECRET}@127.0.0.1/o/n",
        f"user:{SECRET}@github.com/o/n",
        f"{SECRET}@github.com/o/n",
        f"{SECRET}@github.com:o/n",
        f"git@{SECRET}@github.com:o/n",
    ],
)
def test_credentials_are_refused_and_never_repeated(text: str) -> None:
    said = refusal(text)
    assert "token" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "text",
    [f"ssh://u:{SECRET}@h/o/n", f"https://u:{SECRET}/o/n", f"./{SECRET}\n", f"o/{SECRET}@"],
)
def test_no_refusal_repeats_what_was_typed(text: str) -> None:
    assert SECRET not in refusal(text)


def test_the_longest_text_is_taken() -> None:
    assert parse("a" * LONGEST) == Local("a" * LONGEST)


PIECES = st.sampled_from(
    [
        "https://",
        "http://",
        "file://",
        "HTTP://",
        "git@",
        "ext::",
        "github.com",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "www.github.com",
        "example.org",
        ":443",
        ":80",
        ":8080",
        ":",
        "/",
        "//",
        "owner",
        "name",
        ".git",
        "..",
        ".",
        "-",
        "_",
        "%2e",
        "%00",
        "?",
        "#",
        "@",
        "~",
        "\\",
        "1",
        "[",
        "]",
        "xn--",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=10).map("".join)))
def test_anything_is_either_a_source_or_a_usage_error(text: str) -> None:
    try:
        source = parse(text)
    except UsageError:
        return
    if isinstance(source, Remote):
        assert parse(source.url) == source


PART = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(
    lambda part: part.removesuffix(".git") != ""
)


@given(
    st.sampled_from(
        ["https://github.com/", "https://a.b:8443/", "http://127.0.0.1:1/x/", "git@h:", ""]
    ),
    PART,
    PART,
)
def test_a_remotes_url_parses_to_the_same_remote(before: str, owner: str, name: str) -> None:
    remote = parse(f"{before}{owner}/{name}")
    assert isinstance(remote, Remote)
    assert remote.url.endswith(f"/{owner}/{name.removesuffix('.git')}.git")
    assert parse(remote.url) == remote


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("https://github.com/owner/name/issues/12", "issue", 12),
        ("https://github.com/owner/name/issues/12/", "issue", 12),
        ("https://github.com/owner/name/issues/12#issuecomment-34", "issue", 12),
        ("https://github.com/owner/name/issues/12?tab=x#y", "issue", 12),
        ("https://www.github.com/owner/name/pull/3", "pull request", 3),
        ("https://github.com/owner/name/pull/3/files", "pull request", 3),
        ("https://github.com/owner/name/pull/3/changes?w=1", "pull request", 3),
        ("https://github.com/owner/name/pull/3/commits", "pull request", 3),
        ("https://github.com/owner/name.git/pull/999999999", "pull request", 999_999_999),
    ],
)
def test_the_address_of_an_issue_or_a_pull_request_is_understood(
    text: str, kind: str, number: int
) -> None:
    found = page(text)

    assert found is not None
    assert (found.remote, found.kind, found.number) == (GITHUB, kind, number)


def test_a_page_is_at_the_place_that_its_address_names() -> None:
    there = Remote("http://127.0.0.1:8080/o/n.git", "127.0.0.1:8080", "o", "n")

    assert page("http://127.0.0.1:8080/o/n/issues/7") == Page(there, "issue", 7)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "owner/name", "owner/name/issues/1", "owner/name#1", "/srv/issues/1", "file:///srv/issues/1",
        "https://github.com/owner/name", "https://github.com/owner/name/issues", "https://github.com/owner/name/pulls/1",
        "https://github.com/owner/name/issues/0", "https://github.com/owner/name/issues/01",
        "https://github.com/owner/name/issues/1234567890", "https://github.com/owner/name/issues/1x",
        "https://github.com/owner/name/issues/-1", "https://github.com/owner/name/issues/\u0663",
        "https://github.com/owner/name/issues/1\n", "https://github.com/owner/name/issues/1/files/../..",
        "https://github.com/owner/name/pull/1/commits/abc", "git@github.com:owner/name/pull/1",
    ],
)  # fmt: skip
def test_what_is_no_such_address_is_no_page(text: str) -> None:
    assert page(text) is None


@pytest.mark.parametrize(
    "text",
    [
        f"https://me:{SECRET}@github.com/owner/name/issues/1",
        f"https://{SECRET}@github.com/owner/name/pull/1",
        f"http://github.com/{SECRET}/name/issues/1",
        f"https://github.com/../{SECRET}/issues/1",
        f"https://github.com/{SECRET}/issues/1",
        f"https://github.com/a/{SECRET}/more/issues/1",
    ],
)
def test_a_page_of_no_repository_is_refused_as_the_repository_would_be(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        page(text)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, st.sampled_from(["/issues/", "/pull/", "7"])), max_size=12).map("".join)))  # fmt: skip
def test_no_text_is_both_a_page_and_a_repository(text: str) -> None:
    try:
        found = page(text)
    except UsageError:
        return
    if found is not None:
        assert parse(found.remote.url) == found.remote
        with pytest.raises(UsageError):
            parse(text)


@pytest.mark.parametrize(
    ("github", "url"),
    [
        ("https://github.com", "https://github.com/owner/name.git"),
        ("https://ghe.example.org", "https://ghe.example.org/owner/name.git"),
        ("https://GHE.example.org:8443", "https://ghe.example.org:8443/owner/name.git"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/owner/name.git"),
        ("http://localhost/git", "http://localhost/git/owner/name.git"),
    ],
)
def test_owner_and_name_alone_are_at_the_github_of_the_settings(github: str, url: str) -> None:
    found = parse("owner/name", github)

    assert isinstance(found, Remote)
    assert (found.url, found.owner, found.name) == (url, "owner", "name")


@pytest.mark.parametrize("text", [".", "name", "./owner/name", "https://github.com/owner/name", "git@github.com:owner/name"])  # fmt: skip
def test_what_says_where_it_is_does_not_go_to_the_github_of_the_settings(text: str) -> None:
    assert parse(text, "https://ghe.example.org") == parse(text)


@pytest.mark.parametrize(
    "text", ["owner/..", "owner/name/x", "owner/na me", "-o/n", "owner/name?x"]
)
def test_another_github_takes_no_other_names(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text, "https://ghe.example.org")
