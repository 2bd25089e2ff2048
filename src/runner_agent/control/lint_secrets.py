"""Literals that look like secrets: known kinds of tokens, and values at random under a telling name."""

import math
import re
from collections import Counter
from collections.abc import Iterator

from runner_agent.control.lint_scripts import Finding

_KINDS = tuple(
    (kind, re.compile(rf"(?<![A-Za-z0-9_]){form}"))
    for kind, form in (
        ("a GitHub token", r"(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
        ("a GitLab token", r"gl(?:pat|ptt|dt|rt)-[A-Za-z0-9_-]{20,}"),
        ("an AWS access key", r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
        ("a Google API key", r"AIza[A-Za-z0-9_-]{35}"),
        ("a Google token", r"ya29\.[A-Za-z0-9_-]{20,}"),
        ("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{20,}"),
        ("a Stripe key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{20,}"),
        ("an Anthropic key", r"sk-ant-[A-Za-z0-9_-]{20,}"),
        ("an OpenAI key", r"sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}"),
        ("an npm token", r"npm_[A-Za-z0-9]{36}"),
        ("a PyPI token", r"pypi-[A-Za-z0-9_-]{32,}"),
        ("a Hugging Face token", r"hf_[A-Za-z0-9]{30,}"),
        ("a Docker Hub token", r"dckr_pat_[A-Za-z0-9_-]{20,}"),
        ("a SendGrid key", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,}"),
        ("a DigitalOcean token", r"do[opr]_v1_[a-f0-9]{64}"),
        ("a Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
        ("a Tailscale key", r"tskey-[a-z]+-[A-Za-z0-9-]{16,}"),
        ("a JSON web token", r"eyJ[A-Za-z0-9_-]{10,500}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,}"),
        ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
        ("a webhook address", r"https://hooks\.slack\.com/services/T[A-Za-z0-9/]{20,}"),
        ("a webhook address", r"https://discord(?:app)?\.com/api/webhooks/[0-9]{15,}/[A-Za-z0-9_-]{40,}"),
    )
)
_ADDRESS = re.compile(
    r"(?<![a-z0-9+])[a-z][a-z0-9+]{0,20}://[^\s:/@'\"$]{0,100}:([^\s:/@'\"]{6,200})@([^\s:/'\"?]+)"
)
_NAMED = re.compile(
    r"(?i)(?:token|secret|passw(?:or)?d|pwd|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
    r"[a-z0-9_-]{0,40}[\"']?\s{0,9}(?:=|:)\s{0,9}[\"']?([A-Za-z0-9+/=_.~!@#%^*-]{20,500})"
)
_LOCAL = re.compile(r"(?i)localhost|127\.|0\.0\.0\.0|\[|host\.docker\.internal|[a-z0-9_-]+$")
_PLACEHOLDER = re.compile(
    r"(?i)example|change.?me|change.?this|placeholder|your[_-]|dummy|sample|insert|todo|fixme|replace|not-?a-?real"
    r"|for[_-]?(?:dev|test|local)|test|dev(?:elop|[_-])|local|password|secret|x{6}|\.\.\.|0{8}|1234567"
)
_RANDOM_ENOUGH = 3.6
"""Bits for each character. Words in prose and paths have about 3, base64 of chance 4.5 and more."""


def secrets_in(text: str) -> Iterator[Finding]:
    """Each that looks like one, once; never with more of it than all of its kind begin with."""
    seen: list[tuple[int, int]] = []
    for kind, prefix, start, end in _candidates(text):
        if any(first < end and start < last for first, last in seen):
            continue
        seen.append((start, end))
        shown = f"'{text[start : start + prefix]}...'" if prefix else "a value"
        yield Finding(
            "secret-literal",
            text.count("\n", 0, start),
            f"{shown} of {end - start} characters looks like {kind}, and whoever can read the file can read"
            " it; revoke it, keep it as a secret of the environment, and read the variable",
        )


def _candidates(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Kind, how many characters of it are the same in all of its kind, begin and end."""
    for kind, form in _KINDS:
        for match in form.finditer(text):
            if not _PLACEHOLDER.search(match[0][8:]) and (
                len(set(match[0][4:])) > 8 or "KEY-----" in match[0]
            ):
                yield kind, 4, *match.span()
    for match in _ADDRESS.finditer(text):
        password, host = match.groups()
        if "$" not in password and not _LOCAL.match(host) and not _PLACEHOLDER.search(password):
            yield "a password in an address", 0, *match.span(1)
    for match in _NAMED.finditer(text):
        if _random(match[1]):
            yield "a secret, by its name", 0, *match.span(1)


def _random(value: str) -> bool:
    """Letters and digits mixed, no word of a placeholder, no path, and no repetition."""
    mixed = re.search("[0-9]", value) and re.search("[A-Za-z]", value)
    if not mixed or value.count("/") > 2 or _PLACEHOLDER.search(value):
        return False
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
    return entropy >= (3.0 if re.fullmatch("[0-9a-f]{24,}", value) else _RANDOM_ENOUGH)
