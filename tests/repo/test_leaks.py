"""Secrets in added lines: each format found, its neighbours not, and no value ever told.

Every key is drawn here, so that none stands in this file.
"""

from __future__ import annotations

import string
from base64 import b64encode, urlsafe_b64encode
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace.redact import MASK, redactor
from tiny_backspace.repo.leaks import Leak, leaks
from tiny_backspace.repo.lines import Added

UPPER, LOWER, DIGITS = string.ascii_uppercase, string.ascii_lowercase, string.digits
WORD = string.ascii_letters + DIGITS
URL, BASE64, HEX = WORD + "_-", WORD + "+/", "0123456789abcdef"
MEGABYTES = 5 << 20


def drawn(length: int, alphabet: str = WORD, seed: int = 7) -> str:
    return "".join(Random(seed).choices(alphabet, k=length))


def lines(*texts: str | bytes, path: bytes = b"a.py", moved: bool = False) -> list[Added]:
    return [
        Added(path, n, text if isinstance(text, bytes) else text.encode(), moved)
        for n, text in enumerate(texts, start=1)
    ]


def found(*texts: str | bytes, path: bytes = b"a.py") -> list[tuple[int, str, str]]:
    return [(leak.number, leak.kind, leak.severity) for leak in leaks(lines(*texts, path=path))]


def web_token(claims: str = f'{{"sub":"{drawn(20)}"}}') -> str:
    parts = (urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in ('{"alg":"HS256"}', claims))  # fmt: skip
    return ".".join((*parts, drawn(43, URL)))


def discord_token(digits: int = 18) -> str:
    number = urlsafe_b64encode(drawn(digits, DIGITS).encode()).decode().rstrip("=")
    return f"{number}.{drawn(6, URL)}.{drawn(38, URL)}"


