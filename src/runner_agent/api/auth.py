"""Who may speak: the peer's uid on a unix socket, a bearer token on TCP, and no web page but our own."""

import hmac
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple, assert_never

from runner_agent.api.errors import Code, RpcError
from runner_agent.api.log_tokens import LogTokens, Verdict

BURST = 10
"""Wrong tokens answered and logged one by one; after that they are brushed off, one more a second."""


_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^:\[\]@/\s]+))(?::\d{1,5})?")


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


Caller = LocalCaller | TokenCaller


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
    ) -> None:
        """`now`: monotonic seconds. `hosts`: names a Host header may carry, besides plain IP addresses.
        `log_tokens` knows the tokens that open logs only; None: there are none.
        """
        self._log_tokens = log_tokens
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
            self._check_token(headers.get("authorization", ""), reaches)
            return TokenCaller()
        if peer.uid not in self._uids:
            accepted = ", ".join(str(uid) for uid in sorted(self._uids))
            raise RpcError(
                Code.PERMISSION_DENIED,
                f"uid {peer.uid} may not use this socket: it serves uid {accepted} only",
            )
        return LocalCaller(peer.uid)

    def check_site(self, headers: Mapping[str, str]) -> None:
        """Refuse web pages of others, over TCP. Raises RpcError permission_denied.

        A page can only reach us by a name of ours or by one its owner points at us (DNS rebinding). So names
        are checked and addresses are not, and a page must come from the very host it speaks to.
        """
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

    def _check_token(self, authorization: str, reaches: Reaches) -> None:
        scheme, _, given = authorization.partition(" ")
        given = given.strip()
        if scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), self._token):
            return
        verdict = Verdict.NONE if self._log_tokens is None else self._log_tokens.judge(given)
        if verdict is Verdict.GOOD and reaches is Reaches.LOGS:
            return
        self._count_failure()
        raise RpcError(
            Code.UNAUTHENTICATED,
            _why_not(verdict, authorization),
            headers=(("www-authenticate", "Bearer"),),
        )

    def _count_failure(self) -> None:
        """Raises RpcError resource_exhausted where they come too fast."""
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
