"""Who may speak: the peer's uid on a unix socket, a bearer token on TCP, and no web page but our own."""

import hmac
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple, assert_never

from runner_agent.api.errors import Code, RpcError
from runner_agent.api.log_tokens import LogTokens, Verdict
from runner_agent.api.sessions import Sessions

BURST = 10
"""Wrong tokens answered and logged one by one; after that they are brushed off, one more a second."""

PAGE_HEADER = "x-runner-agent"
"""Sent by our own page with every request, whatever its value. A page of another origin would have to ask us
first whether it may (CORS), and hears no: so a cookie beside it is no forged request.
"""

_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^:\[\]@/\s]+))(?::\d{1,5})?")

_BROWSERS = ("origin", "sec-fetch-site", "referer", "accept-language", "cookie")
"""Headers that browsers send, one or another with every request, and programs leave out."""
_OWN_LINKS = frozenset({"same-origin", "none"})
"""How browsers name a request by our own page, and one by the address line."""


class Peer(NamedTuple):
    """The process at the other end of a unix socket, as the kernel names it (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


class LocalCaller(NamedTuple):
    """Admitted by its uid."""

    uid: int

    @property
    def by(self) -> str:
        """In words fit for a message."""
        return f"uid {self.uid}"


class TokenCaller(NamedTuple):
    """Admitted by the bearer token."""

    @property
    def by(self) -> str:
        """In words fit for a message."""
        return "a client with the API token"


class BrowserCaller(NamedTuple):
    """Admitted by the cookie of a browser that was signed in."""

    @property
    def by(self) -> str:
        """In words fit for a message."""
        return "a browser signed in to the dashboard"


Caller = LocalCaller | TokenCaller | BrowserCaller


class Reaches(Enum):
    """What a request is after: tokens for logs open logs only."""

    LOGS = "logs"
    ANYTHING = "anything"


class Guard:
    """Admits callers. A right token always passes: a flood of wrong ones must not lock its owner out."""

    def __init__(
        self,
        token: str,
        uids: frozenset[int],
        now: Callable[[], float],
        hosts: frozenset[str] = frozenset({"localhost"}),
        log_tokens: LogTokens | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        """`now`: monotonic seconds. `hosts`: names a Host header may carry, besides plain IP addresses.
        `log_tokens` knows the tokens that open logs only, `sessions` the browsers; None: there are none.
        """
        self._log_tokens = log_tokens
        self._sessions = sessions
        self._token = token.encode()
        self._uids = uids
        self._hosts = hosts
        self._now = now
        self._left = float(BURST)
        self._left_at = now()

    def admit(
        self, peer: Peer | None, headers: Mapping[str, str], reaches: Reaches = Reaches.ANYTHING
    ) -> Caller:
        """Who it is; no peer means TCP. Raises RpcError permission_denied or unauthenticated.

        Wrong tokens that come too fast are resource_exhausted.
        """
        if peer is None:
            if "authorization" not in headers and self._is_browser(headers, reaches):
                return BrowserCaller()
            self._check_token(headers.get("authorization", ""), reaches)
            return TokenCaller()
        if peer.uid not in self._uids:
            accepted = ", ".join(str(uid) for uid in sorted(self._uids))
            raise RpcError(
                Code.PERMISSION_DENIED,
                f"uid {peer.uid} may not use this socket: it serves uid {accepted} only",
            )
        return LocalCaller(peer.uid)

    def is_token(self, text: str) -> bool:
        """Whether it is the agent's own token."""
        return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), self._token)

    def check_page_header(self, headers: Mapping[str, str]) -> None:
        """Raises RpcError permission_denied unless our own page asks, or a program that says so."""
        if PAGE_HEADER not in headers:
            message = f"send the header {PAGE_HEADER}, which foreign pages cannot"
            raise RpcError(Code.PERMISSION_DENIED, message)

    def check_site(self, headers: Mapping[str, str], peer: Peer | None = None) -> None:
        """Refuse web pages of others. Raises RpcError permission_denied.

        A page can only reach us by a name of ours or by one its owner points at us (DNS rebinding). So names
        are checked and addresses are not, and a page must come from the very host it speaks to. A unix socket
        may be forwarded to where a browser is (`ssh -L`); programs call it by any name.
        """
        if peer is not None and not any(sign in headers for sign in _BROWSERS):
            return
        host = headers.get("host", "").lower()
        found = _HOST.fullmatch(host)
        name = (found["address"] or found["name"]) if found else ""
        if not (name in self._hosts or _is_address(name)):
            raise RpcError(
                Code.PERMISSION_DENIED,
                f"the Host header {host[:80]!r} is no name of this agent: use an IP address or localhost",
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}"}:
            raise RpcError(
                Code.PERMISSION_DENIED, f"requests of the page {origin[:80]!r} are not accepted here"
            )

    def _is_browser(self, headers: Mapping[str, str], reaches: Reaches) -> bool:
        """Logs are also opened by a plain link of our page, which carries no header of ours."""
        if self._sessions is None or not self._sessions.holds(headers):
            return False
        linked = reaches is Reaches.LOGS and headers.get("sec-fetch-site", "none") in _OWN_LINKS
        return linked or PAGE_HEADER in headers

    def _check_token(self, authorization: str, reaches: Reaches) -> None:
        scheme, _, given = authorization.partition(" ")
        given = given.strip()
        if scheme.lower() == "bearer" and self.is_token(given):
            return
        verdict = Verdict.NONE if self._log_tokens is None else self._log_tokens.judge(given)
        if verdict is Verdict.GOOD and reaches is Reaches.LOGS:
            return
        self.count_failure()
        raise RpcError(
            Code.UNAUTHENTICATED,
            _why_not(verdict, authorization),
            headers=(("www-authenticate", "Bearer"),),
        )

    def count_failure(self) -> None:
        """A wrong token or code. Raises RpcError resource_exhausted where they come too fast."""
        now = self._now()
        self._left = min(float(BURST), self._left + now - self._left_at)
        self._left_at = now
        if self._left < 1:
            raise RpcError(
                Code.RESOURCE_EXHAUSTED,
                "too many requests without a valid token: wait a second",
                headers=(("retry-after", "1"),),
            )
        self._left -= 1


def _why_not(verdict: Verdict, authorization: str) -> str:
    match verdict:
        case Verdict.GOOD:
            return "this bearer token opens logs only, by GET: send the agent's own token"
        case Verdict.EXPIRED:
            return "the token for logs has expired: ask CreateEnvironmentLogsToken for another"
        case Verdict.NONE:
            what = "the bearer token is wrong" if authorization else "a bearer token is missing"
            where = "the text of the file `token` in the state directory"
            return f"{what}: send `Authorization: Bearer` with {where}"
        case _:
            assert_never(verdict)


def _is_address(name: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