SECRETS = [
    *((f"gh{letter}_{drawn(36)}", "a GitHub token") for letter in "pousr"),
    (f"github_pat_{drawn(22)}_{drawn(59)}", "a GitHub token"),
    *((f"{p}-{drawn(20, URL)}", "a GitLab token") for p in ("glpat", "gldt", "glrt", "glcbt")),
    (f"sk-ant-api03-{drawn(93, URL)}AA", "an Anthropic key"),
    *((f"sk-{p}-{drawn(74, URL)}", "an OpenAI key") for p in ("proj", "svcacct", "admin")),
    (f"sk-{drawn(48)}", "an API key"),
    *((f"{p}{drawn(16, UPPER + '234567')}", "an AWS key id") for p in ("AKIA", "ASIA")),
    (f'aws_secret_access_key = "{drawn(40, BASE64)}"', "an AWS secret key"),
    (f"AWS_SECRET_ACCESS_KEY={drawn(40, BASE64)}", "an AWS secret key"),
    (f"secretAccessKey: '{drawn(40, BASE64)}',", "an AWS secret key"),
    (f"AIza{drawn(35, URL)}", "a Google API key"),
    (f"GOCSPX-{drawn(28, URL)}", "a Google client secret"),
    *((f"xox{letter}-{drawn(12, DIGITS)}-{drawn(24)}", "a Slack token") for letter in "abp"),
    (f"xapp-1-{drawn(11, UPPER)}-{drawn(13, DIGITS)}-{drawn(64, HEX)}", "a Slack token"),
    (f"https://hooks.slack.com/services/T{drawn(9, UPPER)}/B{drawn(9, UPPER)}/{drawn(24)}", "a Slack webhook"),
    *((f"{p}_live_{drawn(24)}", "a Stripe live key") for p in ("sk", "rk")),
    (f"whsec_{drawn(32)}", "a Stripe webhook secret"),
    (f"npm_{drawn(36)}", "an npm token"),
    (f"pypi-AgEIcHlwaS5vcmc{drawn(120, URL)}", "a PyPI token"),
    (f"hf_{drawn(34)}", "a Hugging Face token"),
    (f"AccountName=a;AccountKey={drawn(86, BASE64)}==;EndpointSuffix=x", "an Azure storage key"),
    (f"Endpoint=sb://x;SharedAccessKey={drawn(43, BASE64)}=", "an Azure access key"),
    (f"SG.{drawn(22, URL)}.{drawn(43, URL)}", "a SendGrid key"),
    (f"SK{drawn(32, HEX)}", "a Twilio key"),
    (f"TWILIO_AUTH_TOKEN={drawn(32, HEX)}", "a Twilio token"),
    (f"{drawn(10, '123456789')}:AA{drawn(33, URL)}", "a Telegram bot token"),
    *((discord_token(n), "a Discord token") for n in (17, 18, 19, 20)),
    (f"https://discord.com/api/webhooks/{drawn(18, DIGITS)}/{drawn(68, URL)}", "a Discord webhook"),
    (f"sk-or-v1-{drawn(64, HEX)}", "an OpenRouter key"),
    (f"gsk_{drawn(52)}", "a Groq key"),
    (f"xai-{drawn(80)}", "an xAI key"),
    (f"pplx-{drawn(48)}", "a Perplexity key"),
    (f"r8_{drawn(37)}", "a Replicate token"),
    (f"lsv2_pt_{drawn(32, HEX)}_{drawn(10, HEX)}", "a LangSmith key"),
    (f"GR1348941{drawn(20, URL)}", "a GitLab token"),
    (f"ABSK{drawn(128, BASE64)}", "an AWS Bedrock key"),
    (f"ya29.{drawn(120, URL)}", "a Google access token"),
    (f"{drawn(3)}8Q~{drawn(34)}", "an Azure client secret"),
    (f"ATATT3{drawn(186, URL)}", "an Atlassian token"),
    *((f"{p}_v1_{drawn(64, HEX)}", "a DigitalOcean token") for p in ("dop", "doo", "dor")),
    *((f"dckr_{p}_{drawn(32)}", "a Docker token") for p in ("pat", "oat")),
    (f"dapi{drawn(32, HEX)}", "a Databricks token"),
    (f"dp.pt.{drawn(43)}", "a Doppler token"),
    (f"figd_{drawn(40, URL)}", "a Figma token"),
    (f"glsa_{drawn(32)}_{drawn(8, HEX)}", "a Grafana token"),
    (f"HRKU-{drawn(60, URL)}", "a Heroku key"),
    (f"lin_api_{drawn(40)}", "a Linear key"),
    (f"nfp_{drawn(40)}", "a Netlify token"),
    (f"NRAK-{drawn(27, UPPER + DIGITS)}", "a New Relic key"),
    (f"ntn_{drawn(46)}", "a Notion token"),
    (f"pscale_tkn_{drawn(43, URL)}", "a PlanetScale secret"),
    (f"PMAK-{drawn(24, HEX)}-{drawn(34, HEX)}", "a Postman key"),
    (f"pul-{drawn(40, HEX)}", "a Pulumi token"),
    (f"rubygems_{drawn(48, HEX)}", "a RubyGems key"),
    (f"cio{drawn(32)}", "a crates.io token"),
    (f"oy2{drawn(43, LOWER + DIGITS)}", "a NuGet key"),
    (f"sntryu_{drawn(64, HEX)}", "a Sentry token"),
    *((f"shp{p}_{drawn(32, HEX)}", "a Shopify token") for p in ("at", "ca", "pa", "ss")),
    (f"sq0csp-{drawn(43, URL)}", "a Square secret"),
    (f"sbp_{drawn(40, HEX)}", "a Supabase token"),
    (f"{drawn(14)}.atlasv1.{drawn(67, URL)}", "a Terraform token"),
    (f"hvs.{drawn(95, URL)}", "a Vault token"),
    (f"AGE-SECRET-KEY-1{drawn(58, UPPER + DIGITS)}", "an age key"),
    (web_token(), "a JSON Web Token"),
    (f"postgres://app:{drawn(20)}@db.internal.net:5432/app", "a database's password"),
    (f"mongodb+srv://app:{drawn(20)}@cluster0.mongodb.net/?x=1", "a database's password"),
    (f"jdbc:mysql://app:{drawn(20)}@10.0.0.7/app", "a database's password"),
    (f"-----BEGIN RSA PRIVATE KEY-----\\n{drawn(64, BASE64)}\\n", "a private key"),
    (f'"private_key": "-----BEGIN PRIVATE KEY-----\\n{drawn(64, BASE64)}\\n"', "a private key"),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "kind"), SECRETS)
