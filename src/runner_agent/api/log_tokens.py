"""Tokens that read logs and nothing else: derived from the agent's own, so there is nothing to keep.

One is `logs.EXPIRY.MAC`. It outlives the process, since the agent's token does, and falls with that token.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from enum import Enum

LIFETIME = 3600
"""Seconds one is good for. A log that is being followed then is followed on."""

_KIND = "logs"


class Verdict(Enum):
    """What a text is."""

    NONE = "none of ours"
    GOOD = "good"
    EXPIRED = "expired"


class LogTokens:
    """Issues and knows them."""

    def __init__(self, token: str, wall: Callable[[], datetime]) -> None:
        """`token` is the agent's own. `wall`: a person sets the expiry beside a clock, and so do we."""
        self._key = hashlib.sha256(b"runner-agent log token\0" + token.encode()).digest()
        self._wall = wall

    def issue(self) -> str:
        """A fresh one."""
        return self._signed(str(int(self._wall().timestamp()) + LIFETIME))

    def judge(self, text: str) -> Verdict:
        """Whether it is one of ours, and still good. Takes as long for any wrong text."""
        kind, _, rest = text.partition(".")
        expiry = rest.partition(".")[0]
        if kind != _KIND or not (expiry.isascii() and expiry.isdecimal() and len(expiry) <= 12):
            return Verdict.NONE
        if not hmac.compare_digest(text.encode(), self._signed(expiry).encode()):
            return Verdict.NONE
        return Verdict.GOOD if self._wall().timestamp() < int(expiry) else Verdict.EXPIRED

    def _signed(self, expiry: str) -> str:
        mac = hmac.digest(self._key, expiry.encode(), "sha256")
        return f"{_KIND}.{expiry}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"
