"""Signing a browser in and out: `/session` for the page, `/session/code` for whoever may give out codes.

The cookie is HttpOnly and SameSite=Strict, and counts only beside a header that no foreign page can send. The
token itself is in no address, so it stands in no history, no Referer and no log of a proxy.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from runner_agent.api.asgi import App, Receive, Scope, Send, head_of, read_body, send_answer
from runner_agent.api.auth import Guard, Peer
from runner_agent.api.connect import Answer, Head, Headers, invalid, refusal, sized
from runner_agent.api.errors import Code, RpcError
from runner_agent.api.negotiate import wrong_verb
from runner_agent.api.rpc import tell
from runner_agent.api.sessions import CODE_LIFETIME, LIFETIME, Sessions
from runner_agent.kit.reading import value_of

SESSION = "/session"


class SignIn:
    """The ASGI application of both paths. `/session` admits anybody, and says who is."""

    def __init__(self, guard: Guard, sessions: Sessions, urls: Callable[[], Sequence[str]]) -> None:
        """`urls`: where a browser finds the page, the best first; none where nothing listens on TCP."""
        self._guard = guard
        self._sessions = sessions
        self._urls = urls

    def routes(self) -> dict[str, App]:
        """By prefix, as `build_app` takes them."""
        return {SESSION: self}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            answer = await self._answer(scope, receive)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer
            answer = refusal(tell(error))
        await send_answer(scope, send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        head = head_of(scope)
        match (cast(str, scope["path"]), head.verb):
            case ("/session", "GET" | "HEAD"):
                return self._state(cast("Peer | None", scope["state"].get("peer")), head)
            case ("/session", "POST"):
                self._guard.check_page_header(head.headers)
                return self._enter(head, _secret_of(await read_body(receive)))
            case ("/session", "DELETE"):
                self._guard.check_page_header(head.headers)
                return self._leave(head)
            case ("/session", _):
                raise wrong_verb("GET, POST, DELETE")
            case ("/session/code", "POST"):
                return self._code()
            case ("/session/code", _):
                raise wrong_verb("POST")
            case (path, _):
                raise RpcError(Code.UNIMPLEMENTED, f"there is nothing at {path[:200]}", status=404)

    def _state(self, peer: Peer | None, head: Head) -> Answer:
        """A unix socket knows its caller: there is nothing to sign in to, and nothing to sign out of."""
        local = peer is not None
        return _json({"signedIn": local or self._sessions.holds(head.headers), "cookie": not local})

    def _enter(self, head: Head, secret: str) -> Answer:
        if not (self._sessions.redeem(secret) or self._guard.is_token(secret)):
            self._guard.count_failure()
            message = (
                "this code is wrong, used or expired: `runner-agent dashboard` prints a fresh one, "
                "and the text of the file `token` in the state directory always does"
            )
            raise RpcError(Code.UNAUTHENTICATED, message)
        return _json(
            {"signedIn": True, "cookie": True}, self._set_cookie(head, self._sessions.begin(), LIFETIME)
        )

    def _leave(self, head: Head) -> Answer:
        try:
            self._sessions.end(head.headers)
        except OSError as error:
            message = f"signed out until the agent restarts: it cannot be written down ({error.strerror})"
            raise RpcError(Code.UNAVAILABLE, message, headers=self._set_cookie(head, "", 0)) from None
        return _json({"signedIn": False, "cookie": True}, self._set_cookie(head, "", 0))

    def _code(self) -> Answer:
        return _json(
            {"code": self._sessions.new_code(), "expiresIn": int(CODE_LIFETIME), "urls": list(self._urls())}
        )

    def _set_cookie(self, head: Head, value: str, age: int) -> Headers:
        """Secure where the page came by https, be it through a proxy: browsers say so in Origin."""
        secure = "; Secure" if head.headers.get("origin", "").lower().startswith("https:") else ""
        name = self._sessions.cookie
        cookie = f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"
        return (("set-cookie", cookie),)


def _secret_of(body: bytes) -> str:
    """A code or the token. Raises RpcError."""
    try:
        told = value_of(body)
    except ValueError:
        told = None
    code = cast(Mapping[str, object], told).get("code") if isinstance(told, dict) else None
    if not isinstance(code, str):
        raise invalid('send {"code": "..."} as JSON')
    return code.strip()


def _json(value: object, headers: Headers = ()) -> Answer:
    return sized(200, (("content-type", "application/json"), *headers), json.dumps(value).encode())