@pytest.mark.parametrize("around", ["{}", '  "key": "{}",', "\\n{}\\n", "# see {} there", "x={}"])
def test_a_secret_is_refused_wherever_it_stands_and_never_told(
    secret: str, kind: str, around: str
) -> None:
    (leak,) = leaks(lines("first", around.replace("{}", secret)))

    assert leak == Leak(b"a.py", 2, kind, "refuse")


FORMATS = [secret for secret, _ in SECRETS if secret.isascii() and " " not in secret]


@pytest.mark.parametrize("secret", FORMATS)
def test_a_key_within_a_word_or_too_short_is_none(secret: str) -> None:
    if not secret.startswith(("AWS", "TWILIO", "Acc", "End", "http", "jdbc", "postgres", "mongo")):
        assert [kind for _, kind, sure in found(f"x{secret}") if sure == "refuse"] == []
    assert [kind for _, kind, sure in found(secret[:14]) if sure == "refuse"] == []


@pytest.mark.parametrize(
    "secret",
    [
        *(f"ghp_{drawn(35)}", f"npm_{drawn(35)}", f"npm_{drawn(37)}", f"hf_{drawn(33)}"),
        *(f"AKIA{drawn(15, UPPER)}", f"AKIA{drawn(17, UPPER)}", f"AIza{drawn(34, URL)}"),
        *(f"AIza{drawn(36)}", f"SK{drawn(31, HEX)}", f"SK{drawn(33, HEX)}"),
        *(f"sk-{drawn(31)}", f"glpat-{drawn(19)}", f"pypi-{drawn(80)}", f"sk_live_{drawn(15)}"),
        *(f"{drawn(7, '123456789')}:AA{drawn(33)}", f"123:AB{drawn(33)}"),
        *(web_token().rpartition(".")[0], f"eyJ{drawn(30)}", f"module.Kind_{drawn(20)}.x"),
        *(f"Mxxx{drawn(20)}.{drawn(6)}.{drawn(30)}", "disk-" + "read-only-memory-of-many-parts"),
    ],
)
def test_what_is_one_character_off_is_no_key(secret: str) -> None:
    assert found(f"# {secret}") == []


@pytest.mark.parametrize(
    "text",
    [
        *("ghp_" + "x" * 36, "sk-ant-" + "your-key-goes-here-" * 2, "AKIA" + "X" * 16),
        *("sk-" + "0" * 48, "ghp_" + "abcdefghij" * 4, "xoxb-" + "1234567890-" * 3, "npm_" + "aB1" * 12),
        *(web_token('{"sub":"1234567890","name":"John Doe"}'), web_token('{"iss":"example.com"}')),
        *("postgres://user:password@db.net/x", "postgres://app:app@db.net/x", "redis://:x@h:1"),
        *("postgres://app:${PASSWORD}@db.net/x", "mysql://app:{password}@db.net", "amqp://a:%s@b.c"),
        *("postgres://app:s3cretB4cks@db.example.com/x", "https://host:8080/x?a@b", "git@host:a/b"),
        *("postgres://user:<password>@db.net/x", "postgres://root:root@localhost/x"),
    ],
)  # fmt: skip
def test_what_is_plainly_made_up_is_passed_over(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("AKIA" + "IOSFODNN7EXAMPLE", "an AWS key id"),
        (f"aws_secret_access_key={'wJalrXUtnFEMI/K7MDENG'}/bPxRfiCYEXAMPLEKEY", "an AWS secret key"),
        (f"sk_test_{drawn(24)}", "a Stripe test key"),
        (f"redis://:{drawn(20)}@cache:6379/0", "a database's password"),
        (f"https://user:{drawn(20)}@host.net/x", "a password in an address"),
        ("if text.startswith('-----BEGIN PRIVATE KEY-----'):", "the head of a private key"),
    ],
)  # fmt: skip
def test_what_everybody_may_know_or_may_be_meant_is_a_flag(text: str, kind: str) -> None:
    assert found(text) == [(1, kind, "flag")]


