"""What a text must not carry into a record that is kept for long: addresses, keys, tokens, long numbers. Part of `records`.

A net, not a proof: it catches what has the form of such a thing. Every repetition is bounded, so that hostile text costs little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from promptreg.core.canonical import Json

_DEPTH = 64  # of arguments of tool calls; deeper ones are dropped whole
# In this order: a key may hold what looks like a number, an address may hold what looks like a key.
_NETS = (
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), "[e-mail]"),
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]{0,16384}?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"), "[key]"),
    (re.compile(r"eyJ[\w-]{8,4096}\.[\w-]{4,8192}(?:\.[\w-]{0,4096})?"), "[token]"),  # JSON Web Tokens
    (re.compile(r"(?i)\b(bearer|basic)[ \t]{1,8}[\w.~+/=-]{12,4096}"), r"\1 [token]"),
    (
        re.compile(r"""(?ix)\b((?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d)["']?[ \t]{0,4}[:=][ \t]{0,4}["']?)
        [^\s"',;]{6,512}"""),
        r"\1[secret]",
    ),
    # Keys that say by their beginning whose they are: OpenAI, Anthropic, Stripe, GitHub, GitLab, Slack, AWS, Google, Hugging Face.
    (
        re.compile(
            r"\b(?:[srp]k[-_][\w-]{12,256}|gh[opsur]_\w{16,256}|github_pat_\w{16,256}|glpat-[\w-]{16,256}|xox[a-z]-[\w-]{10,256}"
            r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,64}|hf_\w{16,256})"
        ),
        "[key]",
    ),
    (re.compile(r"\b(?=[\w-]{0,63}[0-9])(?=[\w-]{0,63}[A-Za-z])[\w-]{32,512}"), "[token]"),  # long, letters and digits mixed
    (re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){3,7}(?: ?[0-9A-Z]{1,3})?\b"), "[number]"),  # IBANs
    (re.compile(r"\+?[0-9](?:[ ()./-]{0,2}[0-9]){6,40}"), "[number]"),  # telephone, card and account numbers: seven digits or more
)


def redacted(text: str) -> str:
    """*text* without what has the form of an e-mail address, a key, a token, or a number of seven digits or more."""
    for net, instead in _NETS:
        text = net.sub(instead, text)
    return text


def redacted_json(value: Json, depth: int = _DEPTH) -> Json:
    """*value* with every text in it redacted, keys too; numbers of seven digits or more become a text."""
    if depth <= 0:
        return "[too deep]"
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {redacted(key): redacted_json(item, depth - 1) for key, item in value.items()}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if redacted(str(value)) == str(value) else "[number]"
    return [redacted_json(item, depth - 1) for item in value]
