"""The formats of keys and tokens as their vendors give them out. Data.

What well-known scanners list, as far as the format alone tells: a prefix of its own, or a shape that
nothing else has.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tiny_backspace.repo.paths import Severity


class Kind(NamedTuple):
    name: str
    words: tuple[bytes, ...]  # one of them is in every hit
    pattern: re.Pattern[bytes]
    severity: Severity


_END, _END_DASH = rb"(?![A-Za-z0-9])", rb"(?![A-Za-z0-9_-])"
_IS = rb"[\"'`\])]{0,2}[ \t]{0,8}(?:={1,3}>?|:=?)[ \t]{0,8}[\"'`]?"


def _kind(name: str, words: str, pattern: bytes, severity: Severity = "refuse") -> Kind:
    return Kind(name, tuple(words.encode().split()), re.compile(pattern), severity)


# A repetition without an end is possessive (`}+`): nothing goes back over it. A group is what is secret.
KINDS = (
    _kind("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", rb"gh[pousr]_[A-Za-z0-9]{36,}+"),
    _kind("a GitHub token", "github_pat_", rb"github_pat_[A-Za-z0-9_]{36,}+"),
    _kind(
        "a GitLab token",
        "glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct-",
        rb"gl(?:pat|dt|rtr?|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_.-]{20,}+",
    ),
    _kind("an Anthropic key", "sk-ant-", rb"sk-ant-[A-Za-z0-9_-]{24,}+"),
    _kind(
        "an OpenAI key", "sk-proj- sk-svcacct- sk-admin-",
        rb"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{24,}+",
    ),
    _kind("an API key", "sk-", rb"sk-[A-Za-z0-9]{32,}+"),
    _kind("an AWS key id", "AKIA ASIA ABIA ACCA", rb"A(?:KI|SI|BI|CC)A[A-Z0-9]{16}" + _END),
    _kind(
        "an AWS secret key", "secret SECRET Secret",
        rb"(?i:aws[a-z_.-]{0,20}secret[a-z_.-]{0,20}+|secret[_-]?access[_-]?key)"
        + _IS + rb"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _kind("a Google API key", "AIza", rb"AIza[A-Za-z0-9_-]{35}" + _END_DASH),
    _kind("a Google client secret", "GOCSPX-", rb"GOCSPX-[A-Za-z0-9_-]{28}" + _END_DASH),
    _kind("a Slack token", "xox", rb"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{20,}+"),
    _kind("a Slack token", "xapp-", rb"xapp-[0-9]-[A-Za-z0-9-]{30,}+"),
    _kind(
        "a Slack webhook", "hooks.slack.com/",
        rb"hooks\.slack\.com/[a-z]{8,9}/[A-Z0-9]{8,}+/[A-Za-z0-9]{8,}+/[A-Za-z0-9/]{20,}+",
    ),
    _kind("a Stripe live key", "k_live_", rb"[sr]k_live_[A-Za-z0-9]{16,}+"),
    _kind("a Stripe test key", "k_test_", rb"[sr]k_test_[A-Za-z0-9]{16,}+", "flag"),
    _kind("a Stripe webhook secret", "whsec_", rb"whsec_[A-Za-z0-9+/]{32,}+"),
    _kind("an npm token", "npm_", rb"npm_[A-Za-z0-9]{36}" + _END),
    _kind("a PyPI token", "pypi-AgE", rb"pypi-AgE[A-Za-z0-9_-]{50,}+"),
    _kind("a Hugging Face token", "hf_", rb"hf_[A-Za-z0-9]{34,40}" + _END),
    _kind("an Azure storage key", "AccountKey=", rb"AccountKey=[A-Za-z0-9+/]{86}=="),
    _kind("an Azure access key", "SharedAccessKey=", rb"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    _kind("a SendGrid key", "SG.", rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}" + _END_DASH),
    _kind("a Twilio key", "SK", rb"SK[0-9a-f]{32}" + _END),
    _kind(
        "a Twilio token", "twilio TWILIO Twilio",
        rb"(?i:twilio[a-z_.-]{0,20}token)" + _IS + rb"([0-9a-f]{32})" + _END,
    ),
    _kind("a Telegram bot token", ":AA", rb"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}" + _END_DASH),
    _kind(  # the first part is a number of 17 to 20 digits in base64
        "a Discord token", ".",
        rb"(?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){5,6}[A-Za-z0-9]{0,3}\.[A-Za-z0-9_-]{6}"
        rb"\.[A-Za-z0-9_-]{27,38}" + _END_DASH,
    ),
    _kind(
        "a Discord webhook", "/api/webhooks/",
        rb"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,}+",
    ),
    _kind(
        "a JSON Web Token", "eyJ",
        rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))eyJ[A-Za-z0-9_-]{10,}+\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{20,}+",
    ),
    _kind("an OpenRouter key", "sk-or-", rb"sk-or-v1-[0-9a-f]{64}" + _END),
    _kind("a Groq key", "gsk_", rb"gsk_[A-Za-z0-9]{50,}+"),
    _kind("an xAI key", "xai-", rb"xai-[A-Za-z0-9]{70,}+"),
    _kind("a Perplexity key", "pplx-", rb"pplx-[A-Za-z0-9]{40,}+"),
    _kind("a Replicate token", "r8_", rb"r8_[A-Za-z0-9]{37}" + _END),
    _kind("a LangSmith key", "lsv2_", rb"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}" + _END),
    _kind("a GitLab token", "GR1348941", rb"GR1348941[A-Za-z0-9_-]{20}" + _END_DASH),
    _kind("an AWS Bedrock key", "ABSK", rb"ABSK[A-Za-z0-9+/]{100,}+=*"),
    _kind("a Google access token", "ya29.", rb"ya29\.[A-Za-z0-9_-]{60,}+"),
    _kind(
        "an Azure client secret", "Q~",
        rb"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])",
    ),
    _kind("an Atlassian token", "ATATT3 ATCTT3", rb"AT[AC]TT3[A-Za-z0-9_=-]{150,}+"),
    _kind("a DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", rb"do[opr]_v1_[0-9a-f]{64}" + _END),
    _kind("a Docker token", "dckr_", rb"dckr_[po]at_[A-Za-z0-9_-]{27,}+"),
    _kind("a Databricks token", "dapi", rb"dapi[0-9a-f]{32}(?:-[0-9])?" + _END),
    _kind("a Doppler token", "dp.", rb"dp\.(?:pt|ct|st|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}" + _END),
    _kind("a Figma token", "figd_", rb"figd_[A-Za-z0-9_-]{40,}+"),
    _kind("a Grafana token", "glsa_", rb"glsa_[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}" + _END),
    _kind("a Heroku key", "HRKU-", rb"HRKU-[A-Za-z0-9_-]{36,}+"),
    _kind("a Linear key", "lin_api_", rb"lin_api_[A-Za-z0-9]{40}" + _END),
    _kind("a Netlify token", "nfp_", rb"nfp_[A-Za-z0-9]{36,}+"),
    _kind("a New Relic key", "NRAK-", rb"NRAK-[A-Z0-9]{27}" + _END),
    _kind("a Notion token", "ntn_", rb"ntn_[A-Za-z0-9]{40,}+"),
    _kind("a PlanetScale secret", "pscale_", rb"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{32,}+"),
    _kind("a Postman key", "PMAK-", rb"PMAK-[0-9a-f]{24}-[0-9a-f]{34}" + _END),
    _kind("a Pulumi token", "pul-", rb"pul-[0-9a-f]{40}" + _END),
    _kind("a RubyGems key", "rubygems_", rb"rubygems_[0-9a-f]{48}" + _END),
    _kind("a crates.io token", "cio", rb"cio[A-Za-z0-9]{32}" + _END),
    _kind("a NuGet key", "oy2", rb"oy2[a-z0-9]{43}" + _END),
    _kind("a Sentry token", "sntryu_ sntrys_", rb"sntry(?:u_[0-9a-f]{64}|s_eyJ[A-Za-z0-9+/=_-]{80,}+)"),
    _kind("a Shopify token", "shpat_ shpca_ shppa_ shpss_", rb"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}" + _END),
    _kind("a Square secret", "sq0", rb"sq0(?:atp-[A-Za-z0-9_-]{22}|csp-[A-Za-z0-9_-]{43})" + _END_DASH),
    _kind("a Supabase token", "sbp_ sb_secret_", rb"(?:sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_-]{31})" + _END_DASH),
    _kind("a Terraform token", ".atlasv1.", rb"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}" + _END_DASH),
    _kind("a Vault token", "hvs. hvb.", rb"hv[sb]\.[A-Za-z0-9_-]{90,}+"),
    _kind("an age key", "AGE-SECRET-KEY-1", rb"AGE-SECRET-KEY-1[A-Z0-9]{58}" + _END),
)  # fmt: skip