def test_the_emulators_published_account_key_is_a_flag() -> None:
    start, end = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1", "OUzFT50uSRZ6IFsuFq2UVErCz4I6tq"
    key = f"{start}{end}/K1SZFPTOtr/KBHBeksoGMGw=="

    assert found(f"AccountKey={key}") == [(1, "an Azure storage key", "flag")]


def test_a_real_key_beside_a_published_or_made_up_one_is_still_refused() -> None:
    published, made_up = "AKIA" + "IOSFODNN7EXAMPLE", "AKIA" + "X" * 16
    real = "AKIA" + drawn(16, UPPER)

    assert found(f"{made_up} {published} {real}") == [(1, "an AWS key id", "refuse")]


def test_a_key_over_several_lines_is_one_and_its_head_alone_is_none() -> None:
    head, body = "-----BEGIN OPENSSH PRIVATE KEY-----", drawn(70, BASE64)

    assert found(head, body, body) == [(1, "a private key", "refuse")]
    assert found(f'key = "{head}\\n"', f'    "{body}\\n"') == [(1, "a private key", "refuse")]
    assert found(head, "return None") == [(1, "the head of a private key", "flag")]
    assert found("-----BEGIN PUBLIC KEY-----", body) == []
    apart = [Added(b"a", 1, head.encode()), Added(b"b", 2, body.encode())]
    assert [leak.severity for leak in leaks(apart)] == ["flag"]


@pytest.mark.parametrize(
    "line",
    [
        *("api_key = '{}'", 'API_TOKEN: str = "{}"', '"clientSecret": "{}",', "secret := `{}`"),
        *("$password = '{}';", "'token' => '{}'", 'if token == "{}":', 'dbPassword = b"{}"'),
    ],
)
@pytest.mark.parametrize("value", [drawn(20), drawn(32, HEX), drawn(40, BASE64), drawn(64, URL)])
def test_a_value_drawn_by_lot_under_a_telling_name_is_a_flag(line: str, value: str) -> None:
    kind = "what looks like a password or key"

    assert found(line.replace("{}", value)) == [(1, kind, "flag")]


@pytest.mark.parametrize("path", [b".env", b"a/.env.local", b"x.ini", b"c.yaml", b".npmrc"])
def test_in_files_of_settings_quotes_may_be_missing(path: bytes) -> None:
    texts = (
        f"API_KEY={drawn(30)}",
        f"  secret-token: {drawn(30)}",
        f"export DB_PASSWORD={drawn(20)}",
    )

    assert [number for number, _, _ in found(*texts, path=path)] == [1, 2, 3]
    assert found(*texts, path=b"a.py") == []  # in a program these are names


@pytest.mark.parametrize(
    "line",
    [
        *('password = "changeme-123a4b5c"', 'token = "<your key 1a2b3c4d5e>"', "key = '${API_KEY1A2B3}'"),
        *('secret = "xxxx1a2b3c4d5e6f7g8h"', 'api_key = os.environ["API_KEY_1A2B3C"]', "token = get()"),
        *('token = "test-1a2b3c4d5e6f7g8h9"', 'key = "example1a2b3c4d5e6f"', 'password = "hunter2"'),
        *('secret = "a-plain-sentence-of-words"', 'key = "org.company.project.module-v2"'),
        *('cache_key = "1a2b3c4d5e6f7g8h9i0j"', 'publicKey = "1a2b3c4d5e6f7g8h9i0j"'),
        *('token_url = "1a2b3c4d5e6f7g8h9i0j"', 'key_id: "1a2b3c4d5e6f7g8h9i0j"'),
        *('secretName = "1a2b3c4d5e6f7g8h9i0j"', 'token = f"{a1b2c3d4e5f6g7h8}"'),
        *('name = "1a2b3c4d5e6f7g8h9i0j"', 'token = "1a2b3c4d5e6f7g8"', 'key = "/a1/b2/c3/d4/e5/f6"'),
        *('"integrity": "sha512-1a2b3c4d5e6f7g8h9i0j"', 'passwordHash = "1a2b3c4d5e6f7g8h9i0j"'),
        *('key = "aaaa1111aaaa1111aaaa1111"', 'token = "{{ secrets.a1b2c3d4e5f6 }}"'),
    ],
)  # fmt: skip
def test_placeholders_references_and_names_of_other_things_are_nothing(line: str) -> None:
    assert found(line) == []


