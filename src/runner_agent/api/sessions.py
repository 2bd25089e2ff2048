"""Browsers that are signed in: a code that works once becomes a cookie, which the agent's token vouches for.

A cookie is `EXPIRY.ID.MAC`. Nothing of it is kept, so it outlives the process and falls with the agent's
token, as tokens for logs do; only who signed out is remembered, for as long as the cookie would be good.
"""

import hashlib
import hmac
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

CODE_LIFETIME = 300.0
"""Seconds in which a code must be used: from the terminal to the browser, with a sip of coffee between."""
LIFETIME = 7 * 24 * 3600
"""Seconds a browser stays signed in."""
MOST_CODES = 64
"""Codes that wait to be used; a further one makes the oldest worthless."""


class Sessions:
    """Issues codes, takes them back for cookies, and knows the cookies."""

    def __init__(
        self,
        token: str,
        now: Callable[[], float],
        wall: Callable[[], datetime],
        signed_out: Path | None = None,
    ) -> None:
        """`token` is the agent's own, `now` monotonic seconds. `signed_out`: a file that remembers who left;
        None: the process does.
        """
        self._key = hashlib.sha256(b"runner-agent browser session\0" + token.encode()).digest()
        self._now = now
        self._wall = wall
        self._codes: dict[bytes, float] = {}
        self._file = signed_out
        self._left: dict[str, int] | None = None
        # Cookies are a host's, whatever the port: two agents of one host must not take each other's.
        self.cookie = f"runner-agent-{self._key.hex()[:8]}"

    def new_code(self) -> str:
        """Signs one browser in, once, within CODE_LIFETIME."""
        now = self._now()
        code = _random()
        self._codes = {each: until for each, until in self._codes.items() if until > now}
        while len(self._codes) >= MOST_CODES:
            del self._codes[next(iter(self._codes))]
        self._codes[_hidden(code)] = now + CODE_LIFETIME
        return code

    def redeem(self, code: str) -> bool:
        """Whether the code is good. It is not a second time."""
        until = self._codes.pop(_hidden(code), None)
        return until is not None and self._now() < until

    def begin(self) -> str:
        """The cookie's value, for a browser that has shown a code or the token."""
        return self._signed(f"{int(self._wall().timestamp()) + LIFETIME}.{_random()}")

    def holds(self, headers: Mapping[str, str]) -> bool:
        """Whether a request carries a cookie that is good."""
        value = self._of(headers)
        found = self._judge(value) if value else None
        return found is not None and found[0] not in self._departed()

    def end(self, headers: Mapping[str, str]) -> None:
        """The cookie the request carries is worthless from now on. Raises OSError: only for this process."""
        found = self._judge(self._of(headers))
        if found is None:
            return
        wall = self._wall().timestamp()
        self._left = {id_: until for id_, until in self._departed().items() if until > wall}
        self._left[found[0]] = found[1]
        if self._file is not None:
            _write(self._file, "".join(f"{id_} {until}\n" for id_, until in self._left.items()))

    def _of(self, headers: Mapping[str, str]) -> str:
        for each in headers.get("cookie", "").split(";"):
            name, _, value = each.strip().partition("=")
            if name == self.cookie:
                return value
        return ""

    def _judge(self, value: str) -> tuple[str, int] | None:
        """Id and expiry of one of ours that has not expired."""
        rest, _, _ = value.rpartition(".")
        expiry, _, id_ = rest.partition(".")
        if not (expiry.isascii() and expiry.isdecimal() and len(expiry) <= 12):
            return None
        if not hmac.compare_digest(value.encode(), self._signed(rest).encode()):
            return None
        return (id_, int(expiry)) if self._wall().timestamp() < int(expiry) else None

    def _signed(self, rest: str) -> str:
        mac = hmac.digest(self._key, rest.encode(), "sha256")
        return f"{rest}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    def _departed(self) -> dict[str, int]:
        """Who signed out, by id, and when that may be forgotten. Read when it is first asked for."""
        if self._left is None:
            self._left = _read(self._file) if self._file is not None else {}
        return self._left


def _random() -> str:
    return urlsafe_b64encode(os.urandom(24)).decode()


def _hidden(code: str) -> bytes:
    """Looked up by its digest, so that the time it takes tells nothing of a code."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()


def _read(path: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except (OSError, UnicodeDecodeError):
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdecimal()}


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)