def test_a_line_that_only_moved_is_a_flag_at_most() -> None:
    secret, guess = f"ghp_{drawn(36)}", f'token = "{drawn(30)}"'

    assert [leak[1:] for leak in leaks(lines(secret, guess, moved=True))] == [
        (1, "a GitHub token", "flag")
    ]


def test_each_kind_is_told_once_for_a_line() -> None:
    text = f"ghp_{drawn(36)} ghp_{drawn(36, seed=8)} hf_{drawn(34)}"

    assert [kind for _, kind, _ in found(text)] == ["a GitHub token", "a Hugging Face token"]


@pytest.mark.parametrize("secret", [s for s in FORMATS if redactor(())(s) == MASK])
def test_what_the_redactor_takes_for_a_key_is_a_secret_here(secret: str) -> None:
    assert [severity for _, _, severity in found(secret)] == ["refuse"]


def test_the_redactor_and_the_policy_share_the_commonest_vendors() -> None:
    masked = {kind for secret, kind in SECRETS if MASK in redactor(())(secret)}

    assert masked >= {
        *("a GitHub token", "a GitLab token", "an Anthropic key", "an OpenAI key", "an API key"),
        *("an AWS key id", "a Slack token", "a database's password"),
    }


@given(st.lists(st.binary(), max_size=5))
def test_any_bytes_can_be_looked_through(texts: list[bytes]) -> None:
    assert all(
        leak.kind.startswith(("a ", "an ", "the ", "what ")) for leak in leaks(lines(*texts))
    )


def test_ten_thousand_plain_lines_hold_nothing() -> None:
    text = 'def describe(token: str, key: str = "default") -> str:  # https://host.net/a.b'

    assert found(*[text] * 10_000) == []


@pytest.mark.parametrize(
    "stretch",
    [
        *("A", "key", "token=", "secret_", "password: '", "key: a b c d = ", "aws_secret=", "AWSSECRET"),
        *("eyJ", "eyJ.", "eyJaaaaaaaaaaaaa.eyJ", "sk-ant-", "sk-", "ghp_", "xoxb-", "AKIA", ":AA1"),
        *("://", "a://a:", "postgres://a:a", "MTIz", "M.", "-----BEGIN ", "SG.", "hooks.slack.com/services/"),
        *("-----BEGIN RSA PRIVATE KEY-----", "/api/webhooks/", "1:AA", "\\n", "\"'", "twilio", " = '"),
    ],
)  # fmt: skip
def test_a_line_of_five_megabytes_is_looked_through_whatever_it_repeats(stretch: str) -> None:
    filler = stretch * (MEGABYTES // len(stretch))

    severities = [severity for _, _, severity in found(f"{filler} ghp_{drawn(36)}", path=b".env")]

    assert "refuse" in severities


def test_a_certificate_in_base64_of_five_megabytes_is_none() -> None:
    data = b64encode(Random(3).randbytes(MEGABYTES)).decode()

    assert found(f'data = "{data}"') == []


@pytest.mark.parametrize(
    "text", ["AWS_SECRET_ACCESS_KEY=eyJ" + drawn(37), "eyJ1Q~" + drawn(34), "eyJ1Q~." + drawn(33)]
)
def test_what_only_begins_like_a_web_token_is_looked_at_all_the_same(text: str) -> None:
    assert all(severity in {"refuse", "flag"} for _, _, severity in found(text))
